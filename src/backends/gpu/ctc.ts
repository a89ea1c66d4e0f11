import type { Buffer } from '../backend.js';
import type { Dispatch, Kernel, Params } from '../kernel.js';
import { GROUP_WIDTH, MOST_GROUPS } from './limits.js';
import type { Plan, PlanCall } from './plan.js';

/**
 * CTC on a GPU, as a plan: a launch of `ctcLoss`, `ctcForward`, `ctcGradient`, `ctcPosterior` or `ctcCurvature` becomes two to four smaller ones. `ctcEmit`
 * turns rows of scores into emission probabilities, `ctcRecursion` runs alpha and beta at once, a group of threads for each sequence and
 * direction, `ctcGrad` sums the posteriors of each class. For second derivatives `ctcDual` runs the recursion on dual numbers and `ctcDualGrad`
 * sums those. Probabilities are pairs of a mantissa and an exponent, so nothing underflows; metal/ctc/ explains them. A large batch passes
 * through in parts, so that what is kept between the kernels stays small.
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
  scaled: 'u32',
} as const;

const INT32 = ['int32'] as const;

/** Words are int32 where a buffer holds mantissa bits beside exponents; what float32 holds is declared by being left out. */
const declare = (name: string, family: string, inputs: readonly string[], outputs: readonly string[]): Kernel => ({
  name,
  family,
  inputs,
  outputs,
  types: { lattice: INT32, emissions: INT32, states: INT32, totals: INT32, memory: INT32 },
  params: PARAMS,
  layout: 'groups',
});

const emitKernel = declare('ctcEmit', 'ctc/loss', ['scores', 'lattice'], ['emissions', 'exponents', 'norms']);
const recursionKernel = declare(
  'ctcRecursion',
  'ctc/loss',
  ['emissions', 'exponents', 'lattice'],
  ['states', 'losses', 'totals', 'memory'],
);
const gradKernel = declare(
  'ctcGrad',
  'ctc/loss',
  ['scores', 'lattice', 'states', 'totals', 'norms', 'cotangents'],
  ['gradient'],
);
const dualKernel = declare(
  'ctcDual',
  'ctc/curvature',
  ['emissions', 'lattice', 'direction'],
  ['states', 'totals', 'memory'],
);
const dualGradKernel = declare(
  'ctcDualGrad',
  'ctc/curvature',
  ['scores', 'lattice', 'states', 'totals', 'norms', 'direction'],
  ['product'],
);

/** @internal Bytes that a part of a batch may take between the kernels, unless a single sequence takes more. Exported for tests, which make it small. */
export const ctcLimits = { bytes: 2 ** 30 };

/** The power of two from `least` to `most` that is next to a number from above. */
function powerOfTwo(number: number, least: number, most: number): number {
  let power = least;
  while (power < number && power < most) power *= 2;
  return power;
}

/** What the kernels are asked for. */
type Goal = 'loss' | 'gradient' | 'posterior' | 'curvature';

/** A problem on its way through the kernels: the buffers between them, used by one part of the batch after the other. */
class Passage {
  private readonly params: PassageParams;
  /** Sequences of a part. */
  private readonly part: number;
  private readonly emissions: Buffer;
  private readonly exponents: Buffer;
  private readonly norms: Buffer;
  private readonly totals: Buffer;
  private readonly states: Buffer;
  private readonly memory: Buffer;

  /** @param kept where states, totals and norms go that outlive the plan; the batch is in one part then */
  constructor(
    private readonly call: PlanCall,
    private readonly scores: Buffer,
    private readonly lattice: Buffer,
    params: Params,
    private readonly goal: Goal,
    kept: readonly Buffer[] | null,
  ) {
    this.params = passageParams(params, goal);
    const { frames, batch, width, slots, directions } = this.params;
    const rowWords = frames * width;
    const positions = 3 * (width + 1);
    // Words a sequence of each buffer between the kernels.
    const words = {
      emissions: frames * slots * 2,
      exponents: frames,
      norms: frames * 2,
      totals: 4,
      states: goal === 'curvature' ? 2 * rowWords * 4 : directions === 2 ? 2 * rowWords * 2 : 0,
      memory: goal === 'curvature' ? 2 * positions * 4 : directions * positions * 2,
    };
    const together = Object.values(words).reduce((a, b) => a + b);
    const fit = Math.min(ctcLimits.bytes / together, call.maxBufferLength / Math.max(...Object.values(words))) / 4;
    this.part = kept ? batch : Math.min(batch, Math.max(1, Math.floor(fit)), Math.floor(MOST_GROUPS / 2));
    this.emissions = call.scratch('int32', this.part * words.emissions);
    this.exponents = call.scratch('float32', this.part * words.exponents);
    this.states = kept?.[0] ?? call.scratch('int32', this.part * words.states);
    this.totals = kept?.[1] ?? call.scratch('int32', this.part * words.totals);
    this.norms = kept?.[2] ?? call.scratch('float32', this.part * words.norms);
    this.memory = call.scratch('int32', this.part * words.memory);
  }

  /** Runs the kernels. `output` is the gradient, the posteriors or the product; `direction` what second derivatives are taken along. */
  run(losses: Buffer, output: Buffer | undefined, direction: Buffer | undefined): void {
    const { params } = this;
    const { batch, directions } = params;
    const { call, scores, lattice, emissions, exponents, norms, totals, states, memory } = this;
    for (let first = 0; first < batch; first += this.part) {
      params.first = first;
      params.count = Math.min(this.part, batch - first);
      const walk = Math.min(call.maxGroupSize, Math.ceil((params.width + 1) / 32) * 32); // a thread for each label and one for the last blank
      const launch = (kernel: Kernel, inputs: Buffer[], outputs: Buffer[], grid: number): void => {
        params.lanes = 1;
        if (grid > 0) call.launch({ kernel, inputs, outputs, params, grid, groupSize: walk });
      };
      launchRows(call, emitKernel, [scores, lattice], [emissions, exponents, norms], params, emitLanes(params));
      launch(
        recursionKernel,
        [emissions, exponents, lattice],
        [states, losses, totals, memory],
        params.count * directions,
      );
      if (this.goal === 'curvature') {
        launch(dualKernel, [emissions, lattice, direction!], [states, totals, memory], params.count * 2);
        const inputs = [scores, lattice, states, totals, norms, direction!];
        launchRows(call, dualGradKernel, inputs, [output!], params, dualLanes(params));
      } else if (output) {
        // Without cotangents the place has to be filled all the same.
        const inputs = [scores, lattice, states, totals, norms, norms];
        launchRows(call, gradKernel, inputs, [output], params, gradLanes(params));
      }
    }
  }
}

/** The kernels' parameters: of one launch after the other, as a launch keeps none of them. */
type PassageParams = Record<keyof typeof PARAMS, number>;

/** Launches a kernel over rows of scores, `lanes` threads a row. */
function launchRows(
  call: PlanCall,
  kernel: Kernel,
  inputs: Buffer[],
  outputs: Buffer[],
  params: PassageParams,
  lanes: number,
): void {
  const grid = Math.min(Math.ceil((params.frames * params.count * lanes) / GROUP_WIDTH), MOST_GROUPS);
  params.lanes = lanes;
  if (grid > 0) call.launch({ kernel, inputs, outputs, params, grid, groupSize: GROUP_WIDTH });
}

type RowSizes = Readonly<Pick<PassageParams, 'frames' | 'batch' | 'classes' | 'width'>>;

/** Fewer threads share a row where there are rows enough for all that the GPU has. */
const emitLanes = ({ frames, batch, classes }: RowSizes): number =>
  powerOfTwo(frames * batch < 2 ** 15 ? classes / 4 : classes / 8, 4, 32);
/** Enough that the sums of all classes, or of all labels, have room at once. */
const gradLanes = ({ classes, width }: RowSizes): number =>
  powerOfTwo(Math.max(classes / 16, Math.min(classes, width) / 8, width / 32), 8, GROUP_WIDTH);
const dualLanes = ({ classes }: RowSizes): number => powerOfTwo(classes / 4, 8, GROUP_WIDTH);

function passageParams(problem: Params, goal: Goal): PassageParams {
  const { frames, batch, classes, width, blank, logits } = problem as Readonly<Record<string, number>>;
  // Emissions are kept by class where that is the shorter row, else gathered for the target's labels.
  const byClass = classes! <= 1 + width!;
  return {
    frames: frames!,
    batch: batch!,
    classes: classes!,
    width: width!,
    blank: blank!,
    logits: logits!,
    first: 0,
    count: batch!,
    slots: byClass ? classes! : 1 + width!,
    byClass: Number(byClass),
    lanes: 1,
    directions: goal === 'loss' || goal === 'curvature' ? 1 : 2,
    posterior: Number(goal === 'posterior'),
    scaled: 0,
  };
}

const FORWARD = [emitKernel, recursionKernel];
const FIRST_ORDER = [...FORWARD, gradKernel];
const SECOND_ORDER = [...FORWARD, dualKernel, dualGradKernel];

/** A plan whose launch has scores and lattice as its first inputs; without `losses` they are written to scratch memory and forgotten. */
function plan(kernels: readonly Kernel[], goalOf: (launch: Dispatch) => Goal, hasLosses: boolean): Plan {
  return {
    kernels,
    run: (launch, call) => {
      const [scores, lattice, direction] = launch.inputs as [Buffer, Buffer, Buffer?];
      const batch = launch.params.batch as number;
      if (batch === 0) return;
      const [losses, output] = hasLosses
        ? (launch.outputs as [Buffer, Buffer?])
        : [call.scratch('float32', batch), launch.outputs[0]];
      new Passage(call, scores, lattice, launch.params, goalOf(launch), null).run(losses, output, direction);
    },
  };
}

/** The losses, with what `backward` makes their gradient of. */
const forward: Plan = {
  kernels: FORWARD,
  run: ({ inputs, outputs, params }, call) => {
    const [scores, lattice] = inputs as [Buffer, Buffer];
    const [losses, ...kept] = outputs as [Buffer, ...Buffer[]];
    new Passage(call, scores, lattice, params, 'gradient', kept).run(losses, undefined, undefined);
  },
};

const backward: Plan = {
  kernels: [gradKernel],
  run: ({ inputs, outputs, params: problem }, call) => {
    const params = passageParams(problem, 'gradient');
    params.scaled = 1;
    launchRows(call, gradKernel, [...inputs], [...outputs], params, gradLanes(params));
  },
};

/** By the names of the kernels that src/ops/ctc launches. */
export const ctcPlans: Readonly<Record<string, Plan>> = {
  ctcForward: forward,
  ctcBackward: backward,
  ctcLoss: plan(FIRST_ORDER, ({ outputs }) => (outputs.length > 1 ? 'gradient' : 'loss'), true),
  ctcGradient: plan(FIRST_ORDER, () => 'gradient', false),
  ctcPosterior: plan(FIRST_ORDER, () => 'posterior', false),
  ctcCurvature: plan(SECOND_ORDER, () => 'curvature', false),
};
