import {
  arrayClass,
  type Backend,
  type Buffer,
  BYTES,
  type Dispatch,
  type DType,
  type Kernel,
  type MemoryInfo,
  type Params,
  type Scope,
  type TypedArray,
} from '../backend.js';
import { DTypeError } from '../../errors.js';
import { type Argument, MAX_INLINE_BYTES, MetalDevice, type Pipeline, type Submission } from './device.js';
import { MetalError } from './errors.js';
import { type Block, type Clock, MetalBuffer, MetalScope, Pool, type PoolOptions } from './memory.js';
import { Programs } from './programs.js';

/** Threads of a group. The kernels' threadgroup arrays are made for no more. */
const WIDTH = 256;

/** Groups that are launched for rows at most; each goes on to further rows. */
const MAX_ROW_GROUPS = 4096;

/** Launches that are gathered before they are submitted without anybody waiting. */
const BATCH = 128;

/** Command buffers that may be on their way at once; beyond that the CPU waits for the GPU. */
const MAX_IN_FLIGHT = 4;

interface Launch {
  readonly pipeline: Pipeline;
  readonly args: readonly Argument[];
  readonly groups: number;
  readonly width: number;
}

interface InFlight {
  readonly number: number;
  readonly submission: Submission;
}

/** Where each parameter lies in the struct, in 4-byte words. */
interface StructLayout {
  readonly members: readonly {
    readonly name: string;
    readonly at: number;
    readonly count: number;
    readonly isFloat: boolean;
    readonly isSigned: boolean;
  }[];
  readonly words: number;
}

const layouts = new WeakMap<Kernel, StructLayout>();

function layoutOf(kernel: Kernel): StructLayout {
  let layout = layouts.get(kernel);
  if (layout) return layout;
  let words = 0;
  const members = Object.entries(kernel.params).map(([name, type]) => {
    const count = type.endsWith('x8') ? 8 : 1;
    const member = { name, at: words, count, isFloat: type === 'f32', isSigned: type.startsWith('i32') };
    words += count;
    return member;
  });
  layout = { members, words };
  if (words * 4 > MAX_INLINE_BYTES)
    throw new MetalError(`the parameters of ${kernel.name} take ${words * 4} bytes; ${MAX_INLINE_BYTES} are allowed`);
  layouts.set(kernel, layout);
  return layout;
}

/** Parameters as the kernel's struct; arrays shorter than eight are filled up with zeros. */
export function packParams(kernel: Kernel, params: Params): Uint32Array {
  const { members, words } = layoutOf(kernel);
  const packed = new Uint32Array(Math.max(words, 1));
  const signed = new Int32Array(packed.buffer);
  const floats = new Float32Array(packed.buffer);
  for (const { name, at, count, isFloat, isSigned } of members) {
    const value = params[name];
    if (value === undefined) throw new MetalError(`${kernel.name} is launched without its parameter ${name}`);
    const target = isFloat ? floats : isSigned ? signed : packed;
    if (typeof value === 'number') target[at] = value;
    else for (let i = 0; i < Math.min(value.length, count); i++) target[at + i] = value[i]!;
  }
  return packed;
}

/** Apple GPUs: kernels of metal/*.metal in memory that CPU and GPU share. Launches are gathered; reading waits for them. */
export class MetalBackend implements Backend, Clock {
  readonly name = 'metal';
  readonly description: string;
  recording = 1;
  completed = 0;
  private readonly programs: Programs;
  private readonly pool: Pool;
  private launches: Launch[] = [];
  private inFlight: InFlight[] = [];
  private openScopes = 0;
  private closed = false;
  /** Buffers outside scopes: their memory comes back when they are collected. */
  private readonly collected = new FinalizationRegistry<Block>((block) => {
    if (!this.closed) this.pool.give(block);
  });

  private constructor(
    private readonly device: MetalDevice,
    options: PoolOptions,
  ) {
    this.description = `Metal (${device.name})`;
    this.programs = new Programs(device);
    this.pool = new Pool(device, this, options);
  }

  /**
   * Opens the system's GPU.
   *
   * @param library A library to use in place of Apple's frameworks.
   * @throws {DeviceError} No Metal here, or the GPU is too old.
   */
  static async open(library?: string, options: PoolOptions = {}): Promise<MetalBackend> {
    return new MetalBackend(await MetalDevice.open(library), options);
  }

  supports(dtype: DType): boolean {
    return dtype !== 'float64';
  }

  openScope(): Scope {
    this.openScopes++;
    return new MetalScope(
      this,
      this.pool,
      (buffer) => {
        this.collect(buffer);
      },
      () => {
        this.openScopes--;
      },
    );
  }

  allocate(dtype: DType, length: number, scope: Scope | null): MetalBuffer {
    this.refuse(dtype);
    const buffer = new MetalBuffer(this, dtype, length, this.pool.acquire(length * BYTES[dtype], false));
    if (scope) (scope as MetalScope).add(buffer);
    else this.collect(buffer);
    return buffer;
  }

  /** Launches that use the buffer may still be on their way: the GPU works in order, so its memory can be handed on at once. */
  discard(buffer: Buffer): void {
    const own = buffer as MetalBuffer;
    if (!own.block) return;
    this.collected.unregister(own);
    this.pool.give(own.block);
    own.block = null;
  }

  upload(dtype: DType, data: TypedArray): MetalBuffer {
    this.refuse(dtype);
    const block = this.pool.acquire(data.byteLength, true);
    new (arrayClass(dtype))(block.memory.view, 0, data.length).set(data);
    const buffer = new MetalBuffer(this, dtype, data.length, block, dtype === 'int32' ? data : undefined);
    this.collect(buffer);
    return buffer;
  }

  async read(buffer: Buffer): Promise<TypedArray> {
    const block = blockOf(buffer);
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
      return copyOf(buffer, block);
    } finally {
      block.readers--;
      if (block.readers === 0 && block.givenBack && !this.closed) this.pool.give(block);
    }
  }

  readSync(buffer: Buffer): TypedArray {
    const block = blockOf(buffer);
    this.waitFor(block.lastUse);
    return copyOf(buffer, block);
  }

  has(launch: Dispatch): boolean {
    return this.programs.has(launch);
  }

  dispatch(launch: Dispatch): void {
    const { kernel, inputs, outputs, params, grid, groupSize } = launch;
    if (grid === 0) return;
    const { pipeline, layout } = this.programs.get(launch);
    const width = Math.min(groupSize ?? WIDTH, WIDTH, pipeline.maxThreads);
    const groups =
      groupSize !== undefined ? grid : layout === 'rows' ? Math.min(grid, MAX_ROW_GROUPS) : Math.ceil(grid / width);
    const args: Argument[] = [...inputs, ...outputs].map((buffer) => {
      const block = blockOf(buffer);
      block.lastUse = this.recording;
      return { memory: block.memory, offset: 0 };
    });
    args.push(packParams(kernel, params));
    this.launches.push({ pipeline, args, groups, width });
    if (this.launches.length >= BATCH) this.flush();
  }

  memory(): MemoryInfo {
    const { reservedBytes, freeBytes } = this.pool;
    return { reservedBytes, usedBytes: reservedBytes - freeBytes, scopes: this.openScopes };
  }

  /** Submits what has been recorded. */
  flush(): void {
    if (this.launches.length === 0) return;
    const { launches } = this;
    this.launches = [];
    const number = this.recording++;
    const submission = this.device.submit((encoder) => {
      for (const { pipeline, args, groups, width } of launches) encoder.dispatch(pipeline, args, [groups, 1, 1], width);
    });
    this.inFlight.push({ number, submission });
    if (this.inFlight.length > MAX_IN_FLIGHT) this.waitFor(this.inFlight[0]!.number);
  }

  /** Waits for everything. */
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
    this.device.close();
  }

  private refuse(dtype: DType): void {
    if (!this.supports(dtype)) throw new DTypeError('metal', `GPUs have no ${dtype}; use float32, or the CPU`);
  }

  private collect(buffer: MetalBuffer): void {
    this.collected.register(buffer, buffer.block!, buffer);
  }

  private waitFor(number: number): void {
    if (number >= this.recording) this.flush();
    while (this.inFlight.length > 0 && this.inFlight[0]!.number <= number) {
      const next = this.inFlight[0]!;
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

function blockOf(buffer: Buffer): Block {
  const { block } = buffer as MetalBuffer;
  if (!block) throw new MetalError('a recycled buffer was used');
  return block;
}

/** The elements out of shared memory. A copy: a view would dangle when the memory is recycled. */
const copyOf = (buffer: Buffer, block: Block): TypedArray =>
  new (arrayClass(buffer.dtype))(block.memory.view, 0, buffer.length).slice();
