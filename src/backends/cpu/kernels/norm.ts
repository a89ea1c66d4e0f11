import type { CpuKernel } from '../call.js';
import { withFloat32 } from './float32.js';
import { meanAndRest, squares } from './moments.js';

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

export const normKernels = {
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
