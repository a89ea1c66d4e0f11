import { checkTensor, describe } from '../tensor/arguments.js';
import { arrayClass } from '../backends/backend.js';
import { ValueError } from '../errors.js';
import { fromTypedArray, lendTo } from '../tensor/create.js';
import { toFloat } from '../tensor/dtype.js';
import { checkRandom, type Random } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { cast } from './cast.js';
import { mulNoNaN } from './elementwise.js';

/**
 * Sets each element to 0 with probability `rate` and scales the others by 1 / (1 - rate), so that the mean stays. Srivastava et al.,
 * JMLR 15 (2014).
 * @throws {ValueError} unless 0 <= rate < 1.
 */
export function dropout(x: Tensor, rate: number, random: Random): Tensor {
  checkTensor('dropout', 'x', x);
  if (!(typeof rate === 'number' && rate >= 0 && rate < 1))
    throw new ValueError('dropout', `rate ${describe(rate)}; it must be in [0, 1)`);
  checkRandom('dropout', random);
  if (rate === 0) return x;
  const dtype = x.dtype === 'float64' ? 'float64' : 'float32';
  const keep = new (arrayClass(dtype))(x.size).map(() => (random.next() < rate ? 0 : 1 / (1 - rate)));
  const mask = lendTo(fromTypedArray(keep, x.shape, dtype, 'dropout'), x);
  return cast(mulNoNaN(cast(x, dtype), mask), toFloat(x.dtype));
}
