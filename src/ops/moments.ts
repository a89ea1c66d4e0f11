import { ValueError } from '../errors.js';
import { describe } from '../tensor/arguments.js';
import { isFloat, toFloat } from '../tensor/dtype.js';
import { normalizeAxes, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Run, alongAxes } from './along-axes.js';
import { type Axes, checkReduction, overAxes, type ReduceOptions, stretch, sum, wide } from './broadcast.js';
import { cast } from './cast.js';
import { abs, div, mul, mulNoNaN, overNorm } from './elementwise.js';
import { expandDims } from './movement/index.js';
import { max } from './reduce.js';

/**
 * Means, variances and norms. Their kernels hold sums in float64 (on a GPU in two float32) until the result, so that none overflows or
 * cancels where the result does not.
 */

/** The product of the lengths of the axes that go. */
const lengthOf = (x: Tensor, { from, to }: Run): number => sizeOf(x.shape.slice(from, to));

const meanOp = alongAxes('mean', {
  family: 'moments',
  vjp: (g, x, _y, run) => stretch(div(g, lengthOf(x, run)), x, run),
});
/** x less its mean: a projection, and so its own derivative. */
const centerOp: (x: Tensor, run: Run) => Tensor = alongAxes('center', {
  family: 'moments',
  keepsShape: true,
  vjp: (g, _x, _y, run) => centerOp(g, run),
});
const varianceOp = alongAxes<{ correction: number }>('variance', {
  family: 'moments',
  further: { correction: 'f32' },
  vjp: (g, x, _y, { correction, ...run }) =>
    mulNoNaN(stretch(g, x, run), mul(centerOp(x, run), 2 / (lengthOf(x, run) - correction))),
});
const normOp = alongAxes<{ scale: number }>('norm', {
  family: 'moments',
  further: { scale: 'f32' },
  vjp: (g, x, y, { scale, ...run }) => {
    const slope = overNorm(scale === 1 ? x : mul(x, scale), stretch(y, x, run));
    return mulNoNaN(stretch(scale === 1 ? g : mul(g, scale), x, run), slope);
  },
});

/** Integers are counted exactly where the device has float64, then rounded once. */
function exactly(x: Tensor, compute: (x: Tensor) => Tensor): Tensor {
  if (isFloat(x.dtype)) return wide(x, compute);
  return cast(compute(cast(x, x.device.supports('float64') ? 'float64' : 'float32')), toFloat(x.dtype));
}

/** The mean over axes (all when left out). Integers give float32; of nothing it is NaN, as in NumPy. */
export function mean(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('mean', x, options);
  return exactly(x, (t) => overAxes('mean', t, axes, keepDims, meanOp));
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the count of elements in the divisor: 0 as in NumPy (the default), 1 as in torch. */
  readonly correction?: number;
}

/**
 * The variance over axes: the mean of squared distances from the mean, right also where the mean is large beside them.
 * @throws {ValueError} for a negative correction, or one above the count, which would make a negative variance. One that equals the count
 * gives NaN or Infinity, as in NumPy.
 */
export function variance(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const keepDims = checkReduction('variance', x, options, ['keepDims', 'correction']);
  const { correction = 0 } = options;
  const count =
    axes === undefined ? x.size : sizeOf(normalizeAxes('variance', axes, x.rank).map((axis) => x.shape[axis]!));
  if (!(typeof correction === 'number' && correction >= 0 && correction <= count))
    throw new ValueError(
      'variance',
      `correction ${describe(correction)} for ${count} elements; it must be in [0, ${count}]`,
    );
  return exactly(x, (t) => overAxes('variance', t, axes, keepDims, (u, run) => varianceOp(u, { ...run, correction })));
}

export interface NormOptions extends ReduceOptions {
  /** 2, the square root of the sum of squares, is the default; 1: the sum of magnitudes; Infinity: the largest of them; no others. */
  readonly ord?: number;
}

/**
 * The length of vectors, over axes (all when left out). Squares neither overflow nor vanish on the way, and the derivative of a vector of
 * zeros is 0, the least of its subgradients.
 * @throws {ValueError} for another `ord`. @throws {ShapeError} for ord Infinity over an empty axis.
 */
export function norm(x: Tensor, axes?: Axes, options: NormOptions = {}): Tensor {
  const keepDims = checkReduction('norm', x, options, ['keepDims', 'ord']);
  const { ord = 2 } = options;
  if (ord === 2)
    return exactly(x, (t) => overAxes('norm', t, axes, keepDims, (u, run) => normOp(u, { ...run, scale: 1 })));
  if (ord === 1) return exactly(x, (t) => sum(abs(t), axes, { keepDims }));
  if (ord === Infinity) return exactly(x, (t) => max(abs(t), axes, { keepDims }));
  throw new ValueError('norm', `ord is ${describe(ord)}; it must be 1, 2 or Infinity`);
}

/** @internal The Euclidean norm of a whole tensor times a scale: beyond the range of float32 where the product is not. */
export const scaledNorm = (x: Tensor, scale: number): Tensor => {
  const t = x.rank === 0 ? expandDims(x, 0) : x;
  return normOp(t, { from: 0, to: t.rank, scale });
};
