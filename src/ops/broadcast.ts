import { defineOp } from '../autograd/op.js';
import { type Kernel, NUMBERS } from '../backends/kernel.js';
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

/** A tensor seen as [outer, axis, inner]: how kernels that work along one axis are told where it lies. */
interface AxisView {
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
}

export const axisView = (shape: Shape, from: number, to = from + 1): AxisView => ({
  outer: sizeOf(shape.slice(0, from)),
  axis: sizeOf(shape.slice(from, to)),
  inner: sizeOf(shape.slice(to)),
});

/** Sums along the middle axis of [outer, axis, inner]. */
const sumKernel: Kernel = {
  name: 'sum',
  family: 'reduce',
  inputs: ['x'],
  outputs: ['out'],
  types: { x: NUMBERS, out: 'x' },
  params: { outer: 'u32', axis: 'u32', inner: 'u32' },
  layout: 'groups',
};

/** The axes that a reduction takes together: neighbours, [from, to). */
export interface Run {
  readonly from: number;
  readonly to: number;
}

/** A result of a reduction, repeated along the axes that it dropped. */
export const stretch = (t: Tensor, x: Tensor, { from, to }: Run): Tensor =>
  broadcastTo(t.rank === 0 ? t : reshape(t, keptShape(x.shape, from, to)), x.shape);

/** What takes several ops is computed in float32 throughout: rounded to float16 on the way, a sum overflows where its mean does not. */
export const wide = (x: Tensor, compute: (x: Tensor) => Tensor): Tensor =>
  isStorage(x.dtype) ? cast(compute(cast(x, 'float32')), x.dtype) : compute(x);

const sumOp = defineOp<Run>({
  name: 'sum',
  readsResult: false,
  infer: ([x], { from, to }) => ({ shape: [...x!.shape.slice(0, from), ...x!.shape.slice(to)], dtype: x!.dtype }),
  run: (call, [x], { from, to }) => {
    const view = axisView(x!.shape, from, to);
    call.launch({
      kernel: sumKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { ...view },
      grid: view.outer * view.inner,
    });
  },
  vjp: (g, { inputs: [x], attrs }) => [stretch(g, x!, attrs)],
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
 * @param reduce takes x and the run [from, to) and drops those axes.
 */
export function overAxes(
  op: string,
  x: Tensor,
  axes: Axes | undefined,
  keepDims: boolean,
  reduce: (x: Tensor, from: number, to: number) => Tensor,
): Tensor {
  if (axes === undefined && x.rank > 0 && !keepDims) return reduce(x, 0, x.rank);
  const list = normalizeAxes(op, axes, x.rank);
  if (list.length === 0) return reduce(reshape(x, [1, ...x.shape]), 0, 1);
  const [from] = list as [number];
  const isRun = list[list.length - 1]! - from === list.length - 1;
  const rest = x.shape.map((_, i) => i).filter((axis) => !list.includes(axis));
  const result = isRun
    ? reduce(x, from, from + list.length)
    : reduce(permute(x, [...rest, ...list]), rest.length, x.rank);
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
  return overAxes('sum', x.dtype === 'bool' ? cast(x, 'int32') : x, axes, keepDims, (t, from, to) =>
    sumOp([t], { from, to }),
  );
}

/** The adjoint of broadcasting: sums a tensor down to a shape that broadcasts to its own. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape.flatMap((dim, i) => (i < lead || (shape[i - lead] === 1 && dim !== 1) ? [i] : []));
  return reshape(axes.length > 0 ? sum(x, axes) : x, shape);
}
