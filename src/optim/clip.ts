import { DTypeError, ValueError } from '../errors.js';
import { checkTensor, describe, onBehalfOf } from '../tensor/arguments.js';
import { cast } from '../ops/cast.js';
import { add, div, isFinite, minimum, mulMul, where } from '../ops/elementwise.js';
import { norm, scaledNorm } from '../ops/moments.js';
import { stack } from '../ops/movement/index.js';
import { type DType, isFloat, isStorage, promote } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import { mapTensors, tensorsOf } from '../tensor/tree.js';

/** Keeps the division defined for gradients of zero; torch's value, so the results are the same. */
const EPSILON = 1e-6;
/** Brings the norm of any finite gradients into the range of float32. */
const DOWN = 2 ** -64;

const computed = ({ dtype }: Tensor): DType => (isStorage(dtype) ? 'float32' : dtype);

/**
 * Scales all gradients by one factor so that their common Euclidean norm is at most `maxNorm` (Pascanu, Mikolov and Bengio,
 * arXiv:1211.5063). Squares are summed in float64 (on a GPU in scaled float32), so that finite gradients of any size are scaled to
 * `maxNorm`. Nothing is read back: the factor stays on the device.
 *
 * @returns the gradients, and their norm before scaling as a scalar tensor. Where a gradient is infinite or NaN so is the norm, for the
 * caller to see, and the scaled gradients are 0 or NaN, as in torch: leave out such a step.
 * @throws {ValueError} unless maxNorm is positive, and for a tree without gradients. @throws {DTypeError} for integers.
 */
export function clipByGlobalNorm<T>(gradients: T, maxNorm: number): { gradients: T; norm: Tensor } {
  if (!(typeof maxNorm === 'number' && maxNorm > 0))
    throw new ValueError('clipByGlobalNorm', `maxNorm is ${describe(maxNorm)}; it must be positive`);
  const all = onBehalfOf('clipByGlobalNorm', 'the gradients', () => tensorsOf(gradients));
  for (const gradient of all) checkTensor('clipByGlobalNorm', 'a gradient', gradient);
  if (all.length === 0) throw new ValueError('clipByGlobalNorm', 'there is no gradient in the tree');
  const whole = all.find(({ dtype }) => !isFloat(dtype));
  if (whole) throw new DTypeError('clipByGlobalNorm', `a gradient is ${whole.dtype}; gradients are floats`);
  const dtype = all.map(computed).reduce(promote);
  const together = (scale: number): Tensor =>
    norm(stack(all.map((g) => cast(scaledNorm(cast(g, computed(g)), scale), dtype))));
  const total = together(1);
  // A norm beyond the range is known by its scaled down value, and the factor comes in two parts.
  const inRange = isFinite(total);
  const first = where(inRange, 1, DOWN);
  const second = where(
    inRange,
    minimum(div(maxNorm, add(total, EPSILON)), 1),
    minimum(div(maxNorm, together(DOWN)), 1 / DOWN),
  );
  const scaled = (g: Tensor): Tensor => {
    const own = computed(g);
    return cast(mulMul(cast(g, own), cast(first, own), cast(second, own)), g.dtype);
  };
  return { gradients: mapTensors<T, Tensor>(scaled, gradients), norm: total };
}
