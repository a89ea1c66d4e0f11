import { defineOp, type OpFunction } from '../../autograd/op.js';
import type { Kernel } from '../../backends/kernel.js';
import { sizeOf } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { matmul } from '../matmul.js';
import { flip, reshape, transpose } from '../movement/index.js';
import { foldOp } from './unfold.js';
import { outSize, type Span, WINDOW_PARAMS, windowParams, type Windows } from './windows.js';

/**
 * Convolutions of float32 at stride 1 on the host, without patches: the kernel's products read them where they lie in the image. Nothing but the operands is
 * kept for the backward pass. The adjoint by x is a convolution again, by the weight turned round.
 */

/** Columns of an image, and of what its windows give, at least: the kernel's tiles are four positions side by side. */
const LEAST_WIDTH = 4;
/** Channels at least: with fewer most of a tile is computed in vain. */
const LEAST_CHANNELS = 4;

const declare = (name: string, second: string): Kernel => ({
  name,
  family: 'convolution',
  inputs: ['x', second],
  outputs: ['out'],
  params: WINDOW_PARAMS,
});

const convKernel = declare('conv', 'weight');
const convWeightKernel = declare('convWeight', 'g');

/** Windows that see the cotangents of these windows as these see the image: turned round. */
const turned = ({ h, w }: Windows): Windows => {
  const turn = (span: Span): Span => {
    const reach = span.dilation * (span.kernel - 1);
    return { ...span, before: reach - span.before, after: reach - span.after };
  };
  return { h: turn(h), w: turn(w) };
};

/** A weight [O, kernelH, kernelW, C] as that of the adjoint by x, [C, kernelH, kernelW, O]. */
const turnedWeight = (weight: Tensor): Tensor => transpose(flip(weight, [1, 2]), 0, 3);

/** The adjoint by x, an image of the given shape: what each of its elements gets of the windows that see it. */
function byInput(g: Tensor, weight: Tensor, windows: Windows, [, height, width]: readonly number[]): Tensor {
  const [out, kernelH, kernelW, channels] = weight.shape as [number, number, number, number];
  if (channels >= LEAST_CHANNELS) return denseConvOp([g, turnedWeight(weight)], turned(windows));
  const patches = matmul(g, reshape(weight, [out, kernelH * kernelW * channels]));
  const shape = [...g.shape.slice(0, 3), kernelH, kernelW, channels];
  return foldOp([reshape(patches, shape)], { ...windows, height: height!, width: width! });
}

/** Images [N, H, W, C] and a weight [O, kernelH, kernelW, C] to [N, outH, outW, O]; see `isDense`. */
export const denseConvOp: OpFunction<Windows> = defineOp({
  name: 'conv',
  readsResult: false,
  infer: ([x, weight], w) => ({
    shape: [x!.shape[0]!, ...outSize(x!.shape, w), weight!.shape[0]!],
    dtype: x!.dtype,
  }),
  run: (call, [x], w, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(x!.shape, w);
    call.launch({ kernel: convKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (g, { inputs: [x, weight], attrs, needs }) => [
    needs[0] ? byInput(g, weight!, attrs, x!.shape) : null,
    needs[1] ? convWeightOp([x!, g], attrs) : null,
  ],
});

/** The adjoint by the weight: the sum over all windows of what they see, times their cotangents [N, outH, outW, O]. */
const convWeightOp: OpFunction<Windows> = defineOp({
  name: 'convWeight',
  readsResult: false,
  infer: ([x, g], { h, w }) => ({ shape: [g!.shape[3]!, h.kernel, w.kernel, x!.shape[3]!], dtype: x!.dtype }),
  run: (call, [x], w, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(x!.shape, w);
    call.launch({ kernel: convWeightKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (c, { inputs: [x, g], attrs, needs }) => [
    needs[0] ? byInput(g!, c, attrs, x!.shape) : null,
    needs[1] ? denseConvOp([x!, c], attrs) : null,
  ],
});

/** Whether a convolution is one of these: what is not has patches. */
export function isDense(x: Tensor, weight: Tensor, windows: Windows): boolean {
  const { h, w } = windows;
  const within = ({ kernel, stride, before, after, dilation }: Span): boolean =>
    stride === 1 && Math.max(before, after) <= dilation * (kernel - 1);
  return (
    x.device.isHost &&
    x.dtype === 'float32' &&
    within(h) &&
    within(w) &&
    x.size > 0 &&
    weight.shape[0]! >= LEAST_CHANNELS &&
    Math.min(x.shape[2]!, outSize(x.shape, windows)[1]) >= LEAST_WIDTH
  );
}
