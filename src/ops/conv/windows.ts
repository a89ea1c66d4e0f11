import { ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkTensor, checkWhole, describe } from '../../tensor/arguments.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Where windows lie over channels-last images [N, H, W, C], and over sequences [N, L, C], which are images of height 1 to the kernels. */

/** A window along one axis. */
export interface Span {
  readonly kernel: number;
  readonly stride: number;
  /** Zeros before the axis, and after it. Fewer than none after it: windows leave out its end. */
  readonly before: number;
  readonly after: number;
  readonly dilation: number;
}

/** Where a window of h.kernel x w.kernel elements is laid over an image. */
export interface Windows {
  readonly h: Span;
  readonly w: Span;
}

/** The height of sequences. */
const POINT: Span = { kernel: 1, stride: 1, before: 0, after: 0, dilation: 1 };

export const WINDOW_PARAMS = {
  batch: 'u32',
  height: 'u32',
  width: 'u32',
  channels: 'u32',
  outH: 'u32',
  outW: 'u32',
  kernelH: 'u32',
  kernelW: 'u32',
  strideH: 'u32',
  strideW: 'u32',
  padH: 'u32',
  padW: 'u32',
  dilationH: 'u32',
  dilationW: 'u32',
} as const;

/** Elements that a window covers, gaps included. */
const reach = ({ kernel, dilation }: Span): number => dilation * (kernel - 1) + 1;

/** Windows along one axis; fewer than 1 where none fits. */
export const count = (size: number, span: Span): number =>
  Math.floor((size + span.before + span.after - reach(span)) / span.stride) + 1;

/** Whether some window along one axis has all its elements in the padding. */
function missesAll(size: number, span: Span): boolean {
  const { kernel, stride, before, after, dilation } = span;
  if (before + after === 0) return false;
  for (let start = -before, left = count(size, span); left > 0; start += stride, left--) {
    const first = start < 0 ? Math.ceil(-start / dilation) : 0; // the first element that is not before the axis
    if (first >= kernel || start + first * dilation >= size) return true;
  }
  return false;
}

/** Windows over an image of this shape. */
export const outSize = (shape: readonly number[], { h, w }: Windows): [outH: number, outW: number] => [
  count(shape[1]!, h),
  count(shape[2]!, w),
];

/** The kernels' parameters for windows over an image of this shape. */
export function windowParams(shape: readonly number[], windows: Windows): Record<keyof typeof WINDOW_PARAMS, number> {
  const { h, w } = windows;
  const [outH, outW] = outSize(shape, windows);
  return {
    batch: shape[0]!,
    height: shape[1]!,
    width: shape[2]!,
    channels: shape[3]!,
    outH,
    outW,
    kernelH: h.kernel,
    kernelW: w.kernel,
    strideH: h.stride,
    strideW: w.stride,
    padH: h.before,
    padW: w.before,
    dilationH: h.dilation,
    dilationW: w.dilation,
  };
}

/** One number for both axes, or [height, width]. */
export type Pair = number | readonly [height: number, width: number];

export interface WindowOptions {
  /** Distance between windows. Default 1 for convolutions, the window's size for pooling. */
  stride?: Pair | undefined;
  /**
   * Zeros added on both sides (for max pooling: nothing, as if -Infinity). Default 0. 'same' adds as many as keep height and width, at
   * stride 1; if their number is odd, the one more at the end, as torch does.
   */
  padding?: Pair | 'same' | undefined;
  /** Distance between the elements of a window. Default 1. */
  dilation?: Pair | undefined;
}

/** The same along one axis. */
export interface Window1dOptions {
  /** Distance between windows. Default 1 for convolutions, the window's size for pooling. */
  stride?: number | undefined;
  /**
   * Zeros added at both ends (for max pooling: nothing, as if -Infinity). Default 0. 'same' adds as many as keep the length, at stride 1; if
   * their number is odd, the one more at the end, as torch does.
   */
  padding?: number | 'same' | undefined;
  /** Distance between the elements of a window. Default 1. */
  dilation?: number | undefined;
}

/** The largest window, stride, padding or dilation: kernels count places in 32 bits. */
const MOST = 2 ** 28;

/** @internal One number for both axes, or two, as two. @throws {ValueError} unless they are whole numbers from `least` on. */
export function checkPair(op: string, name: string, value: unknown, least: number): readonly [number, number] {
  const list: readonly unknown[] =
    typeof value === 'number' ? [value, value] : Array.isArray(value) ? Array.from(value) : [];
  if (
    list.length === 2 &&
    list.every((one) => Number.isInteger(one) && (one as number) >= least && (one as number) <= MOST)
  )
    return list as unknown as readonly [number, number];
  const shown =
    typeof value === 'number'
      ? `${value} x ${value}`
      : list.length === 2
        ? list.map(describe).join(' x ')
        : describe(value);
  throw new ValueError(
    op,
    `${name} ${shown}; whole numbers from ${least} on are allowed, one for both axes or [height, width], 2^28 at most`,
  );
}

/** Refuses windows so wide that places in them would not fit into 32 bits. @throws {ValueError} */
function checkReach(op: string, { kernel, dilation }: Pick<Span, 'kernel' | 'dilation'>): void {
  if (dilation * (kernel - 1) > MOST)
    throw new ValueError(
      op,
      `kernel ${kernel} with dilation ${dilation} reaches over ${dilation * (kernel - 1) + 1} elements; 2^28 at most`,
    );
}

/** Zeros before and after one axis that keep its length. @throws {ValueError} at a stride above 1, which shortens it whatever is added. */
function samePadding(op: string, span: Omit<Span, 'before' | 'after'>): Span {
  const { kernel, stride, dilation } = span;
  if (stride !== 1)
    throw new ValueError(
      op,
      `padding 'same' keeps the size, which stride ${stride} does not; give the padding as a number`,
    );
  const total = dilation * (kernel - 1);
  return { ...span, before: Math.floor(total / 2), after: Math.ceil(total / 2) };
}

/** @internal A checked window over images. @throws {ValueError} */
export function checkWindows(
  op: string,
  window: Pair,
  { stride = 1, padding = 0, dilation = 1 }: WindowOptions,
): Windows {
  const kernels = checkPair(op, 'kernel', window, 1);
  const strides = checkPair(op, 'stride', stride, 1);
  const dilations = checkPair(op, 'dilation', dilation, 1);
  if (padding !== 'same') checkNoWord(op, padding, "two of them or 'same'");
  const pads = padding === 'same' ? null : checkPair(op, 'padding', padding, 0);
  const span = (axis: 0 | 1): Span => {
    const own = { kernel: kernels[axis], stride: strides[axis], dilation: dilations[axis] };
    checkReach(op, own);
    return pads ? { ...own, before: pads[axis], after: pads[axis] } : samePadding(op, own);
  };
  return { h: span(0), w: span(1) };
}

/** @internal A checked window over sequences, as images of height 1. @throws {ValueError} */
export function checkWindow1d(
  op: string,
  window: number,
  {
    stride = 1,
    padding = 0,
    dilation = 1,
  }: Omit<Window1dOptions, 'padding'> & { padding?: number | 'same' | 'causal' | undefined },
): Windows {
  checkWhole(op, 'kernel', window, 1, MOST);
  checkWhole(op, 'stride', stride, 1, MOST);
  checkWhole(op, 'dilation', dilation, 1, MOST);
  const own = { kernel: window, stride, dilation };
  checkReach(op, own);
  if (padding === 'same') return { h: POINT, w: samePadding(op, own) };
  if (padding === 'causal') return { h: POINT, w: { ...own, before: dilation * (window - 1), after: 0 } };
  checkNoWord(op, padding, "'same' or 'causal'");
  checkWhole(op, 'padding', padding, 0, MOST);
  return { h: POINT, w: { ...own, before: padding, after: padding } };
}

/** Refuses words of other libraries ('valid', 'SAME') with those that there are. @throws {ValueError} */
function checkNoWord(op: string, padding: unknown, others: string): void {
  if (typeof padding === 'string')
    throw new ValueError(op, `padding is ${describe(padding)}; it must be a whole number, ${others}`);
}

/** Refuses windows of which none fits. `is1d`: the image is a sequence, and the message says so. @throws {ShapeError} */
export function checkFit(op: string, shape: readonly number[], windows: Windows, is1d = false): void {
  const [outH, outW] = outSize(shape, windows);
  if (outH >= 1 && outW >= 1) return;
  const { h, w } = windows;
  const of = (f: (span: Span, size: number) => number): string =>
    is1d ? `${f(w, shape[2]!)}` : `${f(h, shape[1]!)} x ${f(w, shape[2]!)}`;
  throw new ShapeError(
    op,
    `a window of ${of(reach)} does not fit into ${of((_, size) => size)} with padding ${of(({ before }) => before)}`,
  );
}

/** Refuses windows that see nothing but padding. @throws {ValueError} */
export function checkTouches(op: string, shape: readonly number[], { h, w }: Windows, is1d = false): void {
  const [, height, width] = shape as [number, number, number];
  if (!missesAll(height, h) && !missesAll(width, w)) return;
  const [pads, size] = is1d ? [`${w.before}`, `${width}`] : [`${h.before} x ${w.before}`, `${height} x ${width}`];
  throw new ValueError(
    op,
    `padding ${pads} leaves a window without any element of ${size}, and so without a largest one`,
  );
}

/** What was meant by something else in the place of a window's options. */
const meantByWindow = (given: unknown): string | null => {
  if (given === 'same' || given === 'causal') return `write { padding: '${given}' }`;
  return typeof given === 'number' || Array.isArray(given)
    ? `write { stride: ${typeof given === 'number' ? given : '[...]'} }`
    : null;
};

const WINDOW_OPTIONS = ['stride', 'padding', 'dilation'] as const;

/** Checks that the options are options of windows, or further ones. @throws {ValueError} */
export function checkWindowOptions(op: string, options: unknown, further: readonly string[] = []): void {
  checkOptions(op, options, [...WINDOW_OPTIONS, ...further], meantByWindow);
}

/** The layouts of images and sequences. */
export const LAYOUT = { 4: '[N, H, W, C]', 3: '[N, L, C]' } as const;

/** Refuses what is no batch of images (rank 4) or sequences (rank 3). @throws {DTypeError | ShapeError | RecycledError} */
export function checkBatch(op: string, x: Tensor, rank: 3 | 4): void {
  checkTensor(op, 'x', x);
  if (x.rank !== rank) throw new ShapeError(op, `x is ${formatShape(x.shape)}; it must be ${LAYOUT[rank]}`);
}
