import type { DType, TypedArray } from '../backend.js';
import type { Block } from './memory.js';

/** Numbers that stay on the device at most. */
const MOST_KEPT = 64;

const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

/** Numbers that have been met once and are remembered. */
const MOST_MET = 1024;

/**
 * Single float32 numbers that are uploaded again and again, such as the seed of a backward pass and what a mean divides by: the second time they get a
 * block that stays, and from then on nothing is uploaded. Nobody writes to it: what is added to in place is made by the pass that adds.
 */
export class Constants {
  /** By their bits; null for one that has been met once. */
  private readonly blocks = new Map<number, Block | null>();
  private kept = 0;

  /** @param make a block that holds the number and is never handed out again */
  constructor(private readonly make: (data: TypedArray) => Block) {}

  /** The block of a number that is kept; null for what has to be uploaded. */
  blockOf(dtype: DType, data: TypedArray): Block | null {
    if (dtype !== 'float32' || data.length !== 1) return null;
    FLOAT[0] = data[0]!;
    const bits = BITS[0]!;
    const known = this.blocks.get(bits);
    if (known && !known.isMissing) return known;
    if (!known) {
      if (this.kept === MOST_KEPT) return null;
      if (known === undefined) {
        if (this.blocks.size < MOST_MET) this.blocks.set(bits, null);
        return null;
      }
      this.kept++;
    }
    // For the first time, or because there had been no room for it.
    const block = this.make(data);
    this.blocks.set(bits, block);
    return block;
  }
}
