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

/** Whether it is known that no element is infinite or NaN. */
function isAllFinite(weight: Tensor): boolean {
  if (weight.buffer.isArriving) return false;
  const values = weight.glance();
  let known = 0;
  while (known < values.length && Number.isFinite(values[known])) known++;
  return known === values.length;
}

/**
 * The adjoint by x, an image of the given shape: what each of its elements gets of the windows that see it. As a convolution it has the weight times zeros
 * around the cotangents, too, which none does: it is one only where these products are 0.
 */
function byInput(g: Tensor, weight: Tensor, windows: Windows, [, height, width]: readonly number[]): Tensor {
  const [out, kernelH, kernelW, channels] = weight.shape as [number, number, number, number];
  if (channels >= LEAST_CHANNELS && isAllFinite(weight))
    return denseConvOp([g, turnedWeight(weight)], { ...turned(windows), isAdjoint: true });
  const patches = matmul(g, reshape(weight, [out, kernelH * kernelW * channels]));
  const shape = [...g.shape.slice(0, 3), kernelH, kernelW, channels];
  return foldOp([reshape(patches, shape)], { ...windows, height: height!, width: width! });
}

/**
 * Images [N, H, W, C] and a weight [O, kernelH, kernelW, C] to [N, outH, outW, O]; see `isDense`. `isAdjoint`: it is `byInput` of a convolution, and its
 * own derivatives are those of that one, which has its zeros around the other image.
 */
export const denseConvOp: OpFunction<Windows & { isAdjoint?: boolean }> = defineOp({
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
  vjp: (g, { inputs: [x, weight], attrs, needs }) => {
    if (attrs.isAdjoint) {
      const windows = turned(attrs);
      return [
        needs[0] ? denseConvOp([g, turnedWeight(weight!)], windows) : null,
        needs[1] ? turnedWeight(convWeightOp([g, x!], windows)) : null,
      ];
    }
    return [needs[0] ? byInput(g, weight!, attrs, x!.shape) : null, needs[1] ? convWeightOp([x!, g], attrs) : null];
  },
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

/** Whether a convolution is one of these: what is not has patches. So has one whose image would be larger than they are with its padding. */
export function isDense(x: Tensor, weight: Tensor, windows: Windows): boolean {
  const { h, w } = windows;
  const [outH, outW] = outSize(x.shape, windows);
  const padded = (outH + h.dilation * (h.kernel - 1)) * (outW + w.dilation * (w.kernel - 1));
  const within = ({ kernel, stride, before, after, dilation }: Span): boolean =>
    stride === 1 && Math.max(before, after) <= dilation * (kernel - 1);
  return (
    x.device.isHost &&
    x.dtype === 'float32' &&
    within(h) &&
    within(w) &&
    x.size > 0 &&
    padded <= outH * outW * h.kernel * w.kernel &&
    weight.shape[0]! >= LEAST_CHANNELS &&
    Math.min(x.shape[2]!, outW) >= LEAST_WIDTH
  );
}
