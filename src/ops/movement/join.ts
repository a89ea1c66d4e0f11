import { defineOp } from '../../autograd/op.js';
import { primitives } from '../../autograd/primitives.js';
import { ShapeError } from '../../errors.js';
import { checkTensor, checkTensors } from '../../tensor/arguments.js';
import { promote } from '../../tensor/dtype.js';
import { formatShape, normalizeAxis, sameShape, checkList, contiguousStrides } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { launchCopy } from './copy.js';
import { expandDims, reshape } from './axes.js';
import { slice, type SliceRange } from './slice.js';

const SIDE_BY_SIDE = [1];

const concatOp = defineOp<{ axis: number }>({
  name: 'concat',
  readsResult: false,
  movesOnly: true,
  infer: (parts, { axis }) => ({ shape: concatShape(parts, axis), dtype: parts[0]!.dtype }),
  run: (call, parts, { axis }) => {
    const whole = concatShape(parts, axis);
    const strides = contiguousStrides(whole);
    // Along the first axis that is longer than 1 the parts lie one behind another as they are.
    const isRun = whole.every((dim, i) => i >= axis || dim === 1);
    let start = 0;
    parts.forEach((part, i) => {
      launchCopy(
        call,
        'concat',
        isRun ? [part.size] : part.shape,
        call.inputs[i]!,
        { offset: 0, strides: isRun ? SIDE_BY_SIDE : contiguousStrides(part.shape) },
        call.outputs[0]!,
        { offset: start * strides[axis]!, strides: isRun ? SIDE_BY_SIDE : strides },
      );
      start += part.shape[axis]!;
    });
  },
  vjp: (g, { inputs, attrs: { axis }, needs }) => {
    let start = 0;
    return inputs.map((part, i) => {
      const from = start;
      start += part.shape[axis]!;
      return needs[i] ? slice(g, ...along(axis, [from, start])) : null;
    });
  },
});

/** Ranges that cut one axis and leave those before it whole. */
const along = (axis: number, range: SliceRange): SliceRange[] => [...new Array<SliceRange>(axis).fill([]), range];

const concatShape = (parts: readonly Tensor[], axis: number): number[] =>
  parts[0]!.shape.map((dim, i) => (i === axis ? parts.reduce((sum, part) => sum + part.shape[axis]!, 0) : dim));

function firstOf(op: string, parts: readonly Tensor[]): Tensor {
  if (!Array.isArray(parts)) throw new ShapeError(op, `the tensors to join come in an array: ${op}([a, b])`);
  if (parts.length === 0) throw new ShapeError(op, 'no tensors to join');
  checkTensors(op, 'part', parts);
  return parts[0] as Tensor;
}

/**
 * Tensors behind one another along an existing axis, in the dtype that all of them promote to (docs/dtypes.md).
 * @throws {ShapeError} unless all other axes agree.
 */
export function concat(parts: readonly Tensor[], axis = 0): Tensor {
  const first = firstOf('concat', parts);
  const at = normalizeAxis('concat', axis, first.rank);
  parts.forEach((part, i) => {
    if (part.rank !== first.rank || part.shape.some((dim, d) => d !== at && dim !== first.shape[d])) {
      throw new ShapeError(
        'concat',
        `part ${i} is ${formatShape(part.shape)} beside ${formatShape(first.shape)}; all axes but axis ${axis} must agree`,
      );
    }
  });
  if (parts.length === 1) return first;
  const dtype = parts.map((part) => part.dtype).reduce(promote);
  const alike = parts.map((part) => cast(part, dtype));
  return concatOp(alike, { axis: at });
}

/**
 * Tensors of one shape side by side along a new axis, in the dtype that all of them promote to (docs/dtypes.md).
 * @throws {ShapeError} for different shapes.
 */
export function stack(parts: readonly Tensor[], axis = 0): Tensor {
  const first = firstOf('stack', parts);
  parts.forEach((part, i) => {
    if (!sameShape(part.shape, first.shape))
      throw new ShapeError(
        'stack',
        `part ${i} is ${formatShape(part.shape)} beside ${formatShape(first.shape)}; all must have one shape`,
      );
  });
  const at = normalizeAxis('stack', axis, first.rank + 1);
  if (at === first.rank)
    return concat(
      parts.map((part) => expandDims(part, at)),
      at,
    );
  // One behind another along the axis that the new one comes before, they lie as they will.
  return reshape(concat(parts, at), [...first.shape.slice(0, at), parts.length, ...first.shape.slice(at)]);
}

/** Cuts an axis into a number of equal parts, or into parts of the given lengths. @throws {ShapeError} */
export function split(x: Tensor, parts: number | readonly number[], axis = 0): Tensor[] {
  checkTensor('split', 'x', x);
  const at = normalizeAxis('split', axis, x.rank);
  const dim = x.shape[at]!;
  const equalParts = (count: number): number[] =>
    Number.isInteger(count) && count > 0 && dim % count === 0 ? new Array<number>(count).fill(dim / count) : [NaN];
  if (typeof parts !== 'number') checkList('split', parts, 'list of lengths');
  const lengths = typeof parts === 'number' ? equalParts(parts) : Array.from(parts);
  if (
    !lengths.every((length) => Number.isInteger(length) && length >= 0) ||
    lengths.reduce((sum, length) => sum + length, 0) !== dim
  ) {
    throw new ShapeError(
      'split',
      `cannot cut axis ${axis} of length ${dim} into ${typeof parts === 'number' ? `${parts} equal parts` : `parts of ${formatShape(parts)}`}`,
    );
  }
  let start = 0;
  return lengths.map((length) => slice(x, ...along(at, [start, (start += length)])));
}

primitives.stack = (parts, shape) => reshape(concat(parts.map((part) => expandDims(part, 0))), shape);
