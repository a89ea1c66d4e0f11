import { defineOp } from '../../autograd/op.js';
import { ShapeError } from '../../errors.js';
import { checkTensor } from '../../tensor/arguments.js';
import {
  formatShape,
  normalizeAxes,
  normalizeAxis,
  sameShape,
  type Shape,
  checkList,
  checkShape,
  contiguousStrides,
  sizeOf,
} from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { launchCopy } from './copy.js';

const reshapeOp = defineOp<{ shape: Shape }>({
  name: 'reshape',
  movesOnly: true,
  alias: true,
  infer: ([x], { shape }) => ({ shape, dtype: x!.dtype }),
  vjp: (g, { inputs: [x] }) => [reshape(g, x!.shape)],
});

/** The same elements in another shape, without a copy. One dimension may be -1: it takes what is left. @throws {ShapeError} */
export function reshape(x: Tensor, shape: Shape): Tensor {
  checkTensor('reshape', 'x', x);
  checkList('reshape', shape);
  let target = shape;
  const open = shape.indexOf(-1);
  if (open >= 0) {
    const rest = shape.reduce((product, dim, i) => (i === open ? product : product * dim), 1);
    const fits = rest > 0 && x.size % rest === 0 && !shape.includes(-1, open + 1);
    if (!fits)
      throw new ShapeError(
        'reshape',
        `cannot reshape ${formatShape(x.shape)} (${x.size} elements) to ${formatShape(shape)}`,
      );
    target = shape.map((dim, i) => (i === open ? x.size / rest : dim));
  }
  checkShape('reshape', target);
  if (sizeOf(target) !== x.size)
    throw new ShapeError(
      'reshape',
      `cannot reshape ${formatShape(x.shape)} (${x.size} elements) to ${formatShape(shape)}`,
    );
  return sameShape(target, x.shape) ? x : reshapeOp([x], { shape: [...target] });
}

/** Takes out axes of length 1: all of them, or the ones named. @throws {ShapeError} if a named axis is longer. */
export function squeeze(x: Tensor, axes?: number | readonly number[], ...more: never[]): Tensor {
  checkTensor('squeeze', 'x', x);
  refuseMore('squeeze', more, 'several axes are a list: squeeze([0, 1])');
  const list =
    axes === undefined ? x.shape.flatMap((dim, i) => (dim === 1 ? [i] : [])) : normalizeAxes('squeeze', axes, x.rank);
  for (const axis of list)
    if (x.shape[axis] !== 1)
      throw new ShapeError('squeeze', `axis ${axis} of ${formatShape(x.shape)} has length ${x.shape[axis]}, not 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => !list.includes(i)),
  );
}

/** Puts in an axis of length 1 at a position of the result. */
export function expandDims(x: Tensor, axis: number): Tensor {
  checkTensor('expandDims', 'x', x);
  const at = normalizeAxis('expandDims', axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Joins the axes from `start` to `end` (inclusive) into one. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  checkTensor('flatten', 'x', x);
  if (x.rank === 0) return reshape(x, [1]);
  const from = normalizeAxis('flatten', start, x.rank);
  const to = normalizeAxis('flatten', end, x.rank);
  if (to < from) throw new ShapeError('flatten', `axes from ${start} to ${end}: the first comes after the last`);
  return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);
}

/** Refuses axes given one by one where a list goes: those beyond the last parameter would count for nothing. */
export function refuseMore(op: string, more: readonly unknown[], advice: string): void {
  if (more.some((one) => one !== undefined))
    throw new ShapeError(op, `there are more arguments than it takes; ${advice}`);
}

const permuteOp = defineOp<{ order: readonly number[] }>({
  name: 'permute',
  readsResult: false,
  movesOnly: true,
  infer: ([x], { order }) => ({ shape: order.map((axis) => x!.shape[axis]!), dtype: x!.dtype }),
  run: (call, [x], { order }) => {
    const strides = contiguousStrides(x!.shape);
    const shape = order.map((axis) => x!.shape[axis]!);
    launchCopy(
      call,
      'permute',
      shape,
      call.inputs[0]!,
      { offset: 0, strides: order.map((axis) => strides[axis]!) },
      call.outputs[0]!,
      { offset: 0, strides: contiguousStrides(shape) },
    );
  },
  vjp: (g, { attrs: { order } }) => [
    permute(
      g,
      order.map((_, i) => order.indexOf(i)),
    ),
  ],
});

/** Axes in another order: axis i of the result is axis `order[i]` of x. @throws {ShapeError} */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  checkTensor('permute', 'x', x);
  checkList('permute', order, 'order');
  const axes = Array.from(order, (axis) => normalizeAxis('permute', axis, x.rank));
  if (axes.length !== x.rank || new Set(axes).size !== x.rank)
    throw new ShapeError('permute', `order ${formatShape(order)} does not name each of the ${x.rank} axes once`);
  return axes.every((axis, i) => axis === i) ? x : permuteOp([x], { order: axes });
}

/** Axes reversed, or two axes exchanged. */
export function transpose(x: Tensor, a?: number, b?: number, ...more: never[]): Tensor {
  checkTensor('transpose', 'x', x);
  refuseMore('transpose', more, 'two axes are exchanged; any order of axes is permute([0, 2, 1])');
  const order = x.shape.map((_, i) => i);
  if (a === undefined) return permute(x, order.reverse());
  if (Array.isArray(a))
    throw new ShapeError(
      'transpose',
      'axis is a list; two axes are exchanged, transpose(0, 1); any order of axes is permute([0, 2, 1])',
    );
  const from = normalizeAxis('transpose', a, x.rank);
  const next = a < 0 ? a - 1 : a + 1;
  const to = normalizeAxis('transpose', (b as number | null | undefined) === null ? NaN : (b ?? next), x.rank);
  order[from] = to;
  order[to] = from;
  return permute(x, order);
}
