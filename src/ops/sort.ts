import { defineOp } from '../autograd/op.js';
import { type Kernel, NUMBERS } from '../backends/kernel.js';
import { ShapeError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor, checkWhole } from '../tensor/arguments.js';
import { formatShape, normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { axisView } from './along-axes.js';
import { cast } from './cast.js';
import { takeAlongAxis } from './gather.js';

/**
 * Sorting: one kernel finds the order, and what is sorted is gathered by it, so that derivatives of any order are those of `gather`. NaN counts as largest, as
 * in NumPy, torch and `argmax`; -0 and 0 are equal. Equal elements keep their order, in descending order too.
 */

const argsortKernel: Kernel = {
  name: 'argsort',
  family: 'sort',
  inputs: ['x'],
  outputs: ['out'],
  types: { x: NUMBERS, out: ['int32'] },
  params: { outer: 'u32', axis: 'u32', inner: 'u32', count: 'u32', descending: 'u32' },
};

/** The first `count` positions in the order along an axis. */
const argsortOp = defineOp<{ axis: number; count: number; descending: boolean }>({
  name: 'argsort',
  infer: ([x], { axis, count }) => ({ shape: x!.shape.map((dim, i) => (i === axis ? count : dim)), dtype: 'int32' }),
  run: (call, [x], { axis, count, descending }) => {
    if (count === 0) return;
    call.launch({
      kernel: argsortKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { ...axisView(x!.shape, axis), count, descending: Number(descending) },
      grid: x!.size,
    });
  },
});

const orderOf = (x: Tensor, axis: number, descending: boolean, count = x.shape[axis]!): Tensor =>
  argsortOp([x.dtype === 'bool' ? cast(x, 'int32') : x], { axis, count, descending });

export interface SortOptions {
  /** From the largest to the smallest; false by default. */
  readonly descending?: boolean;
}

function checkSort(op: string, x: Tensor, axis: number, options: SortOptions): { at: number; descending: boolean } {
  checkTensor(op, 'x', x);
  checkOptions(op, options, ['descending'], (given) =>
    typeof given === 'boolean' ? `write { descending: ${given} }` : null,
  );
  const { descending = false } = options;
  checkBoolean(op, 'descending', descending);
  return { at: normalizeAxis(op, axis, x.rank), descending };
}

/** The positions along an axis, the last by default, that sort x: `gather(x, argsort(x), -1)` is `sort(x)`. Stable, NaN last (first in descending order). int32. */
export function argsort(x: Tensor, axis = -1, options: SortOptions = {}): Tensor {
  const { at, descending } = checkSort('argsort', x, axis, options);
  return orderOf(x, at, descending);
}

/** The elements along an axis, the last by default, in order; NaN last (first in descending order). For the positions, see `argsort`. */
export function sort(x: Tensor, axis = -1, options: SortOptions = {}): Tensor {
  const { at, descending } = checkSort('sort', x, axis, options);
  return takeAlongAxis(x, orderOf(x, at, descending), at);
}

export interface TopkOptions {
  /** Whether the largest are wanted, else the smallest; true by default. */
  readonly largest?: boolean;
}

export interface Topk {
  /** In order, the most extreme first. */
  readonly values: Tensor;
  /** Where they are along the axis; int32. */
  readonly indices: Tensor;
}

/**
 * The k largest elements along an axis, the last by default, in order, and their positions; of equal ones the first, and NaN counts as largest.
 *
 * ```ts
 * const { values, indices } = topk(probabilities, 5);
 * ```
 * @throws {ValueError} for a k that is no whole number. @throws {ShapeError} for more than there are.
 */
export function topk(x: Tensor, k: number, axis = -1, options: TopkOptions = {}): Topk {
  checkTensor('topk', 'x', x);
  checkOptions('topk', options, ['largest'], (given) =>
    typeof given === 'boolean' ? `write { largest: ${given} }` : null,
  );
  const { largest = true } = options;
  checkBoolean('topk', 'largest', largest);
  checkWhole('topk', 'k', k, 0);
  const at = normalizeAxis('topk', axis, x.rank);
  if (k > x.shape[at]!)
    throw new ShapeError('topk', `k is ${k}, and axis ${axis} of ${formatShape(x.shape)} has ${x.shape[at]} elements`);
  const indices = orderOf(x, at, largest, k);
  return { values: takeAlongAxis(x, indices, at), indices };
}
