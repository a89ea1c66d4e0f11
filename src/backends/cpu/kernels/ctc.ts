import { OutOfMemoryError } from '../../../errors.js';
import type { TypedArray } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { parallel, partsFor } from '../pool.js';
import { sequencesAlone, solveAlone } from './ctc-alone.js';

/** Sequences by the tier of the CTC kernels that took them, since the process started or `resetCtcStatistics()`. */
export interface CtcStatistics {
  /** Decided by lengths alone: no frames, or fewer than the target needs. */
  lengths: number;
  /** The linear float64 tier, its certificate accepted. */
  linear: number;
  /** The log-domain float64 tier: the certificate refused, an input was NaN or infinite, or the dtype is float64. */
  log: number;
}

/** The kernels' tiers in the order of `Tier` in wasm/ctc/sequence.ts, each faster than those after it; wasm/ctc/route.ts says which takes what. */
const TIERS = ['lengths', 'fast', 'precise', 'sure', 'log'] as const;
type CtcTier = (typeof TIERS)[number];

const taken: Record<CtcTier, number> = { lengths: 0, fast: 0, precise: 0, sure: 0, log: 0 };

/** A copy of the counts of sequences by tier. */
export const ctcStatistics = (): CtcStatistics => ({
  lengths: taken.lengths,
  linear: taken.fast + taken.precise + taken.sure,
  log: taken.log,
});

/** @internal The counts with the linear tiers apart, with exponentials of logits in float32 (`fast`), in float64, and for losses next to 0: for tests of the route. */
export const ctcTiers = (): Readonly<Record<CtcTier, number>> => ({ ...taken });

/** Sets the counts to 0. */
export function resetCtcStatistics(): void {
  for (const tier of TIERS) taken[tier] = 0;
}

let least: CtcTier = 'fast';

/** @internal What `run` returns, where no sequence takes a tier above `tier`: for tests that hold one tier against another. */
export function withCtcTier<T>(tier: Exclude<CtcTier, 'lengths' | 'sure'>, run: () => T): T {
  const before = least;
  least = tier;
  try {
    return run();
  } finally {
    least = before;
  }
}

/**
 * Bytes of scratch memory for the longest target that its frames can hold; kernels count them modulo 2^32, so what does not fit is refused before.
 * @param perCell bytes of the state matrix for a frame's label.
 */
function scratchSize(call: CpuCall, name: string, perCell: number, ...rest: number[]): number {
  const [frames, , classes] = sizes(call);
  const labels = longestTarget(lengthsOf(call));
  // A little more than any of the kernels takes: states, blocks of emissions, columns of a number a frame, tables, kept exponentials and blanks.
  const most =
    (frames + 8) * ((labels + 6) * perCell + (classes + 3) * 4 + 32) +
    (labels + 6) * 256 +
    classes * 128 +
    80 * 2 ** 20;
  if (most > 2 ** 32) {
    throw new OutOfMemoryError(
      'ctcLoss',
      `${frames} frames of ${classes} classes and ${labels} labels need ${most} bytes of scratch memory; WebAssembly's address space ends at ${2 ** 32}`,
    );
  }
  return heap().functions[name]!(frames, classes, labels, ...rest) >>> 0;
}

type Lengths = readonly [frames: TypedArray, labels: TypedArray];

/** The lattice is input lengths, target lengths and targets behind one another. */
export function lengthsOf(call: CpuCall): Lengths {
  const batch = call.number('batch');
  const lattice = call.inputs[1]!.view();
  return [lattice.subarray(0, batch), lattice.subarray(batch, 2 * batch)];
}

/** The addresses of scores, targets, input lengths and target lengths. */
export function addresses(
  call: CpuCall,
): [scores: number, targets: number, inputLengths: number, targetLengths: number] {
  const bytes = 4 * call.number('batch');
  const lattice = call.in(1);
  return [call.in(0), lattice + 2 * bytes, lattice, lattice + bytes];
}

/** Sequences with more labels than frames are decided by that. */
export function longestTarget([frames, labels]: Lengths): number {
  let longest = 0;
  for (let n = 0; n < labels.length; n++) if (labels[n]! > longest && labels[n]! <= frames[n]!) longest = labels[n]!;
  return longest;
}

/** Bytes of scratch memory that a call's tasks may have together, unless a single one needs more. */
const MOST_SCRATCH = 2 ** 30;

/** Scratch memory for up to `count` tasks: for fewer if they need much, or if there is no more, but for one at least. */
function workspaces(call: CpuCall, count: number, bytes: number): number[] {
  const found = [call.scratch(bytes)];
  const most = Math.min(count, Math.floor(MOST_SCRATCH / bytes));
  try {
    while (found.length < most) found.push(call.scratch(bytes));
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
  }
  return found;
}

/**
 * Multiplications or so for each sequence; those that cannot fit cost nothing.
 * @param scale of them for a frame's label and for its class.
 */
function worksOf(call: CpuCall, scale: number): Float64Array {
  const classes = call.number('classes');
  const [frames, labels] = lengthsOf(call);
  const works = new Float64Array(labels.length);
  for (let n = 0; n < works.length; n++)
    if (labels[n]! <= frames[n]!) works[n] = frames[n]! * (4 * labels[n]! + 2 * classes) * scale;
  return works;
}

function totalOf(works: Float64Array): number {
  let total = 0;
  for (const work of works) total += work;
  return total;
}

type TaskArguments = (workspace: number, begin: number, end: number) => number[];

/**
 * Sequences cut into ranges of about the same work, one task each, with scratch memory of its own.
 * @param scale multiplications or so for a frame's label and for its class.
 */
export function tasksOf(call: CpuCall, scale: number, bytes: number, argumentsOf: TaskArguments): number[][] {
  const works = worksOf(call, scale);
  return cutByWork(works, 0, workspaces(call, partsFor(totalOf(works), true), bytes), argumentsOf);
}

/** The tasks for the sequences of these works, the first of which is `first` of its batch. */
function cutByWork(
  works: Float64Array,
  first: number,
  places: readonly number[],
  argumentsOf: TaskArguments,
): number[][] {
  const total = totalOf(works);
  const parts = places.length;
  const tasks: number[][] = [];
  for (let begin = 0, part = 1, done = 0; part <= parts && begin < works.length; part++) {
    let end = begin;
    while (end < works.length && (end === begin || part === parts || done + works[end]! <= (total * part) / parts))
      done += works[end++]!;
    tasks.push(argumentsOf(places[part - 1]!, first + begin, first + end));
    begin = end;
  }
  return tasks;
}

/** Runs the loss kernel; `gradient` is 0 where only losses are wanted, `cotangents` 0 for ones. Returns the addresses of the losses (float64) and tiers. */
function solve(call: CpuCall, gradient: number, cotangents: number): { losses: number; tiers: number } {
  const batch = call.number('batch');
  const name = call.inputs[0]!.dtype === 'float64' ? 'ctcLoss64' : 'ctcLoss';
  const bytes = scratchSize(call, `${name}Workspace`, gradient ? 16 : 0, gradient ? 1 : 0);
  const problem = {
    inputs: [...addresses(call), cotangents],
    gradient,
    shape: sizes(call),
    losses: call.scratch(batch * 8),
    tiers: call.scratch(batch * 4),
    least: TIERS.indexOf(least),
  };
  const { inputs, shape, losses, tiers } = problem;
  const works = worksOf(call, name === 'ctcLoss' ? 3 : 60);
  const total = totalOf(works);
  const parts = partsFor(total, true);
  const lengths = lengthsOf(call);
  const classes = call.number('classes');
  const alone = name === 'ctcLoss' ? sequencesAlone(works, total, lengths, classes, parts >> 1) : [];
  const left = alone.length > 0 ? solveAlone(call, alone, problem, lengths, parts >> 1, MOST_SCRATCH) : [];
  const rest = without(batch, alone, left);
  const places = rest.length > 0 ? workspaces(call, parts, bytes) : [];
  for (const [first, last] of rest)
    parallel(
      name,
      cutByWork(works.subarray(first, last), first, places, (workspace, begin, end) => [
        ...inputs,
        losses,
        gradient,
        tiers,
        workspace,
        ...shape,
        begin,
        end,
        problem.least,
      ]),
    );
  return { losses, tiers };
}

/** What a batch has beside the sequences `alone`, but for those `left` of them, as ranges. */
function without(batch: number, alone: readonly number[], left: readonly number[]): [first: number, last: number][] {
  const ranges: [number, number][] = [];
  let first = 0;
  for (const n of [...alone.filter((one) => !left.includes(one)), batch]) {
    if (n > first) ranges.push([first, n]);
    first = n + 1;
  }
  return ranges;
}

const sizes = (call: CpuCall): [number, number, number, number, number, number] => [
  call.number('frames'),
  call.number('batch'),
  call.number('classes'),
  call.number('width'),
  call.number('blank'),
  call.number('logits'),
];

/** The address of cotangents (float64): those given as input 2, or one value for all. */
function cotangentsOf(call: CpuCall, value?: number): number {
  const given = call.inputs[2];
  if (!given && value === undefined) return 0;
  const batch = call.number('batch');
  const at = call.scratch(batch * 8);
  const { f64 } = heap();
  if (given) f64.set(given.view(), at / 8);
  else f64.fill(value!, at / 8, at / 8 + batch);
  return at;
}

function count(tiers: number, batch: number): void {
  const { i32 } = heap();
  for (let at = tiers / 4; at < tiers / 4 + batch; at++) taken[TIERS[i32[at]!]!]++;
}

const ctcLoss: CpuKernel = (call) => {
  const batch = call.number('batch');
  const gradient = call.outputs.length > 1 && call.outputs[1]!.length > 0 ? call.out(1) : 0;
  const { losses, tiers } = solve(call, gradient, gradient ? cotangentsOf(call) : 0);
  count(tiers, batch);
  call.outputs[0]!.view().set(heap().f64.subarray(losses / 8, losses / 8 + batch));
};

const ctcGradient: CpuKernel = (call) => {
  solve(call, call.out(0), cotangentsOf(call));
};

const ctcPosterior: CpuKernel = (call) => {
  const { tiers } = solve(call, call.out(0), cotangentsOf(call, -1));
  count(tiers, call.number('batch'));
};

const ctcCurvature: CpuKernel = (call) => {
  const shape = sizes(call);
  const bytes = scratchSize(call, 'ctcCurvatureWorkspace', 32);
  const [scores, targets, inputLengths, targetLengths] = addresses(call);
  const direction = call.in(2);
  const out = call.out(0);
  parallel(
    call.inputs[0]!.dtype === 'float64' ? 'ctcCurvature64' : 'ctcCurvature',
    tasksOf(call, 150, bytes, (workspace, begin, end) => [
      scores,
      direction,
      targets,
      inputLengths,
      targetLengths,
      out,
      workspace,
      ...shape,
      begin,
      end,
    ]),
  );
};

const ctcScale: CpuKernel = (call) => {
  const [frames, batch, classes] = [call.number('frames'), call.number('batch'), call.number('classes')];
  if (call.isFloat32) {
    heap().functions.ctcScale!(call.in(0), call.in(1), call.out(0), frames, batch, classes);
    return;
  }
  const [x, scale, out] = [call.inputs[0]!.view(), call.inputs[1]!.view(), call.outputs[0]!.view()];
  for (let row = 0; row < frames * batch; row++) {
    const factor = scale[row % batch]!;
    for (let i = row * classes; i < (row + 1) * classes; i++) out[i] = x[i] === 0 ? 0 : x[i]! * factor;
  }
};

export const ctcKernels = {
  ctcLoss,
  ctcScaledLoss: ctcLoss,
  ctcGradient,
  ctcScaledGradient: ctcGradient,
  ctcPosterior,
  ctcCurvature,
  ctcScale,
};
