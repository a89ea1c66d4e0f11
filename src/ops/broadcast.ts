import { defineOp } from '../autograd/op.js';
import { NUMBERS } from '../backends/kernel.js';
import { ShapeError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor } from '../tensor/arguments.js';
import {
  broadcastShapes,
  checkShape,
  contiguousStrides,
  formatShape,
  normalizeAxes,
  sameShape,
  type Shape,
  sizeOf,
} from '../tensor/shape.js';
import { isStorage } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';
import { alongAxes, type Run } from './along-axes.js';
import { cast } from './cast.js';
import { permute, reshape } from './movement/axes.js';
import { launchCopy } from './movement/copy.js';

/** Stretching and summing: each is the other's adjoint, and together they make broadcasting differentiable. */

const broadcastOp = defineOp<{ shape: Shape }>({
  name: 'broadcastTo',
  readsResult: false,
  movesOnly: true,
  infer: ([x], { shape }) => ({ shape, dtype: x!.dtype }),
  run: (call, [x], { shape }) => {
    const [to, from] = x!.size === 1 ? [[sizeOf(shape)], [0]] : [shape, broadcastStrides(x!.shape, shape)];
    launchCopy(call, 'broadcastTo', to, call.inputs[0]!, { offset: 0, strides: from }, call.outputs[0]!, {
      offset: 0,
      strides: contiguousStrides(to),
    });
  },
  vjp: (g, { inputs: [x] }) => [sumTo(g, x!.shape)],
});

/** Strides that read a tensor of one shape as if it had another: 0 along stretched axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const strides = contiguousStrides(from);
  const lead = to.length - from.length;
  return to.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : strides[i - lead]!));
}

/** x stretched to a larger shape by NumPy's rules. @throws {ShapeError} */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkTensor('broadcastTo', 'x', x);
  checkShape('broadcastTo', shape);
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes('broadcastTo', x.shape, shape), shape))
    throw new ShapeError('broadcastTo', `${formatShape(x.shape)} does not stretch to ${formatShape(shape)}`);
  return broadcastOp([x], { shape: [...shape] });
}

/** A result of a reduction, repeated along the axes that it dropped. */
export const stretch = (t: Tensor, x: Tensor, run: Run): Tensor => broadcastTo(withAxes(t, x, run), x.shape);

/** A result of a reduction with the axes that it dropped, of length 1, unless it is a scalar: then it broadcasts as it is. */
export const withAxes = (t: Tensor, x: Tensor, { from, to }: Run): Tensor =>
  t.rank === 0 ? t : reshape(t, keptShape(x.shape, from, to));

/** What takes several ops is computed in float32 throughout: rounded to float16 on the way, a sum overflows where its mean does not. */
export const wide = (x: Tensor, compute: (x: Tensor) => Tensor): Tensor =>
  isStorage(x.dtype) ? cast(compute(cast(x, 'float32')), x.dtype) : compute(x);

/** Summed in float64. */
const sumOp = alongAxes('sum', {
  family: 'reduce',
  types: { x: NUMBERS, out: 'x' },
  readsResult: false,
  vjp: (g, x, _y, run) => stretch(g, x, run),
});

/** The shape with the axes [from, to) of length 1. */
const keptShape = (shape: Shape, from: number, to: number): number[] =>
  shape.map((dim, i) => (i >= from && i < to ? 1 : dim));

/** One axis or several; negative ones count from the end. */
export type Axes = number | readonly number[];

export interface ReduceOptions {
  /** Whether the axes that are reduced stay, with length 1; false by default. */
  readonly keepDims?: boolean;
}

/** For derivatives, which stretch a result over what it was made of. */
export const KEEP: ReduceOptions = { keepDims: true };

/** What was meant by something else in the place of a reduction's options. */
const meantByReduction = (given: unknown): string | null => {
  if (typeof given === 'boolean') return `write { keepDims: ${given} }`;
  return typeof given === 'number' ? 'several axes are a list: [0, 1]' : null;
};

/**
 * Checks the arguments that every reduction has.
 * @returns whether the axes are to be kept.
 */
export function checkReduction(
  op: string,
  x: Tensor,
  options: ReduceOptions | undefined,
  names: readonly string[] = ['keepDims'],
): boolean {
  checkTensor(op, 'x', x);
  if (options === undefined) return false;
  checkOptions(op, options, names, meantByReduction);
  const { keepDims = false } = options;
  checkBoolean(op, 'keepDims', keepDims);
  return keepDims;
}

/**
 * Reduces any axes by means of a reduction that knows neighbouring axes only: others are brought together first.
 * @param reduce takes x and a run, and drops its axes.
 */
export function overAxes(
  op: string,
  x: Tensor,
  axes: Axes | undefined,
  keepDims: boolean,
  reduce: (x: Tensor, run: Run) => Tensor,
): Tensor {
  if (axes === undefined && x.rank > 0 && !keepDims) return reduce(x, { from: 0, to: x.rank });
  const list = normalizeAxes(op, axes, x.rank);
  if (list.length === 0) return reduce(reshape(x, [1, ...x.shape]), { from: 0, to: 1 });
  const [from] = list as [number];
  const isRun = list[list.length - 1]! - from === list.length - 1;
  const rest = x.shape.map((_, i) => i).filter((axis) => !list.includes(axis));
  const result = isRun
    ? reduce(x, { from, to: from + list.length })
    : reduce(permute(x, [...rest, ...list]), { from: rest.length, to: x.rank });
  return keepDims
    ? reshape(
        result,
        x.shape.map((dim, i) => (list.includes(i) ? 1 : dim)),
      )
    : result;
}

/** The sum over axes (all when left out). Integers and bool sum as int32. float32 is summed in float64 and rounded once. */
export function sum(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  const keepDims = checkReduction('sum', x, options);
  return overAxes('sum', x.dtype === 'bool' ? cast(x, 'int32') : x, axes, keepDims, sumOp);
}

/** The adjoint of broadcasting: sums a tensor down to a shape that broadcasts to its own. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape.flatMap((dim, i) => (i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : []));
  return reshape(axes.length > 0 ? sum(x, axes) : x, shape);
}
