import { ValueError } from '../errors.js';
import { checkBoolean, checkOptions, checkWhole, describe } from '../tensor/arguments.js';
import { conv1d as convolve1d, conv2d as convolve2d, convTranspose1d as transpose1d } from '../ops/conv/index.js';
import { convTranspose2d as transpose2d, type Pair } from '../ops/conv/index.js';
import { checkTransposed1d, checkTransposed2d, sizeOfResult } from '../ops/conv/transposed.js';
import { checkPair, checkWindow1d, checkWindows, count } from '../ops/conv/windows.js';
import { addOver } from '../ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, layer, uniformByFan } from './layer.js';
import { type Lengths, maskFrames } from './lengths.js';
import { checkFeatures, checkSizes } from './linear.js';

export interface ConvParams {
  /** [outChannels, kernel, inChannels / groups] for sequences, [outChannels, kernelH, kernelW, inChannels / groups] for images. */
  readonly weight: Tensor;
  /** [outChannels] */
  readonly bias: Tensor | null;
}

interface CommonOptions {
  /** Groups of channels that do not see each other; as many as there are channels make it depthwise. Default 1. */
  readonly groups?: number | undefined;
  /** Whether a bias is added. Default true. */
  readonly bias?: boolean | undefined;
}

export interface Conv1dOptions extends CommonOptions {
  readonly stride?: number | undefined;
  /**
   * Zeros added at both ends; 'same' adds as many as keep the length, at stride 1 (an odd one at the end), 'causal' all of them at the start, so that
   * no frame sees a later one.
   */
  readonly padding?: number | 'same' | 'causal' | undefined;
  readonly dilation?: number | undefined;
}

export interface Conv2dOptions extends CommonOptions {
  readonly stride?: Pair | undefined;
  /** Zeros added on both sides; 'same' adds as many as keep height and width, at stride 1 (an odd one at the end). */
  readonly padding?: Pair | 'same' | undefined;
  readonly dilation?: Pair | undefined;
}

export interface ConvTranspose1dOptions extends CommonOptions {
  readonly stride?: number | undefined;
  /** Frames cut off from both ends of the result. */
  readonly padding?: number | undefined;
  /** Frames more at the end of the result, fewer than the stride or the dilation. */
  readonly outputPadding?: number | undefined;
  readonly dilation?: number | undefined;
}

export interface ConvTranspose2dOptions extends CommonOptions {
  readonly stride?: Pair | undefined;
  /** Rows and columns cut off from both sides of the result. */
  readonly padding?: Pair | undefined;
  /** Rows and columns more at the end of the result, fewer than the stride or the dilation. */
  readonly outputPadding?: Pair | undefined;
  readonly dilation?: Pair | undefined;
}

const meantStride = (given: unknown): string | null =>
  typeof given === 'number' ? `write { stride: ${given} }` : null;

const OPTIONS = ['stride', 'padding', 'dilation', 'groups', 'bias'] as const;

/**
 * Convolution of sequences [N, L, inChannels] to [N, outL, outChannels]. With lengths, a sequence in a batch becomes what it becomes alone: frames
 * beyond its length count as zeros.
 */
export function conv1d(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: Conv1dOptions = {},
): Layer<ConvParams> & Lengths {
  checkSizes('conv1d', { inChannels, outChannels, kernel });
  checkOptions('conv1d', options, OPTIONS, meantStride);
  const { bias: _bias, ...rest } = options;
  const { w } = checkWindow1d('conv1d', kernel, rest);
  return convolution('conv1d', [inChannels, outChannels, [kernel]], options, {
    convolve: (x, weight) => convolve1d(x, weight, rest),
    outputLength: (length) => count(length, w),
  });
}

/**
 * Convolution of images [N, H, W, inChannels] to [N, outH, outW, outChannels]. The window is [height, width], or one number for both. Lengths,
 * if given, count along H: what is read along a line or in time comes as [N, T, features, channels].
 */
export function conv2d(
  inChannels: number,
  outChannels: number,
  kernel: Pair,
  options: Conv2dOptions = {},
): Layer<ConvParams> & Lengths {
  checkOptions('conv2d', options, OPTIONS, meantStride);
  const { bias: _bias, ...rest } = options;
  const { h } = checkWindows('conv2d', kernel, rest);
  return convolution('conv2d', [inChannels, outChannels, checkPair('conv2d', 'kernel', kernel, 1)], options, {
    convolve: (x, weight) => convolve2d(x, weight, rest),
    outputLength: (length) => count(length, h),
  });
}

/**
 * Transposed convolution of sequences [N, L, inChannels] to [N, outL, outChannels], outL = (L - 1) stride - 2 padding + dilation (kernel - 1) +
 * outputPadding + 1: it undoes a stride. With lengths, a sequence in a batch becomes what it becomes alone.
 */
export function convTranspose1d(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: ConvTranspose1dOptions = {},
): Layer<ConvParams> & Lengths {
  checkSizes('convTranspose1d', { inChannels, outChannels, kernel });
  checkOptions('convTranspose1d', options, [...OPTIONS, 'outputPadding'], meantStride);
  const { bias: _bias, ...rest } = options;
  const { w } = checkTransposed1d('convTranspose1d', kernel, rest);
  return convolution('convTranspose1d', [inChannels, outChannels, [kernel]], options, {
    convolve: (x, weight) => transpose1d(x, weight, rest),
    outputLength: (length) => sizeOfResult(length, w),
  });
}

/** Transposed convolution of images [N, H, W, inChannels] to [N, outH, outW, outChannels]. Lengths, if given, count along H. */
export function convTranspose2d(
  inChannels: number,
  outChannels: number,
  kernel: Pair,
  options: ConvTranspose2dOptions = {},
): Layer<ConvParams> & Lengths {
  checkOptions('convTranspose2d', options, [...OPTIONS, 'outputPadding'], meantStride);
  const { bias: _bias, ...rest } = options;
  const window = checkPair('convTranspose2d', 'kernel', kernel, 1);
  const { h } = checkTransposed2d('convTranspose2d', window, rest);
  return convolution('convTranspose2d', [inChannels, outChannels, window], options, {
    convolve: (x, weight) => transpose2d(x, weight, rest),
    outputLength: (length) => sizeOfResult(length, h),
  });
}

/** What a kind of convolution is: what it does with x, and how many frames it makes of some. */
interface Kind {
  readonly convolve: (x: Tensor, weight: Tensor) => Tensor;
  readonly outputLength: (length: number) => number;
}

function convolution(
  op: string,
  [inChannels, outChannels, window]: readonly [number, number, readonly number[]],
  { groups = 1, bias = true }: CommonOptions,
  { convolve, outputLength }: Kind,
): Layer<ConvParams> & Lengths {
  checkSizes(op, { inChannels, outChannels });
  checkBoolean(op, 'bias', bias);
  checkWhole(op, 'groups', groups, 1);
  if (inChannels % groups !== 0 || outChannels % groups !== 0)
    throw new ValueError(
      op,
      `groups is ${describe(groups)}; it must divide ${inChannels} inChannels and ${outChannels} outChannels`,
    );
  const weightShape = [outChannels, ...window, inChannels / groups];
  const fanIn = weightShape.slice(1).reduce((a, b) => a * b, 1);
  const layout = window.length === 1 ? `[N, L, ${inChannels}]` : `[N, H, W, ${inChannels}]`;
  return layer(op, ['weight', 'bias'], {
    init: (random, placement) => ({
      weight: uniformByFan(random, weightShape, fanIn, placement),
      bias: bias ? uniformByFan(random, [outChannels], fanIn, placement) : null,
    }),
    apply: (params, x, { lengths }) => {
      checkFeatures(op, x, [weightShape.length], inChannels, layout);
      const result = convolve(maskFrames(op, x, lengths), params.weight);
      return params.bias ? addOver(result, params.bias) : result;
    },
    outputLength: (length) => (length === 0 ? 0 : Math.max(0, outputLength(length))),
  });
}
