import { ValueError } from '../errors.js';
import { add, div, minimum, mul, sqrt, square } from '../ops/elementwise.js';
import { sum } from '../ops/broadcast.js';
import { cast } from '../ops/cast.js';
import { isStorage } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import { mapTensors, tensorsOf } from '../tensor/tree.js';

/** Keeps the division defined for gradients of zero; torch's value, so the results are the same. */
const EPSILON = 1e-6;

/**
 * Scales all gradients by one factor so that their common Euclidean norm is at most `maxNorm` (Pascanu, Mikolov and Bengio,
 * arXiv:1211.5063). Nothing is read back: the factor stays on the device.
 *
 * @returns the gradients, and their norm before scaling as a scalar tensor. A NaN or infinite norm is passed on for the caller to see.
 * @throws {ValueError} unless maxNorm is positive.
 */
export function clipByGlobalNorm<T>(gradients: T, maxNorm: number): { gradients: T; norm: Tensor } {
  if (!(maxNorm > 0)) throw new ValueError('clipByGlobalNorm', `maxNorm is ${maxNorm}; it must be positive`);
  const squares = tensorsOf(gradients).map((g) => sum(square(isStorage(g.dtype) ? cast(g, 'float32') : g)));
  if (squares.length === 0) throw new ValueError('clipByGlobalNorm', 'there is no gradient in the tree');
  const norm = sqrt(squares.reduce((a, b) => add(a, b)));
  const factor = minimum(div(maxNorm, add(norm, EPSILON)), 1);
  return { gradients: mapTensors((g) => cast(mul(cast(g, factor.dtype), factor), g.dtype), gradients), norm };
}
