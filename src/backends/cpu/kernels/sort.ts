import type { CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { run, sizes } from './float32.js';

/** Negative where a comes before b; NaN is after all numbers, and -0 is 0. */
const compare = (a: number, b: number): number =>
  a < b ? -1 : a > b ? 1 : Number(Number.isNaN(a)) - Number(Number.isNaN(b));

/** JavaScript's own sort is stable. */
function generic(call: Parameters<CpuKernel>[0]): void {
  const [outer, axis, inner] = sizes(call);
  const count = call.number('count');
  const sign = call.number('descending') !== 0 ? -1 : 1;
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  const order = new Int32Array(axis);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * axis * inner + i;
      for (let j = 0; j < axis; j++) order[j] = j;
      order.sort((a, b) => sign * compare(x[start + a * inner]!, x[start + b * inner]!));
      for (let j = 0; j < count; j++) out[(o * count + j) * inner + i] = order[j]!;
    }
  }
}

const argsort: CpuKernel = (call) => {
  if (call.inputs[0]!.dtype === 'float64') {
    generic(call);
    return;
  }
  const [outer, axis, inner] = sizes(call);
  const count = call.number('count');
  const scratchBytes = heap().functions.argsortScratch!(axis);
  const [x, out] = [call.in(0), call.out(0)];
  run('argsort', {
    total: outer,
    cost: 30 * outer * axis * inner,
    args: (begin, end) => [
      x + begin * axis * inner * 4,
      out + begin * count * inner * 4,
      end - begin,
      axis,
      inner,
      count,
      call.number('descending'),
      Number(call.inputs[0]!.dtype === 'int32'),
      call.scratch(scratchBytes),
    ],
  });
};

export const sortKernels = { argsort };
