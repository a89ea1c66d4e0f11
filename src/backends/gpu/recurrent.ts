import type { Buffer } from '../backend.js';
import type { Dispatch, Kernel } from '../kernel.js';
import { GROUP_WIDTH } from './limits.js';
import type { Plan, PlanCall } from './plan.js';

/**
 * LSTM and GRU on a GPU, two ways. Frames depend on one another and groups of threads cannot wait for each other, but sequences need not: while a group's
 * memory holds the hidden units of two sequences, it takes them through all frames in one launch (`lstmPassage`), reading the weights again for each.
 * With more units a frame is a launch of many groups (`lstmCell`), which then costs less than what a single group would have to read.
 */
const cellKernel = (name: string, inputs: readonly string[], outputs: readonly string[]): Kernel => ({
  name,
  family: 'recurrent',
  inputs,
  outputs,
  types: { counts: ['int32'] },
  params: { frames: 'u32', batch: 'u32', hidden: 'u32', reverse: 'u32', place: 'u32' },
  layout: 'groups',
});

/** The weights as vectors of four gates, in the order in which the threads of a group read them. */
const weightsKernel: Kernel = {
  name: 'recurrentWeights',
  family: 'recurrent',
  inputs: ['weight'],
  outputs: ['out'],
  params: { hidden: 'u32', gates: 'u32', byInput: 'u32' },
};

const FORWARD = ['projected', 'weight', 'bias', 'start', 'counts'];
const BACKWARD = ['g', 'states', 'gates', 'weight', 'counts'];

/** What the kernels have as constants: hidden units of a passage at most, sequences that a group takes at once, units of a group in a frame. */
const [MOST_HIDDEN, TOGETHER_IN_PASSAGES, TOGETHER_IN_FRAMES, UNITS] = [256, 2, 4, 32];

/** @internal Hidden units of which a group takes whole sequences, at most. Exported for tests, which make it small. */
export const recurrentLimits = { hidden: MOST_HIDDEN };

/** Threads that share a unit at most, as the kernels have it, and of a group that takes whole sequences: more bring nothing on an H200. */
const [MOST_SPLITS, MOST_THREADS] = [8, 512];

/** Few different numbers, as each is a pipeline of its own. */
const threadsOf = (hidden: number, most: number): number =>
  Math.min(hidden * MOST_SPLITS > GROUP_WIDTH ? MOST_THREADS : GROUP_WIDTH, most);

/** The plan of a cell's passage forwards or, with `Vjp` behind its name, back; frame by frame the latter has a launch more, for the first states. */
function planOf(cell: 'lstm' | 'gru', suffix: '' | 'Vjp', outputs: readonly string[]): Plan {
  const isBack = suffix === 'Vjp';
  const inputs = isBack ? BACKWARD : FORWARD;
  const weightPlace = inputs.indexOf('weight');
  const passageKernel = cellKernel(`${cell}Passage${suffix}`, inputs, outputs);
  const frameKernel = cellKernel(`${cell}Cell${suffix}`, inputs, outputs);

  /** A passage's inputs, with the weights as the kernels read them. */
  const inputsOf = (launch: Dispatch, call: PlanCall): Buffer[] => {
    const hidden = launch.params.hidden as number;
    const vectors = call.scratch('float32', 4 * hidden * hidden);
    call.launch({
      kernel: weightsKernel,
      inputs: [launch.inputs[weightPlace]!],
      outputs: [vectors],
      params: { hidden, gates: cell === 'lstm' ? 4 : 3, byInput: Number(!isBack) },
      grid: hidden * hidden,
    });
    return launch.inputs.map((input, i) => (i === weightPlace ? vectors : input));
  };

  return {
    kernels: [weightsKernel, passageKernel, frameKernel],
    run: (launch, call) => {
      const { outputs: results, params } = launch;
      const { frames, batch, hidden } = params as Readonly<Record<'frames' | 'batch' | 'hidden', number>>;
      if (batch === 0) return;
      const given = inputsOf(launch, call);
      const launchAt = (kernel: Kernel, place: number, grid: number, groupSize?: number): void => {
        const own = { kernel, inputs: given, outputs: results, params: { ...params, place }, grid };
        call.launch(groupSize === undefined ? own : { ...own, groupSize });
      };
      if (hidden <= recurrentLimits.hidden) {
        launchAt(passageKernel, 0, Math.ceil(batch / TOGETHER_IN_PASSAGES), threadsOf(hidden, call.maxGroupSize));
        return;
      }
      const grid = Math.ceil(batch / TOGETHER_IN_FRAMES) * Math.ceil(hidden / UNITS);
      for (let place = 0; place < frames + Number(isBack); place++) launchAt(frameKernel, place, grid);
    },
  };
}

export const recurrentPlans: Readonly<Record<string, Plan>> = {
  lstm: planOf('lstm', '', ['states', 'gates']),
  lstmVjp: planOf('lstm', 'Vjp', ['projected', 'carried']),
  gru: planOf('gru', '', ['states', 'gates']),
  gruVjp: planOf('gru', 'Vjp', ['projected', 'recurrent', 'carried']),
};
