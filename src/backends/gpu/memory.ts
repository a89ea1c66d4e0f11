/** Device memory: buffers, the arenas that recycle them, and the pool that they come from and go back to. */
import type { Arena, Backend, Buffer, DType, TypedArray } from '../backend.js';
import { OutOfMemoryError } from '../../errors.js';
import type { GpuDevice, GpuMemory } from './device.js';
import { LEAST_BYTES, POOL_BYTES } from './limits.js';

/** A piece of device memory and the number of the last submission that may touch it. */
export interface Block {
  /** A number that no other block of the device ever has. */
  readonly id: number;
  readonly memory: GpuMemory;
  /** Its place among the blocks of its size: of those that are free the first is taken. Spare ones have none. */
  order: number;
  lastUse: number;
  /** The number of the submission that last wrote it; 0 for contents from the host. */
  written: number;
  /** Asynchronous reads under way; until they are done a block that was given back stays as it is. */
  readers: number;
  givenBack: boolean;
  /** Whether the device turned out to have no room for it. */
  isMissing: boolean;
  /** Whether it holds a constant, and is never given back. */
  isPinned: boolean;
}

/** How far the GPU has come: submissions are numbered in their order. */
export interface Clock {
  /** The number of the submission that is being gathered. */
  readonly recording: number;
  /** The last one that has been submitted: some may wait for contents from another device. */
  readonly submitted: number;
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

  get isMissing(): boolean {
    return this.block?.isMissing === true;
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

/** The free blocks of one size: those with a place in their order, and the spare ones. */
class Shelf {
  readonly blocks: Block[] = [];
  readonly spare: Block[] = [];
  /** Blocks that have had a place. */
  places = 0;

  put(block: Block): void {
    if (block.order === SPARE) {
      this.spare.push(block);
      return;
    }
    const { blocks } = this;
    let at = 0;
    while (at < blocks.length && blocks[at]!.order < block.order) at++;
    blocks.splice(at, 0, block);
  }

  take(suits: (block: Block) => boolean): Block | undefined {
    const at = this.blocks.findIndex(suits);
    return at < 0 ? this.takeSpare(suits) : this.blocks.splice(at, 1)[0];
  }

  /** The newest that suits; there may be thousands between two collections. */
  takeSpare(suits: (block: Block) => boolean = () => true): Block | undefined {
    const { spare } = this;
    let at = spare.length - 1;
    while (at >= 0 && !suits(spare[at]!)) at--;
    if (at === spare.length - 1) return spare.pop();
    return at < 0 ? undefined : spare.splice(at, 1)[0];
  }

  get all(): readonly Block[] {
    return [...this.blocks, ...this.spare];
  }
}

/** The order of a spare block. */
const SPARE = Infinity;

/** Blocks up to this size that leave are replaced at once. */
const REPLACED_BYTES = 2 ** 16;

/**
 * Recycled blocks by size. The GPU works through submissions in order, so a block may be handed to later GPU work at once; the CPU
 * writes only into blocks that no submitted work can touch any more. Blocks are taken in an order of their own, so that step after step has
 * the same ones in the same places, and what a device has prepared for them is of use again.
 */
export class Pool {
  reservedBytes = 0;
  freeBytes = 0;
  pinnedBytes = 0;
  /** The most bytes that were in use at one time since the last `resetPeak()`. */
  peakBytes = 0;
  private readonly blocks = new Set<Block>();
  /** Blocks that there have been. */
  private made = 0;
  private readonly shelves = new Map<number, Shelf>();

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
    const { device, clock } = this;
    const shelf = this.shelf(size);
    const outOfUse = !forHost ? Infinity : device.writesInOrder ? clock.submitted : clock.completed;
    const idle = shelf.take(({ lastUse }) => lastUse <= outOfUse);
    if (idle) {
      this.freeBytes -= size;
      this.notePeak();
      return idle;
    }
    const block = this.make(size);
    this.notePeak();
    return block;
  }

  private make(size: number): Block {
    const memory = this.reserve(size);
    const order = this.shelf(size).places++;
    const block: Block = {
      id: this.made++,
      memory,
      order,
      lastUse: 0,
      written: 0,
      readers: 0,
      givenBack: false,
      isMissing: false,
      isPinned: false,
    };
    memory.ready?.catch(() => {
      this.condemn(block); // whoever uses it will ask why
    });
    this.blocks.add(block);
    this.reservedBytes += size;
    return block;
  }

  resetPeak(): void {
    this.peakBytes = 0;
    this.notePeak();
  }

  private notePeak(): void {
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes);
  }

  get usedBytes(): number {
    return this.reservedBytes - this.freeBytes - this.pinnedBytes;
  }

  /** Keeps a block for what it holds, beside what is in use. */
  pin(block: Block): Block {
    block.isPinned = true;
    this.pinnedBytes += block.memory.bytes;
    return block;
  }

  give(block: Block): void {
    if (block.isPinned) return;
    block.givenBack = block.readers > 0;
    if (block.givenBack) return;
    if (block.isMissing) {
      this.discard(block);
      return;
    }
    const size = block.memory.bytes;
    if (this.options.strict) {
      this.clock.wait();
      if (block.lastUse <= this.clock.submitted) block.memory.poison?.();
    }
    this.shelf(size).put(block);
    this.freeBytes += size;
    while (this.freeBytes > POOL_BYTES) if (!this.giveUpOldest()) break;
  }

  /** Gives the free block that has been out of use for longest back to the system; false where all of them are still wanted. */
  private giveUpOldest(): boolean {
    let oldest: Block | null = null;
    for (const { all } of this.shelves.values())
      for (const block of all) if (block.lastUse < (oldest?.lastUse ?? Infinity)) oldest = block;
    const { memory, lastUse } = oldest!;
    // Gathered work is submitted first: what is submitted keeps its memory alive.
    if (lastUse >= this.clock.recording) this.clock.flush();
    if (lastUse > this.clock.submitted) return false;
    this.shelf(memory.bytes).take((block) => block === oldest);
    this.freeBytes -= memory.bytes;
    this.discard(oldest!);
    return true;
  }

  /** A block leaves its arena for nobody knows how long. Another gets its place, or all that come after it would be other ones in the next step. */
  letGo(block: Block): void {
    const size = block.memory.bytes;
    if (size > REPLACED_BYTES || block.order === SPARE || block.isPinned || this.options.strict) return;
    const shelf = this.shelf(size);
    let heir = shelf.takeSpare();
    if (!heir) {
      heir = this.make(size);
      this.freeBytes += size;
    }
    heir.order = block.order;
    block.order = SPARE;
    shelf.put(heir);
  }

  private shelf(size: number): Shelf {
    let shelf = this.shelves.get(size);
    if (!shelf) this.shelves.set(size, (shelf = new Shelf()));
    return shelf;
  }

  /** Gives all free memory back to the system, but for what waits to be submitted. */
  drain(): void {
    this.clock.flush();
    const isOut = ({ lastUse }: Block): boolean => lastUse <= this.clock.submitted;
    for (const shelf of this.shelves.values()) {
      for (let block = shelf.take(isOut); block; block = shelf.take(isOut)) {
        this.freeBytes -= block.memory.bytes;
        this.discard(block);
      }
    }
  }

  /** Gives everything back, live tensors' memory included. */
  close(): void {
    this.drain();
    for (const block of this.blocks) this.discard(block);
  }

  /** Lets nobody have it again. */
  private condemn(block: Block): void {
    block.isMissing = true;
    if (!this.shelf(block.memory.bytes).take((free) => free === block)) return;
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
    else {
      this.pool.letGo(own.block!);
      this.onRelease(own);
    }
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
