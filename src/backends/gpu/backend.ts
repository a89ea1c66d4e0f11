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
import type { GpuDevice } from './device.js';
import type { Dialect } from './dialect.js';
import { type Failures, typedError } from './failures.js';
import { type KnownLaunch, KnownLaunches } from './launches.js';
import { GROUP_WIDTH } from './limits.js';
import { type Block, GpuArena, GpuBuffer, Pool, type PoolOptions } from './memory.js';
import { Outcomes } from './outcomes.js';
import type { Plan } from './plan.js';
import { Programs } from './programs.js';
import { Submissions } from './submissions.js';

/**
 * What a GPU's backend is but for the API that reaches it: pooled memory, kernels of a folder or generated, plans, launches that are
 * gathered. Reading waits for them.
 */
export abstract class GpuBackend implements Backend {
  abstract readonly name: DeviceName;
  abstract readonly description: string;
  readonly isHost = false;
  private readonly programs: Programs;
  private readonly pool: Pool;
  private readonly constants: Constants | null = null;
  private readonly outcomes = new Outcomes();
  private readonly submissions: Submissions;
  private readonly launches: KnownLaunches;
  private readonly failures: Failures;
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
    this.submissions = new Submissions(gpu, this.outcomes, () => this.name);
    this.failures = this.submissions.failures;
    this.launches = new KnownLaunches(gpu);
    this.pool = new Pool(gpu, this.submissions, () => this.name, options);
    // Elsewhere an upload is no more than a copy.
    if (gpu.writesInOrder && !options.strict)
      this.constants = new Constants((data) => this.pool.pin(this.uploaded('float32', data)));
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
    const { submissions } = this;
    data.catch(() => undefined); // what went wrong is seen when it has its turn
    submissions.flush();
    const block = this.pool.acquire(length * this.dialect.bytes[dtype], true);
    const from = submissions.recording;
    block.written = from;
    block.readers++; // stays as it is until the contents are there, also if it is given back before
    submissions.hold(async () => {
      try {
        block.memory.write(dtype, await data);
      } catch (error) {
        submissions.fail(error, 'to', from);
      } finally {
        this.finishReading(block);
      }
    });
    const buffer = new GpuBuffer(this, dtype, length, block);
    this.collect(buffer);
    return buffer;
  }

  async read(buffer: Buffer): Promise<TypedArray> {
    const block = this.blockOf(buffer);
    block.readers++;
    try {
      const { memory, lastUse, written } = block;
      const { dtype, length } = buffer;
      // Where the queue works in order, the copy is asked for before the work is done, so that one wait is enough. Whether to trust it is seen later.
      const early = this.gpu.writesInOrder
        ? this.submissions.read({ memory, dtype, length }, Math.max(lastUse, written))
        : null;
      early?.catch(() => undefined);
      const known = this.submissions.until(lastUse);
      const { submitted } = this.submissions;
      await known;
      this.failures.check(block.written);
      const contents = await Promise.resolve(early ?? memory.read(dtype, length)).catch((error: unknown) => {
        throw typedError(error, 'data', this.name);
      });
      this.submissions.isOver(early ? submitted : lastUse);
      return contents;
    } finally {
      this.finishReading(block);
      this.failures.check(block.written); // again: some errors are told of without being asked about, though never after the contents
    }
  }

  /** A read in place, for devices that can be waited for. */
  protected readNow(buffer: Buffer): TypedArray {
    const block = this.blockOf(buffer);
    this.submissions.waitFor(block.lastUse);
    if (this.submissions.areWaiting)
      throw new DeviceError(
        'dataSync',
        "the contents depend on some that are still on their way from another device; write 'await t.data()'",
      );
    this.failures.check(block.written);
    this.submissions.isOver(block.lastUse);
    return block.memory.read(buffer.dtype, buffer.length) as TypedArray;
  }

  async sync(): Promise<void> {
    await this.submissions.until(this.submissions.recording);
    const { submitted } = this.submissions;
    try {
      await this.gpu.idle?.();
      this.submissions.isOver(submitted);
    } catch (error) {
      this.submissions.fail(error, 'sync', this.submissions.recording);
    }
    this.failures.report();
  }

  has(launch: Dispatch): boolean {
    return this.launches.expected(launch) !== null || this.programs.has(launch);
  }

  dispatch(launch: Dispatch, _arena: Arena | null, op: string): void {
    const plan = this.programs.planOf(launch.kernel);
    if (plan) this.follow(plan, launch, op);
    else if (launch.grid > 0) this.record(launch, op);
    let elements = 0;
    for (const { length } of launch.inputs) elements += length;
    for (const { length } of launch.outputs) elements += length;
    this.submissions.rest(elements);
  }

  memory(): MemoryInfo {
    const { reservedBytes, usedBytes, peakBytes } = this.pool;
    return { reservedBytes, usedBytes, peakBytes, scopes: this.openArenas };
  }

  resetPeak(): void {
    this.pool.resetPeak();
  }

  /** Submits what has been gathered, as soon as nothing of it waits for another device. */
  flush(): void {
    this.submissions.flush();
  }

  /** Waits for everything. @throws what went wrong with it, if nobody has been told */
  finish(): void {
    this.submissions.wait();
    this.failures.report();
  }

  /** Gives the GPU and all memory back. No tensor of this device can be used afterwards. */
  close(): void {
    if (this.closed) return;
    this.submissions.wait();
    this.submissions.close();
    this.closed = true;
    this.launches.clear();
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
    for (const input of launch.inputs) this.failures.check(this.blockOf(input).written);
    for (const output of launch.outputs) this.blockOf(output);
    const known = this.knownLaunch(launch, op);
    const { recording } = this.submissions;
    const { blocks, inputs } = known;
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i]!;
      block.lastUse = recording;
      if (i >= inputs) block.written = recording;
      if (known.usedIn === 0) this.learn(block.memory.ready, op);
    }
    known.usedIn = recording;
    this.submissions.add(known, op);
  }

  private knownLaunch(launch: Dispatch, op: string): KnownLaunch {
    try {
      const known = this.launches.find(launch, this.submissions.submitted, () => this.programs.get(launch));
      const { ready } = known.program;
      this.outcomes.check(ready);
      if (known.usedIn === 0) this.learn(ready, op);
      return known;
    } catch (error) {
      throw typedError(error, op, this.name);
    }
  }

  /** Takes note of what the device has not yet found out. @param uploaded what has contents from the host, if it is about that */
  private learn(ready: Promise<void> | undefined, op: string, uploaded?: Block): void {
    const from = this.submissions.recording;
    if (!ready || this.outcomes.isAsked(ready)) return;
    this.outcomes.learn(ready, (error) => {
      if (uploaded) uploaded.written = from;
      this.submissions.fail(error, op, from);
    });
  }

  private finishReading(block: Block): void {
    block.readers--;
    if (block.readers === 0 && block.givenBack && !this.closed) this.pool.give(block);
  }
}
