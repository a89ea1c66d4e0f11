import { ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkWhole } from '../../tensor/arguments.js';
import { isStorage } from '../../tensor/dtype.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { linear, matmul } from '../matmul.js';
import { expandDims, permute, reshape, squeeze } from '../movement/index.js';
import { apart, aside, checkOperands, repeatChannels, tapsOf, together } from './convolution.js';
import { depthwiseInputOp } from './depthwise.js';
import { foldOp } from './unfold.js';
import { checkPair, checkWindow1d, checkWindows, type Pair, type Span, type Windows } from './windows.js';

/**
 * Transposed convolutions: each element of x adds a window of weights to the result, where a convolution of the same windows would have read it.
 * They undo the strides of convolutions, and are the adjoints of these by their input.
 */

export interface ConvTranspose2dOptions {
  /** Distance between the windows in the result. Default 1. */
  stride?: Pair | undefined;
  /** Rows and columns cut off from each side of the result. Default 0. */
  padding?: Pair | undefined;
  /** Rows and columns more at the end of the result, fewer than the stride or the dilation. Default 0. */
  outputPadding?: Pair | undefined;
  /** Distance between the elements of a window. Default 1. */
  dilation?: Pair | undefined;
  /** As in `conv2d`. Default 1. */
  groups?: number | undefined;
}

/** The same along one axis. */
export interface ConvTranspose1dOptions {
  /** Distance between the windows in the result. Default 1. */
  stride?: number | undefined;
  /** Elements cut off from each end of the result. Default 0. */
  padding?: number | undefined;
  /** Elements more at the end of the result, fewer than the stride or the dilation. Default 0. */
  outputPadding?: number | undefined;
  /** Distance between the elements of a window. Default 1. */
  dilation?: number | undefined;
  /** As in `conv1d`. Default 1. */
  groups?: number | undefined;
}

const OPTIONS = ['stride', 'padding', 'outputPadding', 'dilation', 'groups'] as const;
const meantStride = (given: unknown): string | null =>
  typeof given === 'number' ? `write { stride: ${given} }` : null;

/** A span over the result, with the elements more at its end, which are those that a window leaves out. @throws {ValueError} */
function withOutputPadding(op: string, span: Span, outputPadding: number): Span {
  const most = Math.max(span.stride, span.dilation) - 1;
  if (outputPadding > most)
    throw new ValueError(
      op,
      `outputPadding is ${outputPadding}; with stride ${span.stride} and dilation ${span.dilation} it may be ${most} at most`,
    );
  return { ...span, after: span.before - outputPadding };
}

/** Elements of the result along an axis, of which `count` windows are laid. */
export const sizeOfResult = (count: number, { kernel, stride, before, after, dilation }: Span): number =>
  (count - 1) * stride - before - after + dilation * (kernel - 1) + 1;

/** @internal Checked windows over the result of a transposed convolution of images. @throws {ValueError} */
export function checkTransposed2d(op: string, window: Pair, options: ConvTranspose2dOptions): Windows {
  const { outputPadding = 0, padding = 0, stride = 1, dilation = 1 } = options;
  const { h, w } = checkWindows(op, window, { stride, dilation, padding: checkPair(op, 'padding', padding, 0) });
  const [moreH, moreW] = checkPair(op, 'outputPadding', outputPadding, 0);
  return { h: withOutputPadding(op, h, moreH), w: withOutputPadding(op, w, moreW) };
}

/** @internal The same of sequences. @throws {ValueError} */
export function checkTransposed1d(op: string, window: number, options: ConvTranspose1dOptions): Windows {
  const { outputPadding = 0, padding = 0, stride = 1, dilation = 1 } = options;
  checkWhole(op, 'padding', padding, 0);
  checkWhole(op, 'outputPadding', outputPadding, 0);
  const { h, w } = checkWindow1d(op, window, { stride, dilation, padding });
  return { h, w: withOutputPadding(op, w, outputPadding) };
}

function transposed(op: string, input: Tensor, weights: Tensor, windows: Windows, groups: number): Tensor {
  const [, countH, countW] = input.shape as [number, number, number];
  const { h, w } = windows;
  const size = { height: sizeOfResult(countH, h), width: sizeOfResult(countW, w) };
  if (size.height < 1 || size.width < 1) {
    const shown = op === 'convTranspose1d' ? `${size.width}` : `${size.height} x ${size.width}`;
    throw new ShapeError(op, `the padding leaves nothing: the size of the result would be ${shown}`);
  }
  const [x, weight] = together(op, input, weights);
  // Products are summed into the result: rounded to a narrower dtype once, at the end.
  if (isStorage(x.dtype))
    return cast(transposed(op, cast(x, 'float32'), cast(weight, 'float32'), windows, groups), x.dtype);
  const [out, kernelH, kernelW, own] = weight.shape as [number, number, number, number];
  const onto = { ...windows, ...size };
  if (groups > 1 && own === 1) return depthwiseInputOp([repeatChannels(x, out / groups), tapsOf(weight)], onto);
  if (groups === 1) {
    const patches = linear(x, reshape(permute(weight, [1, 2, 0, 3]), [kernelH * kernelW * out, own]));
    return foldOp([reshape(patches, [...x.shape.slice(0, 3), kernelH, kernelW, out])], onto);
  }
  const parts = apart(x, groups);
  const patches = matmul(
    reshape(parts, [groups, (parts.shape[0]! / groups) * countH * countW, own]),
    reshape(permute(reshape(weight, [groups, out / groups, kernelH, kernelW, own]), [0, 4, 2, 3, 1]), [
      groups,
      own,
      kernelH * kernelW * (out / groups),
    ]),
  );
  return aside(foldOp([reshape(patches, [...parts.shape.slice(0, 3), kernelH, kernelW, out / groups])], onto), groups);
}

/**
 * The transposed convolution of images [N, H, W, C] with a weight [O, kernelH, kernelW, C / groups] to [N, outH, outW, O], where outH is
 * (H - 1) stride - 2 padding + dilation (kernelH - 1) + outputPadding + 1.
 * @throws {ShapeError} where shapes do not fit, or nothing would be left.
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTranspose2dOptions = {}): Tensor {
  checkOptions('convTranspose2d', options, OPTIONS, meantStride);
  const groups = checkOperands('convTranspose2d', 4, x, weight, options);
  const windows = checkTransposed2d('convTranspose2d', [weight.shape[1]!, weight.shape[2]!], options);
  return transposed('convTranspose2d', x, weight, windows, groups);
}

/**
 * The transposed convolution of sequences [N, L, C] with a weight [O, kernel, C / groups] to [N, outL, O], where outL is
 * (L - 1) stride - 2 padding + dilation (kernel - 1) + outputPadding + 1.
 * @throws {ShapeError} where shapes do not fit, or nothing would be left.
 */
export function convTranspose1d(x: Tensor, weight: Tensor, options: ConvTranspose1dOptions = {}): Tensor {
  checkOptions('convTranspose1d', options, OPTIONS, meantStride);
  const groups = checkOperands('convTranspose1d', 3, x, weight, options);
  const windows = checkTransposed1d('convTranspose1d', weight.shape[1]!, options);
  return squeeze(transposed('convTranspose1d', expandDims(x, 1), expandDims(weight, 1), windows, groups), 1);
}
