import { stopGradient } from '../autograd/transforms.js';
import { ShapeError, ValueError } from '../errors.js';
import { describe } from '../tensor/arguments.js';
import { isFloat, toFloat } from '../tensor/dtype.js';
import { formatShape, normalizeAxes, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Run, alongAxes } from './along-axes.js';
import {
  type Axes,
  checkReduction,
  KEEP,
  overAxes,
  type ReduceOptions,
  stretch,
  sum,
  wide,
  withAxes,
} from './broadcast.js';
import { cast } from './cast.js';
import { abs, div, greater, isFinite, logicalAnd, mul, mulNoNaN, overNorm, pow, where } from './elementwise.js';
import { onto } from './formulas.js';
import { expandDims, reshape } from './movement/index.js';
import { max } from './reduce.js';

/**
 * Means, variances and norms. Their kernels hold sums in float64 (on a GPU in two float32) until the result, so that none overflows or
 * cancels where the result does not.
 */

/** The product of the lengths of the axes that go. */
const lengthOf = (x: Tensor, { from, to }: Run): number => sizeOf(x.shape.slice(from, to));

const meanOp = alongAxes('mean', {
  family: 'moments',
  // A host's kernels copy faster than they divide; a GPU waits for launches.
  vjp: (g, x, _y, run) =>
    x.device.isHost
      ? stretch(div(g, lengthOf(x, run)), x, run)
      : onto('div', withAxes(g, x, run), lengthOf(x, run), x.shape),
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

function checkCorrection(
  op: string,
  x: Tensor,
  axes: Axes | undefined,
  { correction = 0 }: VarianceOptions,
): { correction: number; count: number } {
  const count = sizeOf(normalizeAxes(op, axes, x.rank).map((axis) => x.shape[axis]!));
  if (!(typeof correction === 'number' && correction >= 0 && correction <= count))
    throw new ValueError(op, `correction ${describe(correction)} for ${count} elements; it must be in [0, ${count}]`);
  return { correction, count };
}

/**
 * The variance over axes: the mean of squared distances from the mean, right also where the mean is large beside them.
 * @throws {ValueError} for a negative correction, or one above the count, which would make a negative variance. One that equals the count
 * gives NaN or Infinity, as in NumPy.
 */
export function variance(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const keepDims = checkReduction('variance', x, options, ['keepDims', 'correction']);
  const { correction } = checkCorrection('variance', x, axes, options);
  return exactly(x, (t) => overAxes('variance', t, axes, keepDims, (u, run) => varianceOp(u, { ...run, correction })));
}

/**
 * The standard deviation over axes, the root of `variance` with the same options, but without squares that overflow or vanish. Where all elements are
 * equal its derivative is 0, the least of its subgradients.
 * @throws {ValueError} where `variance` does.
 */
export function std(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const keepDims = checkReduction('std', x, options, ['keepDims', 'correction']);
  const { correction, count } = checkCorrection('std', x, axes, options);
  const scale = 1 / Math.sqrt(count - correction);
  return exactly(x, (t) => overAxes('std', t, axes, keepDims, (u, run) => normOp(centerOp(u, run), { ...run, scale })));
}

export interface NormOptions extends ReduceOptions {
  /**
   * 2, the square root of the sum of squares, is the default; 1: the sum of magnitudes; Infinity: the largest of them; any other positive number p: the p-th root
   * of the sum of their p-th powers, as torch's `vector_norm`.
   */
  readonly ord?: number;
}

/**
 * The length of vectors, over axes (all when left out). Squares and powers neither overflow nor vanish on the way, and the derivative of a vector of
 * zeros is 0, the least of its subgradients.
 * @throws {ValueError} for another `ord`. @throws {ShapeError} for ord Infinity over an empty axis.
 */
export function norm(x: Tensor, axes?: Axes, options: NormOptions = {}): Tensor {
  const keepDims = checkReduction('norm', x, options, ['keepDims', 'ord']);
  const { ord = 2 } = options;
  if (!(typeof ord === 'number' && ord > 0))
    throw new ValueError('norm', `ord is ${describe(ord)}; it must be a positive number or Infinity`);
  if (ord === 2)
    return exactly(x, (t) => overAxes('norm', t, axes, keepDims, (u, run) => normOp(u, { ...run, scale: 1 })));
  const list = normalizeAxes('norm', axes, x.rank);
  if (ord === 1) return exactly(x, (t) => sum(abs(t), list, { keepDims }));
  if (ord !== Infinity) return exactly(x, (t) => powerNorm(t, list, keepDims, ord));
  if (list.some((axis) => x.shape[axis] === 0))
    throw new ShapeError(
      'norm',
      `no elements along the axes ${formatShape(list)} of ${formatShape(x.shape)}, and so no largest`,
    );
  return exactly(x, (t) => max(abs(t), list, { keepDims }));
}

/** The p-th root of the sum of p-th powers, of magnitudes over the largest of them: any unit gives the same, so that it is a constant to transforms. */
function powerNorm(x: Tensor, list: readonly number[], keepDims: boolean, p: number): Tensor {
  if (x.size === 0) return sum(abs(x), list, { keepDims });
  const most = max(abs(stopGradient(x)), list, KEEP);
  const unit = where(logicalAnd(greater(most, 0), isFinite(most)), most, 1);
  const total = pow(sum(pow(div(abs(x), unit), p), list, { keepDims }), 1 / p);
  return mul(total, keepDims ? unit : reshape(unit, total.shape));
}

/** @internal The Euclidean norm of a whole tensor times a scale: beyond the range of float32 where the product is not. */
export const scaledNorm = (x: Tensor, scale: number): Tensor => {
  const t = x.rank === 0 ? expandDims(x, 0) : x;
  return normOp(t, { from: 0, to: t.rank, scale });
};
