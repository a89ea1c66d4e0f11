/** Device memory: buffers, the arenas that recycle them, and the pool that they come from and go back to. */
import type { Arena, Backend, Buffer, DType, TypedArray } from '../backend.js';
import { OutOfMemoryError } from '../../errors.js';
import type { GpuDevice, GpuMemory } from './device.js';
import { LEAST_BYTES, POOL_BYTES } from './limits.js';

/** A piece of device memory and the number of the last submission that may touch it. */
export interface Block {
  readonly memory: GpuMemory;
  lastUse: number;
  /** The number of the submission that last wrote it; 0 for contents from the host. */
  written: number;
  /** Asynchronous reads under way; until they are done a block that was given back stays as it is. */
  readers: number;
  givenBack: boolean;
  /** Whether the device turned out to have no room for it. */
  isMissing: boolean;
}

/** How far the GPU has come: submissions are numbered in their order. */
export interface Clock {
  /** The number of the submission that is being gathered. */
  readonly recording: number;
  /** The last one that is known to be finished. */
  readonly completed: number;
  /** Submits what has been gathered. */
  flush(): void;
  /** Waits for everything, where the device can be waited for in place. */
  wait(): void;
}

export class GpuBuffer implements Buffer {
  arena: GpuArena | null = null;
  claims = 0;
  disposable = false;

  constructor(
    readonly backend: Backend,
    readonly dtype: DType,
    readonly length: number,
    /** null once the memory has been recycled. */
    public block: Block | null,
    readonly host?: TypedArray,
  ) {}

  get alive(): boolean {
    return this.block !== null;
  }
}

/** Sizes in steps of at most an eighth, so that tensors of nearly one size share blocks. */
function roundUp(bytes: number): number {
  if (bytes <= 2048) return Math.ceil(bytes / 256) * 256;
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

export interface PoolOptions {
  /** For tests: blocks of just the size asked for, so that a step past the end shows, and recycled memory overwritten with NaN. */
  readonly strict?: boolean;
}

/**
 * Recycled blocks by size. The GPU works through submissions in order, so a block may be handed to later GPU work at once; the CPU
 * writes only into blocks that no submitted work can touch any more.
 */
export class Pool {
  reservedBytes = 0;
  freeBytes = 0;
  /** The most bytes that were in use at one time since the last `resetPeak()`. */
  peakBytes = 0;
  private readonly blocks = new Set<Block>();
  private readonly free = new Map<number, Block[]>();

  constructor(
    private readonly device: GpuDevice,
    private readonly clock: Clock,
    /** The backend's, for messages. */
    private readonly name: () => string,
    private readonly options: PoolOptions,
  ) {}

  /** @param forHost whether the CPU will write into it right away */
  acquire(bytes: number, forHost: boolean): Block {
    const size = this.options.strict ? Math.max(bytes, 4) : roundUp(Math.max(bytes, LEAST_BYTES));
    const list = this.free.get(size);
    // The oldest is the likeliest to be out of use.
    const { device, clock } = this;
    const outOfUse = device.writesInOrder ? clock.recording - 1 : clock.completed;
    const idle = list && forHost ? (list[0] && list[0].lastUse <= outOfUse ? list.shift() : undefined) : list?.pop();
    if (idle) {
      this.freeBytes -= size;
      this.notePeak();
      return idle;
    }
    const memory = this.reserve(size);
    const block: Block = { memory, lastUse: 0, written: 0, readers: 0, givenBack: false, isMissing: false };
    memory.ready?.catch(() => {
      this.condemn(block); // whoever uses it will ask why
    });
    this.blocks.add(block);
    this.reservedBytes += size;
    this.notePeak();
    return block;
  }

  resetPeak(): void {
    this.peakBytes = 0;
    this.notePeak();
  }

  private notePeak(): void {
    this.peakBytes = Math.max(this.peakBytes, this.reservedBytes - this.freeBytes);
  }

  give(block: Block): void {
    block.givenBack = block.readers > 0;
    if (block.givenBack) return;
    if (block.isMissing) {
      this.discard(block);
      return;
    }
    const size = block.memory.bytes;
    if (this.options.strict) {
      this.clock.wait();
      block.memory.poison?.();
    }
    const list = this.free.get(size);
    if (list) list.push(block);
    else this.free.set(size, [block]);
    this.freeBytes += size;
    while (this.freeBytes > POOL_BYTES) this.giveUpOldest();
  }

  /** Gives the free block that has been out of use for longest back to the system. */
  private giveUpOldest(): void {
    let oldest: Block | null = null;
    // Within a list the oldest comes first.
    for (const [block] of this.free.values())
      if (block && block.lastUse < (oldest?.lastUse ?? Infinity)) oldest = block;
    const { memory, lastUse } = oldest!;
    this.free.get(memory.bytes)!.shift();
    this.freeBytes -= memory.bytes;
    // Gathered work is submitted first: what is submitted keeps its memory alive.
    if (lastUse >= this.clock.recording) this.clock.flush();
    this.discard(oldest!);
  }

  /** Gives all free memory back to the system. */
  drain(): void {
    this.clock.flush();
    for (const list of this.free.values()) for (const block of list) this.discard(block);
    this.free.clear();
    this.freeBytes = 0;
  }

  /** Gives everything back, live tensors' memory included. */
  close(): void {
    this.drain();
    for (const block of this.blocks) this.discard(block);
  }

  /** Lets nobody have it again. */
  private condemn(block: Block): void {
    block.isMissing = true;
    const list = this.free.get(block.memory.bytes);
    const at = list?.indexOf(block) ?? -1;
    if (at < 0) return;
    list!.splice(at, 1);
    this.freeBytes -= block.memory.bytes;
    this.discard(block);
  }

  private discard(block: Block): void {
    this.blocks.delete(block);
    this.reservedBytes -= block.memory.bytes;
    block.memory.release();
  }

  private reserve(bytes: number): GpuMemory {
    try {
      return this.device.buffer(bytes);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError) || bytes > this.device.maxBufferLength) throw error;
    }
    this.clock.wait();
    this.drain();
    try {
      return this.device.buffer(bytes);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      throw new OutOfMemoryError(
        this.name(),
        `no memory left for a buffer of ${bytes} bytes: live tensors hold ${this.reservedBytes} bytes; use scope(fn) to recycle intermediate results`,
      );
    }
  }
}

/** The buffers of one transform; their memory goes back to the pool when it closes. */
export class GpuArena implements Arena {
  private readonly buffers = new Set<GpuBuffer>();

  constructor(
    readonly backend: Backend,
    private readonly pool: Pool,
    private readonly onRelease: (buffer: GpuBuffer) => void,
    private readonly onClose: () => void,
  ) {}

  add(buffer: GpuBuffer): void {
    buffer.arena = this;
    this.buffers.add(buffer);
  }

  remove(buffer: GpuBuffer): void {
    buffer.arena = null;
    this.buffers.delete(buffer);
  }

  holds(buffer: Buffer): boolean {
    return (buffer as GpuBuffer).arena === this;
  }

  /** The memory is the buffer's own, so nothing moves. */
  release(buffer: Buffer, to: Arena | null): void {
    const own = buffer as GpuBuffer;
    this.remove(own);
    if (to) (to as GpuArena).add(own);
    else this.onRelease(own);
  }

  close(): void {
    for (const buffer of this.buffers) {
      this.pool.give(buffer.block!);
      buffer.block = null;
    }
    this.buffers.clear();
    this.onClose();
  }
}
