import { defineOp, type OpFunction } from '../../autograd/op.js';
import { type Kernel, NUMBERS } from '../../backends/kernel.js';
import { ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkTensor, checkWhole } from '../../tensor/arguments.js';
import { hostTensor, lendTo, type TensorLike } from '../../tensor/create.js';
import { toFloat } from '../../tensor/dtype.js';
import { integersOf } from '../../tensor/integers.js';
import { formatShape, sizeOf } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sum, wide } from '../broadcast.js';
import { cast } from '../cast.js';
import { div, where } from '../elementwise.js';
import { take, takeAlongAxis } from '../gather.js';
import { lengthMask } from '../masks.js';
import { mean } from '../moments.js';
import { expandDims, reshape, squeeze } from '../movement/index.js';
import { max } from '../reduce.js';
import { unfoldOp } from './unfold.js';
import {
  checkBatch,
  checkFit,
  checkPair,
  checkTouches,
  checkWindow1d,
  checkWindowOptions,
  checkWindows,
  outSize,
  type Pair,
  WINDOW_PARAMS,
  type Window1dOptions,
  type WindowOptions,
  windowParams,
  type Windows,
} from './windows.js';

/** Pooling: the largest element or the mean of windows, of given parts, or of everything, channel by channel. */

/**
 * For each window and channel the first largest element within the image, and its position h * W + w; NaN counts as largest.
 */
const maxPoolKernel: Kernel = {
  name: 'maxPool',
  family: 'conv',
  inputs: ['x'],
  outputs: ['out', 'places'],
  types: { x: NUMBERS, out: 'x', places: ['int32'] },
  params: WINDOW_PARAMS,
};

/** Its vjp: each element of the image collects the cotangents of the windows whose largest one it is. */
const maxPoolVjpKernel: Kernel = {
  name: 'maxPoolVjp',
  family: 'conv',
  inputs: ['g', 'places'],
  outputs: ['out'],
  types: { g: NUMBERS, places: ['int32'], out: 'g' },
  params: WINDOW_PARAMS,
};

/** The largest element of each window over an image. */
const maxPoolOp = defineOp<Windows>({
  name: 'maxPool',
  infer: ([x], w) => {
    const [outH, outW] = outSize(x!.shape, w);
    const shape = [x!.shape[0]!, outH, outW, x!.shape[3]!];
    return [
      { shape, dtype: x!.dtype },
      { shape, dtype: 'int32' },
    ];
  },
  run: (call, [x], w, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(x!.shape, w);
    call.launch({ kernel: maxPoolKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (g, { inputs: [x], saved: [places], attrs }) => [
    maxPoolVjpOp([g, places!], { ...attrs, height: x!.shape[1]!, width: x!.shape[2]! }),
  ],
});

const maxPoolVjpOp: OpFunction<Windows & { height: number; width: number }> = defineOp({
  name: 'maxPoolVjp',
  readsResult: false,
  infer: ([g], { height, width }) => ({ shape: [g!.shape[0]!, height, width, g!.shape[3]!], dtype: g!.dtype }),
  run: (call, _inputs, { height: _height, width: _width, ...w }, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(result!.shape, w);
    call.launch({ kernel: maxPoolVjpKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (c, { inputs: [, places] }) => {
    const [batch, height, width, channels] = c.shape as [number, number, number, number];
    const picked = takeAlongAxis(
      reshape(c, [batch, height * width, channels]),
      reshape(places!, [batch, places!.shape[1]! * places!.shape[2]!, channels]),
      1,
    );
    return [reshape(picked, places!.shape), null];
  },
});

/** The mean of each window over an image. */
const average = (x: Tensor, windows: Windows): Tensor => mean(unfoldOp([cast(x, toFloat(x.dtype))], windows), [3, 4]);

/** @internal Checked windows of a pool over sequences. @throws {ValueError} */
export const checkPool1d = (op: string, kernel: number, options: Window1dOptions): Windows =>
  checkWindow1d(op, kernel, { ...options, stride: options.stride ?? kernel });

/** @internal Checked windows of a pool over images. @throws {ValueError} */
export const checkPool2d = (op: string, kernel: Pair, options: WindowOptions): Windows =>
  checkWindows(op, kernel, { ...options, stride: options.stride ?? kernel });

/** Checks the call of a pool over images. */
function windows2d(op: string, x: Tensor, kernel: Pair, options: WindowOptions): Windows {
  checkBatch(op, x, 4);
  checkWindowOptions(op, options);
  const windows = checkPool2d(op, kernel, options);
  checkFit(op, x.shape, windows);
  return windows;
}

/** Checks the call of a pool over sequences. @returns x as an image of height 1, and its windows. */
function windows1d(op: string, x: Tensor, kernel: number, options: Window1dOptions): [image: Tensor, windows: Windows] {
  checkBatch(op, x, 3);
  checkWindowOptions(op, options);
  const windows = checkPool1d(op, kernel, options);
  const image = expandDims(x, 1);
  checkFit(op, image.shape, windows, true);
  return [image, windows];
}

/**
 * The largest element of each window, channel by channel: [N, H, W, C] to [N, outH, outW, C]. The first of equal elements gets the
 * derivative, as in torch.
 * @throws {ValueError} where a window would see nothing but padding.
 */
export function maxPool2d(x: Tensor, kernel: Pair, options: WindowOptions = {}): Tensor {
  const windows = windows2d('maxPool2d', x, kernel, options);
  checkTouches('maxPool2d', x.shape, windows);
  return maxPoolOp([x], windows);
}

/** `maxPool2d` along the time of sequences: [N, L, C] to [N, outL, C]. @throws {ValueError} where a window would see nothing but padding. */
export function maxPool1d(x: Tensor, kernel: number, options: Window1dOptions = {}): Tensor {
  const [image, windows] = windows1d('maxPool1d', x, kernel, options);
  checkTouches('maxPool1d', image.shape, windows, true);
  return squeeze(maxPoolOp([image], windows), 1);
}

/** The mean of each window, zeros of the padding included: [N, H, W, C] to [N, outH, outW, C]. */
export function avgPool2d(x: Tensor, kernel: Pair, options: WindowOptions = {}): Tensor {
  return average(x, windows2d('avgPool2d', x, kernel, options));
}

/** The mean of each window, zeros of the padding included: [N, L, C] to [N, outL, C]. */
export function avgPool1d(x: Tensor, kernel: number, options: Window1dOptions = {}): Tensor {
  return squeeze(average(...windows1d('avgPool1d', x, kernel, options)), 1);
}

/**
 * The means of `parts` parts of an axis that cover it evenly: part i is [floor(i size / parts), ceil((i + 1) size / parts)), as in torch, so that
 * neighbours share an element where the parts do not divide it.
 */
function meansOfParts(x: Tensor, axis: number, parts: number): Tensor {
  const size = x.shape[axis]!;
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  if (size % parts === 0) return mean(reshape(x, [...before, parts, size / parts, ...after]), axis + 1);
  const ends = Array.from(
    { length: parts },
    (_, i) => [Math.floor((i * size) / parts), Math.ceil(((i + 1) * size) / parts)] as const,
  );
  const widest = ends.reduce((most, [from, to]) => Math.max(most, to - from), 0);
  // Parts of one width, of which the shorter ones repeat their last element; it is then left out, not multiplied by 0: it may be infinite.
  const places = ends.flatMap(([from, to]) => Array.from({ length: widest }, (_, k) => Math.min(from + k, to - 1)));
  const isPart = ends.flatMap(([from, to]) => Array.from({ length: widest }, (_, k) => from + k < to));
  const stretch = after.map(() => 1);
  const beside = (data: number[] | boolean[], shape: number[]): Tensor =>
    lendTo(hostTensor(data, { shape: [...shape, ...stretch] }), x);
  const taken = take(x, hostTensor(places, { shape: [parts, widest], dtype: 'int32' }), axis);
  const widths = cast(
    beside(
      ends.map(([from, to]) => to - from),
      [parts],
    ),
    x.dtype,
  );
  return div(sum(where(beside(isPart, [parts, widest]), taken, 0), axis + 1), widths);
}

/**
 * The means of outL parts of sequences that cover them evenly, [N, L, C] to [N, outL, C]: torch's adaptive average.
 * @throws {ShapeError} for empty sequences.
 */
export function adaptiveAvgPool1d(x: Tensor, size: number): Tensor {
  checkBatch('adaptiveAvgPool1d', x, 3);
  checkParts('adaptiveAvgPool1d', size);
  checkNotEmpty('adaptiveAvgPool1d', x);
  return wide(cast(x, toFloat(x.dtype)), (t) => meansOfParts(t, 1, size));
}

/**
 * The means of outH x outW parts of images that cover them evenly, [N, H, W, C] to [N, outH, outW, C]: torch's adaptive average.
 * @param size one number for both axes, or [outH, outW].
 * @throws {ShapeError} for empty images.
 */
export function adaptiveAvgPool2d(x: Tensor, size: Pair): Tensor {
  checkBatch('adaptiveAvgPool2d', x, 4);
  const [height, width] = checkPair('adaptiveAvgPool2d', 'size', size, 1);
  checkParts('adaptiveAvgPool2d', Math.max(height, width));
  checkNotEmpty('adaptiveAvgPool2d', x);
  return wide(cast(x, toFloat(x.dtype)), (t) => meansOfParts(meansOfParts(t, 1, height), 2, width));
}

export interface GlobalPoolOptions {
  /** Frames of each sequence, for [N, L, C]; all of them when left out. What lies beyond them does not count. */
  readonly lengths?: TensorLike | undefined;
}

/** The mean over everything between batch and channels: [N, L, C] or [N, H, W, C] to [N, C]. Of a sequence of length 0 it is 0. */
export function globalAvgPool(x: Tensor, options: GlobalPoolOptions = {}): Tensor {
  const lengths = checkGlobal('globalAvgPool', x, options, 0);
  const axes = x.shape.slice(1, -1).map((_, i) => i + 1);
  return wide(cast(x, toFloat(x.dtype)), (t) => {
    if (!lengths) return mean(t, axes);
    const counts = hostTensor(
      Array.from(lengths, (length) => Math.max(1, length)),
      { shape: [lengths.length, 1] },
    );
    return div(sum(where(framesOf(t, lengths), t, 0), 1), cast(lendTo(counts, t), t.dtype));
  });
}

/**
 * The largest element of everything between batch and channels: [N, L, C] or [N, H, W, C] to [N, C].
 * @throws {ValueError} for a sequence of length 0, which has none.
 */
export function globalMaxPool(x: Tensor, options: GlobalPoolOptions = {}): Tensor {
  const lengths = checkGlobal('globalMaxPool', x, options, 1);
  const axes = x.shape.slice(1, -1).map((_, i) => i + 1);
  if (!lengths) return max(x, axes);
  const beyond = x.dtype === 'int32' ? -(2 ** 31) : -Infinity;
  return max(where(framesOf(x, lengths), x, beyond), 1);
}

/** Which frames of [N, L, C] are within the lengths: [N, L, 1]. */
const framesOf = (x: Tensor, lengths: Int32Array): Tensor =>
  expandDims(lengthMask(lengths, { frames: x.shape[1]!, device: x.device }), 2);

/** Checks the call of a global pool. @returns the lengths, if there are some. @throws {ShapeError | ValueError | DTypeError} */
function checkGlobal(op: string, x: Tensor, options: GlobalPoolOptions, least: number): Int32Array | null {
  checkTensor(op, 'x', x);
  checkOptions(op, options, ['lengths']);
  if (x.rank < 3)
    throw new ShapeError(
      op,
      `x is ${formatShape(x.shape)}; it must be [N, ..., C] with axes between batch and channels`,
    );
  checkNotEmpty(op, x);
  if (options.lengths === undefined) return null;
  if (x.rank !== 3)
    throw new ShapeError(op, `x is ${formatShape(x.shape)}; with lengths it must be sequences, [N, L, C]`);
  const lengths = integersOf(op, 'lengths', options.lengths);
  if (lengths.length !== x.shape[0]) throw new ShapeError(op, `${lengths.length} lengths for ${x.shape[0]!} sequences`);
  lengths.forEach((length, n) => {
    if (length < least || length > x.shape[1]!)
      throw new ValueError(op, `sequence ${n}: its length is ${length}; it must be in [${least}, ${x.shape[1]!}]`);
  });
  return lengths;
}

/** @internal Checks the number of parts of one axis. @throws {ValueError} */
export const checkParts = (op: string, size: number): void => {
  checkWhole(op, 'size', size, 1, MOST_PARTS);
};
/** Of a sequence of a few elements there are many parts only by mistake, and each needs a place. */
const MOST_PARTS = 2 ** 24;

/** Refuses what has nothing between batch and channels. @throws {ShapeError} */
function checkNotEmpty(op: string, x: Tensor): void {
  if (x.shape.slice(1, -1).includes(0))
    throw new ShapeError(op, `x is ${formatShape(x.shape)}; there is nothing to pool over`);
}
