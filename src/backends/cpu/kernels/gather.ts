import type { TypedArray } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { sizes, undivided, withFloat32 } from './float32.js';

/** Calls `visit(address, element)` for each position: where an index points on the axis, and where the element lies among the others. */
function eachIndex(call: CpuCall, perElement: boolean, visit: (address: number, element: number) => void): void {
  const [outer, axis, inner] = sizes(call);
  const count = call.number('count');
  const indices = call.inputs[1]!.view();
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < count; j++) {
      for (let i = 0; i < inner; i++) {
        const element = (o * count + j) * inner + i;
        visit((o * axis + indices[perElement ? element : j]!) * inner + i, element);
      }
    }
  }
}

const views = (call: CpuCall): [x: TypedArray, out: TypedArray] => [call.inputs[0]!.view(), call.outputs[0]!.view()];

const read =
  (perElement: boolean): CpuKernel =>
  (call) => {
    const [x, out] = views(call);
    eachIndex(call, perElement, (address, element) => {
      out[element] = x[address]!;
    });
  };

const accumulate =
  (perElement: boolean): CpuKernel =>
  (call) => {
    const [x, out] = views(call);
    eachIndex(call, perElement, (address, element) => {
      out[address]! += x[element]!;
    });
  };

const reading = (name: string, perElement: boolean): CpuKernel =>
  withFloat32(
    name,
    (call) => undivided([call.in(0), call.in(1), call.out(0), ...sizes(call), call.number('count')]),
    read(perElement),
  );

const adding = (name: string, perElement: boolean): CpuKernel =>
  withFloat32(
    name,
    (call) => undivided([call.in(0), call.in(1), call.update(0), ...sizes(call), call.number('count')]),
    accumulate(perElement),
  );

export const gatherKernels = {
  take: reading('take', false),
  takeAdjoint: adding('takeAdjoint', false),
  takeAlongAxis: reading('takeAlongAxis', true),
  scatterAlongAxis: adding('scatterAlongAxis', true),
};
