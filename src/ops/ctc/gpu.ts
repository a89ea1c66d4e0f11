import type { Launcher } from '../../autograd/op.js';
import type { Buffer, Kernel } from '../../backends/backend.js';
import type { CtcProblem } from './options.js';

/**
 * CTC on a GPU: three kernels in a row. `ctcEmit` turns rows of scores into emission probabilities, `ctcRecursion` runs alpha and beta at
 * once, a group of threads for each sequence and direction, `ctcGrad` sums the posteriors of each class. For second derivatives `ctcDual`
 * runs the recursion on dual numbers. Probabilities are pairs of a mantissa and an exponent, so nothing underflows; metal/ctc/
 * explains them. A large batch passes through in parts, so that what is kept between the kernels stays small.
 */
const PARAMS = {
  frames: 'u32',
  batch: 'u32',
  classes: 'u32',
  width: 'u32',
  blank: 'u32',
  logits: 'u32',
  first: 'u32',
  count: 'u32',
  slots: 'u32',
  byClass: 'u32',
  lanes: 'u32',
  directions: 'u32',
  posterior: 'u32',
} as const;

const LATTICE = ['targets', 'inputLengths', 'targetLengths'] as const;

const emitKernel: Kernel = {
  name: 'ctcEmit',
  family: 'ctc/loss',
  inputs: ['scores', ...LATTICE],
  outputs: ['emissions', 'exponents', 'rows'],
  params: PARAMS,
};
const recursionKernel: Kernel = {
  name: 'ctcRecursion',
  family: 'ctc/loss',
  inputs: ['emissions', 'exponents', ...LATTICE],
  outputs: ['states', 'losses', 'totals', 'memory'],
  params: PARAMS,
};
const gradKernel: Kernel = {
  name: 'ctcGrad',
  family: 'ctc/loss',
  inputs: ['scores', ...LATTICE, 'states', 'losses', 'totals', 'rows'],
  outputs: ['gradient'],
  params: PARAMS,
};
const dualKernel: Kernel = {
  name: 'ctcDual',
  family: 'ctc/curvature',
  inputs: ['emissions', ...LATTICE, 'direction'],
  outputs: ['states', 'rates', 'memory'],
  params: PARAMS,
};
const curvatureKernel: Kernel = {
  name: 'ctcCurvature',
  family: 'ctc/curvature',
  inputs: ['scores', ...LATTICE, 'states', 'losses', 'totals', 'rates', 'rows', 'direction'],
  outputs: ['product'],
  params: PARAMS,
};

/** The kernels, for the tests that compare declarations with sources. */
export const gpuKernels: readonly Kernel[] = [emitKernel, recursionKernel, gradKernel, dualKernel, curvatureKernel];

/** Threads of a group at most; threadgroup memory is laid out for it. */
const GROUP = 256;

/** Bytes that a part of a batch may take between the kernels, unless a single sequence takes more. Tests make it small. */
export const gpuLimits = { bytes: 512 * 2 ** 20 };

/** The power of two from `least` to `most` that is next to a number from above. */
function powerOfTwo(number: number, least: number, most: number): number {
  let power = least;
  while (power < number && power < most) power *= 2;
  return power;
}

/** Scores, padded targets, input lengths and target lengths. */
type Inputs = readonly Buffer[];

/** What the kernels are asked for. */
type Goal = 'loss' | 'gradient' | 'posterior' | 'curvature';

/** A problem on its way through the kernels: the buffers between them, used by one part of the batch after the other. */
class GpuCtc {
  private readonly scores: Buffer;
  private readonly lattice: readonly Buffer[];
  private readonly params: Readonly<Record<Exclude<keyof typeof PARAMS, 'first' | 'count'>, number>>;
  /** Sequences of a part. */
  private readonly part: number;
  private readonly emissions: Buffer;
  private readonly exponents: Buffer;
  private readonly rows: Buffer;
  private readonly totals: Buffer;
  private readonly states: Buffer;
  private readonly memory: Buffer;

  constructor(
    private readonly call: Launcher,
    inputs: Inputs,
    { frames, batch, classes, width, blank, logits }: CtcProblem,
    private readonly goal: Goal,
  ) {
    const [scores, ...lattice] = inputs as readonly [Buffer, ...Buffer[]];
    this.scores = scores;
    this.lattice = lattice;
    // Emissions are kept by class where that is the shorter row, else gathered for the target's labels.
    const byClass = classes <= 1 + width;
    const slots = byClass ? classes : 1 + width;
    const directions = goal === 'loss' || goal === 'curvature' ? 1 : 2;
    this.params = {
      frames,
      batch,
      classes,
      width,
      blank,
      logits: Number(logits),
      slots,
      byClass: Number(byClass),
      lanes: powerOfTwo(classes / 4, 8, GROUP),
      directions,
      posterior: Number(goal === 'posterior'),
    };
    const stateWords = goal === 'curvature' ? 2 * frames * width * 4 : directions === 2 ? 2 * frames * width * 2 : 0;
    const memoryWords = goal === 'curvature' ? 2 * 3 * (width + 1) * 4 : directions * 3 * (width + 1) * 2;
    const words = frames * slots * 2 + frames * 3 + stateWords + memoryWords;
    const part = Math.min(batch, Math.max(1, Math.floor(gpuLimits.bytes / (words * 4))));
    this.part = part;
    this.emissions = call.scratch('int32', part * frames * slots * 2);
    this.exponents = call.scratch('float32', part * frames);
    this.rows = call.scratch('float32', frames * part * 2);
    this.totals = call.scratch('int32', part * 2);
    this.states = call.scratch('int32', part * stateWords);
    this.memory = call.scratch('int32', part * memoryWords);
  }

  /** Runs the kernels. `output` is the gradient, the posteriors or the product; `direction` what second derivatives are taken along. */
  run(losses: Buffer, output?: Buffer, direction?: Buffer): void {
    const { batch, directions } = this.params;
    const { call, scores, lattice, emissions, exponents, rows, totals, states, memory } = this;
    const rates = this.goal === 'curvature' ? call.scratch('float32', this.part) : null;
    for (let first = 0; first < batch; first += this.part) {
      const params = { ...this.params, first, count: Math.min(this.part, batch - first) };
      this.launch(emitKernel, [scores, ...lattice], [emissions, exponents, rows], params, this.rowGroups(params.count));
      this.launch(
        recursionKernel,
        [emissions, exponents, ...lattice],
        [states, losses, totals, memory],
        params,
        params.count * directions,
        this.walkers,
      );
      if (rates) {
        this.launch(
          dualKernel,
          [emissions, ...lattice, direction!],
          [states, rates, memory],
          params,
          params.count * 2,
          this.walkers,
        );
        this.launch(
          curvatureKernel,
          [scores, ...lattice, states, losses, totals, rates, rows, direction!],
          [output!],
          params,
          this.rowGroups(params.count),
        );
      } else if (output) {
        this.launch(
          gradKernel,
          [scores, ...lattice, states, losses, totals, rows],
          [output],
          params,
          this.rowGroups(params.count),
        );
      }
    }
  }

  /** A thread for each label and one for the last blank, if there is room; else threads take several. */
  private get walkers(): number {
    return Math.min(GROUP, Math.ceil((this.params.width + 1) / 32) * 32);
  }

  private rowGroups(count: number): number {
    return Math.ceil((this.params.frames * count * this.params.lanes) / GROUP);
  }

  private launch(
    kernel: Kernel,
    inputs: readonly Buffer[],
    outputs: readonly Buffer[],
    params: Readonly<Record<string, number>>,
    groups: number,
    threads = GROUP,
  ): void {
    if (groups > 0) this.call.launch({ kernel, inputs, outputs, params, grid: groups, groupSize: threads });
  }
}

/** Losses [batch] and, where there is a second output, their gradient. */
export function launchGpuLoss(call: Launcher, inputs: Inputs, problem: CtcProblem, outputs: readonly Buffer[]): void {
  const [losses, gradient] = outputs as readonly [Buffer, Buffer?];
  if (problem.batch > 0) new GpuCtc(call, inputs, problem, gradient ? 'gradient' : 'loss').run(losses, gradient);
}

/** Posteriors of the classes. */
export function launchGpuPosterior(call: Launcher, inputs: Inputs, problem: CtcProblem, output: Buffer): void {
  if (problem.batch > 0)
    new GpuCtc(call, inputs, problem, 'posterior').run(call.scratch('float32', problem.batch), output);
}

/** The losses' second derivatives times a direction. */
export function launchGpuCurvature(
  call: Launcher,
  inputs: Inputs,
  problem: CtcProblem,
  direction: Buffer,
  output: Buffer,
): void {
  if (problem.batch > 0)
    new GpuCtc(call, inputs, problem, 'curvature').run(call.scratch('float32', problem.batch), output, direction);
}
