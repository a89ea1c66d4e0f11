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
import { type Dispatch, packParams, takesTypes } from '../kernel.js';
import { ctcPlans } from './ctc.js';
import type { GpuDevice, Launch, Submission } from './device.js';
import type { Dialect } from './dialect.js';
import { BATCH, GROUP_WIDTH, MOST_GROUPS, MOST_IN_FLIGHT, MOST_SHARED_GROUPS } from './limits.js';
import { type Block, type Clock, GpuArena, GpuBuffer, Pool, type PoolOptions } from './memory.js';
import type { Plan } from './plan.js';
import { Programs } from './programs.js';

/** Kernels that GPUs answer by a plan. */
const plans: Readonly<Record<string, Plan>> = { ...ctcPlans };

interface InFlight {
  readonly number: number;
  readonly submission: Submission;
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
  private launches: Launch[] = [];
  private inFlight: InFlight[] = [];
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
    this.programs = new Programs(gpu, dialect);
    this.pool = new Pool(gpu, this, () => this.name, options);
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

  upload(dtype: DType, data: TypedArray): GpuBuffer {
    this.refuse(dtype);
    const block = this.pool.acquire(data.length * this.dialect.bytes[dtype], true);
    block.memory.write(dtype, data);
    const buffer = new GpuBuffer(this, dtype, data.length, block, dtype === 'int32' ? data : undefined);
    this.collect(buffer);
    return buffer;
  }

  async read(buffer: Buffer): Promise<TypedArray> {
    const block = this.blockOf(buffer);
    const until = block.lastUse;
    if (until === this.recording) this.flush();
    block.readers++;
    try {
      while (this.completed < until) {
        const next = this.inFlight[0]!;
        try {
          await next.submission.done();
        } finally {
          this.retire(next);
        }
      }
      return await block.memory.read(buffer.dtype, buffer.length);
    } finally {
      block.readers--;
      if (block.readers === 0 && block.givenBack && !this.closed) this.pool.give(block);
    }
  }

  /** A read in place, for devices that can be waited for. */
  protected readNow(buffer: Buffer): TypedArray {
    const block = this.blockOf(buffer);
    this.waitFor(block.lastUse);
    return block.memory.read(buffer.dtype, buffer.length) as TypedArray;
  }

  has(launch: Dispatch): boolean {
    const { kernel, inputs, outputs } = launch;
    const plan = plans[kernel.name];
    if (!plan) return this.programs.has(launch);
    const typesOf = (buffers: readonly Buffer[]): DType[] => buffers.map(({ dtype }) => dtype);
    return (
      takesTypes(kernel, typesOf(inputs), typesOf(outputs)) &&
      plan.kernels.every((part) => this.programs.hasEntry(part))
    );
  }

  dispatch(launch: Dispatch): void {
    const plan = plans[launch.kernel.name];
    if (plan) this.follow(plan, launch);
    else if (launch.grid > 0) this.record(launch);
  }

  memory(): MemoryInfo {
    const { reservedBytes, freeBytes, peakBytes } = this.pool;
    return { reservedBytes, usedBytes: reservedBytes - freeBytes, peakBytes, scopes: this.openArenas };
  }

  resetPeak(): void {
    this.pool.resetPeak();
  }

  /** Submits what has been gathered. */
  flush(): void {
    if (this.launches.length === 0) return;
    const { launches } = this;
    this.launches = [];
    const number = this.recording++;
    this.inFlight.push({ number, submission: this.gpu.run(launches) });
    if (this.inFlight.length > MOST_IN_FLIGHT) this.waitFor(this.inFlight[0]!.number);
  }

  finish(): void {
    this.waitFor(this.recording);
  }

  /** Gives the GPU and all memory back. No tensor of this device can be used afterwards. */
  close(): void {
    if (this.closed) return;
    this.finish();
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
  private follow(plan: Plan, launch: Dispatch): void {
    const scratches: GpuBuffer[] = [];
    try {
      plan.run(launch, {
        launch: (part) => {
          this.record(part);
        },
        scratch: (dtype, length) => {
          const buffer = this.make(dtype, length);
          scratches.push(buffer);
          return buffer;
        },
        maxBufferLength: this.gpu.maxBufferLength,
      });
    } finally {
      for (const { block } of scratches) this.pool.give(block!);
    }
  }

  private record(launch: Dispatch): void {
    const { kernel, inputs, outputs, params, grid, groupSize } = launch;
    const program = this.programs.get(launch);
    const width = Math.min(groupSize ?? GROUP_WIDTH, GROUP_WIDTH, program.maxThreads);
    const groups =
      kernel.layout === 'groups'
        ? Math.min(grid, groupSize === undefined ? MOST_SHARED_GROUPS : MOST_GROUPS)
        : Math.min(Math.ceil(grid / width), MOST_GROUPS);
    const buffers = [...inputs, ...outputs].map((buffer) => {
      const block = this.blockOf(buffer);
      block.lastUse = this.recording;
      return block.memory;
    });
    this.launches.push({ program, buffers, params: packParams(kernel, params), groups, width });
    if (this.launches.length >= BATCH) this.flush();
  }

  private waitFor(number: number): void {
    if (number >= this.recording) this.flush();
    while (this.inFlight.length > 0 && this.inFlight[0]!.number <= number) {
      const next = this.inFlight[0]!;
      if (!next.submission.wait) return;
      try {
        next.submission.wait();
      } finally {
        this.retire(next);
      }
    }
  }

  private retire(done: InFlight): void {
    this.completed = Math.max(this.completed, done.number);
    this.inFlight = this.inFlight.filter(({ number }) => number > done.number);
  }
}
