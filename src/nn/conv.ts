import { checkBoolean, checkOptions, checkWhole } from '../tensor/arguments.js';
import { checkPair, conv1d as convolve1d, conv2d as convolve2d, type Pair, samePadding } from '../ops/conv.js';
import { add } from '../ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, layer, uniformByFan } from './layer.js';
import { type Lengths, maskFrames } from './lengths.js';
import { checkFeatures, checkSizes } from './linear.js';

export interface ConvParams {
  /** [outChannels, kernel, inChannels] for sequences, [outChannels, kernelH, kernelW, inChannels] for images. */
  readonly weight: Tensor;
  /** [outChannels] */
  readonly bias: Tensor | null;
}

export interface Conv1dOptions {
  readonly stride?: number;
  /** Zeros added at both ends; 'same' adds as many as keep the length; for stride 1 and odd windows only. */
  readonly padding?: number | 'same';
  readonly dilation?: number;
  readonly bias?: boolean;
}

export interface Conv2dOptions {
  readonly stride?: Pair;
  /** Zeros added on both sides; 'same' adds as many as keep height and width; for stride 1 and odd windows only. */
  readonly padding?: Pair | 'same';
  readonly dilation?: Pair;
  readonly bias?: boolean;
}

const meantStride = (given: unknown): string | null =>
  typeof given === 'number' ? `write { stride: ${given} }` : null;

const OPTIONS = ['stride', 'padding', 'dilation', 'bias'] as const;

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
  const { stride = 1, padding = 0, dilation = 1, bias = true } = options;
  checkBoolean('conv1d', 'bias', bias);
  checkWhole('conv1d', 'stride', stride, 1);
  checkWhole('conv1d', 'dilation', dilation, 1);
  const pad = padding === 'same' ? samePadding('conv1d', kernel, stride, dilation) : padding;
  checkWhole('conv1d', 'padding', pad, 0);
  return convolution(
    'conv1d',
    [outChannels, kernel, inChannels],
    bias,
    (x, weight) => convolve1d(x, weight, { stride, padding: pad, dilation }),
    (length) => windowCount(length, kernel, stride, pad, dilation),
  );
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
  const [kernelH, kernelW] = checkPair('conv2d', 'kernel', kernel, 1);
  checkSizes('conv2d', { inChannels, outChannels, kernelH, kernelW });
  const { stride = 1, padding = 0, dilation = 1, bias = true } = options;
  checkBoolean('conv2d', 'bias', bias);
  const [strideH, strideW] = checkPair('conv2d', 'stride', stride, 1);
  const [dilationH, dilationW] = checkPair('conv2d', 'dilation', dilation, 1);
  const pad =
    padding === 'same'
      ? ([
          samePadding('conv2d', kernelH, strideH, dilationH),
          samePadding('conv2d', kernelW, strideW, dilationW),
        ] as const)
      : checkPair('conv2d', 'padding', padding, 0);
  return convolution(
    'conv2d',
    [outChannels, kernelH, kernelW, inChannels],
    bias,
    (x, weight) => convolve2d(x, weight, { stride, padding: pad, dilation }),
    (length) => windowCount(length, kernelH, strideH, pad[0], dilationH),
  );
}

/** Windows that fit into a sequence with its padding; none into an empty sequence. */
const windowCount = (length: number, kernel: number, stride: number, pad: number, dilation: number): number =>
  length === 0 ? 0 : Math.max(0, Math.floor((length + 2 * pad - dilation * (kernel - 1) - 1) / stride) + 1);

function convolution(
  op: string,
  weightShape: readonly number[],
  bias: boolean,
  convolve: (x: Tensor, weight: Tensor) => Tensor,
  outputLength: (length: number) => number,
): Layer<ConvParams> & Lengths {
  const outChannels = weightShape[0]!;
  const inChannels = weightShape.at(-1)!;
  const fanIn = weightShape.slice(1).reduce((a, b) => a * b, 1);
  const layout = op === 'conv1d' ? `[N, L, ${inChannels}]` : `[N, H, W, ${inChannels}]`;
  return layer(op, ['weight', 'bias'], {
    init: (random, placement) => ({
      weight: uniformByFan(random, weightShape, fanIn, placement),
      bias: bias ? uniformByFan(random, [outChannels], fanIn, placement) : null,
    }),
    apply: (params, x, { lengths }) => {
      checkFeatures(op, x, [weightShape.length], inChannels, layout);
      const result = convolve(maskFrames(op, x, lengths), params.weight);
      return params.bias ? add(result, params.bias) : result;
    },
    outputLength,
  });
}
