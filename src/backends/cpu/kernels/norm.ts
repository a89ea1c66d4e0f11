import type { TypedArray } from '../../backend.js';
import type { CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { run, withFloat32 } from './float32.js';

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
function meanAndRest(x: TypedArray, start: number, axis: number, step: number): [mean: number, rest: number] {
  const mean = meanOf(x, start, axis, step);
  const rest = new RunningSum();
  for (let j = 0; j < axis; j++) rest.add(x[start + j * step]! - mean);
  return [mean, Number.isFinite(rest.value) ? rest.value / axis : 0];
}

/** The sum of squared distances from a center, as a sum over the square of a unit, which keeps it in range. */
function squares(
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

const layerNorm: CpuKernel = (call) => {
  const width = call.number('width');
  const x = call.inputs[0]!.view();
  const [out, rstd] = call.outputs.map((buffer) => buffer.view());
  for (let r = 0; r < call.number('rows'); r++) {
    const start = r * width;
    const [mean, rest] = meanAndRest(x, start, width, 1);
    const [sum, unit] = squares(x, start, width, 1, [mean, rest]);
    // Of a variance beyond float64 eps is no part.
    const scale =
      unit > 1 || call.number('eps') === 0
        ? 1 / Math.sqrt(sum / width) / unit
        : 1 / Math.sqrt((sum / width) * unit ** 2 + call.number('eps'));
    for (let i = 0; i < width; i++) out![start + i] = (x[start + i]! - mean - rest) * scale;
    rstd![r] = scale;
  }
};

const layerNormVjp: CpuKernel = (call) => {
  const width = call.number('width');
  const [g, y, rstd] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  for (let r = 0; r < call.number('rows'); r++) {
    const start = r * width;
    let meanG = 0;
    let meanGY = 0;
    for (let i = start; i < start + width; i++) {
      meanG += g![i]!;
      meanGY += g![i]! * y![i]!;
    }
    meanG /= width;
    meanGY /= width;
    for (let i = start; i < start + width; i++) out[i] = rstd![r]! * (g![i]! - meanG - y![i]! * meanGY);
  }
};

const affineNorm: CpuKernel = (call) => {
  const [rows, width, eps] = [call.number('rows'), call.number('width'), call.number('eps')];
  const [x, weight, bias] = [call.in(0), call.in(1), call.in(2)];
  const [out, y, rstd] = [call.out(0), call.out(1), call.out(2)];
  run('affineNorm', {
    total: rows,
    cost: 5 * rows * width,
    args: (begin, end) => [
      x + begin * width * 4,
      ...[weight, bias],
      ...[out, y].map((at) => at + begin * width * 4),
      rstd + begin * 4,
      ...[end - begin, width, eps],
    ],
  });
};

/** Rows whose shares of the weight's and the bias's cotangents are one sum: BLOCK in wasm/norm.ts. */
const BLOCK = 256;

const affineNormVjp: CpuKernel = (call) => {
  const { functions } = heap();
  const [rows, width] = [call.number('rows'), call.number('width')];
  const [g, y, rstd, weight] = [call.in(0), call.in(1), call.in(2), call.in(3)];
  const [out, byWeight, byBias] = [call.out(0), call.out(1), call.out(2)];
  const blocks = Math.ceil(rows / BLOCK);
  const sums = call.scratch(Math.max(blocks, 1) * 2 * width * 8);
  const tasks = cut(blocks, partsFor(10 * rows * width, true)).map(([begin, end]) => {
    const [first, last] = [begin * BLOCK, Math.min(end * BLOCK, rows)];
    return [
      ...[g, y].map((at) => at + first * width * 4),
      rstd + first * 4,
      weight,
      out + first * width * 4,
      sums + begin * 2 * width * 8,
      call.scratch(functions.affineNormScratch!(width)),
      ...[last - first, width],
    ];
  });
  parallel('affineNormVjp', tasks);
  functions.affineNormSums!(sums, byWeight, byBias, blocks, width);
};

export const normKernels = {
  affineNorm,
  affineNormVjp,
  layerNorm: withFloat32(
    'layerNorm',
    (call) => {
      const [rows, width, eps] = [call.number('rows'), call.number('width'), call.number('eps')];
      const [x, out, rstd] = [call.in(0), call.out(0), call.out(1)];
      return {
        total: rows,
        cost: 5 * rows * width,
        args: (begin, end) => [
          x + begin * width * 4,
          out + begin * width * 4,
          rstd + begin * 4,
          end - begin,
          width,
          eps,
        ],
      };
    },
    layerNorm,
  ),
  layerNormVjp: withFloat32(
    'layerNormVjp',
    (call) => {
      const [rows, width] = [call.number('rows'), call.number('width')];
      const [g, y, rstd, out] = [call.in(0), call.in(1), call.in(2), call.out(0)];
      return {
        total: rows,
        cost: 5 * rows * width,
        args: (begin, end) => [
          ...[g, y].map((at) => at + begin * width * 4),
          rstd + begin * 4,
          out + begin * width * 4,
          end - begin,
          width,
        ],
      };
    },
    layerNormVjp,
  ),
};
