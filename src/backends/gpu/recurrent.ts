import type { Kernel } from '../kernel.js';
import type { Plan } from './plan.js';

/** One frame of a sequence's passage through a cell: the buffers of the whole passage, and the frame's place in the order of reading. */
const cellKernel = (name: string, inputs: readonly string[], outputs: readonly string[]): Kernel => ({
  name,
  family: 'recurrent',
  inputs,
  outputs,
  types: { counts: ['int32'] },
  params: { frames: 'u32', batch: 'u32', hidden: 'u32', reverse: 'u32', place: 'u32' },
});

const FORWARD = ['projected', 'weight', 'bias', 'start', 'counts'];
const BACKWARD = ['g', 'states', 'gates', 'weight', 'counts'];

/** A launch for each frame, `more` of them behind the last. */
const frameByFrame = (kernel: Kernel, more: number): Plan => ({
  kernels: [kernel],
  run: ({ inputs, outputs, params, grid }, call) => {
    const frames = params.frames as number;
    for (let place = 0; place < frames + more; place++)
      call.launch({ kernel, inputs, outputs, params: { ...params, place }, grid });
  },
});

/** Frames depend on one another and groups of threads cannot wait for each other, so each frame is a launch; the vjps end with the first states'. */
export const recurrentPlans: Readonly<Record<string, Plan>> = {
  lstm: frameByFrame(cellKernel('lstmCell', FORWARD, ['states', 'gates']), 0),
  lstmVjp: frameByFrame(cellKernel('lstmCellVjp', BACKWARD, ['projected', 'carried']), 1),
  gru: frameByFrame(cellKernel('gruCell', FORWARD, ['states', 'gates']), 0),
  gruVjp: frameByFrame(cellKernel('gruCellVjp', BACKWARD, ['projected', 'recurrent', 'carried']), 1),
};
