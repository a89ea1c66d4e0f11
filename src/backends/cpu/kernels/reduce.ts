import type { CpuCall } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { alongAxis } from './along-axis.js';

/** Elements of a long row that are summed together, whoever does it: PART in wasm/sums.ts. */
const PART = 1 << 16;

/** Shares the sum of a float32 row among threads. @param divisor of the sum, by the length of the row */
export const shareSum =
  (divisor: (axis: number) => number) =>
  (call: CpuCall): boolean => {
    const axis = call.number('axis');
    const count = Math.ceil(axis / PART);
    if (call.inputs[0]!.dtype !== 'float32' || count < 2) return false;
    const [x, out, sums] = [call.in(0), call.out(0), call.scratch(8 * count)];
    const tasks = cut(count, partsFor(axis, true)).map(([begin, end]) => [
      x + begin * PART * 4,
      sums + begin * 8,
      Math.min(end * PART, axis) - begin * PART,
    ]);
    parallel('sumParts', tasks);
    heap().functions.sumOfParts!(sums, out, count, divisor(axis));
    return true;
  };

export const reduceKernels = {
  sum: alongAxis('sum', { cost: 1, scratch: true, shareRow: shareSum(() => 1) }),
  prod: alongAxis('prod', { cost: 2, scratch: true }),
  max: alongAxis('max', { cost: 1 }),
  min: alongAxis('min', { cost: 1 }),
  argmax: alongAxis('argmax', { cost: 1, scratch: true }),
  argmin: alongAxis('argmin', { cost: 1, scratch: true }),
  logSumExp: alongAxis('logSumExp', { cost: 5, scratch: true }),
  cumsum: alongAxis('cumsum', { cost: 2, further: (call) => [call.number('reverse')] }),
};
