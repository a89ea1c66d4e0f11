import { ShapeError, ValueError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor, checkWhole, describe } from '../tensor/arguments.js';
import { hostTensor, lendTo } from '../tensor/create.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { wide } from './broadcast.js';
import { cast } from './cast.js';
import { add, mulNoNaN } from './elementwise.js';
import { take } from './gather.js';

/** Either `size` or `scale`. */
export interface InterpolateOptions {
  /** The length of the axis in the result. */
  readonly size?: number | undefined;
  /** The factor by which the axis becomes longer or shorter; the length is rounded down. Where it stays what it was, so do the elements, as in torch. */
  readonly scale?: number | undefined;
  /** The axis. Default -2, which is time in [N, L, C] and width in [N, H, W, C]. */
  readonly axis?: number | undefined;
  /**
   * Whether the first and last elements stay where they are. Default false: elements are intervals of equal length, and it is their outer ends that
   * stay; beyond the centres of the first and the last one they are repeated. As in torch, either way.
   */
  readonly alignCorners?: boolean | undefined;
}

/** The largest length of a result: each of its elements has places and weights on the host. */
const MOST = 2 ** 28;

/** Between which elements each one of the result lies, and how far it is from the first of them to the second. */
function placesOf(
  length: number,
  count: number,
  step: number,
  alignCorners: boolean,
): { low: Int32Array; high: Int32Array; weights: Float64Array } {
  const low = new Int32Array(count);
  const high = new Int32Array(count);
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const place = alignCorners
      ? count > 1
        ? (i * (length - 1)) / (count - 1)
        : 0
      : Math.min(Math.max((i + 0.5) * step - 0.5, 0), length - 1);
    low[i] = Math.floor(place);
    high[i] = Math.min(low[i]! + 1, length - 1);
    weights[i] = place - low[i]!;
  }
  return { low, high, weights };
}

/**
 * Linear interpolation along an axis, to another length. What is shortened is not smoothed: elements may be passed over, as in torch.
 *
 * ```ts
 * interpolate(features, { scale: 1.1 }); // [N, L, C] to [N, floor(1.1 L), C]
 * interpolate(image, { size: 32, axis: 1 }); // [N, H, W, C] to [N, 32, W, C]
 * ```
 * @throws {ValueError} unless there is one of size and scale, and positive. @throws {ShapeError} where nothing goes in or comes out.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  checkTensor('interpolate', 'x', x);
  checkOptions('interpolate', options, ['size', 'scale', 'axis', 'alignCorners'], (given) =>
    typeof given === 'number' ? `write { size: ${given} }` : null,
  );
  const { size, scale, axis = -2, alignCorners = false } = options;
  checkBoolean('interpolate', 'alignCorners', alignCorners);
  if ((size === undefined) === (scale === undefined))
    throw new ValueError(
      'interpolate',
      `give either size or scale; ${size === undefined ? 'neither is' : 'both are'} there`,
    );
  if (size !== undefined) checkWhole('interpolate', 'size', size, 1, MOST);
  else if (!(typeof scale === 'number' && scale > 0 && scale <= MOST))
    throw new ValueError('interpolate', `scale is ${describe(scale)}; it must be a positive number, 2^28 at most`);
  const at = normalizeAxis('interpolate', axis, x.rank);
  const length = x.shape[at]!;
  const count = size ?? Math.floor(length * scale!);
  if (length === 0 || count === 0 || count > MOST)
    throw new ShapeError(
      'interpolate',
      `axis ${at} of ${formatShape(x.shape)} would become ${count} long; from 1 element on there may be 1 to 2^28`,
    );
  const { low, high, weights } = placesOf(
    length,
    count,
    scale === undefined || count === length ? length / count : 1 / scale,
    alignCorners,
  );
  const shape = x.shape.map((_, i) => (i === at ? count : 1));
  return wide(cast(x, toFloat(x.dtype)), (t) => {
    const of = (data: Float64Array): Tensor => lendTo(hostTensor(data, { shape, dtype: t.dtype }), t);
    // A neighbour of weight 0 does not count, though it be infinite.
    return add(
      mulNoNaN(take(t, low, at), of(weights.map((weight) => 1 - weight))),
      mulNoNaN(take(t, high, at), of(weights)),
    );
  });
}
