import { checkOptions, checkTensor, checkWhole, describe, onBehalfOf } from '../tensor/arguments.js';
import { defineOp, type OpFunction } from '../autograd/op.js';
import { type Kernel, NUMBERS } from '../backends/kernel.js';
import { ShapeError, ValueError } from '../errors.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { cast } from './cast.js';
import { takeAlongAxis } from './gather.js';
import { linear } from './matmul.js';
import { expandDims, reshape, squeeze } from './movement/index.js';
import { mean } from './moments.js';

/**
 * Convolution and pooling over channels-last images [N, H, W, C] and sequences [N, L, C]. A convolution is `unfold` (the patches, side by
 * side) and a matrix product: the derivatives of any order follow from those of the two.
 */

/** Where a window of kernelH x kernelW elements is laid over an image. */
interface Windows {
  readonly kernelH: number;
  readonly kernelW: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly padH: number;
  readonly padW: number;
  readonly dilationH: number;
  readonly dilationW: number;
}

const WINDOW_PARAMS = {
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

/** Patches [N, outH, outW, kernelH, kernelW, C] of an image; 0 beyond its edges. */
const unfoldKernel: Kernel = {
  name: 'unfold',
  family: 'conv',
  inputs: ['x'],
  outputs: ['out'],
  types: { x: NUMBERS, out: 'x' },
  params: WINDOW_PARAMS,
};
/** The adjoint: patches summed into an image. */
const foldKernel: Kernel = {
  name: 'fold',
  family: 'conv',
  inputs: ['patches'],
  outputs: ['out'],
  types: { patches: NUMBERS, out: 'patches' },
  params: WINDOW_PARAMS,
};
/** For each window and channel, the position h * W + w of the first largest element within the image; NaN counts as largest. */
const maxPoolKernel: Kernel = {
  name: 'maxPoolIndices',
  family: 'conv',
  inputs: ['x'],
  outputs: ['out'],
  types: { x: NUMBERS, out: ['int32'] },
  params: WINDOW_PARAMS,
};

/** Windows along one axis. */
const count = (size: number, kernel: number, stride: number, pad: number, dilation: number): number =>
  Math.floor((size + 2 * pad - dilation * (kernel - 1) - 1) / stride) + 1;

/** Whether some window along one axis has all its elements in the padding. */
function missesAll(size: number, kernel: number, stride: number, pad: number, dilation: number): boolean {
  if (pad === 0) return false;
  for (let start = -pad, left = count(size, kernel, stride, pad, dilation); left > 0; start += stride, left--) {
    const first = start < 0 ? Math.ceil(-start / dilation) : 0; // the first element that is not before the axis
    if (first >= kernel || start + first * dilation >= size) return true;
  }
  return false;
}

const outSize = (shape: readonly number[], w: Windows): { outH: number; outW: number } => ({
  outH: count(shape[1]!, w.kernelH, w.strideH, w.padH, w.dilationH),
  outW: count(shape[2]!, w.kernelW, w.strideW, w.padW, w.dilationW),
});

const windowParams = (shape: readonly number[], w: Windows): Record<string, number> => ({
  batch: shape[0]!,
  height: shape[1]!,
  width: shape[2]!,
  channels: shape[3]!,
  ...outSize(shape, w),
  ...w,
});

const unfoldOp: OpFunction<Windows> = defineOp({
  name: 'unfold',
  readsResult: false,
  infer: ([x], w) => {
    const { outH, outW } = outSize(x!.shape, w);
    return { shape: [x!.shape[0]!, outH, outW, w.kernelH, w.kernelW, x!.shape[3]!], dtype: x!.dtype };
  },
  run: (call, [x], w) => {
    const { outH, outW } = outSize(x!.shape, w);
    call.launch({
      kernel: unfoldKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: windowParams(x!.shape, w),
      grid: x!.shape[0]! * outH * outW * w.kernelH * w.kernelW * x!.shape[3]!,
    });
  },
  vjp: (g, { inputs: [x], attrs }) => [foldOp([g], { ...attrs, height: x!.shape[1]!, width: x!.shape[2]! })],
});

const foldOp: OpFunction<Windows & { height: number; width: number }> = defineOp({
  name: 'fold',
  readsResult: false,
  infer: ([x], { height, width }) => ({ shape: [x!.shape[0]!, height, width, x!.shape[5]!], dtype: x!.dtype }),
  run: (call, [x], { height, width, ...w }) => {
    const shape = [x!.shape[0]!, height, width, x!.shape[5]!];
    call.launch({
      kernel: foldKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: windowParams(shape, w),
      grid: shape[0]! * height * width * shape[3]!,
    });
  },
  vjp: (g, { attrs: { height: _height, width: _width, ...w } }) => [unfoldOp([g], w)],
});

const maxPoolIndicesOp = defineOp<Windows>({
  name: 'maxPoolIndices',
  infer: ([x], w) => {
    const { outH, outW } = outSize(x!.shape, w);
    return { shape: [x!.shape[0]!, outH, outW, x!.shape[3]!], dtype: 'int32' };
  },
  run: (call, [x], w) => {
    const { outH, outW } = outSize(x!.shape, w);
    call.launch({
      kernel: maxPoolKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: windowParams(x!.shape, w),
      grid: x!.shape[0]! * outH * outW * x!.shape[3]!,
    });
  },
});

/** One number for both axes, or [height, width]. */
export type Pair = number | readonly [height: number, width: number];

export interface WindowOptions {
  /** Distance between windows. Default 1 for convolutions, the window's size for pooling. */
  stride?: Pair;
  /**
   * Zeros added on both sides (for max pooling: nothing, as if -Infinity). Default 0. 'same' adds as many as keep height and width, at
   * stride 1 and for odd windows (or even dilations).
   */
  padding?: Padding;
  /** Distance between the elements of a window. Default 1. */
  dilation?: Pair;
}

type Padding = Pair | 'same';

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

/**
 * @internal Zeros on each side of one axis that keep its length ('same', as torch has it).
 * @throws {ValueError} at a stride above 1, which shortens the axis whatever is added, and where the two sides would differ.
 */
export function samePadding(op: string, kernel: number, stride: number, dilation: number): number {
  if (stride !== 1)
    throw new ValueError(
      op,
      `padding 'same' keeps the size, which stride ${stride} does not; give the padding as a number`,
    );
  const total = dilation * (kernel - 1);
  if (total % 2 !== 0)
    throw new ValueError(
      op,
      `padding 'same' with kernel ${kernel} and dilation ${dilation} would need more zeros on one side; use an odd kernel`,
    );
  return total / 2;
}

/** What was meant by something else in the place of a window's options. */
const meantByWindow = (given: unknown): string | null => {
  if (given === 'same') return "write { padding: 'same' }";
  return typeof given === 'number' || Array.isArray(given)
    ? `write { stride: ${typeof given === 'number' ? given : '[...]'} }`
    : null;
};

const WINDOW_OPTIONS = ['stride', 'padding', 'dilation'] as const;

function windows(op: string, x: Tensor, kernel: Pair, defaultStride: Pair, options: WindowOptions): Windows {
  checkTensor(op, 'x', x);
  if (x.rank !== 4) throw new ShapeError(op, `x is ${formatShape(x.shape)}; it must be [N, H, W, C]`);
  checkOptions(op, options, WINDOW_OPTIONS, meantByWindow);
  const { stride = defaultStride, padding = 0, dilation = 1 } = options;
  const [kernelH, kernelW] = checkPair(op, 'kernel', kernel, 1);
  const [strideH, strideW] = checkPair(op, 'stride', stride, 1);
  const [dilationH, dilationW] = checkPair(op, 'dilation', dilation, 1);
  const [padH, padW] =
    padding === 'same'
      ? [samePadding(op, kernelH, strideH, dilationH), samePadding(op, kernelW, strideW, dilationW)]
      : checkPair(op, 'padding', padding, 0);
  const w = { kernelH, kernelW, strideH, strideW, padH, padW, dilationH, dilationW };
  const { outH, outW } = outSize(x.shape, w);
  if (outH < 1 || outW < 1) {
    throw new ShapeError(
      op,
      `a window of ${(kernelH - 1) * dilationH + 1} x ${(kernelW - 1) * dilationW + 1} does not fit into ${x.shape[1]} x ${x.shape[2]} with padding ${padH} x ${padW}`,
    );
  }
  return w;
}

/**
 * The patches that a window sees, side by side (im2col): [N, H, W, C] to [N, outH, outW, kernelH, kernelW, C].
 * @throws {ShapeError} where not one window fits.
 */
export const unfold = (x: Tensor, kernel: Pair, options: WindowOptions = {}): Tensor =>
  unfoldOp([x], windows('unfold', x, kernel, 1, options));

/**
 * Cross-correlation of images [N, H, W, C] with a weight [O, kernelH, kernelW, C] to [N, outH, outW, O] (MLX's layout).
 * @throws {ShapeError} where shapes do not fit, naming them.
 */
export function conv2d(x: Tensor, weight: Tensor, options: WindowOptions = {}): Tensor {
  checkTensor('conv2d', 'x', x);
  checkTensor('conv2d', 'weight', weight);
  if (x.rank !== 4 || weight.rank !== 4 || weight.shape[3] !== x.shape[3]) {
    throw new ShapeError(
      'conv2d',
      `x ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}; they must be [N, H, W, C] and [O, kernelH, kernelW, C]`,
    );
  }
  const [out, kernelH, kernelW, channels] = weight.shape as [number, number, number, number];
  const w = windows('conv2d', x, [kernelH, kernelW], 1, options);
  const isPointwise = kernelH * kernelW * w.strideH * w.strideW === 1 && w.padH + w.padW === 0;
  if (isPointwise) return linear(x, reshape(weight, [out, channels]));
  const patches = unfoldOp([x], w);
  return linear(
    reshape(patches, [...patches.shape.slice(0, 3), kernelH * kernelW * channels]),
    reshape(weight, [out, kernelH * kernelW * channels]),
  );
}

export interface Conv1dOptions {
  /** Distance between windows. Default 1. */
  stride?: number;
  /** Zeros added at both ends. Default 0. 'same' adds as many as keep the length, at stride 1 and for odd windows (or even dilations). */
  padding?: number | 'same';
  /** Distance between the elements of a window. Default 1. */
  dilation?: number;
}

/**
 * Cross-correlation of sequences [N, L, C] with a weight [O, kernel, C] to [N, outL, O].
 * @throws {ShapeError} where shapes do not fit, naming them.
 */
export function conv1d(x: Tensor, weight: Tensor, options: Conv1dOptions = {}): Tensor {
  checkTensor('conv1d', 'x', x);
  checkTensor('conv1d', 'weight', weight);
  checkOptions('conv1d', options, WINDOW_OPTIONS, meantByWindow);
  if (x.rank !== 3 || weight.rank !== 3 || weight.shape[2] !== x.shape[2]) {
    throw new ShapeError(
      'conv1d',
      `x ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}; they must be [N, L, C] and [O, kernel, C]`,
    );
  }
  const { stride = 1, padding = 0, dilation = 1 } = options;
  checkWhole('conv1d', 'stride', stride, 1, MOST);
  checkWhole('conv1d', 'dilation', dilation, 1, MOST);
  const pad = padding === 'same' ? samePadding('conv1d', weight.shape[1]!, stride, dilation) : padding;
  checkWhole('conv1d', 'padding', pad, 0, MOST);
  return onBehalfOf('conv1d', 'as an image of height 1', () =>
    squeeze(
      conv2d(expandDims(x, 1), expandDims(weight, 1), {
        stride: [1, stride],
        padding: [0, pad],
        dilation: [1, dilation],
      }),
      1,
    ),
  );
}

/**
 * The largest element of each window, channel by channel: [N, H, W, C] to [N, outH, outW, C]. The first of equal elements gets the
 * derivative, as in torch.
 * @throws {ValueError} where a window would see nothing but padding.
 */
export function maxPool2d(x: Tensor, kernel: Pair, options: WindowOptions = {}): Tensor {
  const w = windows('maxPool2d', x, kernel, kernel, options);
  const [, height, width] = x.shape as [number, number, number, number];
  if (
    missesAll(height, w.kernelH, w.strideH, w.padH, w.dilationH) ||
    missesAll(width, w.kernelW, w.strideW, w.padW, w.dilationW)
  ) {
    throw new ValueError(
      'maxPool2d',
      `padding ${w.padH} x ${w.padW} leaves a window without any element of ${height} x ${width}, and so without a largest one`,
    );
  }
  const positions = maxPoolIndicesOp([x], w);
  const [batch, outH, outW, channels] = positions.shape as [number, number, number, number];
  const picked = takeAlongAxis(
    reshape(x, [batch, height * width, channels]),
    reshape(positions, [batch, outH * outW, channels]),
    1,
  );
  return reshape(picked, positions.shape);
}

/** The mean of each window, zeros of the padding included: [N, H, W, C] to [N, outH, outW, C]. */
export function avgPool2d(x: Tensor, kernel: Pair, options: WindowOptions = {}): Tensor {
  const w = windows('avgPool2d', x, kernel, kernel, options);
  return mean(unfoldOp([cast(x, toFloat(x.dtype))], w), [3, 4]);
}
