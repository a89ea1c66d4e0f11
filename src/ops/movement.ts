import { defineOp, type Launcher, type OpFunction } from '../autograd/op.js';
import { primitives } from '../autograd/primitives.js';
import type { Buffer } from '../backends/backend.js';
import { type Kernel, STORED } from '../backends/kernel.js';
import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { checkNumber, checkOptions, checkTensor, checkTensors, describe } from '../tensor/arguments.js';
import { promote } from '../tensor/dtype.js';
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
} from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { cast } from './cast.js';

/**
 * Ops that move elements and compute nothing. All of them are one kernel, a copy between two strided views; strides may be 0
 * (broadcasting) or negative (flipping).
 */
const copyKernel: Kernel = {
  name: 'copy',
  family: 'copy',
  inputs: ['source'],
  outputs: ['out'],
  types: { source: STORED, out: 'source' },
  params: {
    rank: 'u32',
    shape: 'u32x8',
    sourceOffset: 'i32',
    sourceStrides: 'i32x8',
    outOffset: 'i32',
    outStrides: 'i32x8',
  },
};

/** Adds the elements of one view to those of another. */
const accumulateKernel: Kernel = { ...copyKernel, name: 'accumulate' };

/** Sets every element to one value. */
const fillKernel: Kernel = {
  name: 'fill',
  family: 'copy',
  inputs: [],
  outputs: ['out'],
  types: { out: STORED },
  params: { size: 'u32', value: 'f32' },
};

/** A strided view, in elements. */
interface View {
  offset: number;
  strides: readonly number[];
}

/** Most axes that a kernel's parameters hold. Neighbouring axes are merged first, so more are rarely needed. */
const MAX_RANK = 8;

/** Merges axes that lie behind one another in every view; drops axes of length 1. */
export function mergeAxes(
  op: string,
  shape: Shape,
  views: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const merged: number[] = [];
  const strides: number[][] = views.map(() => []);
  shape.forEach((dim, axis) => {
    if (dim === 1) return;
    const last = merged.length - 1;
    if (last >= 0 && views.every((view, v) => strides[v]![last] === view[axis]! * dim)) {
      merged[last]! *= dim;
      views.forEach((view, v) => (strides[v]![last] = view[axis]!));
    } else {
      merged.push(dim);
      views.forEach((view, v) => strides[v]!.push(view[axis]!));
    }
  });
  if (merged.length === 0) {
    merged.push(1);
    strides.forEach((list) => list.push(1));
  }
  if (merged.length > MAX_RANK)
    throw new ShapeError(
      op,
      `shape ${formatShape(shape)} needs ${merged.length} separate axes here; at most ${MAX_RANK} are supported`,
    );
  return { shape: merged, strides };
}

/** Copies `shape` elements from one view to another, or adds them to what is there. */
export function launchCopy(
  call: Launcher,
  op: string,
  shape: Shape,
  input: Buffer,
  source: View,
  output: Buffer,
  out: View,
  kernel = copyKernel,
): void {
  const size = sizeOf(shape);
  if (size === 0) return;
  const merged = mergeAxes(op, shape, [source.strides, out.strides]);
  call.launch({
    kernel,
    inputs: [input],
    outputs: [output],
    params: {
      rank: merged.shape.length,
      shape: merged.shape,
      sourceOffset: source.offset,
      sourceStrides: merged.strides[0]!,
      outOffset: out.offset,
      outStrides: merged.strides[1]!,
    },
    grid: size,
  });
}

export function launchFill(call: Launcher, output: Buffer, value: number): void {
  call.launch({
    kernel: fillKernel,
    inputs: [],
    outputs: [output],
    params: { size: output.length, value },
    grid: output.length,
  });
}

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
function refuseMore(op: string, more: readonly unknown[], advice: string): void {
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
  const from = normalizeAxis('transpose', a, x.rank);
  const next = a < 0 ? a - 1 : a + 1;
  const to = normalizeAxis('transpose', (b as number | null | undefined) === null ? NaN : (b ?? next), x.rank);
  order[from] = to;
  order[to] = from;
  return permute(x, order);
}

/** A rectangle within a shape, with steps: where elements are read from (slice) or written to (place). */
interface Window {
  starts: readonly number[];
  steps: readonly number[];
}

const viewOf = (whole: Shape, { starts, steps }: Window): View => {
  const strides = contiguousStrides(whole);
  return {
    offset: starts.reduce((sum, start, i) => sum + start * strides[i]!, 0),
    strides: strides.map((stride, i) => stride * steps[i]!),
  };
};

/** All elements of a shape, in order. */
const wholeOf = (shape: Shape): View => ({ offset: 0, strides: contiguousStrides(shape) });

const sliceOp: OpFunction<Window & { shape: Shape }> = defineOp({
  name: 'slice',
  readsResult: false,
  movesOnly: true,
  infer: ([x], { shape }) => ({ shape, dtype: x!.dtype }),
  run: (call, [x], { shape, ...window }) => {
    launchCopy(call, 'slice', shape, call.inputs[0]!, viewOf(x!.shape, window), call.outputs[0]!, wholeOf(shape));
  },
  vjp: (g, { inputs: [x], attrs: { starts, steps } }) => [
    placeOp.later([g], { starts, steps, shape: x!.shape, value: 0 }),
  ],
});

/** The adjoint of slice: x laid into a tensor of one value. Padding is this with steps of 1. */
const placeOp: OpFunction<Window & { shape: Shape; value: number }> = defineOp({
  name: 'place',
  readsResult: false,
  movesOnly: true,
  infer: ([x], { shape }) => ({ shape, dtype: x!.dtype }),
  run: (call, [x], { shape, value, ...window }) => {
    const [input, output] = [call.inputs[0]!, call.outputs[0]!];
    launchFill(call, output, value);
    launchCopy(call, 'place', x!.shape, input, wholeOf(x!.shape), output, viewOf(shape, window));
  },
  /** For a value of 0. */
  addTo: (call, [x], { shape, ...window }) => {
    const [input, output] = [call.inputs[0]!, call.outputs[0]!];
    launchCopy(call, 'place', x!.shape, input, wholeOf(x!.shape), output, viewOf(shape, window), accumulateKernel);
  },
  vjp: (g, { inputs: [x], attrs: { starts, steps } }) => [sliceOp([g], { starts, steps, shape: x!.shape })],
});

/** One axis of a slice: `[start, stop, step]`, each may be left out or null; negative positions count from the end; a number picks one element and drops the axis. */
export type SliceRange = number | null | readonly [start?: number | null, stop?: number | null, step?: number | null];

/**
 * A part of x, as `x[start:stop:step]` in Python, axis by axis; axes not named stay whole. Positions beyond the end are clamped.
 * docs/slicing.md has the rules and examples.
 * @throws {ValueError} for a step of 0 or a picked index outside the axis.
 */
export function slice(x: Tensor, ...ranges: readonly SliceRange[]): Tensor {
  checkTensor('slice', 'x', x);
  if (ranges.length > x.rank) throw new ShapeError('slice', `${ranges.length} ranges for ${x.rank} axes`);
  const starts: number[] = [];
  const steps: number[] = [];
  const shape: number[] = [];
  const kept: number[] = [];
  x.shape.forEach((dim, axis) => {
    const range = ranges[axis] ?? [];
    if (typeof range === 'number') {
      if (!Number.isInteger(range) || range < -dim || range >= dim)
        throw new ValueError('slice', `index ${range} of axis ${axis} is outside [${-dim}, ${dim})`);
      starts.push(range < 0 ? range + dim : range);
      steps.push(1);
      shape.push(1);
      return;
    }
    if (!Array.isArray(range) || range.length > 3)
      throw new ValueError(
        'slice',
        `the range of axis ${axis} is ${Array.isArray(range) ? formatShape(range as number[]) : describe(range)}; it must be [start, stop, step], a number, or null for the whole axis`,
      );
    const [start, length, step] = resolveRange(axis, dim, range as readonly (number | null | undefined)[]);
    starts.push(start);
    steps.push(step);
    shape.push(length);
    kept.push(length);
  });
  const whole = starts.every((start, i) => start === 0 && steps[i] === 1 && shape[i] === x.shape[i]);
  return reshape(whole ? x : sliceOp([x], { starts, steps, shape }), kept);
}

/** Python's rule for start:stop:step. */
function resolveRange(
  axis: number,
  dim: number,
  range: readonly (number | null | undefined)[],
): [start: number, length: number, step: number] {
  const step = range[2] ?? 1;
  const given = [range[0], range[1], step].filter((value) => value !== null && value !== undefined);
  if (step === 0 || !given.every(Number.isInteger))
    throw new ValueError(
      'slice',
      `range ${formatShape(range as readonly number[])} of axis ${axis}: positions are whole numbers and the step is not 0`,
    );
  const low = step > 0 ? 0 : -1;
  const high = step > 0 ? dim : dim - 1;
  const place = (position: number | null | undefined, fallback: number): number =>
    position === null || position === undefined
      ? fallback
      : Math.min(Math.max(position < 0 ? position + dim : position, low), high);
  const start = place(range[0], step > 0 ? low : high);
  const stop = place(range[1], step > 0 ? high : low);
  return [start, Math.max(0, Math.ceil((stop - start) / step)), step];
}

/** Order reversed along axes; all of them when left out. */
export function flip(x: Tensor, axes?: number | readonly number[], ...more: never[]): Tensor {
  checkTensor('flip', 'x', x);
  refuseMore('flip', more, 'several axes are a list: flip([0, 1])');
  const list = normalizeAxes('flip', axes, x.rank);
  return slice(x, ...x.shape.map((_, i): SliceRange => (list.includes(i) ? [null, null, -1] : [])));
}

/**
 * Adds `[before, after]` elements around each axis.
 * @param options.value what they hold; 0 by default.
 * @throws {ShapeError} unless there is one pair for each axis.
 * @throws {DTypeError} for a value that x's dtype cannot hold.
 */
export function pad(
  x: Tensor,
  widths: readonly (readonly [before: number, after: number])[],
  options: { value?: number } = {},
): Tensor {
  checkTensor('pad', 'x', x);
  checkOptions('pad', options, ['value']);
  const { value = 0 } = options;
  checkNumber('pad', 'value', value);
  const isPair = (pair: unknown): boolean =>
    Array.isArray(pair) &&
    pair.length === 2 &&
    Array.from(pair).every((width) => Number.isSafeInteger(width) && width >= 0);
  const given: unknown = widths;
  const bad = !Array.isArray(given) || given.length !== x.rank || !Array.from(given).every(isPair);
  if (bad)
    throw new ShapeError(
      'pad',
      `widths ${widthsText(given)} for ${x.rank} axes: one pair of non-negative integers for each axis, [[before, after], ...]`,
    );
  const fits = x.dtype === 'int32' ? value === (value | 0) : x.dtype !== 'bool' || value === 0 || value === 1;
  if (!fits) throw new DTypeError('pad', `value ${value} in a tensor of ${x.dtype}`);
  if (widths.every(([before, after]) => before + after === 0)) return x;
  const shape = x.shape.map((dim, i) => dim + widths[i]![0] + widths[i]![1]);
  return placeOp([x], { shape, value, starts: widths.map(([before]) => before), steps: widths.map(() => 1) });
}

/** Pairs as they were given, as far as they are pairs, and few. */
function widthsText(given: unknown): string {
  if (!Array.isArray(given) || given.length > MAX_RANK) return describe(given);
  return `[${given.map((pair: unknown) => (Array.isArray(pair) && pair.length <= 2 ? `[${pair.map(describe).join(',')}]` : describe(pair))).join(',')}]`;
}

const concatOp = defineOp<{ axis: number }>({
  name: 'concat',
  readsResult: false,
  movesOnly: true,
  infer: (parts, { axis }) => ({ shape: concatShape(parts, axis), dtype: parts[0]!.dtype }),
  run: (call, parts, { axis }) => {
    const whole = concatShape(parts, axis);
    const strides = contiguousStrides(whole);
    let start = 0;
    parts.forEach((part, i) => {
      launchCopy(
        call,
        'concat',
        part.shape,
        call.inputs[i]!,
        { offset: 0, strides: contiguousStrides(part.shape) },
        call.outputs[0]!,
        { offset: start * strides[axis]!, strides },
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
  return concat(
    parts.map((part) => expandDims(part, at)),
    at,
  );
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

const cloneOp = defineOp<null>({
  name: 'clone',
  readsResult: false,
  movesOnly: true,
  infer: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
  run: (call, [x]) => {
    const flat = { offset: 0, strides: [1] };
    launchCopy(call, 'clone', [x!.size], call.inputs[0]!, flat, call.outputs[0]!, flat);
  },
  addTo: (call, [x]) => {
    const flat = { offset: 0, strides: [1] };
    launchCopy(call, 'clone', [x!.size], call.inputs[0]!, flat, call.outputs[0]!, flat, accumulateKernel);
  },
  vjp: (g) => [g],
});

/** The same values in memory of its own. */
export function clone(x: Tensor): Tensor {
  checkTensor('clone', 'x', x);
  return cloneOp([x], null);
}

primitives.clone = clone;
primitives.addend = (t) => cloneOp.later([t], null);
primitives.row = (row, position, count) =>
  placeOp.later([reshape(row, [1, row.size])], {
    starts: [position, 0],
    steps: [1, 1],
    shape: [count, row.size],
    value: 0,
  });
primitives.stack = (parts, shape) => reshape(concat(parts.map((part) => expandDims(part, 0))), shape);
