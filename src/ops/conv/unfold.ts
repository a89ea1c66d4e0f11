import { defineOp, type OpFunction } from '../../autograd/op.js';
import { type Kernel, NUMBERS } from '../../backends/kernel.js';
import type { Tensor } from '../../tensor/tensor.js';
import {
  checkBatch,
  checkFit,
  checkWindowOptions,
  checkWindows,
  outSize,
  type Pair,
  WINDOW_PARAMS,
  type WindowOptions,
  windowParams,
  type Windows,
} from './windows.js';

/** Patches of images, side by side, and their adjoint: what convolutions and averages are made of. */

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
export const unfoldOp: OpFunction<Windows> = defineOp({
  name: 'unfold',
  readsResult: false,
  infer: ([x], w) => {
    const [outH, outW] = outSize(x!.shape, w);
    return { shape: [x!.shape[0]!, outH, outW, w.h.kernel, w.w.kernel, x!.shape[3]!], dtype: x!.dtype };
  },
  run: (call, [x], w) => {
    const [outH, outW] = outSize(x!.shape, w);
    call.launch({
      kernel: unfoldKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: windowParams(x!.shape, w),
      grid: x!.shape[0]! * outH * outW * w.h.kernel * w.w.kernel * x!.shape[3]!,
    });
  },
  vjp: (g, { inputs: [x], attrs }) => [foldOp([g], { ...attrs, height: x!.shape[1]!, width: x!.shape[2]! })],
});

export const foldOp: OpFunction<Windows & { height: number; width: number }> = defineOp({
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

/**
 * The patches that a window sees, side by side (im2col): [N, H, W, C] to [N, outH, outW, kernelH, kernelW, C].
 * @throws {ShapeError} where not one window fits.
 */
export function unfold(x: Tensor, kernel: Pair, options: WindowOptions = {}): Tensor {
  checkBatch('unfold', x, 4);
  checkWindowOptions('unfold', options);
  const windows = checkWindows('unfold', kernel, options);
  checkFit('unfold', x.shape, windows);
  return unfoldOp([x], windows);
}
