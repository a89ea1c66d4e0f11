import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { parallel, partsFor } from '../pool.js';

/** Beam decoders (wasm/ctc/beam.ts). Their states are buffers of arenas: they lie in the heap from one launch to the next. */

const call = (name: string, ...args: number[]): number => heap().functions[name]!(...args);

const SIZES = ['width', 'classes', 'blank', 'horizon', 'top', 'drop', 'steered', 'room'];

/** Bytes of a state: output 0, float64 [1]. */
const ctcBeamBytes: CpuKernel = (of) => {
  const sizes = ['width', 'classes', 'room', 'steered'].map((name) => of.number(name));
  of.outputs[0]!.view()[0] = call('ctcBeamBytes', ...sizes);
};

/** States that have read nothing. */
const ctcBeamOpen: CpuKernel = (of) => {
  const sizes = SIZES.map((name) => of.number(name));
  of.outputs.forEach((_, i) => call('ctcBeamOpen', of.out(i), ...sizes));
};

/** States in larger buffers: input 0 says for how many nodes, int32 [n]. */
const ctcBeamMove: CpuKernel = (of) => {
  const rooms = of.inputs[0]!.view() as Int32Array;
  const tasks = of.outputs.map((_, i) => [of.in(i + 1), of.out(i), rooms[i]!]);
  callAll('ctcBeamMove', tasks, totalOf(rooms) * MOVE_WORK);
};
/** What it is worth, in elements of a simple loop, to move a node. */
const MOVE_WORK = 8;

/** Sequences that one launch of tasks can hold. */
const MOST_TASKS = 256;

function callAll(name: string, tasks: readonly number[][], work: number): void {
  if (partsFor(work) === 1) for (const task of tasks) call(name, ...task);
  else
    for (let begin = 0; begin < tasks.length; begin += MOST_TASKS)
      parallel(name, tasks.slice(begin, begin + MOST_TASKS));
}

/** Forgets the last piece. */
const ctcBeamUndo: CpuKernel = (of) => {
  of.outputs.forEach((_, i) => call('ctcBeamUndo', of.out(i)));
};

/** Bytes of a stream's piece that are copied for one launch. */
const SHORT_PIECE = 4096;

/** How far the decoders of a launch have come, as `ctcBeam` tells of each. */
interface Piece {
  readonly width: number;
  readonly frameStride: number;
  readonly sequenceStride: number;
  readonly fresh: number;
}

/**
 * A piece of each sequence: `name` takes each one's state, scores, stride, frames, fresh, status, and `more`. Output 0 is int32 [N, words], the statuses; the
 * states begin at output `first`.
 */
function advance(of: CpuCall, name: 'ctcBeam' | 'ctcBeamSteered', words: number, first: number, more: MoreOf): void {
  const batch = of.outputs.length - first;
  const status = of.scratch(batch * words * 4);
  const scores = of.in(0, SHORT_PIECE);
  const lengths = of.inputs[1]!.view() as Int32Array;
  const { width, frameStride, sequenceStride, fresh } = of.params as unknown as Piece;
  const [stride, sequence] = [4 * frameStride, 4 * sequenceStride];
  const { i32 } = heap();
  const answer = of.outputs[0]!.view();
  if (batch === 1) {
    // A stream's pieces are one sequence, and short: what is done for each of them counts.
    const state = of.out(first);
    if (!more) alone(state, scores, stride, lengths[0]!, fresh, status);
    else call(name, state, scores, stride, lengths[0]!, fresh, status, ...more(0));
  } else {
    const tasks = Array.from({ length: batch }, (_, n) => [
      of.out(n + first),
      scores + n * sequence,
      stride,
      lengths[n]!,
      fresh,
      status + 4 * words * n,
      ...(more?.(n) ?? []),
    ]);
    callAll(name, tasks, totalOf(lengths) * width * 40);
  }
  for (let i = 0; i < words * batch; i++) answer[i] = i32[status / 4 + i]!;
}

/** `ctcBeam`, looked up once. */
let alone = (...args: number[]): number => (alone = heap().functions.ctcBeam!)(...args);

type MoreOf = ((n: number) => [table: number, questions: number, most: number]) | null;

const totalOf = (counts: Int32Array): number => counts.reduce((sum, count) => sum + count, 0);

/** Each status is how far it came and the frame; the states follow. */
const ctcBeam: CpuKernel = (of) => {
  advance(of, 'ctcBeam', 2, 1, null);
};

/** Each status has the number of questions as well; output 1 has room for `most` of them for each sequence, and the states follow. */
const ctcBeamSteered: CpuKernel = (of) => {
  const [table, questions, most] = [of.in(2), of.out(1), of.number('most')];
  advance(of, 'ctcBeamSteered', 3, 2, (n) => [table, questions + n * most * 16, most]);
};

const tableSizes = (of: CpuCall): number[] => ['slots', 'states', 'classes'].map((name) => of.number(name));

/** Bytes of a table of answers: output 0, float64 [1]. */
const ctcBeamTableBytes: CpuKernel = (of) => {
  of.outputs[0]!.view()[0] = call('ctcBeamTableBytes', ...tableSizes(of));
};

const ctcBeamTableOpen: CpuKernel = (of) => {
  call('ctcBeamTableOpen', of.out(0), ...tableSizes(of));
};

/** A table's answers in a larger one. */
const ctcBeamTableMove: CpuKernel = (of) => {
  call('ctcBeamTableMove', of.in(0), of.out(0));
};

/** Adds answers, float64 [count, 4], to a table. */
const ctcBeamLearn: CpuKernel = (of) => {
  call('ctcBeamLearn', of.out(0), of.in(0), of.inputs[0]!.length / 4);
};

/** Gives each state its first state of the steering and the bounds of its gains. */
const ctcBeamSteer: CpuKernel = (of) => {
  const first = of.inputs[0]!.view()[0]!;
  of.outputs.forEach((_, n) => call('ctcBeamSteer', of.out(n), first, of.in(1)));
};

/** All states of the steering in one decoder anew. */
const ctcBeamRename: CpuKernel = (of) => {
  const first = of.inputs[0]!.view()[0]!;
  call('ctcBeamRename', of.out(2), first, of.in(1), of.out(0), of.out(1), of.number('most'));
};

/** The steering's states of the likeliest prefixes: float64 [count]. */
const ctcBeamStates: CpuKernel = (of) => {
  call('ctcBeamStates', of.in(0), of.number('count'), of.out(0));
};

/** The likeliest prefixes: scores float64 [count + 1], and, int32 [1], how many there are. */
const ctcBeamRead: CpuKernel = (of) => {
  of.outputs[1]!.view()[0] = call('ctcBeamRead', of.in(0), of.number('count'), of.out(0));
};

/** The labels of the prefixes at some places: how many each has, and themselves unless there are more than there is room for, all int32. */
const ctcBeamLabels: CpuKernel = (of) => {
  call('ctcBeamLabels', of.in(0), of.in(1), of.inputs[1]!.length, of.out(0), of.out(1), of.outputs[1]!.length);
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
  ctcBeamLabels,
  ctcBeamShared,
  ctcBeamCut,
  ctcBeamUndo,
  ctcBeamSavedBytes,
  ctcBeamSave,
  ctcBeamSavedNodes,
  ctcBeamRestore,
  ctcBeamSteered,
  ctcBeamTableBytes,
  ctcBeamTableOpen,
  ctcBeamTableMove,
  ctcBeamLearn,
  ctcBeamSteer,
  ctcBeamRename,
  ctcBeamStates,
};
