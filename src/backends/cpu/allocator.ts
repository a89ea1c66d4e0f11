import { type Block, heap } from './heap.js';

/** Pieces from this size on are large: a search for room costs less than touching them. */
export const LARGE = 2 ** 16;
/** Small pieces are cut from blocks of this size: what an arena holds is at most this much more than what it has needed. */
const BLOCK = 2 ** 18;

/**
 * Cuts pieces of the heap for an arena. Large ones are blocks of their own. Small ones are cut from blocks by moving a pointer; a piece that
 * is given back is kept for the next one of its size.
 */
export class Allocator {
  private readonly blocks: Block[] = [];
  private large: Map<number, Block> | null = null;
  /** Addresses of small pieces that were given back, by their size in units of 64 bytes. */
  private free: (number[] | undefined)[] | null = null;
  private at = 0;
  private end = 0;
  private total = 0;

  /** The address of `bytes` fresh bytes, aligned to 64. @throws {OutOfMemoryError} */
  allocate(bytes: number): number {
    if (bytes >= LARGE) return this.takeLarge(bytes);
    const units = unitsOf(bytes);
    if (this.free) {
      const again = this.free[units]?.pop();
      if (again !== undefined) return again;
    }
    const start = this.at;
    const next = start + units * UNIT;
    if (next <= this.end) {
      this.at = next;
      return start;
    }
    return this.takeSmall(units * UNIT);
  }

  private takeSmall(size: number): number {
    const block = heap().take(BLOCK);
    this.blocks.push(block);
    this.total += block.size;
    this.at = block.start + size;
    this.end = block.start + block.size;
    return block.start;
  }

  private takeLarge(bytes: number): number {
    const block = heap().take(bytes);
    (this.large ??= new Map()).set(block.start, block);
    return block.start;
  }

  /** Takes a piece back. */
  give(address: number, bytes: number): void {
    if (bytes >= LARGE) {
      heap().give(this.large!.get(address)!);
      this.large!.delete(address);
    } else {
      const units = unitsOf(bytes);
      ((this.free ??= [])[units] ??= []).push(address);
    }
  }

  /** Gives a large piece to another allocator, in place. False if it is a small one. */
  handOver(address: number, heir: Allocator): boolean {
    const block = this.large?.get(address);
    if (!block) return false;
    this.large!.delete(address);
    (heir.large ??= new Map()).set(address, block);
    return true;
  }

  /** Gives everything back. */
  close(): void {
    while (this.blocks.length > 0) heap().give(this.blocks.pop()!);
    this.giveLarge();
    this.free = null;
    this.at = this.end = this.total = 0;
  }

  private giveLarge(): void {
    if (!this.large) return;
    for (const block of this.large.values()) heap().give(block);
    this.large = null;
  }

  /** Bytes of the heap that it holds for small pieces. */
  get size(): number {
    return this.total;
  }

  /** Starts over: keeps a single block for the next pieces, and gives back all else. */
  rewind(): void {
    this.giveLarge();
    const [first] = this.blocks;
    if (!first) return;
    if (this.blocks.length > 1) return this.close();
    this.free = null;
    this.at = first.start;
    this.end = first.start + first.size;
  }
}

const UNIT = 64;

/** No two pieces share an address, so that even an empty one takes a unit. */
const unitsOf = (bytes: number): number => (bytes === 0 ? 1 : (bytes + UNIT - 1) >>> 6);
