import { arrayClass } from '../backends/backend.js';
import { ShapeError, ValueError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor, checkWhole, describe } from '../tensor/arguments.js';
import { checkCreation, convert, type CreateOptions, fromTypedArray, lendTo, settle } from '../tensor/create.js';
import { hostArray } from '../backends/host-array.js';
import { toFloat } from '../tensor/dtype.js';
import { checkShape, formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { wide } from './broadcast.js';
import { cast } from './cast.js';
import { add, mul, sub } from './elementwise.js';
import { concat, reshape, slice, stack } from './movement/index.js';

/** Positions of frames, for attention, which does not see them by itself. Angles are position / base^(2 i / features), in float64. */

interface PositionOptions {
  /** The position of the first frame; 0 by default. */
  readonly offset?: number | undefined;
  /** 10000 by default: the slowest angle takes base frames for a radian. */
  readonly base?: number | undefined;
}

export interface SinusoidalOptions extends PositionOptions, CreateOptions {}

export interface RotaryOptions extends PositionOptions {
  /** Whether neighbouring elements are turned together, as in the paper, and not those of the two halves. False by default. */
  readonly interleaved?: boolean | undefined;
}

function checkPositions(op: string, { offset = 0, base = 10_000 }: PositionOptions): { offset: number; base: number } {
  if (!Number.isSafeInteger(offset))
    throw new ValueError(op, `offset is ${describe(offset)}; it must be a whole number`);
  if (!(Number.isFinite(base) && base > 0))
    throw new ValueError(op, `base is ${describe(base)}; it must be finite and positive`);
  return { offset, base };
}

/** f of the angle of every frame and pair of features. */
function angles(
  frames: number,
  pairs: number,
  { offset, base }: { offset: number; base: number },
  see: (angle: number, t: number, i: number) => void,
): void {
  const speeds = Array.from({ length: pairs }, (_, i) => base ** (-i / pairs));
  for (let t = 0; t < frames; t++) speeds.forEach((speed, i) => see((t + offset) * speed, t, i));
}

/**
 * Sines and cosines of positions, to be added to embeddings: [frames, features], with sin(position / base^(2 i / features)) at 2 i and its cosine at
 * 2 i + 1. Vaswani et al., arXiv:1706.03762.
 * @param options.dtype float32 by default.
 * @throws {ValueError} for an odd number of features.
 */
export function sinusoidalPositions(frames: number, features: number, options: SinusoidalOptions = {}): Tensor {
  checkWhole('sinusoidalPositions', 'frames', frames, 0);
  checkWhole('sinusoidalPositions', 'features', features, 0);
  if (features % 2 !== 0)
    throw new ValueError('sinusoidalPositions', `features is ${features}; sines and cosines need an even number`);
  checkCreation('sinusoidalPositions', options, ['offset', 'base', 'dtype', 'device']);
  const { dtype = 'float32', device } = options;
  const where = checkPositions('sinusoidalPositions', options);
  checkShape('sinusoidalPositions', [frames, features]);
  const data = hostArray('float64', frames * features);
  angles(frames, features / 2, where, (angle, t, i) => {
    data[t * features + 2 * i] = Math.sin(angle);
    data[t * features + 2 * i + 1] = Math.cos(angle);
  });
  return settle('sinusoidalPositions', convert(data, dtype), [frames, features], dtype, device);
}

/**
 * Every pair of features turned by an angle that grows with the position, so that products of two frames depend on their distance only: x is
 * [..., T, features]. Su et al., arXiv:2104.09864. Pairs are element i of the first half and of the second one (as in GPT-NeoX and Llama),
 * or neighbours if `interleaved`.
 * @param options.offset the position of the first frame.
 * @throws {ShapeError} for fewer than two axes, and an odd number of features.
 */
export function rotaryPositions(x: Tensor, options: RotaryOptions = {}): Tensor {
  checkTensor('rotaryPositions', 'x', x);
  checkOptions('rotaryPositions', options, ['offset', 'base', 'interleaved'], (given) =>
    typeof given === 'number' ? `write { offset: ${given} }` : null,
  );
  const { interleaved = false } = options;
  checkBoolean('rotaryPositions', 'interleaved', interleaved);
  const where = checkPositions('rotaryPositions', options);
  const [frames, features] = [x.shape[x.rank - 2], x.shape[x.rank - 1]];
  if (frames === undefined || features === undefined || features % 2 !== 0)
    throw new ShapeError(
      'rotaryPositions',
      `x is ${formatShape(x.shape)}; it must be [..., T, features] with an even number of features`,
    );
  const pairs = features / 2;
  const cosines = new Float64Array(frames * pairs);
  const sines = new Float64Array(frames * pairs);
  angles(frames, pairs, where, (angle, t, i) => {
    cosines[t * pairs + i] = Math.cos(angle);
    sines[t * pairs + i] = Math.sin(angle);
  });
  return wide(cast(x, toFloat(x.dtype)), (t) => {
    const table = (data: Float64Array): Tensor =>
      lendTo(fromTypedArray(new (arrayClass(t.dtype))(data), [frames, pairs], t.dtype), t);
    const [cos, sin] = [table(cosines), table(sines)];
    const all = new Array<[]>(x.rank - 1).fill([]);
    const split = interleaved ? reshape(t, [...x.shape.slice(0, -1), pairs, 2]) : t;
    const a = interleaved ? slice(split, ...all, [], 0) : slice(t, ...all, [0, pairs]);
    const b = interleaved ? slice(split, ...all, [], 1) : slice(t, ...all, [pairs, features]);
    const turned = [sub(mul(a, cos), mul(b, sin)), add(mul(a, sin), mul(b, cos))];
    return interleaved ? reshape(stack(turned, -1), x.shape) : concat(turned, -1);
  });
}
