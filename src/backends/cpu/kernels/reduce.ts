import type { TypedArray } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { alongAxis } from './along-axis.js';
import { sizes } from './float32.js';

/** One output for each (outer, inner): `reduce` reads `axis` elements from `start` on, `inner` apart. */
export function reducer(reduce: (x: TypedArray, start: number, axis: number, step: number) => number): CpuKernel {
  return (call) => {
    const [outer, axis, inner] = sizes(call);
    const x = call.inputs[0]!.view();
    const out = call.outputs[0]!.view();
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) out[o * inner + i] = reduce(x, o * axis * inner + i, axis, inner);
  };
}

/** Neumaier's compensated addition: float64 sums keep their last digits. */
export class RunningSum {
  private total = 0;
  private lost = 0;

  add(value: number): void {
    const next = this.total + value;
    this.lost += Math.abs(this.total) >= Math.abs(value) ? this.total - next + value : value - next + this.total;
    this.total = next;
  }

  get value(): number {
    return Number.isFinite(this.lost) ? this.total + this.lost : this.total;
  }
}

/** int32 wraps around, however many there are. */
class WrappingSum {
  value = 0;

  add(value: number): void {
    this.value = (this.value + value) | 0;
  }
}

function sumOf(x: TypedArray, start: number, axis: number, step: number): number {
  const total = x instanceof Int32Array ? new WrappingSum() : new RunningSum();
  for (let j = 0; j < axis; j++) total.add(x[start + j * step]!);
  return total.value;
}

/** The mean of a run; divided first where the sum leaves float64. */
export function meanOf(x: TypedArray, start: number, axis: number, step: number): number {
  const mean = sumOf(x, start, axis, step) / axis;
  if (Number.isFinite(mean) || axis === 0) return mean;
  const total = new RunningSum();
  for (let j = 0; j < axis; j++) total.add(x[start + j * step]! / axis);
  return total.value;
}

/** The position of the first extremum; NaN is more extreme than anything. */
const position =
  (better: (a: number, b: number) => boolean) =>
  (x: TypedArray, start: number, axis: number, step: number): number => {
    let best = 0;
    for (let j = 1; j < axis; j++) {
      const held = x[start + best * step]!;
      if (Number.isNaN(held)) break;
      const value = x[start + j * step]!;
      if (Number.isNaN(value) || better(value, held)) best = j;
    }
    return best;
  };
const largest = position((a, b) => a > b);
const smallest = position((a, b) => a < b);

/** The largest element of a run and log(sum(exp(x))). */
export function logSumExpOf(x: TypedArray, start: number, axis: number, step: number): number {
  const top = axis === 0 ? -Infinity : x[start + largest(x, start, axis, step) * step]!;
  if (!Number.isFinite(top)) return top;
  let total = 0;
  for (let j = 0; j < axis; j++) total += Math.exp(x[start + j * step]! - top);
  return top + Math.log(total);
}

const cumsum: CpuKernel = (call) => {
  const [outer, axis, inner] = sizes(call);
  const reverse = call.number('reverse') !== 0;
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const total = x instanceof Int32Array ? new WrappingSum() : new RunningSum();
      for (let j = 0; j < axis; j++) {
        const at = (o * axis + (reverse ? axis - 1 - j : j)) * inner + i;
        total.add(x[at]!);
        out[at] = total.value;
      }
    }
  }
};

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

const extreme = (place: typeof largest): CpuKernel =>
  reducer((x, start, axis, step) => x[start + place(x, start, axis, step) * step]!);

export const reduceKernels = {
  sum: alongAxis('sum', { cost: 1, scratch: true, generic: reducer(sumOf), shareRow: shareSum(() => 1) }),
  max: alongAxis('max', { cost: 1, generic: extreme(largest) }),
  min: alongAxis('min', { cost: 1, generic: extreme(smallest) }),
  argmax: alongAxis('argmax', { cost: 1, scratch: true, generic: reducer(largest) }),
  argmin: alongAxis('argmin', { cost: 1, scratch: true, generic: reducer(smallest) }),
  logSumExp: alongAxis('logSumExp', { cost: 5, scratch: true, generic: reducer(logSumExpOf) }),
  cumsum: alongAxis('cumsum', { cost: 2, further: (call) => [call.number('reverse')], generic: cumsum }),
};
