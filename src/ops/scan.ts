import { defineOp, type OpFunction } from '../autograd/op.js';
import { stopGradient } from '../autograd/transforms.js';
import { type Kernel, NUMBERS } from '../backends/kernel.js';
import { checkBoolean, checkOptions, checkTensor } from '../tensor/arguments.js';
import { isFloat, toFloat } from '../tensor/dtype.js';
import { normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { alongAxes, axisView, type Run } from './along-axes.js';
import { cast } from './cast.js';
import { add, expOfDifference, log, mulNoNaN } from './elementwise.js';
import { concat, flip, pad, slice, type SliceRange } from './movement/index.js';

/** Running sums, products and the like: each result along an axis is made of the one before it. */

const TYPES = { x: NUMBERS, out: 'x' } as const;
type Scan = (x: Tensor, attrs: Run & { reverse: number }) => Tensor;

const cumsumOp: Scan = alongAxes<{ reverse: number }>('cumsum', {
  family: 'reduce',
  types: TYPES,
  further: { reverse: 'u32' },
  isShared: false,
  keepsShape: true,
  vjp: (g, _x, _y, { reverse, ...run }) => cumsumOp(g, { ...run, reverse: 1 - reverse }),
});

/** The largest so far; NaN once there is one. A unit for what is computed here, and so without a derivative. */
const cummaxOp = alongAxes('cummax', { family: 'scan', isShared: false, keepsShape: true });

/** out[0] = x[0], out[j] = x[j] + factor[j] out[j - 1] along the middle axis of [outer, axis, inner], backwards where `reverse` is 1. */
const recurrenceKernel: Kernel = {
  name: 'recurrence',
  family: 'scan',
  inputs: ['x', 'factor'],
  outputs: ['out'],
  types: { x: NUMBERS, factor: 'x', out: 'x' },
  params: { outer: 'u32', axis: 'u32', inner: 'u32', reverse: 'u32' },
};

interface Along {
  readonly axis: number;
  readonly reverse: boolean;
}

const recurrenceOp: OpFunction<Along> = defineOp<Along>({
  name: 'recurrence',
  infer: ([x]) => x!,
  run: (call, [x], { axis, reverse }) => {
    const view = axisView(x!.shape, axis);
    const params = { ...view, reverse: Number(reverse) };
    const { inputs, outputs } = call;
    call.launch({ kernel: recurrenceKernel, inputs, outputs, params, grid: view.outer * view.inner });
  },
  // The cotangent goes the other way, by the same factors, each one place further on.
  vjp: (g, { inputs: [x, factor], output, attrs: { axis, reverse }, needs }) => {
    const back = recurrenceOp([g, shift(factor!, axis, !reverse)], { axis, reverse: !reverse });
    return [needs[0] ? back : null, needs[1] && x!.size > 0 ? mulNoNaN(back, shift(output, axis, reverse)) : null];
  },
});

const whole = (axis: number): SliceRange[] => new Array<SliceRange>(axis).fill([]);

/** Every element one place further along an axis, and 0 in the first place; backwards where `reverse`. */
function shift(x: Tensor, axis: number, reverse: boolean): Tensor {
  const length = x.shape[axis]!;
  if (length === 0) return x;
  const kept = slice(x, ...whole(axis), reverse ? [1, length] : [0, length - 1]);
  return pad(
    kept,
    x.shape.map((_, i) => (i !== axis ? [0, 0] : reverse ? [0, 1] : [1, 0])),
  );
}

export interface ScanOptions {
  /** From the last element on; false by default. */
  readonly reverse?: boolean;
}

function checkScan(op: string, x: Tensor, axis: number, options: ScanOptions): { at: number; reverse: boolean } {
  checkTensor(op, 'x', x);
  checkOptions(op, options, ['reverse'], (given) =>
    typeof given === 'boolean' ? `write { reverse: ${given} }` : null,
  );
  const { reverse = false } = options;
  checkBoolean(op, 'reverse', reverse);
  return { at: normalizeAxis(op, axis, x.rank), reverse };
}

const asInt = (x: Tensor): Tensor => (x.dtype === 'bool' ? cast(x, 'int32') : x);

/** Running sums along an axis, from the first element on or, reversed, from the last. */
export function cumsum(x: Tensor, axis = 0, options: ScanOptions = {}): Tensor {
  const { at, reverse } = checkScan('cumsum', x, axis, options);
  return cumsumOp(asInt(x), { from: at, to: at + 1, reverse: Number(reverse) });
}

/** In float64 where the device has it: errors of many steps add up. */
function precisely(x: Tensor, compute: (x: Tensor) => Tensor): Tensor {
  if (!isFloat(x.dtype)) return compute(x);
  return cast(compute(cast(x, x.device.supports('float64') ? 'float64' : 'float32')), x.dtype);
}

/** Running products along an axis, from the first element on or, reversed, from the last; derivatives of any order are right also where there are zeros. */
export function cumprod(x: Tensor, axis = 0, options: ScanOptions = {}): Tensor {
  const { at, reverse } = checkScan('cumprod', x, axis, options);
  const length = x.shape[at]!;
  if (length === 0) return asInt(x);
  return precisely(asInt(x), (t) => {
    // The first element, then nothing: every further one multiplies.
    const first = slice(t, ...whole(at), reverse ? [length - 1, length] : [0, 1]);
    const start = pad(
      first,
      t.shape.map((_, i) => (i !== at ? [0, 0] : reverse ? [length - 1, 0] : [0, length - 1])),
    );
    return recurrenceOp([start, t], { axis: at, reverse });
  });
}

/**
 * Running `logSumExp` along an axis, log(exp(x[0]) + ... + exp(x[j])), from the first element on or, reversed, from the last, without overflow; -Infinity as
 * long as all elements are.
 */
export function logCumSumExp(x: Tensor, axis = 0, options: ScanOptions = {}): Tensor {
  const { at, reverse } = checkScan('logCumSumExp', x, axis, options);
  const inOrder = (t: Tensor): Tensor => (reverse ? flip(t, at) : t);
  const sums = precisely(inOrder(cast(x, toFloat(x.dtype))), (t) => {
    // Sums over the largest term so far, a unit that the result does not depend on.
    const unit = cummaxOp(stopGradient(t), { from: at, to: at + 1 });
    const length = t.shape[at]!;
    const before =
      length === 0 ? unit : concat([slice(unit, ...whole(at), [0, 1]), slice(unit, ...whole(at), [0, length - 1])], at);
    const shares = recurrenceOp([expOfDifference(t, unit), expOfDifference(before, unit)], {
      axis: at,
      reverse: false,
    });
    return add(unit, log(shares));
  });
  return inOrder(sums);
}
