import {
  adaptiveAvgPool1d as adapt1d,
  adaptiveAvgPool2d as adapt2d,
  avgPool1d as average1d,
  avgPool2d as average2d,
  globalAvgPool as averageAll,
  globalMaxPool as maximumOfAll,
  maxPool1d as maximum1d,
  maxPool2d as maximum2d,
  type Pair,
  type Window1dOptions,
  type WindowOptions,
} from '../ops/conv/index.js';
import { checkParts, checkPool1d, checkPool2d } from '../ops/conv/pooling.js';
import { checkPair, checkWindowOptions, count, type Span } from '../ops/conv/windows.js';
import { where } from '../ops/elementwise.js';
import { concat, pad, slice } from '../ops/movement/index.js';
import type { Tensor } from '../tensor/tensor.js';
import { type ApplyOptions, type Layer, layer } from './layer.js';
import { areFull, frameMask, type Lengths, lengthsOf, maskFrames } from './lengths.js';

/**
 * Pools as layers, for what a function in `sequential` cannot say: how many frames come out, and that what lies beyond a sequence's length does not
 * count. Without lengths they are the ops of the same names.
 */

/** A layer without parameters that knows how many frames it makes. */
export type PoolLayer = Layer<null> & Lengths;

/** A layer without parameters. */
const pool = (
  op: string,
  outputLength: (length: number) => number,
  apply: (x: Tensor, lengths: ApplyOptions['lengths']) => Tensor,
): PoolLayer =>
  layer<null>(op, null, {
    init: () => null,
    apply: (_params, x, { lengths }) => apply(x, lengths),
    outputLength,
  });

const windowsIn = (span: Span) => (length: number) => (length === 0 ? 0 : Math.max(0, count(length, span)));

/** The mean of windows: frames beyond a sequence's length count as zeros, as those of its padding do. */
const averages = (op: string, span: Span, average: (x: Tensor) => Tensor): PoolLayer =>
  pool(op, windowsIn(span), (x, lengths) => average(maskFrames(op, x, lengths)));

/** The largest elements of windows: frames beyond a sequence's length do not count, and windows that see no others are 0. */
const maxima = (op: string, span: Span, maximum: (x: Tensor) => Tensor): PoolLayer =>
  pool(op, windowsIn(span), (x, lengths) => {
    if (lengths === undefined) return maximum(x);
    const counts = lengthsOf(op, lengths, x);
    if (areFull(counts, x)) return maximum(x);
    const lowest = x.dtype === 'int32' ? -(2 ** 31) : -Infinity;
    return maskFrames(op, maximum(where(frameMask(counts, x), x, lowest)), counts.map(windowsIn(span)));
  });

/** The largest element of each window along the time of [N, L, C]. Options as of the op: the stride is the window's size by default. */
export function maxPool1d(kernel: number, options: Window1dOptions = {}): PoolLayer {
  checkWindowOptions('maxPool1d', options);
  return maxima('maxPool1d', checkPool1d('maxPool1d', kernel, options).w, (x) => maximum1d(x, kernel, options));
}

/** The mean of each window along the time of [N, L, C]. Options as of the op: the stride is the window's size by default. */
export function avgPool1d(kernel: number, options: Window1dOptions = {}): PoolLayer {
  checkWindowOptions('avgPool1d', options);
  return averages('avgPool1d', checkPool1d('avgPool1d', kernel, options).w, (x) => average1d(x, kernel, options));
}

/** The largest element of each window over [N, H, W, C]. Lengths count along H. */
export function maxPool2d(kernel: Pair, options: WindowOptions = {}): PoolLayer {
  checkWindowOptions('maxPool2d', options);
  return maxima('maxPool2d', checkPool2d('maxPool2d', kernel, options).h, (x) => maximum2d(x, kernel, options));
}

/** The mean of each window over [N, H, W, C]. Lengths count along H. */
export function avgPool2d(kernel: Pair, options: WindowOptions = {}): PoolLayer {
  checkWindowOptions('avgPool2d', options);
  return averages('avgPool2d', checkPool2d('avgPool2d', kernel, options).h, (x) => average2d(x, kernel, options));
}

/** The means of `size` parts that cover a sequence evenly, [N, L, C] to [N, size, C]. With lengths, each sequence has parts of its own. */
export function adaptiveAvgPool1d(size: number): PoolLayer {
  checkParts('adaptiveAvgPool1d', size);
  return adaptive('adaptiveAvgPool1d', size, (x) => adapt1d(x, size));
}

/** The means of outH x outW parts that cover an image evenly, [N, H, W, C] to [N, outH, outW, C]. Lengths count along H. */
export function adaptiveAvgPool2d(size: Pair): PoolLayer {
  const [height] = checkPair('adaptiveAvgPool2d', 'size', size, 1);
  return adaptive('adaptiveAvgPool2d', height, (x) => adapt2d(x, size));
}

const adaptive = (op: string, size: number, average: (x: Tensor) => Tensor): PoolLayer =>
  pool(
    op,
    (length) => (length === 0 ? 0 : size),
    (x, lengths) => {
      if (lengths === undefined) return average(x);
      const counts = lengthsOf(op, lengths, x);
      if (areFull(counts, x)) return average(x);
      const rest = x.shape.slice(2).map((): [number, number] => [0, 0]);
      // A sequence of length 0 has no parts: a frame of zeros stands for it.
      const alone = (length: number, n: number): Tensor =>
        length === 0 ? pad(slice(x, [n, n + 1], [0, 0]), [[0, 0], [0, 1], ...rest]) : slice(x, [n, n + 1], [0, length]);
      return concat(Array.from(counts, (length, n) => average(alone(length, n))));
    },
  );

const one = (length: number): number => Math.min(length, 1);

/** The mean over everything between batch and channels, [N, ..., C] to [N, C]; with lengths over the frames within them. */
export const globalAvgPool = (): PoolLayer => pool('globalAvgPool', one, (x, lengths) => averageAll(x, { lengths }));

/** The largest of everything between batch and channels, [N, ..., C] to [N, C]; with lengths of the frames within them. */
export const globalMaxPool = (): PoolLayer => pool('globalMaxPool', one, (x, lengths) => maximumOfAll(x, { lengths }));
