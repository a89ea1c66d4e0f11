import { ShapeError } from '../errors.js';
import { checkTensor } from '../tensor/arguments.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { wide } from './broadcast.js';
import { cast } from './cast.js';
import { mul, sigmoid } from './elementwise.js';
import { split } from './movement/index.js';

/**
 * The gated linear unit: the first half of an axis (the last by default) times the sigmoid of its second half. Dauphin et al.,
 * arXiv:1612.08083.
 * @throws {ShapeError} for an axis of odd length.
 */
export function glu(x: Tensor, axis = -1): Tensor {
  checkTensor('glu', 'x', x);
  const at = normalizeAxis('glu', axis, x.rank);
  if (x.shape[at]! % 2 !== 0)
    throw new ShapeError(
      'glu',
      `axis ${at} of ${formatShape(x.shape)} has an odd length; its halves are value and gate`,
    );
  return wide(cast(x, toFloat(x.dtype)), (t) => {
    const [value, gate] = split(t, 2, at);
    return mul(value!, sigmoid(gate!));
  });
}
