import { ShapeError } from '../../errors.js';
import { checkTensor, checkTogether, checkWhole } from '../../tensor/arguments.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { broadcastTo } from '../broadcast.js';
import { cast } from '../cast.js';
import { linear, matmul, productDType } from '../matmul.js';
import { expandDims, permute, reshape, squeeze, transpose } from '../movement/index.js';
import { denseConvOp, isDense } from './dense.js';
import { depthwiseOp } from './depthwise.js';
import { unfoldOp } from './unfold.js';
import {
  checkFit,
  checkWindow1d,
  checkWindowOptions,
  checkWindows,
  LAYOUT,
  type Window1dOptions,
  type WindowOptions,
  type Windows,
} from './windows.js';

/**
 * Convolutions. Most on the host are a kernel of their own (dense.ts), and so is one with a group for each channel. Any other is `unfold` (the patches, side
 * by side) and a matrix product, or a product for each group. The derivatives of any order follow from those of the parts.
 */

interface GroupOptions {
  /**
   * Into how many groups the channels are divided, those of x and of the result alike: a group of the result sees its own group of x only. With as
   * many as x has channels it is a depthwise convolution. Default 1.
   */
  groups?: number | undefined;
}

export interface Conv2dOptions extends WindowOptions, GroupOptions {}

export interface Conv1dOptions extends Omit<Window1dOptions, 'padding'>, GroupOptions {
  /**
   * Zeros added at both ends. Default 0. 'same' adds as many as keep the length, at stride 1; if their number is odd, the one more at the end, as
   * torch does. 'causal' adds them all at the start, so that no result sees what comes after it; the stride may be any.
   */
  padding?: number | 'same' | 'causal' | undefined;
}

const WEIGHT = { 4: '[O, kernelH, kernelW, C', 3: '[O, kernel, C' } as const;

/** Checks the operands of a convolution. @returns the groups. @throws {DTypeError | ShapeError | ValueError | DeviceError} */
export function checkOperands(
  op: string,
  rank: 3 | 4,
  x: Tensor,
  weight: Tensor,
  { groups = 1 }: GroupOptions,
): number {
  checkTensor(op, 'x', x);
  checkTensor(op, 'weight', weight);
  checkTogether(op, x, weight);
  checkWhole(op, 'groups', groups, 1);
  const channels = x.shape[rank - 1]!;
  const fits =
    x.rank === rank &&
    weight.rank === rank &&
    channels % groups === 0 &&
    weight.shape[0]! % groups === 0 &&
    weight.shape[rank - 1] === channels / groups;
  if (!fits) {
    const wanted =
      groups === 1
        ? `${LAYOUT[rank]} and ${WEIGHT[rank]}]`
        : `${LAYOUT[rank]} and ${WEIGHT[rank]} / ${groups}], C and O multiples of the ${groups} groups`;
    throw new ShapeError(
      op,
      `x ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}; they must be ${wanted}`,
    );
  }
  return groups;
}

/** x and the weight in the dtype that their products have. @throws {DTypeError} for bool. */
export function together(op: string, x: Tensor, weight: Tensor): [x: Tensor, weight: Tensor] {
  const dtype = productDType(op, x, weight);
  return [cast(x, dtype), cast(weight, dtype)];
}

/** Each channel as often as the groups of one channel have results; groups of results lie side by side. */
export function repeatChannels(x: Tensor, times: number): Tensor {
  if (times === 1) return x;
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return reshape(broadcastTo(expandDims(x, -1), [...x.shape, times]), [batch, height, width, channels * times]);
}

/** Weights [O, kernelH, kernelW, 1] as the taps of `depthwise`. */
export const tapsOf = (weight: Tensor): Tensor => permute(squeeze(weight, 3), [1, 2, 0]);

/** [N, H, W, C] as groups of images, [groups * N, H, W, C / groups]. */
export function apart(x: Tensor, groups: number): Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const own = channels / groups;
  return reshape(permute(reshape(x, [batch, height, width, groups, own]), [3, 0, 1, 2, 4]), [
    groups * batch,
    height,
    width,
    own,
  ]);
}

/** The inverse of `apart`. */
export function aside(x: Tensor, groups: number): Tensor {
  const [batches, height, width, own] = x.shape as [number, number, number, number];
  const batch = batches / groups;
  return reshape(permute(reshape(x, [groups, batch, height, width, own]), [1, 2, 3, 0, 4]), [
    batch,
    height,
    width,
    groups * own,
  ]);
}

function convolve(op: string, input: Tensor, weights: Tensor, windows: Windows, groups: number): Tensor {
  const [x, weight] = together(op, input, weights);
  const [out, kernelH, kernelW, own] = weight.shape as [number, number, number, number];
  if (groups > 1 && own === 1) return depthwiseOp([repeatChannels(x, out / groups), tapsOf(weight)], windows);
  const { h, w } = windows;
  const patch = kernelH * kernelW * own;
  const isPointwise = kernelH * kernelW * h.stride * w.stride === 1 && h.before + h.after + w.before + w.after === 0;
  if (groups === 1) {
    if (isPointwise) return linear(x, reshape(weight, [out, own]));
    if (isDense(x, weight, windows)) return denseConvOp([x, weight], windows);
    const patches = unfoldOp([x], windows);
    return linear(reshape(patches, [...patches.shape.slice(0, 3), patch]), reshape(weight, [out, patch]));
  }
  const patches = unfoldOp([apart(x, groups)], windows);
  const [batches, outH, outW] = patches.shape as [number, number, number];
  const product = matmul(
    reshape(patches, [groups, (batches / groups) * outH * outW, patch]),
    transpose(reshape(weight, [groups, out / groups, patch]), 1, 2),
  );
  return aside(reshape(product, [batches, outH, outW, out / groups]), groups);
}

/**
 * Cross-correlation of images [N, H, W, C] with a weight [O, kernelH, kernelW, C / groups] to [N, outH, outW, O] (MLX's layout).
 * @throws {ShapeError} where shapes do not fit, naming them.
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  checkWindowOptions('conv2d', options, ['groups']);
  const groups = checkOperands('conv2d', 4, x, weight, options);
  const windows = checkWindows('conv2d', [weight.shape[1]!, weight.shape[2]!], options);
  checkFit('conv2d', x.shape, windows);
  return convolve('conv2d', x, weight, windows, groups);
}

/**
 * Cross-correlation of sequences [N, L, C] with a weight [O, kernel, C / groups] to [N, outL, O].
 * @throws {ShapeError} where shapes do not fit, naming them.
 */
export function conv1d(x: Tensor, weight: Tensor, options: Conv1dOptions = {}): Tensor {
  checkWindowOptions('conv1d', options, ['groups']);
  const groups = checkOperands('conv1d', 3, x, weight, options);
  const windows = checkWindow1d('conv1d', weight.shape[1]!, options);
  const image = expandDims(x, 1);
  checkFit('conv1d', image.shape, windows, true);
  return squeeze(convolve('conv1d', image, expandDims(weight, 1), windows, groups), 1);
}
