import { defineOp, type Launcher, type OpFunction } from '../autograd/op.js';
import { checkTensor, checkTogether, describe } from '../tensor/arguments.js';
import type { Kernel } from '../backends/kernel.js';
import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { checkCreation, lendTo, hostTensor, type TensorLike } from '../tensor/create.js';
import { arange } from '../tensor/ranges.js';
import { integersOf, integerTensor } from '../tensor/integers.js';
import type { DType } from '../tensor/dtype.js';
import { formatShape, normalizeAxis, sameShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { axisView } from './along-axes.js';
import { cast } from './cast.js';
import { add, equal } from './elementwise.js';
import { expandDims, reshape } from './movement/axes.js';
import { launchFill } from './movement/copy.js';
import { max, min } from './reduce.js';

/**
 * Reading and adding at positions held in int32 tensors. Each pair of ops is the other's adjoint. Positions are checked on the host
 * before anything runs; negative ones count from the end.
 */

const declare = (name: string): Kernel => ({
  name,
  family: 'gather',
  inputs: ['x', 'indices'],
  outputs: ['out'],
  types: { x: ['float32', 'int32', 'bool'], indices: ['int32'], out: 'x' },
  params: { outer: 'u32', axis: 'u32', inner: 'u32', count: 'u32' },
});

/** out[o, j, i] = x[o, indices[j], i] for x as [outer, axis, inner]. */
const takeKernel = declare('take');
/** out[o, indices[j], i] += x[o, j, i], in the order of j. */
const takeAdjointKernel = declare('takeAdjoint');
/** out[o, j, i] = x[o, indices[o, j, i], i]. */
const takeAlongKernel = declare('takeAlongAxis');
/** out[o, indices[o, j, i], i] += x[o, j, i], in the order of j. */
const scatterKernel = declare('scatterAlongAxis');

interface Along {
  readonly axis: number;
  /** Length of the axis on the side that is addressed by the indices. */
  readonly length: number;
}

const takeOp: OpFunction<Along> = defineOp({
  name: 'take',
  readsResult: false,
  infer: ([x, indices], { axis }) => ({
    shape: [...x!.shape.slice(0, axis), indices!.size, ...x!.shape.slice(axis + 1)],
    dtype: x!.dtype,
  }),
  run: (call, [x, indices], { axis }) => {
    const view = axisView(x!.shape, axis);
    call.launch({
      kernel: takeKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { ...view, count: indices!.size },
      grid: view.outer * indices!.size * view.inner,
    });
  },
  vjp: (g, { inputs: [, indices], attrs }) => [takeAdjointOp.later([g, indices!], attrs), null],
});

function addTaken(call: Launcher, [x, indices]: readonly Tensor[], { axis, length }: Along): void {
  const { outer, inner } = axisView(x!.shape, axis);
  call.launch({
    kernel: takeAdjointKernel,
    inputs: call.inputs,
    outputs: call.outputs,
    params: { outer, axis: length, inner, count: indices!.size },
    grid: outer * inner,
  });
}

const takeAdjointOp: OpFunction<Along> = defineOp({
  name: 'takeAdjoint',
  readsResult: false,
  infer: ([x], { axis, length }) => ({
    shape: [...x!.shape.slice(0, axis), length, ...x!.shape.slice(axis + 1)],
    dtype: x!.dtype,
  }),
  run: (call, inputs, attrs) => {
    launchFill(call, call.outputs[0]!, 0);
    addTaken(call, inputs, attrs);
  },
  addTo: (call, inputs, attrs) => {
    addTaken(call, inputs, attrs);
  },
  vjp: (g, { inputs: [, indices], attrs }) => [takeOp([g, indices!], attrs), null],
});

const takeAlongOp: OpFunction<Along> = defineOp({
  name: 'takeAlongAxis',
  readsResult: false,
  infer: ([x, indices]) => ({ shape: indices!.shape, dtype: x!.dtype }),
  run: (call, [x, indices], { axis }) => {
    const view = axisView(x!.shape, axis);
    call.launch({
      kernel: takeAlongKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { ...view, count: indices!.shape[axis]! },
      grid: indices!.size,
    });
  },
  vjp: (g, { inputs: [, indices], attrs }) => [scatterOp.later([g, indices!], attrs), null],
});

function addScattered(call: Launcher, [x]: readonly Tensor[], { axis, length }: Along): void {
  const { outer, axis: count, inner } = axisView(x!.shape, axis);
  call.launch({
    kernel: scatterKernel,
    inputs: call.inputs,
    outputs: call.outputs,
    params: { outer, axis: length, inner, count },
    grid: outer * inner,
  });
}

const scatterOp: OpFunction<Along> = defineOp({
  name: 'scatterAlongAxis',
  readsResult: false,
  infer: ([x], { axis, length }) => ({ shape: x!.shape.map((dim, i) => (i === axis ? length : dim)), dtype: x!.dtype }),
  run: (call, inputs, attrs) => {
    launchFill(call, call.outputs[0]!, 0);
    addScattered(call, inputs, attrs);
  },
  addTo: (call, inputs, attrs) => {
    addScattered(call, inputs, attrs);
  },
  vjp: (g, { inputs: [, indices], attrs }) => [takeAlongOp([g, indices!], attrs), null],
});

/** Positions as an int32 tensor beside x, checked against an axis of the given length, negative ones resolved. */
function positions(op: string, x: Tensor, indices: TensorLike, length: number): Tensor {
  const given = integerTensor(op, 'indices', indices);
  if (given.dtype !== 'int32') throw new DTypeError(op, `indices are ${given.dtype}; they must be int32`);
  const values = integersOf(op, 'indices', given, 'view');
  const resolved =
    !areAllWithin(given, length) && hasNegative(op, values, length)
      ? hostTensor(
          values.map((value) => (value < 0 ? value + length : value)),
          { shape: given.shape },
        )
      : given;
  return lendTo(resolved, x);
}

/** From as many positions on kernels look at them first. */
const MANY = 1 << 14;

/** Whether many positions all count from the beginning of an axis and lie within; false where that is not known. */
function areAllWithin(indices: Tensor, length: number): boolean {
  if (indices.size < MANY || indices.device.name !== 'cpu') return false; // of a GPU the answer would have to be waited for
  const [least, most] = [min(indices), max(indices)];
  const isWithin = least.itemSync() >= 0 && most.itemSync() < length;
  least.dispose();
  most.dispose();
  return isWithin;
}

/** Whether a position counts from the end of an axis. @throws {ValueError} where one lies outside of it. */
function hasNegative(op: string, values: Int32Array, length: number): boolean {
  let negative = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value >>> 0 < length) continue;
    if (value < -length || value >= length)
      throw new ValueError(op, `index ${i} is ${value}; allowed are [${-length}, ${length})`);
    negative = true;
  }
  return negative;
}

/**
 * Elements of x at positions along an axis: the axis is replaced by the shape of the indices. An embedding lookup is this on axis 0.
 * @throws {ValueError} for a position outside the axis.
 */
export function take(x: Tensor, indices: TensorLike, axis = 0): Tensor {
  checkTensor('take', 'x', x);
  return taken('take', x, indices, normalizeAxis('take', axis, x.rank));
}

function taken(op: string, x: Tensor, indices: TensorLike, axis: number): Tensor {
  const where = positions(op, x, indices, x.shape[axis]!);
  return reshape(takeOp([x, where], { axis, length: x.shape[axis]! }), [
    ...x.shape.slice(0, axis),
    ...where.shape,
    ...x.shape.slice(axis + 1),
  ]);
}

/** Rows of a table [count, width] for ids of any shape: [..., width]. @throws {ValueError} for an id outside the table. */
export function embedding(table: Tensor, ids: TensorLike): Tensor {
  checkTensor('embedding', 'table', table);
  if (table.rank !== 2)
    throw new ShapeError('embedding', `the table is ${formatShape(table.shape)}; it must be [count, width]`);
  return taken('embedding', table, ids, 0);
}

/**
 * Elements of x picked one by one along an axis (NumPy's take_along_axis, torch's gather): the indices have x's shape but for the length
 * of that axis, and so has the result.
 */
export function gather(x: Tensor, indices: TensorLike, axis: number): Tensor {
  checkTensor('gather', 'x', x);
  const at = normalizeAxis('gather', axis, x.rank);
  const where = positions('gather', x, indices, x.shape[at]!);
  if (where.rank !== x.rank || where.shape.some((dim, i) => i !== at && dim !== x.shape[i])) {
    throw new ShapeError(
      'gather',
      `indices ${formatShape(where.shape)} for x ${formatShape(x.shape)}; all axes but axis ${axis} must agree`,
    );
  }
  return takeAlongAxis(x, where, at);
}

/** @internal `gather` for positions that are known to be right. */
export const takeAlongAxis = (x: Tensor, indices: Tensor, axis: number): Tensor =>
  takeAlongOp([x, indices], { axis, length: x.shape[axis]! });

/**
 * x with updates added at positions along an axis, one by one (torch's scatter_add): out[..., indices[..., j, ...], ...] += updates[..., j, ...].
 * Several updates of one element are added in order.
 * @throws {ShapeError} unless indices and updates have one shape, x's but for the length of the axis.
 */
export function scatterAdd(x: Tensor, indices: TensorLike, updates: Tensor, axis: number): Tensor {
  checkTensor('scatterAdd', 'x', x);
  checkTensor('scatterAdd', 'updates', updates);
  checkTogether('scatterAdd', x, updates);
  const at = normalizeAxis('scatterAdd', axis, x.rank);
  const where = positions('scatterAdd', x, indices, x.shape[at]!);
  if (
    !sameShape(where.shape, updates.shape) ||
    where.rank !== x.rank ||
    where.shape.some((dim, i) => i !== at && dim !== x.shape[i])
  ) {
    throw new ShapeError(
      'scatterAdd',
      `indices ${formatShape(where.shape)} and updates ${formatShape(updates.shape)} for x ${formatShape(x.shape)}; all axes but axis ${axis} must agree`,
    );
  }
  return add(x, scatterOp([updates, where], { axis: at, length: x.shape[at]! }));
}

/**
 * 1 at each index, else 0, along a new last axis of the given length. An index outside [0, depth) gives zeros.
 * @param options.dtype element type; float32 by default.
 */
export function oneHot(indices: TensorLike, depth: number, options: { dtype?: DType } = {}): Tensor {
  checkCreation('oneHot', options, ['dtype']);
  const { dtype = 'float32' } = options;
  const given = integerTensor('oneHot', 'indices', indices);
  if (given.dtype !== 'int32') throw new DTypeError('oneHot', `indices are ${given.dtype}; they must be int32`);
  if (!Number.isInteger(depth) || depth < 0 || depth >= 2 ** 31)
    throw new ValueError('oneHot', `depth ${describe(depth)}; it must be a non-negative integer`);
  return cast(equal(expandDims(given, -1), arange(depth, { device: given.device })), dtype);
}
