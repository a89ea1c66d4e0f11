import { ValueError } from '../errors.js';
import { conv1d as convolve1d, conv2d as convolve2d, type Pair } from '../ops/conv.js';
import { add } from '../ops/elementwise.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, uniformByFan } from './layer.js';
import { checkFeatures, checkSizes } from './linear.js';

export interface ConvParams {
  /** [outChannels, kernel, inChannels] for sequences, [outChannels, kernelH, kernelW, inChannels] for images. */
  readonly weight: Tensor;
  /** [outChannels] */
  readonly bias: Tensor | null;
}

export interface Conv1dOptions {
  readonly stride?: number;
  /** Zeros added at both ends; 'same' adds as many as keep the length at stride 1, for odd kernels. */
  readonly padding?: number | 'same';
  readonly dilation?: number;
  readonly bias?: boolean;
}

export interface Conv2dOptions {
  readonly stride?: Pair;
  /** Zeros added on both sides; 'same' adds as many as keep height and width at stride 1, for odd kernels. */
  readonly padding?: Pair | 'same';
  readonly dilation?: Pair;
  readonly bias?: boolean;
}

const pairOf = (value: Pair): readonly [number, number] => (typeof value === 'number' ? [value, value] : value);

function samePadding(op: string, kernel: number, dilation: number): number {
  const total = dilation * (kernel - 1);
  if (total % 2 !== 0)
    throw new ValueError(
      op,
      `padding 'same' with kernel ${kernel} and dilation ${dilation} would need more zeros on one side; use an odd kernel`,
    );
  return total / 2;
}

/** Convolution of sequences [N, L, inChannels] to [N, outL, outChannels]. */
export function conv1d(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: Conv1dOptions = {},
): Layer<ConvParams> {
  checkSizes('conv1d', { inChannels, outChannels, kernel });
  const { stride = 1, padding = 0, dilation = 1, bias = true } = options;
  const pad = padding === 'same' ? samePadding('conv1d', kernel, dilation) : padding;
  return convolution('conv1d', [outChannels, kernel, inChannels], bias, (x, weight) =>
    convolve1d(x, weight, { stride, padding: pad, dilation }),
  );
}

/** Convolution of images [N, H, W, inChannels] to [N, outH, outW, outChannels]. The kernel is [height, width], or one number for both. */
export function conv2d(
  inChannels: number,
  outChannels: number,
  kernel: Pair,
  options: Conv2dOptions = {},
): Layer<ConvParams> {
  const [kernelH, kernelW] = pairOf(kernel);
  checkSizes('conv2d', { inChannels, outChannels, kernelH, kernelW });
  const { stride = 1, padding = 0, dilation = 1, bias = true } = options;
  const [dilationH, dilationW] = pairOf(dilation);
  const pad: Pair =
    padding === 'same'
      ? [samePadding('conv2d', kernelH, dilationH), samePadding('conv2d', kernelW, dilationW)]
      : padding;
  return convolution('conv2d', [outChannels, kernelH, kernelW, inChannels], bias, (x, weight) =>
    convolve2d(x, weight, { stride, padding: pad, dilation }),
  );
}

function convolution(
  op: string,
  weightShape: readonly number[],
  bias: boolean,
  convolve: (x: Tensor, weight: Tensor) => Tensor,
): Layer<ConvParams> {
  const outChannels = weightShape[0]!;
  const inChannels = weightShape.at(-1)!;
  const fanIn = weightShape.slice(1).reduce((a, b) => a * b, 1);
  const layout = op === 'conv1d' ? `[N, L, ${inChannels}]` : `[N, H, W, ${inChannels}]`;
  return {
    init: (random, placement) => ({
      weight: uniformByFan(random, weightShape, fanIn, placement),
      bias: bias ? uniformByFan(random, [outChannels], fanIn, placement) : null,
    }),
    apply: (params, x) => {
      checkFeatures(op, x, [weightShape.length], inChannels, layout);
      const result = convolve(x, params.weight);
      return params.bias ? add(result, params.bias) : result;
    },
  };
}
