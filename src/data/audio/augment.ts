import { ShapeError, ValueError } from '../../errors.js';
import { hostArray } from '../../backends/host-array.js';
import { take } from '../../ops/gather.js';
import { add, mul, sub, where } from '../../ops/elementwise.js';
import { checkNumber, checkOptions, checkWhole, describe } from '../../tensor/arguments.js';
import { fromTypedArray, lendTo, type TensorLike } from '../../tensor/create.js';
import { integersOf } from '../../tensor/integers.js';
import { checkRandom, Random } from '../../tensor/random.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkFloats, checkRange } from './checks.js';

export interface SpecAugmentOptions {
  /** Masks along the bins; 2 by default. */
  readonly frequencyMasks?: number;
  /** The most bins that one of them covers; a third of them by default. */
  readonly frequencyWidth?: number;
  /** Masks along the time; 2 by default. */
  readonly timeMasks?: number;
  /** The most frames that one of them covers; 100 by default. */
  readonly timeWidth?: number;
  /** The largest share of a clip's frames that one of them covers; 0.2 by default. */
  readonly timeShare?: number;
  /** What is put in their place; 0 by default, the mean of normalised features. */
  readonly value?: number;
  /** Frames of each sequence of a batch [N, T, F]: masks along the time lie within them. All frames when left out. */
  readonly lengths?: TensorLike;
}

const NAMES = ['frequencyMasks', 'frequencyWidth', 'timeMasks', 'timeWidth', 'timeShare', 'value', 'lengths'];

/**
 * Covers bands of bins and stretches of time at random, so that a recogniser learns not to depend on any (D. S. Park et al., "SpecAugment", 2019; without
 * its warping of time, for which there is `timeStretch`). The width of each mask is drawn evenly from 0 to its most, and then its place. Each sequence of a
 * batch has masks of its own.
 *
 * ```ts
 * const augmented = audio.specAugment(features, source, { frequencyWidth: 8, timeWidth: 10 });
 * ```
 * @param features [T, F] or [N, T, F], floats; they carry gradients where no mask lies.
 * @param random a seeded source.
 */
export function specAugment(features: Tensor, random: Random, options: SpecAugmentOptions = {}): Tensor {
  const op = 'specAugment';
  checkFloats(op, 'features', features, '[..., T, F]');
  if (features.rank > 3)
    throw new ShapeError(op, `features is ${formatShape(features.shape)}; it must be [T, F] or [N, T, F]`);
  checkRandom(op, random);
  checkOptions(op, options, NAMES, (given) => (given instanceof Random ? 'the source comes before the options' : null));
  const [frames, bins] = features.shape.slice(-2) as [number, number];
  const { frequencyMasks = 2, frequencyWidth = Math.floor(bins / 3), timeMasks = 2, timeWidth = 100 } = options;
  const { timeShare = 0.2, value = 0 } = options;
  for (const [name, count] of Object.entries({ frequencyMasks, timeMasks })) checkWhole(op, name, count, 0, 65_536);
  for (const [name, width] of Object.entries({ frequencyWidth, timeWidth }))
    checkWhole(op, name, width, 0, 2 ** 31 - 1);
  checkRange(op, 'timeShare', timeShare, 0, 1);
  checkNumber(op, 'value', value);
  const batch = features.rank === 3 ? features.shape[0]! : 1;
  const lengths = lengthsOf(op, options.lengths, batch, frames);
  const keep = hostArray('bool', batch * frames * bins).fill(1);
  for (let n = 0; n < batch; n++) {
    const own = keep.subarray(n * frames * bins, (n + 1) * frames * bins);
    for (let mask = 0; mask < frequencyMasks; mask++) {
      const [start, end] = stretchOf(random, Math.min(frequencyWidth, bins), bins);
      for (let t = 0; t < frames; t++) own.fill(0, t * bins + start, t * bins + end);
    }
    const length = lengths[n]!;
    for (let mask = 0; mask < timeMasks; mask++) {
      const [start, end] = stretchOf(random, Math.min(timeWidth, Math.floor(timeShare * length)), length);
      own.fill(0, start * bins, end * bins);
    }
  }
  const mask = lendTo(fromTypedArray(keep, features.shape, 'bool', op), features);
  return where(mask, features, value);
}

/** A place for a mask of at most `most`, as [start, end). */
function stretchOf(random: Random, most: number, length: number): [number, number] {
  const width = random.integer(0, most + 1);
  const start = random.integer(0, length - width + 1);
  return [start, start + width];
}

function lengthsOf(op: string, given: TensorLike | undefined, batch: number, frames: number): ArrayLike<number> {
  if (given === undefined) return new Int32Array(batch).fill(frames);
  const lengths = integersOf(op, 'lengths', given);
  if (lengths.length !== batch)
    throw new ShapeError(
      op,
      `there are ${lengths.length} lengths for ${batch} ${batch === 1 ? 'sequence' : 'sequences'}`,
    );
  lengths.forEach((length, n) => {
    checkWhole(op, `the length of sequence ${n}`, length, 0, frames);
  });
  return lengths;
}

/**
 * Features as if they had been spoken slower or faster: stretched along the time, by linear interpolation between frames, which leaves pitch and bins as
 * they are. Frame t of T' new ones lies at (t + 1/2) T / T' - 1/2 among the T old ones, as in `torch.nn.functional.interpolate(mode='linear')`.
 *
 * ```ts
 * const slower = audio.timeStretch(features, 1.1); // a tenth longer
 * ```
 * @param features [..., T, F], floats; they carry gradients.
 * @param factor how much longer they become, above 0.
 * @returns [..., round(T * factor), F], one frame at least.
 */
export function timeStretch(features: Tensor, factor: number): Tensor {
  const op = 'timeStretch';
  checkFloats(op, 'features', features, '[..., T, F]');
  if (typeof factor !== 'number' || !(factor > 0 && factor < Infinity))
    throw new ValueError(op, `factor is ${describe(factor)}; it must be a finite number above 0`);
  const length = features.shape.at(-2)!;
  if (length === 0) throw new ShapeError(op, `features is ${formatShape(features.shape)}; there are no frames`);
  const count = Math.max(1, Math.round(length * factor));
  if (count >= 2 ** 31) throw new ValueError(op, `factor is ${factor}: ${count} frames are too many for one tensor`);
  if (count === length) return features;
  const [before, after] = [hostArray('int32', count) as Int32Array, hostArray('int32', count) as Int32Array];
  const share = hostArray(features.dtype, count);
  for (let t = 0; t < count; t++) {
    const at = Math.min(Math.max(((t + 0.5) * length) / count - 0.5, 0), length - 1);
    before[t] = Math.floor(at);
    after[t] = Math.min(before[t]! + 1, length - 1);
    share[t] = at - before[t]!;
  }
  const rows = (places: Int32Array): Tensor => take(features, fromTypedArray(places, [count], 'int32'), -2);
  const weight = lendTo(fromTypedArray(share, [count, 1], features.dtype, op), features);
  const [early, late] = [rows(before), rows(after)];
  return add(early, mul(sub(late, early), weight));
}
