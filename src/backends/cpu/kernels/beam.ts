import type { CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { parallel, partsFor } from '../pool.js';

/** Beam decoders (wasm/ctc/beam.ts). Their states are buffers of arenas: they lie in the heap from one launch to the next. */

const call = (name: string, ...args: number[]): number => heap().functions[name]!(...args);

/** Bytes of a state: output 0, float64 [1]. */
const ctcBeamBytes: CpuKernel = (of) => {
  of.outputs[0]!.view()[0] = call('ctcBeamBytes', of.number('width'), of.number('classes'), of.number('room'));
};

/** States that have read nothing. */
const ctcBeamOpen: CpuKernel = (of) => {
  const sizes = ['width', 'classes', 'blank', 'horizon', 'room'].map((name) => of.number(name));
  of.outputs.forEach((_, i) => call('ctcBeamOpen', of.out(i), ...sizes));
};

/** A state in a larger buffer. */
const ctcBeamMove: CpuKernel = (of) => {
  call('ctcBeamMove', of.in(0), of.out(0), of.number('room'));
};

/** Sequences that one launch of tasks can hold. */
const MOST_TASKS = 256;

/** Forgets the last piece. */
const ctcBeamUndo: CpuKernel = (of) => {
  of.outputs.forEach((_, i) => call('ctcBeamUndo', of.out(i)));
};

/** A piece of each sequence: output 0 is int32 [N, 2], each one's status and frame; the states follow. */
const ctcBeam: CpuKernel = (of) => {
  const batch = of.outputs.length - 1;
  const status = of.scratch(batch * 8);
  const scores = of.in(0);
  const lengths = of.inputs[1]!.view() as Int32Array;
  const [frame, sequence, fresh] = ['frameStride', 'sequenceStride', 'fresh'].map((name) => of.number(name));
  const tasks = Array.from({ length: batch }, (_, n) => [
    of.out(n + 1),
    scores + 4 * n * sequence!,
    4 * frame!,
    lengths[n]!,
    fresh!,
    status + 8 * n,
  ]);
  const work = lengths.reduce((sum, length) => sum + length, 0) * of.number('width') * 40;
  const shared = partsFor(work) > 1;
  for (let first = 0; first < batch; first += MOST_TASKS) {
    const some = tasks.slice(first, first + MOST_TASKS);
    if (shared) parallel('ctcBeam', some);
    else for (const task of some) call('ctcBeam', ...task);
  }
  of.outputs[0]!.view().set(heap().i32.subarray(status / 4, status / 4 + 2 * batch));
};

/** The likeliest prefixes: scores float64 [count + 1], lengths int32 [count], and, where there is room, their labels. */
const ctcBeamRead: CpuKernel = (of) => {
  const labels = of.outputs[2]!.length > 0 ? of.out(2) : 0;
  call('ctcBeamRead', of.in(0), of.number('count'), of.out(0), of.out(1), labels);
};

/** How many labels all prefixes share: output 0, int32 [1]. */
const ctcBeamShared: CpuKernel = (of) => {
  of.outputs[0]!.view()[0] = call('ctcBeamShared', of.in(0));
};

/** Cuts a state back to what is open, and gives the labels before. */
const ctcBeamCut: CpuKernel = (of) => {
  call('ctcBeamCut', of.in(0), of.out(0));
};

/** Bytes that a state takes when saved: output 0, float64 [1]. */
const ctcBeamSavedBytes: CpuKernel = (of) => {
  of.outputs[0]!.view()[0] = call('ctcBeamSavedBytes', of.in(0));
};

/** Saves a state into int32 words. */
const ctcBeamSave: CpuKernel = (of) => {
  call('ctcBeamSave', of.in(0), of.out(0));
};

/** Nodes of a saved state, -1 if it cannot be one: output 0, int32 [1]. */
const ctcBeamSavedNodes: CpuKernel = (of) => {
  of.outputs[0]!.view()[0] = call('ctcBeamSavedNodes', of.in(0), of.inputs[0]!.bytes);
};

/** Puts a saved state into one that has been opened, output 1; output 0, int32 [1], is 0 if it is none. */
const ctcBeamRestore: CpuKernel = (of) => {
  of.outputs[0]!.view()[0] = call('ctcBeamRestore', of.in(0), of.out(1));
};

export const beamKernels = {
  ctcBeamBytes,
  ctcBeamOpen,
  ctcBeamMove,
  ctcBeam,
  ctcBeamRead,
  ctcBeamShared,
  ctcBeamCut,
  ctcBeamUndo,
  ctcBeamSavedBytes,
  ctcBeamSave,
  ctcBeamSavedNodes,
  ctcBeamRestore,
};
