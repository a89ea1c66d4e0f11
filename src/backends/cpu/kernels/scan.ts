import type { CpuCall, CpuKernel } from '../call.js';
import { sizes } from './float32.js';

/** Calls `visit` for the places of each line along the axis, in order; `first` says where a line begins. */
function eachPlace(call: CpuCall, reverse: boolean, visit: (at: number, first: boolean) => void): void {
  const [outer, axis, inner] = sizes(call);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++)
      for (let j = 0; j < axis; j++) visit((o * axis + (reverse ? axis - 1 - j : j)) * inner + i, j === 0);
}

const cummax: CpuKernel = (call) => {
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  let most = 0;
  eachPlace(call, false, (at, first) => {
    out[at] = most = first ? x[at]! : Math.max(most, x[at]!);
  });
};

const multiplyAdd = (factor: number, last: number, value: number): number => value + factor * last;
/** int32 wraps around; float64 would round products beyond 2^53. */
const multiplyAddIntegers = (factor: number, last: number, value: number): number =>
  (value + Math.imul(factor, last)) | 0;

const recurrence: CpuKernel = (call) => {
  const [x, factor] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  const next = out instanceof Int32Array ? multiplyAddIntegers : multiplyAdd;
  let last = 0;
  eachPlace(call, call.number('reverse') !== 0, (at, first) => {
    out[at] = last = first ? x![at]! : next(factor![at]!, last, x![at]!);
  });
};

/** In JavaScript only: the ops that these are for compute in float64 here. */
export const scanKernels = { cummax, recurrence };
