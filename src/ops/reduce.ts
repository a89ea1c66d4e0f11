import { NUMBERS } from '../backends/kernel.js';
import { ShapeError } from '../errors.js';
import { describe } from '../tensor/arguments.js';
import { ones, onesLike } from '../tensor/create.js';
import { isFloat, toFloat } from '../tensor/dtype.js';
import { formatShape, normalizeAxes } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { alongAxes, axisView, type Run } from './along-axes.js';
import { type Axes, checkReduction, overAxes, type ReduceOptions, stretch, sum } from './broadcast.js';
import { cast } from './cast.js';
import {
  areEqual,
  divNoNaN,
  equal,
  expOfDifference,
  logicalNot,
  maximum,
  mul,
  mulNoNaN,
  notEqual,
} from './elementwise.js';
import { reshape } from './movement/axes.js';
import { concat } from './movement/join.js';
import { slice } from './movement/slice.js';

/** Reductions. Kernels work along the middle axis of [outer, axis, inner]; the functions take any axes. */

const TYPES = { x: NUMBERS, out: 'x' } as const;

/** Every element that equals the extremum gets an equal share of its cotangent; NaN, where it is NaN, reaches all of them. */
function shareAmongTies(g: Tensor, x: Tensor, y: Tensor, run: Run): Tensor {
  const ties = areEqual(x, stretch(y, x, run));
  const share = divNoNaN(g, reshape(sum(ties, axesOf(run)), y.shape));
  return mulNoNaN(stretch(share, x, run), ties);
}

const maxOp = alongAxes('max', { family: 'reduce', types: TYPES, vjp: shareAmongTies });
const minOp = alongAxes('min', { family: 'reduce', types: TYPES, vjp: shareAmongTies });
const position = (name: string): ((x: Tensor, run: Run) => Tensor) =>
  alongAxes(name, { family: 'reduce', types: { x: NUMBERS, out: ['int32'] }, result: 'int32' });
const argmaxOp = position('argmax');
const argminOp = position('argmin');
const logSumExpOp = alongAxes('logSumExp', {
  family: 'reduce',
  vjp: (g, x, y, run) => {
    // Several infinite elements share, as the largest of equals do.
    const infinite = reshape(sum(cast(equal(x, Infinity), y.dtype), axesOf(run)), y.shape);
    return mulNoNaN(stretch(divNoNaN(g, maximum(infinite, 1)), x, run), expOfDifference(x, stretch(y, x, run)));
  },
});

const axesOf = ({ from, to }: Run): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function refuseEmpty(op: string, x: Tensor, axes: Axes | undefined): void {
  const list = normalizeAxes(op, axes, x.rank);
  if (list.some((axis) => x.shape[axis] === 0))
    throw new ShapeError(
      op,
      `no elements along the axes ${formatShape(list)} of ${formatShape(x.shape)}, and so no result`,
    );
}

const asInt = (x: Tensor): Tensor => (x.dtype === 'bool' ? cast(x, 'int32') : x);

/** The largest element over axes (all when left out); NaN if there is one. Ties share the derivative. @throws {ShapeError} for an empty axis */
export function max(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('max', x, options);
  refuseEmpty('max', x, axes);
  return overAxes('max', asInt(x), axes, keepDims, maxOp);
}

/** The smallest element over axes (all when left out); NaN if there is one. Ties share the derivative. @throws {ShapeError} for an empty axis */
export function min(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('min', x, options);
  refuseEmpty('min', x, axes);
  return overAxes('min', asInt(x), axes, keepDims, minOp);
}

/** Whether an element over axes (all when left out) is true, which any number but 0 is, NaN too. Of none it is false. bool. */
export function any(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('any', x, options);
  const isTrue = x.dtype === 'bool' ? x : notEqual(x, 0);
  // The count in float32: it may be rounded, but never to 0.
  return notEqual(sum(cast(isTrue, 'float32'), normalizeAxes('any', axes, x.rank), { keepDims }), 0);
}

/** Whether all elements over axes (all when left out) are true, which any number but 0 is, NaN too. Of none it is true. bool. */
export function all(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('all', x, options);
  const isFalse = x.dtype === 'bool' ? logicalNot(x) : equal(x, 0);
  return equal(sum(cast(isFalse, 'float32'), normalizeAxes('all', axes, x.rank), { keepDims }), 0);
}

/** A position is one along an axis, or one of the flattened tensor; there is none over some axes. */
function checkAxis(op: string, axis: unknown): void {
  if (axis !== undefined && typeof axis !== 'number')
    throw new ShapeError(
      op,
      `the axis is ${describe(axis)}; it must be one number, or undefined for the flattened tensor`,
    );
}

/** The position of the first largest element along an axis, or in the flattened tensor; NaN counts as largest. int32. */
export function argmax(x: Tensor, axis?: number, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('argmax', x, options);
  checkAxis('argmax', axis);
  refuseEmpty('argmax', x, axis);
  return overAxes('argmax', asInt(x), axis, keepDims, argmaxOp);
}

/** The position of the first smallest element along an axis, or in the flattened tensor; NaN counts as smallest. int32. */
export function argmin(x: Tensor, axis?: number, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('argmin', x, options);
  checkAxis('argmin', axis);
  refuseEmpty('argmin', x, axis);
  return overAxes('argmin', asInt(x), axis, keepDims, argminOp);
}

/** log(sum(exp(x))) over axes (all when left out), without overflow; -Infinity where all elements are. */
export function logSumExp(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('logSumExp', x, options);
  return overAxes('logSumExp', cast(x, toFloat(x.dtype)), axes, keepDims, logSumExpOp);
}

/** Products in float64 with their power of two apart, rounded once; int32 wraps around. */
const prodOp = alongAxes('prod', {
  family: 'reduce',
  readsResult: false,
  vjp: (g, x, _y, run) => {
    const view = axisView(x.shape, run.from, run.to);
    const lines = cast(reshape(x, [view.outer, view.axis, view.inner]), 'float64');
    const others = view.axis === 0 ? lines : productsOfOthers(lines);
    return cast(reshape(mulNoNaN(reshape(cast(g, 'float64'), [view.outer, 1, view.inner]), others), x.shape), x.dtype);
  },
});

/**
 * The product over axes (all when left out). On the way nothing leaves the range, whatever the order, where the device has float64; elsewhere it is
 * multiplied in pairs, so that it seldom does. Derivatives of any order are products of the others, zeros or not.
 */
export function prod(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('prod', x, options);
  return overAxes('prod', asInt(x), axes, keepDims, (t, run) => {
    if (t.device.supports('float64')) return prodOp(t, run);
    const { outer, axis, inner } = axisView(t.shape, run.from, run.to);
    const rest = [...t.shape.slice(0, run.from), ...t.shape.slice(run.to)];
    const wide = isFloat(t.dtype) ? cast(t, 'float32') : t; // halves are rounded once, at the end
    return cast(reshape(levelsOf(reshape(wide, [outer, axis, inner])).at(-1)!, rest), t.dtype);
  });
}

const part = (x: Tensor, from: number, to: number): Tensor => slice(x, [], [from, to]);

/** Multiplied in pairs along the middle axis again and again, the first half by the second, until one is left: every step, x first. */
function levelsOf(x: Tensor): Tensor[] {
  const [outer, axis, inner] = x.shape as [number, number, number];
  if (axis === 0) return [ones([outer, 1, inner], { dtype: x.dtype, device: x.device })];
  if (axis === 1) return [x];
  const half = Math.floor(axis / 2);
  const pairs = mul(part(x, 0, half), part(x, half, 2 * half));
  return [x, ...levelsOf(axis % 2 === 0 ? pairs : concat([pairs, part(x, 2 * half, axis)], 1))];
}

/** Of each element along the middle axis, the product of all others: down the pairs, each half times what stands for the other. */
function productsOfOthers(x: Tensor): Tensor {
  const levels = levelsOf(x);
  let others = onesLike(levels.pop()!);
  for (let level = levels.pop(); level; level = levels.pop()) {
    const axis = level.shape[1]!;
    const half = Math.floor(axis / 2);
    const ofPairs = part(others, 0, half);
    const [first, second] = [part(level, 0, half), part(level, half, 2 * half)];
    const rest = axis % 2 === 0 ? [] : [part(others, half, half + 1)];
    others = concat([mul(ofPairs, second), mul(ofPairs, first), ...rest], 1);
  }
  return others;
}
