import type { CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { run } from './float32.js';

/** Both transforms compute in float64, whether rows are float32 or float64. Two rows go together. */
const transform =
  (name: 'rfft' | 'irfft'): CpuKernel =>
  (call) => {
    const [rows, samples, bins, n] = ['rows', 'samples', 'bins', 'n'].map((key) => call.number(key)) as [
      number,
      number,
      number,
      number,
    ];
    const { functions } = heap();
    const scratchBytes = functions.fftScratchBytes!(n);
    const plan = call.scratch(functions.fftPlanBytes!(n));
    functions.fftPlan!(plan, n, call.scratch(scratchBytes));
    const isWide = call.outputs[0]!.dtype === 'float64';
    const size = isWide ? 8 : 4;
    const [x, out] = [call.in(0), call.out(0)];
    const [xRow, outRow] = name === 'rfft' ? [samples, 2 * bins] : [2 * bins, samples];
    run(name, {
      total: rows,
      cost: 3 * rows * n * Math.log2(n + 1),
      grain: 2,
      args: (begin, end) => [
        x + begin * xRow * size,
        out + begin * outRow * size,
        end - begin,
        samples,
        bins,
        n,
        call.number('edge'),
        call.number('inner'),
        Number(isWide),
        plan,
        call.scratch(scratchBytes),
      ],
    });
  };

export const fftKernels = { rfft: transform('rfft'), irfft: transform('irfft') };
