import type { Launcher } from '../../autograd/op.js';
import type { Kernel } from '../../backends/backend.js';

/**
 * CTC on a GPU: three kernels in a row. `ctcEmit` turns rows of x into emission probabilities, `ctcRecursion` runs alpha and beta at once, a
 * group of threads for each sequence and direction, `ctcGrad` sums the posteriors of each class. Probabilities are pairs of a mantissa and an
 * exponent, so nothing underflows; metal/ctc.metal explains them.
 */
const PARAMS = {
  frames: 'u32', sequences: 'u32', classes: 'u32', width: 'u32', blank: 'u32', logits: 'u32', slots: 'u32', byClass: 'u32', lanes: 'u32', directions: 'u32',
} as const;

const emitKernel: Kernel = { name: 'ctcEmit', family: 'ctc', inputs: ['x', 'targets', 'inputLengths', 'targetLengths'], outputs: ['emissions', 'exponents', 'rows'], params: PARAMS };

const recursionKernel: Kernel = {
  name: 'ctcRecursion',
  family: 'ctc',
  inputs: ['emissions', 'exponents', 'targets', 'inputLengths', 'targetLengths'],
  outputs: ['states', 'losses', 'totals', 'memory'],
  params: PARAMS,
};

const gradKernel: Kernel = {
  name: 'ctcGrad',
  family: 'ctc',
  inputs: ['x', 'targets', 'inputLengths', 'targetLengths', 'states', 'losses', 'totals', 'rows'],
  outputs: ['gradient'],
  params: PARAMS,
};

/** The kernels by name, for the tests that compare declarations with sources. */
export const gpuKernels: readonly Kernel[] = [emitKernel, recursionKernel, gradKernel];

/** Threads of a group at most; threadgroup memory is laid out for it. */
const GROUP = 256;

export interface GpuCtcSizes {
  readonly frames: number;
  readonly sequences: number;
  readonly classes: number;
  /** Columns of the padded targets. */
  readonly width: number;
  readonly blank: number;
  readonly logits: boolean;
  readonly withGradient: boolean;
}

/** The power of two from `least` to `most` that is next to a number from above. */
function powerOfTwo(number: number, least: number, most: number): number {
  let power = least;
  while (power < number && power < most) power *= 2;
  return power;
}

/** Launches the kernels of one `ctcLoss`: inputs x, targets and both lengths; outputs losses and, if wanted, their gradient. */
export function launchGpuCtc(call: Launcher, { logits, withGradient, ...sizes }: GpuCtcSizes): void {
  const { frames, sequences, classes, width } = sizes;
  const [x, targets, inputLengths, targetLengths] = call.inputs as [Launcher['inputs'][0], Launcher['inputs'][0], Launcher['inputs'][0], Launcher['inputs'][0]];
  const [losses, gradient] = call.outputs as [Launcher['outputs'][0], Launcher['outputs'][0]];
  // Emissions are kept by class where that is the shorter row, else gathered for the target's labels.
  const byClass = classes <= 1 + width;
  const slots = byClass ? classes : 1 + width;
  const directions = withGradient ? 2 : 1;
  const lanes = powerOfTwo(classes / 4, 8, GROUP);
  const params = { ...sizes, logits: Number(logits), slots, byClass: Number(byClass), lanes, directions };
  const rowGroups = Math.ceil((frames * sequences * lanes) / GROUP);

  const emissions = call.scratch('int32', sequences * frames * slots * 2);
  const exponents = call.scratch('float32', sequences * frames);
  const rows = call.scratch('float32', frames * sequences * 2);
  const states = call.scratch('int32', withGradient ? 2 * sequences * frames * width * 2 : 0);
  const totals = call.scratch('int32', sequences * 2);
  const memory = call.scratch('int32', sequences * directions * 3 * (width + 1) * 2);
  if (rowGroups > 0) {
    call.launch({ kernel: emitKernel, inputs: [x, targets, inputLengths, targetLengths], outputs: [emissions, exponents, rows], params, grid: rowGroups, groupSize: GROUP });
  }
  call.launch({
    kernel: recursionKernel,
    inputs: [emissions, exponents, targets, inputLengths, targetLengths],
    outputs: [states, losses, totals, memory],
    params,
    grid: sequences * directions,
    // A thread for each label and one for the last blank, if there is room; else threads take several.
    groupSize: Math.min(GROUP, Math.ceil((width + 1) / 32) * 32),
  });
  if (withGradient && rowGroups > 0) {
    call.launch({ kernel: gradKernel, inputs: [x, targets, inputLengths, targetLengths, states, losses, totals, rows], outputs: [gradient], params, grid: rowGroups, groupSize: GROUP });
  }
}
