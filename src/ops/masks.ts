import type { TypedArray } from '../backends/backend.js';
import { hostArray } from '../backends/host-array.js';
import { ValueError } from '../errors.js';
import { checkOptions, checkWhole } from '../tensor/arguments.js';
import { checkCreation, type DeviceOptions, settle, type TensorLike } from '../tensor/create.js';
import { integersOf } from '../tensor/integers.js';
import { checkShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/** Masks for attention: true where one may look. */

export interface LengthMaskOptions extends DeviceOptions {
  /** Frames of the batch; the largest length by default. */
  readonly frames?: number | undefined;
}

/**
 * Which frames of a batch are within their sequences' lengths: bool [N, T].
 *
 * ```ts
 * lengthMask([2, 3]); // [[true, true, false], [true, true, true]]
 * attention(q, k, v, { mask: lengthMask(lengths, { frames }).reshape([-1, 1, 1, frames]) }); // q, k and v of [N, heads, T, d]
 * ```
 * @throws {ValueError} for a length that is negative or beyond the frames.
 */
export function lengthMask(lengths: TensorLike, options: LengthMaskOptions = {}): Tensor {
  checkOptions('lengthMask', options, ['frames', 'device'], (given) =>
    typeof given === 'number' ? `write { frames: ${given} }` : null,
  );
  const { frames: given, ...placement } = options;
  checkCreation('lengthMask', placement);
  const counts = integersOf('lengthMask', 'lengths', lengths);
  if (given !== undefined) checkWhole('lengthMask', 'frames', given, 0);
  const frames = given ?? counts.reduce((most, count) => Math.max(most, count), 0);
  counts.forEach((count, n) => {
    if (count < 0 || count > frames)
      throw new ValueError('lengthMask', `sequence ${n}: length is ${count}; it must be in [0, ${frames}]`);
  });
  const shape = [counts.length, frames];
  checkShape('lengthMask', shape);
  const bits = hostArray('bool', counts.length * frames);
  counts.forEach((count, n) => bits.fill(1, n * frames, n * frames + count));
  return settle('lengthMask', bits, shape, 'bool', placement.device);
}

export interface CausalMaskOptions extends DeviceOptions {
  /** How many frames are looked at; as many as look by default. */
  readonly keys?: number | undefined;
}

/**
 * Which frames one may look at that must not see what comes after: bool [T, keys], true where the key is not later than the query. If there are
 * more keys than queries, the last query looks at all of them: the queries are the newest frames.
 *
 * ```ts
 * causalMask(2); // [[true, false], [true, true]]
 * causalMask(1, { keys: 3 }); // [[true, true, true]]
 * ```
 */
export function causalMask(frames: number, options: CausalMaskOptions = {}): Tensor {
  checkWhole('causalMask', 'frames', frames, 0);
  checkOptions('causalMask', options, ['keys', 'device'], (given) =>
    typeof given === 'number' ? `write { keys: ${given} }` : null,
  );
  const { keys = frames, ...placement } = options;
  checkWhole('causalMask', 'keys', keys, 0);
  checkCreation('causalMask', placement);
  checkShape('causalMask', [frames, keys]);
  return settle('causalMask', causalBits(frames, keys), [frames, keys], 'bool', placement.device);
}

/** @internal The mask's elements. */
export function causalBits(frames: number, keys: number): TypedArray {
  const bits = hostArray('bool', frames * keys);
  for (let q = 0; q < frames; q++) bits.fill(1, q * keys, q * keys + Math.max(0, keys - frames + q + 1));
  return bits;
}
