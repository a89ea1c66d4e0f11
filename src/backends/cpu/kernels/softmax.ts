import type { CpuKernel } from '../call.js';
import { alongAxis } from './along-axis.js';
import { sizes } from './float32.js';
import { logSumExpOf } from './reduce.js';

/** Rows along the axis: `finish` turns x minus the row's logSumExp into the result. */
function rows(finish: (logProb: number) => number): CpuKernel {
  return (call) => {
    const [outer, axis, inner] = sizes(call);
    const x = call.inputs[0]!.view();
    const out = call.outputs[0]!.view();
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const start = o * axis * inner + i;
        const log = logSumExpOf(x, start, axis, inner);
        for (let j = 0; j < axis; j++) out[start + j * inner] = finish(x[start + j * inner]! - log);
      }
    }
  };
}

export const softmaxKernels = {
  softmax: alongAxis('softmax', { cost: 6, scratch: true, generic: rows(Math.exp) }),
  logSoftmax: alongAxis('logSoftmax', { cost: 6, scratch: true, generic: rows((logProb) => logProb) }),
};
