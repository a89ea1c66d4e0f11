import type { TypedArray } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { alongAxis } from './along-axis.js';
import { sizes } from './float32.js';
import { shareSum } from './reduce.js';

/** One output for each (outer, inner): `reduce` reads `axis` elements from `start` on, `inner` apart. */
function reducer(reduce: (x: TypedArray, start: number, axis: number, step: number) => number): CpuKernel {
  return (call) => {
    const [outer, axis, inner] = sizes(call);
    const x = call.inputs[0]!.view();
    const out = call.outputs[0]!.view();
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) out[o * inner + i] = reduce(x, o * axis * inner + i, axis, inner);
  };
}

/** Neumaier's compensated addition: float64 sums keep their last digits. */
class RunningSum {
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

/** The mean of a run; divided first where the sum leaves float64. */
function meanOf(x: TypedArray, start: number, axis: number, step: number): number {
  const meanBy = (first: number, last: number): number => {
    const total = new RunningSum();
    for (let j = 0; j < axis; j++) total.add(x[start + j * step]! / first);
    return total.value / last;
  };
  const mean = meanBy(1, axis);
  return Number.isFinite(mean) || axis === 0 ? mean : meanBy(axis, 1);
}

/** The mean of a run as two numbers: what a float64 holds of it, and the rest. */
export function meanAndRest(x: TypedArray, start: number, axis: number, step: number): [mean: number, rest: number] {
  const mean = meanOf(x, start, axis, step);
  const rest = new RunningSum();
  for (let j = 0; j < axis; j++) rest.add(x[start + j * step]! - mean);
  return [mean, Number.isFinite(rest.value) ? rest.value / axis : 0];
}

/** The sum of squared distances from a center, as a sum over the square of a unit, which keeps it in range. */
export function squares(
  x: TypedArray,
  start: number,
  axis: number,
  step: number,
  [center, rest]: readonly [number, number],
): [sum: number, unit: number] {
  const sumOver = (unit: number): number => {
    const sum = new RunningSum();
    for (let j = 0; j < axis; j++) sum.add(((x[start + j * step]! - center - rest) / unit) ** 2);
    return sum.value;
  };
  const sum = sumOver(1);
  if (sum > 1e-280 && sum < Infinity) return [sum, 1];
  let most = 0;
  for (let j = 0; j < axis; j++) most = Math.max(most, Math.abs(x[start + j * step]! - center - rest));
  return most > 0 && Number.isFinite(most) ? [sumOver(most), most] : [sum, 1];
}

const center: CpuKernel = (call) => {
  const [outer, axis, inner] = sizes(call);
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * axis * inner + i;
      const [mean, rest] = meanAndRest(x, start, axis, inner);
      for (let j = 0; j < axis; j++) out[start + j * inner] = x[start + j * inner]! - mean - rest;
    }
  }
};

const variance: CpuKernel = (call) =>
  reducer((x, start, axis, step) => {
    const [sum, unit] = squares(x, start, axis, step, meanAndRest(x, start, axis, step));
    return unit * (sum / (axis - call.number('correction'))) * unit;
  })(call);

const norm: CpuKernel = (call) =>
  reducer((x, start, axis, step) => {
    const [sum, unit] = squares(x, start, axis, step, [0, 0]);
    return Math.sqrt(sum) * (unit * call.number('scale'));
  })(call);

const numberOf =
  (name: string) =>
  (call: CpuCall): number[] => [call.number(name)];

export const momentKernels = {
  mean: alongAxis('mean', { cost: 1, scratch: true, shareRow: shareSum((axis) => axis) }),
  center: alongAxis('center', { cost: 2, generic: center }),
  variance: alongAxis('variance', { cost: 3, generic: variance, further: numberOf('correction') }),
  norm: alongAxis('norm', { cost: 2, generic: norm, further: numberOf('scale') }),
};
