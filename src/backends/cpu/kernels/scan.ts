import type { CpuCall, CpuKernel } from '../call.js';
import { sizes } from './float32.js';

/** Calls `visit` for each line along the axis: where it begins, and how far apart its elements are. Backwards where `reverse`. */
function eachLine(call: CpuCall, reverse: boolean, visit: (start: number, step: number, axis: number) => void): void {
  const [outer, axis, inner] = sizes(call);
  const [first, step] = reverse ? [(axis - 1) * inner, -inner] : [0, inner];
  for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) visit(o * axis * inner + i + first, step, axis);
}

const cummax: CpuKernel = (call) => {
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  eachLine(call, false, (start, step, axis) => {
    let most = -Infinity;
    for (let j = 0, at = start; j < axis; j++, at += step) out[at] = most = Math.max(most, x[at]!);
  });
};

const recurrence: CpuKernel = (call) => {
  const [x, factor] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  const isWhole = out instanceof Int32Array;
  eachLine(call, call.number('reverse') !== 0, (start, step, axis) => {
    let last: number = x![start]!;
    out[start] = last;
    for (let j = 1, at = start + step; j < axis; j++, at += step) {
      // int32 wraps around; float64 would round products beyond 2^53.
      last = isWhole ? (x![at]! + Math.imul(factor![at]!, last)) | 0 : x![at]! + factor![at]! * last;
      out[at] = last;
    }
  });
};

/** In JavaScript only: the ops that these are for compute in float64 here. */
export const scanKernels = { cummax, recurrence };
