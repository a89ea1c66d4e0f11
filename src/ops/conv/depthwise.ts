import { defineOp, type OpFunction } from '../../autograd/op.js';
import { type Kernel, NUMBERS } from '../../backends/kernel.js';
import { sizeOf } from '../../tensor/shape.js';
import { outSize, WINDOW_PARAMS, windowParams, type Windows } from './windows.js';

/**
 * Windows over each channel by itself: a weight of its own at each place of the window (its taps, [kernelH, kernelW, C]), and nothing summed over
 * channels. As patches these would be copied kernelH * kernelW times to be read once. The three ops are one trilinear form by each of its
 * arguments: each is the derivative of the others.
 */

const declare = (name: string, a: string, b: string): Kernel => ({
  name,
  family: 'depthwise',
  inputs: [a, b],
  outputs: ['out'],
  types: { [a]: NUMBERS, [b]: a, out: a },
  params: WINDOW_PARAMS,
});

const depthwiseKernel = declare('depthwise', 'x', 'taps');
const depthwiseInputKernel = declare('depthwiseInput', 'g', 'taps');
const depthwiseTapsKernel = declare('depthwiseTaps', 'x', 'g');

/** The windows' sums of x times taps: [N, H, W, C] and [kernelH, kernelW, C] to [N, outH, outW, C]. */
export const depthwiseOp: OpFunction<Windows> = defineOp({
  name: 'depthwise',
  readsResult: false,
  infer: ([x], w) => ({ shape: [x!.shape[0]!, ...outSize(x!.shape, w), x!.shape[3]!], dtype: x!.dtype }),
  run: (call, [x], w, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(x!.shape, w);
    call.launch({ kernel: depthwiseKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (g, { inputs: [x, taps], attrs, needs }) => [
    needs[0] ? depthwiseInputOp([g, taps!], { ...attrs, height: x!.shape[1]!, width: x!.shape[2]! }) : null,
    needs[1] ? depthwiseTapsOp([x!, g], attrs) : null,
  ],
});

/** The adjoint by x: what each element gets of the windows that see it. Windows [N, outH, outW, C] to an image [N, height, width, C]. */
export const depthwiseInputOp: OpFunction<Windows & { readonly height: number; readonly width: number }> = defineOp({
  name: 'depthwiseInput',
  readsResult: false,
  infer: ([g], { height, width }) => ({ shape: [g!.shape[0]!, height, width, g!.shape[3]!], dtype: g!.dtype }),
  run: (call, _inputs, w, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(result!.shape, w);
    call.launch({ kernel: depthwiseInputKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (c, { inputs: [g, taps], attrs: { h, w }, needs }) => [
    needs[0] ? depthwiseOp([c, taps!], { h, w }) : null,
    needs[1] ? depthwiseTapsOp([c, g!], { h, w }) : null,
  ],
});

/** The adjoint by the taps: the sum over all windows of x at each place, times the windows' cotangents. */
const depthwiseTapsOp: OpFunction<Windows> = defineOp({
  name: 'depthwiseTaps',
  readsResult: false,
  infer: ([x], { h, w }) => ({ shape: [h.kernel, w.kernel, x!.shape[3]!], dtype: x!.dtype }),
  run: (call, [x], w, [result]) => {
    const { inputs, outputs } = call;
    const params = windowParams(x!.shape, w);
    call.launch({ kernel: depthwiseTapsKernel, inputs, outputs, params, grid: sizeOf(result!.shape) });
  },
  vjp: (c, { inputs: [x, g], attrs, needs }) => [
    needs[0] ? depthwiseInputOp([g!, c], { ...attrs, height: x!.shape[1]!, width: x!.shape[2]! }) : null,
    needs[1] ? depthwiseOp([x!, c], attrs) : null,
  ],
});
