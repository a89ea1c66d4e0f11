import { defineOp, type OpFunction } from '../../autograd/op.js';
import { primitives } from '../../autograd/primitives.js';
import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { checkNumber, checkOptions, checkTensor, describe } from '../../tensor/arguments.js';
import { formatShape, normalizeAxes, type Shape, contiguousStrides } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { accumulateKernel, launchCopy, launchFill, MAX_RANK, type View } from './copy.js';
import { refuseMore, reshape } from './axes.js';

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
 * @param options.value what they hold; 0 by default. In a bool tensor true and false will do as well.
 * @throws {ShapeError} unless there is one pair for each axis.
 * @throws {DTypeError} for a value that x's dtype cannot hold.
 */
export function pad(
  x: Tensor,
  widths: readonly (readonly [before: number, after: number])[],
  options: { value?: number | boolean } = {},
): Tensor {
  checkTensor('pad', 'x', x);
  checkOptions('pad', options, ['value']);
  const { value: given = 0 } = options;
  const value = typeof given === 'boolean' && x.dtype === 'bool' ? Number(given) : given;
  checkNumber('pad', 'value', value);
  const isPair = (pair: unknown): boolean =>
    Array.isArray(pair) &&
    pair.length === 2 &&
    Array.from(pair).every((width) => Number.isSafeInteger(width) && width >= 0);
  const pairs: unknown = widths;
  const bad = !Array.isArray(pairs) || pairs.length !== x.rank || !Array.from(pairs).every(isPair);
  if (bad)
    throw new ShapeError(
      'pad',
      `widths ${widthsText(pairs)} for ${x.rank} axes: one pair of non-negative integers for each axis, [[before, after], ...]`,
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

primitives.row = (row, position, count) =>
  placeOp.later([reshape(row, [1, row.size])], {
    starts: [position, 0],
    steps: [1, 1],
    shape: [count, row.size],
    value: 0,
  });
