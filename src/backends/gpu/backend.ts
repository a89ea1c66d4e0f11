import {
  type Arena,
  type Backend,
  type Buffer,
  type DeviceName,
  type DType,
  type MemoryInfo,
  type TypedArray,
} from '../backend.js';
import { DeviceError, DTypeError } from '../../errors.js';
import type { Dispatch } from '../kernel.js';
import { Constants } from './constants.js';
import type { GpuDevice, GpuProgram, ReadRequest, Submission } from './device.js';
import type { Dialect } from './dialect.js';
import { Failures, nameOps, typedError } from './failures.js';
import { Gathered } from './gathered.js';
import { BATCH, GROUP_WIDTH, MOST_IN_FLIGHT } from './limits.js';
import { type Block, type Clock, GpuArena, GpuBuffer, Pool, type PoolOptions } from './memory.js';
import type { Plan } from './plan.js';
import { Programs } from './programs.js';

interface InFlight {
  readonly number: number;
  readonly submission: Submission;
  /** What asked for it, for errors. */
  readonly ops: string;
}

/**
 * What a GPU's backend is but for the API that reaches it: pooled memory, kernels of a folder or generated, plans, launches that are
 * gathered. Reading waits for them.
 */
export abstract class GpuBackend implements Backend, Clock {
  abstract readonly name: DeviceName;
  abstract readonly description: string;
  readonly isHost = false;
  recording = 1;
  completed = 0;
  private readonly programs: Programs;
  private readonly pool: Pool;
  private readonly gathered: Gathered;
  private readonly constants: Constants | null = null;
  private inFlight: InFlight[] = [];
  private readonly failures = new Failures(() => this.name);
  /** What the device finds out about in the background: programs and memory that have been asked about, and what it has not yet found out. */
  private readonly asked = new WeakSet<Promise<void>>();
  private readonly unknown = new Set<Promise<void>>();
  /** Programs that turned out not to compile, by their `ready`. */
  private readonly broken = new WeakMap<Promise<void>, unknown>();
  /** Contents on their way from another device; until they are there nothing is submitted. */
  private readonly arrivals = new Set<Promise<void>>();
  private openArenas = 0;
  private closed = false;
  /** Buffers outside arenas: their memory comes back when they are collected. */
  private readonly collected = new FinalizationRegistry<Block>((block) => {
    if (!this.closed) this.pool.give(block);
  });

  protected constructor(
    private readonly gpu: GpuDevice,
    private readonly dialect: Dialect,
    options: PoolOptions,
  ) {
    this.programs = new Programs(gpu, dialect, () => this.name);
    this.pool = new Pool(gpu, this, () => this.name, options);
    // Elsewhere an upload is no more than a copy.
    if (gpu.writesInOrder && !options.strict)
      this.constants = new Constants((data) => this.pool.pin(this.uploaded('float32', data)));
    this.gathered = new Gathered(gpu, dialect, this.programs, (pending) => {
      const settled: Promise<void> = pending.finally(() => this.unknown.delete(settled));
      this.unknown.add(settled);
    });
  }

  get maxBufferBytes(): number {
    return this.gpu.maxBufferLength;
  }

  supports(dtype: DType): boolean {
    return this.dialect.types[dtype] !== undefined;
  }

  openArena(): Arena {
    this.openArenas++;
    return new GpuArena(
      this,
      this.pool,
      (buffer) => {
        this.collect(buffer);
      },
      () => {
        this.openArenas--;
      },
    );
  }

  allocate(dtype: DType, length: number, arena: Arena | null): GpuBuffer {
    this.refuse(dtype);
    const buffer = this.make(dtype, length);
    if (arena) (arena as GpuArena).add(buffer);
    else this.collect(buffer);
    return buffer;
  }

  /** Launches that use the buffer may still be on their way: the GPU works in order, so its memory can be handed on at once. */
  discard(buffer: Buffer): void {
    const own = buffer as GpuBuffer;
    if (!own.block) return;
    if (own.arena) own.arena.remove(own);
    else this.collected.unregister(own);
    this.pool.give(own.block);
    own.block = null;
  }

  renew(buffer: Buffer): Buffer {
    const { arena, block, dtype, length } = buffer as GpuBuffer;
    if (block) this.gathered.settle(block);
    const heir = new GpuBuffer(this, dtype, length, block);
    arena!.remove(buffer as GpuBuffer);
    (buffer as GpuBuffer).block = null;
    arena!.add(heir);
    return heir;
  }

  upload(dtype: DType, data: TypedArray, arena: Arena | null = null): GpuBuffer {
    this.refuse(dtype);
    const block = this.constants?.blockOf(dtype, data) ?? this.uploaded(dtype, data);
    const buffer = new GpuBuffer(this, dtype, data.length, block, dtype === 'int32' ? data : undefined);
    if (arena) (arena as GpuArena).add(buffer);
    else this.collect(buffer);
    return buffer;
  }

  private uploaded(dtype: DType, data: TypedArray): Block {
    const block = this.pool.acquire(data.length * this.dialect.bytes[dtype], true);
    block.memory.write(dtype, data);
    block.written = 0;
    this.learn(block.memory.ready, 'upload', block);
    return block;
  }

  receive(dtype: DType, length: number, data: Promise<TypedArray>): GpuBuffer {
    this.refuse(dtype);
    this.flush();
    const block = this.pool.acquire(length * this.dialect.bytes[dtype], true);
    block.written = this.recording;
    block.readers++; // stays as it is until the contents are there, also if it is given back before
    const from = this.recording;
    const arrival: Promise<void> = data
      .then((values) => {
        block.memory.write(dtype, values);
      })
      .catch((error: unknown) => {
        this.fail(error, 'to', from);
      })
      .finally(() => {
        this.arrivals.delete(arrival);
        this.finishReading(block);
      });
    this.arrivals.add(arrival);
    const buffer = new GpuBuffer(this, dtype, length, block);
    this.collect(buffer);
    return buffer;
  }

  async read(buffer: Buffer): Promise<TypedArray> {
    const block = this.blockOf(buffer);
    block.readers++;
    try {
      const early = this.readEarly(block, buffer);
      await this.until(block.lastUse);
      this.failures.check(block.written);
      return await (early ?? block.memory.read(buffer.dtype, buffer.length));
    } finally {
      this.finishReading(block);
    }
  }

  /** Where the queue works in order, the copy is asked for before the work is done, so that one wait is enough. Whether to trust it is seen later. */
  private readEarly(block: Block, { dtype, length }: Buffer): Promise<TypedArray> | null {
    if (!this.gpu.writesInOrder || this.arrivals.size > 0) return null;
    const { memory } = block;
    const isGathered = block.lastUse >= this.recording && this.gathered.count > 0;
    const contents = isGathered
      ? this.submit({ memory, dtype, length }).contents!
      : Promise.resolve(memory.read(dtype, length));
    contents.catch(() => undefined);
    return contents;
  }

  /** A read in place, for devices that can be waited for. */
  protected readNow(buffer: Buffer): TypedArray {
    const block = this.blockOf(buffer);
    this.waitFor(block.lastUse);
    if (this.arrivals.size > 0)
      throw new DeviceError(
        'dataSync',
        "the contents depend on some that are still on their way from another device; write 'await t.data()'",
      );
    this.failures.check(block.written);
    return block.memory.read(buffer.dtype, buffer.length) as TypedArray;
  }

  async sync(): Promise<void> {
    await this.until(this.recording);
    try {
      await this.gpu.idle?.();
    } catch (error) {
      this.fail(error, 'sync', this.recording);
    }
    this.failures.report();
  }

  has(launch: Dispatch): boolean {
    return this.programs.has(launch);
  }

  dispatch(launch: Dispatch, _arena: Arena | null, op: string): void {
    const plan = this.programs.planOf(launch.kernel);
    if (plan) this.follow(plan, launch, op);
    else if (launch.grid > 0) this.record(launch, op);
  }

  memory(): MemoryInfo {
    const { reservedBytes, usedBytes, peakBytes } = this.pool;
    return { reservedBytes, usedBytes, peakBytes, scopes: this.openArenas };
  }

  resetPeak(): void {
    this.pool.resetPeak();
  }

  /** Submits what has been gathered, if nothing of it waits for another device. */
  flush(): void {
    if (this.gathered.count > 0 && this.arrivals.size === 0) this.submit();
  }

  private submit(read?: ReadRequest): Submission {
    const { launches, ops } = this.gathered.take();
    const number = this.recording++;
    const submission = this.gpu.run(launches, read);
    this.inFlight.push({ number, submission, ops: nameOps(ops) });
    if (this.inFlight.length > MOST_IN_FLIGHT) this.waitFor(this.inFlight[0]!.number);
    return submission;
  }

  wait(): void {
    this.waitFor(this.recording);
  }

  /** Waits for everything. @throws what went wrong with it, if nobody has been told */
  finish(): void {
    this.wait();
    this.failures.report();
  }

  /** Gives the GPU and all memory back. No tensor of this device can be used afterwards. */
  close(): void {
    if (this.closed) return;
    this.wait();
    this.closed = true;
    this.programs.release();
    this.pool.close();
    this.gpu.close();
  }

  private refuse(dtype: DType): void {
    if (!this.supports(dtype)) throw new DTypeError(this.name, `GPUs have no ${dtype}; use float32, or the CPU`);
  }

  private make(dtype: DType, length: number): GpuBuffer {
    return new GpuBuffer(this, dtype, length, this.pool.acquire(length * this.dialect.bytes[dtype], false));
  }

  private collect(buffer: GpuBuffer): void {
    this.collected.register(buffer, buffer.block!, buffer);
  }

  private blockOf(buffer: Buffer): Block {
    const { block } = buffer as GpuBuffer;
    if (!block) throw new DeviceError(this.name, 'a recycled buffer was used');
    return block;
  }

  /** Runs a plan; its scratch memory goes back at once, as the GPU works in order. */
  private follow(plan: Plan, launch: Dispatch, op: string): void {
    const scratches: GpuBuffer[] = [];
    try {
      plan.run(launch, {
        launch: (part) => {
          this.record(part, op);
        },
        scratch: (dtype, length) => {
          const buffer = this.make(dtype, length);
          scratches.push(buffer);
          return buffer;
        },
        maxBufferLength: this.gpu.maxBufferLength,
        maxGroupSize: this.gpu.maxGroupSize ?? GROUP_WIDTH,
      });
    } finally {
      for (const { block } of scratches) this.pool.give(block!);
    }
  }

  private record(launch: Dispatch, op: string): void {
    const { inputs, outputs } = launch;
    for (const input of inputs) this.failures.check(this.blockOf(input).written);
    const program = this.programFor(launch, op);
    const blocks = [...inputs, ...outputs].map((buffer) => this.blockOf(buffer));
    blocks.forEach((block, i) => {
      block.lastUse = this.recording;
      if (i >= inputs.length) block.written = this.recording;
      this.learn(block.memory.ready, op);
    });
    this.gathered.add({ dispatch: launch, program, blocks, op });
    if (this.gathered.count >= BATCH) this.flush();
  }

  private programFor(launch: Dispatch, op: string): GpuProgram {
    try {
      const program = this.programs.get(launch);
      if (program.ready && this.broken.has(program.ready)) throw this.broken.get(program.ready);
      this.learn(program.ready, op);
      return program;
    } catch (error) {
      throw typedError(error, op, this.name);
    }
  }

  /** Takes note of what the device has not yet found out. @param uploaded what has contents from the host, if it is about that */
  private learn(ready: Promise<void> | undefined, op: string, uploaded?: Block): void {
    if (!ready || this.asked.has(ready)) return;
    this.asked.add(ready);
    const from = this.recording;
    const learned: Promise<void> = ready
      .catch((error: unknown) => {
        this.broken.set(ready, error);
        if (uploaded) uploaded.written = from;
        this.fail(error, op, from);
      })
      .finally(() => this.unknown.delete(learned));
    this.unknown.add(learned);
  }

  /** Submits what has been gathered and waits for everything up to a number, without blocking; what goes wrong is noted. */
  private async until(number: number): Promise<void> {
    while (this.arrivals.size > 0) await Promise.all(this.arrivals);
    if (number >= this.recording) this.flush();
    if (this.unknown.size > 0) await Promise.all(this.unknown);
    while (this.completed < number && this.inFlight.length > 0) {
      const next = this.inFlight[0]!;
      try {
        await next.submission.done();
      } catch (error) {
        this.noteFailure(next, error);
      } finally {
        this.retire(next);
      }
    }
  }

  private finishReading(block: Block): void {
    block.readers--;
    if (block.readers === 0 && block.givenBack && !this.closed) this.pool.give(block);
  }

  private waitFor(number: number): void {
    if (number >= this.recording) this.flush();
    while (this.inFlight.length > 0 && this.inFlight[0]!.number <= number) {
      const next = this.inFlight[0]!;
      if (!next.submission.wait) return;
      try {
        next.submission.wait();
      } catch (error) {
        this.noteFailure(next, error);
      } finally {
        this.retire(next);
      }
    }
  }

  /** Takes note of what went wrong; what is launched from here on is no part of it. */
  private fail(error: unknown, ops: string, from: number): void {
    this.failures.add(error, ops, from, this.recording);
    if (this.gathered.count > 0) this.flush();
    else this.recording++;
  }

  /** Several readers may wait for one submission: its failure counts once. */
  private noteFailure({ number, ops }: InFlight, error: unknown): void {
    if (this.inFlight.some((other) => other.number === number)) this.fail(error, ops, number);
  }

  private retire(done: InFlight): void {
    this.completed = Math.max(this.completed, done.number);
    this.inFlight = this.inFlight.filter(({ number }) => number > done.number);
  }
}
