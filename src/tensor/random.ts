import { checkNumber, describe } from './arguments.js';
import { type xoroshiro128plus, xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { DType } from '../backends/backend.js';
import { hostArray } from '../backends/host-array.js';
import { DTypeError, ValueError } from '../errors.js';
import { checkCreation, type CreateOptions, type DeviceOptions, settle } from './create.js';
import { checkShape, type Shape, sizeOf } from './shape.js';
import type { Tensor } from './tensor.js';

export interface NormalOptions extends CreateOptions {
  /** 0 by default. */
  mean?: number | undefined;
  /** Standard deviation; 1 by default. */
  std?: number | undefined;
}

export interface UniformOptions extends CreateOptions {
  /** The least number; 0 by default. */
  low?: number | undefined;
  /** The bound that is not reached; 1 by default. */
  high?: number | undefined;
}

/**
 * A seeded source of random numbers (xoroshiro128+). The same seed gives the same numbers on every machine; `state` can be saved and
 * given to `Random.fromState` to go on where it stopped.
 */
export class Random {
  private generator: ReturnType<typeof xoroshiro128plus>;

  private constructor(generator: ReturnType<typeof xoroshiro128plus>) {
    this.generator = generator;
  }

  /** @throws {ValueError} unless the seed is a 32-bit integer. */
  static fromSeed(seed: number): Random {
    if (!Number.isInteger(seed) || Math.abs(seed) >= 2 ** 32)
      throw new ValueError('random', `seed ${describe(seed)}; it must be a whole number below 2^32`);
    return Random.fromState(spread(seed));
  }

  /** @throws {ValueError} unless the state came from `state`. */
  static fromState(state: readonly number[]): Random {
    const isState =
      Array.isArray(state) &&
      state.length === 4 &&
      Array.from(state as readonly unknown[]).every((word) => typeof word === 'number' && word === (word | 0)) &&
      state.some((word: unknown) => word !== 0);
    if (!isState)
      throw new ValueError('random', `a state is four 32-bit integers, not all of them 0; got ${describe(state)}`);
    return new Random(xoroshiro128plusFromState(state));
  }

  /** Four 32-bit integers from which the source goes on. */
  get state(): readonly number[] {
    if (watches > 0) this.tell();
    return this.generator.getState();
  }

  /** One number in [0, 1), with 53 random bits. */
  next(): number {
    if (watches > 0) this.tell();
    const high = this.generator.next() >>> 5;
    const low = this.generator.next() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  /** One whole number in [low, high), every one equally likely. */
  integer(low: number, high: number): number {
    checkNumber('random', 'the lower bound', low);
    checkNumber('random', 'the upper bound', high);
    const span = high - low;
    if (!Number.isInteger(low) || !Number.isInteger(high) || span <= 0 || span > 2 ** 32)
      throw new ValueError(
        'random',
        `integers in [${low}, ${high}): the bounds must be whole numbers, the upper one larger`,
      );
    if (watches > 0) this.tell();
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

  /** Normally distributed numbers, by default with mean 0 and deviation 1. @throws {ValueError} for a negative or infinite deviation */
  normal(shape: Shape, options: NormalOptions = {}): Tensor {
    checkShape('normal', shape);
    checkCreation('normal', options, ['mean', 'std', 'dtype', 'device']);
    const { mean = 0, std = 1 } = options;
    if (!Number.isFinite(mean) || !Number.isFinite(std) || std < 0)
      throw new ValueError(
        'normal',
        `mean ${describe(mean)} and deviation ${describe(std)}: both must be finite, the deviation not negative`,
      );
    return this.fill('normal', shape, options, () => mean + std * this.gaussian());
  }

  /** Numbers evenly distributed in [low, high), by default in [0, 1). */
  uniform(shape: Shape, options: UniformOptions = {}): Tensor {
    checkShape('uniform', shape);
    checkCreation('uniform', options, ['low', 'high', 'dtype', 'device']);
    const { low = 0, high = 1, dtype = 'float32' } = options;
    checkNumber('uniform', 'low', low);
    checkNumber('uniform', 'high', high);
    if (!(low <= high) || !Number.isFinite(high - low))
      throw new ValueError(
        'uniform',
        `numbers in [${low}, ${high}): the bounds must be finite, the upper one not smaller`,
      );
    return this.fill('uniform', shape, options, () => {
      const value = round(low + (high - low) * this.next(), dtype);
      return value < high ? value : low; // rounding may reach the upper bound
    });
  }

  /** Whole numbers in [low, high), as int32. */
  integers(shape: Shape, low: number, high: number, options: DeviceOptions = {}): Tensor {
    checkCreation('integers', options, ['device']);
    const areWhole =
      [low, high].every(Number.isInteger) && low === (low | 0) && high - 1 === ((high - 1) | 0) && low < high;
    if (!areWhole)
      throw new ValueError(
        'integers',
        `numbers in [${describe(low)}, ${describe(high)}): int32 holds whole numbers in [-2^31, 2^31), and the upper bound must be the larger`,
      );
    const data = hostArray('int32', checkedSize('integers', shape));
    for (let i = 0; i < data.length; i++) data[i] = this.integer(low, high);
    return settle('integers', data, shape, 'int32', options.device);
  }

  /** 0 to n - 1 in random order, as int32. */
  permutation(n: number, options: DeviceOptions = {}): Tensor {
    checkCreation('permutation', options, ['device']);
    checkNumber('permutation', 'n', n);
    checkShape('permutation', [n]);
    if (n >= 2 ** 31) throw new ValueError('permutation', `n is ${n}; int32 holds whole numbers below 2^31`);
    return settle('permutation', this.order(n), [n], 'int32', options.device);
  }

  /** @internal The numbers of `permutation`. */
  order(n: number): Int32Array {
    const order = hostArray('int32', checkedSize('permutation', [n])) as Int32Array;
    for (let i = 0; i < n; i++) {
      const j = this.integer(0, i + 1);
      order[i] = order[j]!;
      order[j] = i;
    }
    return order;
  }

  /** @internal Goes on from another state; gives the one before. */
  turn(state: readonly number[]): readonly number[] {
    const before = this.generator.getState();
    this.generator = xoroshiro128plusFromState(state);
    return before;
  }

  private tell(): void {
    for (const watch of watching) if (!watch.has(this)) watch.set(this, this.generator.getState());
  }

  private fill(op: string, shape: Shape, { dtype = 'float32', device }: CreateOptions, draw: () => number): Tensor {
    if (dtype !== 'float32' && dtype !== 'float64')
      throw new DTypeError(op, `these numbers come as float32 or float64, not ${dtype}; cast them`);
    const data = hostArray(dtype, checkedSize(op, shape));
    for (let i = 0; i < data.length; i++) data[i] = draw();
    return settle(op, data, shape, dtype, device);
  }
}

/** The sources that a function drew from, with the states in which it found them. */
export type Draws = ReadonlyMap<Random, readonly number[]>;

const watching: Map<Random, readonly number[]>[] = [];
/** How many there are: read before each draw. */
let watches = 0;

/** @internal Runs a function and tells what it drew from. */
export function withDraws<T>(run: () => T): [result: T, draws: Draws] {
  const draws = new Map<Random, readonly number[]>();
  watches = watching.push(draws);
  try {
    return [run(), draws];
  } finally {
    watching.pop();
    watches = watching.length;
  }
}

/** @internal Runs a function again so that it draws the same numbers; the sources go on afterwards as if it had not run. */
export function redrawing<T>(draws: Draws, run: () => T): T {
  const now = Array.from(draws, ([source, state]): [Random, readonly number[]] => [source, source.turn(state)]);
  try {
    return run();
  } finally {
    for (const [source, state] of now) source.turn(state);
  }
}

/**
 * A seed as a state with all bits in use: the generator starts by adding two words of the state, so neighbouring seeds would begin alike.
 * The finaliser of MurmurHash3 on a Weyl sequence; it is one to one, so the words cannot all be 0.
 */
function spread(seed: number): number[] {
  return [1, 2, 3, 4].map((i) => {
    let word = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    return word ^ (word >>> 16);
  });
}

const round = (value: number, dtype: DType): number => (dtype === 'float32' ? Math.fround(value) : value);

function checkedSize(op: string, shape: Shape): number {
  checkShape(op, shape);
  return sizeOf(shape);
}

/** @internal Refuses what is no source of random numbers. */
export function checkRandom(op: string, source: unknown): asserts source is Random {
  if (!(source instanceof Random))
    throw new ValueError(op, `the source of randomness is ${describe(source)}; give one: random(seed)`);
}

/** A seeded random source. */
export const random = (seed: number): Random => Random.fromSeed(seed);
