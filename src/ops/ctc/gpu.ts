import type { Launcher } from '../../autograd/op.js';
import type { Buffer, Kernel } from '../../backends/backend.js';
import type { CtcProblem } from './options.js';

/**
 * CTC on a GPU: three kernels in a row. `ctcEmit` turns rows of scores into emission probabilities, `ctcRecursion` runs alpha and beta at
 * once, a group of threads for each sequence and direction, `ctcGrad` sums the posteriors of each class. For second derivatives `ctcDual`
 * runs the recursion on dual numbers. Probabilities are pairs of a mantissa and an exponent, so nothing underflows; metal/ctc.metal
 * explains them.
 */
const PARAMS = {
  frames: 'u32', batch: 'u32', classes: 'u32', width: 'u32', blank: 'u32', logits: 'u32', slots: 'u32', byClass: 'u32', lanes: 'u32', directions: 'u32', posterior: 'u32',
} as const;

const LATTICE = ['targets', 'inputLengths', 'targetLengths'] as const;

const emitKernel: Kernel = { name: 'ctcEmit', family: 'ctc', inputs: ['scores', ...LATTICE], outputs: ['emissions', 'exponents', 'rows'], params: PARAMS };
const recursionKernel: Kernel = { name: 'ctcRecursion', family: 'ctc', inputs: ['emissions', 'exponents', ...LATTICE], outputs: ['states', 'losses', 'totals', 'memory'], params: PARAMS };
const gradKernel: Kernel = { name: 'ctcGrad', family: 'ctc', inputs: ['scores', ...LATTICE, 'states', 'losses', 'totals', 'rows'], outputs: ['gradient'], params: PARAMS };
const dualKernel: Kernel = { name: 'ctcDual', family: 'ctc-curvature', inputs: ['emissions', ...LATTICE, 'direction'], outputs: ['states', 'rates', 'memory'], params: PARAMS };
const curvatureKernel: Kernel = {
  name: 'ctcCurvature', family: 'ctc-curvature', inputs: ['scores', ...LATTICE, 'states', 'losses', 'totals', 'rates', 'rows', 'direction'], outputs: ['product'], params: PARAMS,
};

/** The kernels, for the tests that compare declarations with sources. */
export const gpuKernels: readonly Kernel[] = [emitKernel, recursionKernel, gradKernel, dualKernel, curvatureKernel];

/** Threads of a group at most; threadgroup memory is laid out for it. */
const GROUP = 256;

/** The power of two from `least` to `most` that is next to a number from above. */
function powerOfTwo(number: number, least: number, most: number): number {
  let power = least;
  while (power < number && power < most) power *= 2;
  return power;
}

/** Scores, padded targets, input lengths and target lengths. */
type Inputs = readonly Buffer[];

/** One problem on its way through the kernels: the buffers between them, and how they are laid out. */
class GpuCtc {
  private readonly lattice: readonly [Buffer, Buffer, Buffer];
  private readonly scores: Buffer;
  private readonly params: Readonly<Record<keyof typeof PARAMS, number>>;
  private readonly rowGroups: number;
  private readonly emissions: Buffer;
  private readonly exponents: Buffer;
  private readonly rows: Buffer;
  private readonly totals: Buffer;

  constructor(private readonly call: Launcher, inputs: Inputs, { frames, batch, classes, width, blank, logits }: CtcProblem, directions: 1 | 2, posterior = false) {
    [this.scores, ...this.lattice] = inputs as [Buffer, Buffer, Buffer, Buffer];
    // Emissions are kept by class where that is the shorter row, else gathered for the target's labels.
    const byClass = classes <= 1 + width;
    const slots = byClass ? classes : 1 + width;
    const lanes = powerOfTwo(classes / 4, 8, GROUP);
    this.params = { frames, batch, classes, width, blank, logits: Number(logits), slots, byClass: Number(byClass), lanes, directions, posterior: Number(posterior) };
    this.rowGroups = Math.ceil((frames * batch * lanes) / GROUP);
    this.emissions = call.scratch('int32', batch * frames * slots * 2);
    this.exponents = call.scratch('float32', batch * frames);
    this.rows = call.scratch('float32', frames * batch * 2);
    this.totals = call.scratch('int32', batch * 2);
  }

  /** A thread for each label and one for the last blank, if there is room; else threads take several. */
  private get walkers(): number { return Math.min(GROUP, Math.ceil((this.params.width + 1) / 32) * 32); }

  emit(): void {
    if (this.rowGroups === 0) return;
    const { call, params, scores, lattice, emissions, exponents, rows } = this;
    call.launch({ kernel: emitKernel, inputs: [scores, ...lattice], outputs: [emissions, exponents, rows], params, grid: this.rowGroups, groupSize: GROUP });
  }

  /** Fills in the losses and gives the states. */
  recurse(losses: Buffer, directions: 1 | 2): Buffer {
    const { call, lattice, emissions, exponents, totals } = this;
    const { frames, batch, width } = this.params;
    const states = call.scratch('int32', directions === 2 ? 2 * batch * frames * width * 2 : 0);
    const memory = call.scratch('int32', batch * directions * 3 * (width + 1) * 2);
    const params = { ...this.params, directions };
    call.launch({ kernel: recursionKernel, inputs: [emissions, exponents, ...lattice], outputs: [states, losses, totals, memory], params, grid: batch * directions, groupSize: this.walkers });
    return states;
  }

  gradient(states: Buffer, losses: Buffer, output: Buffer): void {
    if (this.rowGroups === 0) return;
    const { call, params, scores, lattice, totals, rows } = this;
    call.launch({ kernel: gradKernel, inputs: [scores, ...lattice, states, losses, totals, rows], outputs: [output], params, grid: this.rowGroups, groupSize: GROUP });
  }

  curvature(losses: Buffer, direction: Buffer, output: Buffer): void {
    const { call, params, scores, lattice, emissions, totals, rows } = this;
    const { frames, batch, classes, width } = params;
    if (frames * batch * classes === 0) return;
    const states = call.scratch('int32', 2 * batch * frames * width * 4);
    const rates = call.scratch('float32', batch);
    const memory = call.scratch('int32', batch * 2 * 3 * (width + 1) * 4);
    call.launch({ kernel: dualKernel, inputs: [emissions, ...lattice, direction], outputs: [states, rates, memory], params, grid: batch * 2, groupSize: this.walkers });
    const inputs = [scores, ...lattice, states, losses, totals, rates, rows, direction];
    call.launch({ kernel: curvatureKernel, inputs, outputs: [output], params, grid: this.rowGroups, groupSize: GROUP });
  }
}

/** Losses [batch] and, where there is a second output, their gradient. */
export function launchGpuLoss(call: Launcher, inputs: Inputs, problem: CtcProblem, outputs: readonly Buffer[]): void {
  const [losses, gradient] = outputs as readonly [Buffer, Buffer?];
  if (problem.batch === 0) return;
  const directions = gradient ? 2 : 1;
  const ctc = new GpuCtc(call, inputs, problem, directions);
  ctc.emit();
  const states = ctc.recurse(losses, directions);
  if (gradient) ctc.gradient(states, losses, gradient);
}

/** Posteriors of the classes. */
export function launchGpuPosterior(call: Launcher, inputs: Inputs, problem: CtcProblem, output: Buffer): void {
  if (problem.batch === 0) return;
  const losses = call.scratch('float32', problem.batch);
  const ctc = new GpuCtc(call, inputs, problem, 2, true);
  ctc.emit();
  ctc.gradient(ctc.recurse(losses, 2), losses, output);
}

/** The losses' second derivatives times a direction. */
export function launchGpuCurvature(call: Launcher, inputs: Inputs, problem: CtcProblem, direction: Buffer, output: Buffer): void {
  if (problem.batch === 0) return;
  const losses = call.scratch('float32', problem.batch);
  const ctc = new GpuCtc(call, inputs, problem, 2);
  ctc.emit();
  ctc.recurse(losses, 1);
  ctc.curvature(losses, direction, output);
}
