import { xoroshiro128plus, xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import { arrayClass, type DType } from '../backends/backend.js';
import { ValueError } from '../errors.js';
import { fromTypedArray } from './create.js';
import { checkShape, type Shape, sizeOf } from './shape.js';
import type { Tensor } from './tensor.js';

/**
 * A seeded source of random numbers (xoroshiro128+). The same seed gives the same numbers on every machine; `state` can be saved and
 * given to `Random.fromState` to go on where it stopped.
 */
export class Random {
  private readonly generator: ReturnType<typeof xoroshiro128plus>;

  private constructor(generator: ReturnType<typeof xoroshiro128plus>) {
    this.generator = generator;
  }

  /** @throws {ValueError} unless the seed is a 32-bit integer. */
  static fromSeed(seed: number): Random {
    if (!Number.isInteger(seed) || Math.abs(seed) >= 2 ** 32) throw new ValueError('random', `seed ${seed}; it must be a whole number below 2^32`);
    return new Random(xoroshiro128plus(seed));
  }

  /** @throws {ValueError} unless the state came from `state`. */
  static fromState(state: readonly number[]): Random {
    if (state.length !== 4 || !state.every(Number.isInteger)) throw new ValueError('random', `a state is four integers; got ${JSON.stringify(state)}`);
    return new Random(xoroshiro128plusFromState(state));
  }

  /** Four 32-bit integers from which the source goes on. */
  get state(): readonly number[] {
    return this.generator.getState();
  }

  /** One number in [0, 1), with 53 random bits. */
  next(): number {
    const high = this.generator.next() >>> 5;
    const low = this.generator.next() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  /** One whole number in [low, high), every one equally likely. */
  integer(low: number, high: number): number {
    const span = high - low;
    if (!Number.isInteger(low) || !Number.isInteger(high) || span <= 0 || span > 2 ** 32) throw new ValueError('random', `integers in [${low}, ${high}): the bounds must be whole numbers, the upper one larger`);
    const limit = 2 ** 32 - (2 ** 32 % span); // draws above it would favour small numbers
    for (;;) {
      const draw = this.generator.next() >>> 0;
      if (draw < limit) return low + (draw % span);
    }
  }

  /** A sample of the normal distribution with mean 0 and deviation 1 (Box and Muller). */
  gaussian(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  /** Normally distributed numbers. */
  normal(shape: Shape, options: { mean?: number; std?: number; dtype?: DType } = {}): Tensor {
    const { mean = 0, std = 1, dtype = 'float32' } = options;
    return this.fill('normal', shape, dtype, () => mean + std * this.gaussian());
  }

  /** Numbers evenly distributed in [low, high). */
  uniform(shape: Shape, options: { low?: number; high?: number; dtype?: DType } = {}): Tensor {
    const { low = 0, high = 1, dtype = 'float32' } = options;
    return this.fill('uniform', shape, dtype, () => low + (high - low) * this.next());
  }

  /** Whole numbers in [low, high), as int32. */
  integers(shape: Shape, low: number, high: number): Tensor {
    return this.fill('integers', shape, 'int32', () => this.integer(low, high));
  }

  /** 0 to n - 1 in random order, as int32. */
  permutation(n: number): Tensor {
    const order = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      const j = this.integer(0, i + 1);
      order[i] = order[j]!;
      order[j] = i;
    }
    return fromTypedArray(order, [n], 'int32', 'permutation');
  }

  private fill(op: string, shape: Shape, dtype: DType, draw: () => number): Tensor {
    checkShape(op, shape);
    if (dtype !== 'float32' && dtype !== 'float64' && dtype !== 'int32') throw new ValueError(op, `random numbers come as float32, float64 or int32, not ${dtype}; cast them`);
    const data = new (arrayClass(dtype))(sizeOf(shape));
    for (let i = 0; i < data.length; i++) data[i] = draw();
    return fromTypedArray(data, shape, dtype, op);
  }
}

/** A seeded random source. */
export const random = (seed: number): Random => Random.fromSeed(seed);
