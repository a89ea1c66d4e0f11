import type { CpuKernel } from '../call.js';
import { alignKernels } from './align.js';
import { beamKernels } from './beam.js';
import { convKernels } from './conv.js';
import { convolutionKernels } from './convolution.js';
import { copyKernels } from './copy.js';
import { ctcKernels } from './ctc.js';
import { depthwiseKernels } from './depthwise.js';
import { elementwise } from './elementwise.js';
import { fftKernels } from './fft.js';
import { gatherKernels } from './gather.js';
import { matmulKernels } from './matmul.js';
import { momentKernels } from './moments.js';
import { normKernels } from './norm.js';
import { optimizerKernels } from './optimizer.js';
import { recurrentKernels } from './recurrent.js';
import { reduceKernels } from './reduce.js';
import { scanKernels } from './scan.js';
import { softmaxKernels } from './softmax.js';
import { sortKernels } from './sort.js';

/** Every kernel of the CPU by the name that ops call it; all formulas of src/ops/elementwise.ts are 'elementwise'. */
export const kernels: Readonly<Record<string, CpuKernel>> = {
  elementwise,
  ...alignKernels,
  ...beamKernels,
  ...copyKernels,
  ...convKernels,
  ...convolutionKernels,
  ...ctcKernels,
  ...depthwiseKernels,
  ...fftKernels,
  ...gatherKernels,
  ...matmulKernels,
  ...momentKernels,
  ...normKernels,
  ...optimizerKernels,
  ...recurrentKernels,
  ...reduceKernels,
  ...scanKernels,
  ...softmaxKernels,
  ...sortKernels,
};
