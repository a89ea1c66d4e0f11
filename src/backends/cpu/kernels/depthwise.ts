import type { CpuCall, CpuKernel } from '../call.js';
import { eachPatchElement, windowSizes } from './conv.js';
import { withFloat32 } from './float32.js';

const multiply = (a: number, b: number): number => a * b;

/** Calls `visit` with the offsets of the channels of an image's element, of the window that sees it, and of the tap that it meets there. */
function eachTap(call: CpuCall, visit: (image: number, window: number, tap: number) => void): void {
  const channels = call.number('channels');
  const window = call.number('kernelH') * call.number('kernelW') * channels;
  eachPatchElement(call, (image, patch) => {
    if (image >= 0) visit(image, Math.floor(patch / window) * channels, patch % window);
  });
}

/** out[to] += a[at] * b[bAt] for the channels of each tap. */
const generic =
  (offsets: (image: number, window: number, tap: number) => readonly [a: number, b: number, out: number]): CpuKernel =>
  (call) => {
    const channels = call.number('channels');
    const [a, b] = call.inputs.map((buffer) => buffer.view());
    const out = call.outputs[0]!.view();
    // int32 wraps around; float64 would round products beyond 2^53.
    const times = out instanceof Int32Array ? Math.imul : multiply;
    out.fill(0);
    eachTap(call, (image, window, tap) => {
      const [aAt, bAt, outAt] = offsets(image, window, tap);
      for (let c = 0; c < channels; c++) out[outAt + c]! += times(a![aAt + c]!, b![bAt + c]!);
    });
  };

/** Divided among elements of the result; each costs a multiplication and its loads for each tap. */
const over = (name: string, count: (call: CpuCall) => number, otherwise: CpuKernel): CpuKernel =>
  withFloat32(
    name,
    (call) => {
      const sizes = windowSizes(call);
      const [batch, height, width, channels, outH, outW, kernelH, kernelW] = sizes;
      const [a, b, out] = [call.in(0), call.in(1), call.out(0)];
      return {
        total: count(call),
        cost: batch * Math.min(height * width, outH * outW) * kernelH * kernelW * channels,
        args: (begin, end) => [a, b, out, begin, end, ...sizes],
      };
    },
    otherwise,
  );

const product = (call: CpuCall, ...names: string[]): number =>
  names.reduce((total, name) => total * call.number(name), 1);

export const depthwiseKernels = {
  depthwise: over(
    'depthwise',
    (call) => product(call, 'batch', 'outH', 'outW'),
    generic((image, window, tap) => [image, tap, window]),
  ),
  depthwiseInput: over(
    'depthwiseInput',
    (call) => product(call, 'batch', 'height', 'width'),
    generic((image, window, tap) => [window, tap, image]),
  ),
  depthwiseTaps: over(
    'depthwiseTaps',
    (call) => product(call, 'kernelH', 'kernelW'),
    generic((image, window, tap) => [image, window, tap]),
  ),
};
