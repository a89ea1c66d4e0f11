import { OutOfMemoryError } from '../../../errors.js';
import type { TypedArray } from '../../backend.js';
import type { CpuCall } from '../call.js';
import { heap } from '../heap.js';
import { parallel } from '../pool.js';

/** What `ctcAlone...` of wasm/ctc/alone.ts say is to be done next. */
const NEXT = { leave: 0, go: 1, again: 2 };

/** Parts of a sequence for each thread that it has, where each works on a part of its own: they may take unequally long. */
const PARTS_PER_THREAD = 2;

/** Multiplications or so that threads must have to take from each other: each is waited for three times. */
const WORTH_SPLITTING = 1 << 22;

/** UNGAUGED_FRAMES of wasm/ctc/route.ts: in longer sequences every cell has a scale of its own, and the recursion takes three times as long. */
const UNGAUGED_FRAMES = 2048;

/** A sequence that takes so many times its share of the threads' time is better split: a thread of its own it has anyway. */
const SHARES = 1.5;

/** In place of threads: how many each call takes for granted, and in which part of a sequence its two passes meet. */
interface Pretended {
  readonly threads: number;
  readonly meeting: number;
}

let pretended: Pretended | null = null;

/**
 * @internal What `run` returns, where sequences alone are split as if for `threads` threads, however short they are, and the pass backward multiplies in the
 * first `meeting` of a sequence: for tests. It takes no threads, so that it goes the same way every time.
 */
export function withCtcSplit<T>(threads: number, meeting: number, run: () => T): T {
  const before = pretended;
  pretended = { threads, meeting };
  try {
    return run();
  } finally {
    pretended = before;
  }
}

/** All tasks, by threads or as if by threads. */
function share(name: string, tasks: readonly (readonly number[])[]): void {
  if (!pretended) parallel(name, tasks);
  else for (const task of [...tasks].reverse()) heap().functions[name]!(...task);
}

let split = 0;

/** @internal Sequences that were solved by several threads, since the process started: for tests. */
export const ctcSplit = (): number => split;

/**
 * The sequences that had better be solved by all threads together: those that would keep one busy when the others are done, and of which threads take something
 * from each other. That is the work on classes, and the recursion of long sequences: in others it is so quick that to store the states of both passes, and to
 * fetch those of the other thread, takes what going side by side saves.
 */
export function sequencesAlone(
  works: Float64Array,
  total: number,
  [frames, labels]: readonly [frames: ArrayLike<number>, labels: ArrayLike<number>],
  classes: number,
  threads: number,
): number[] {
  const [ready, least] = pretended ? [pretended.threads, 0] : [threads, WORTH_SPLITTING];
  if (ready < 2) return [];
  const alone: number[] = [];
  works.forEach((work, n) => {
    const taken = 3 * frames[n]! * (2 * classes + (frames[n]! > UNGAUGED_FRAMES ? 12 * labels[n]! : 0));
    if (taken >= least && work * ready > SHARES * total) alone.push(n);
  });
  return alone;
}

/** A batch as the kernel's arguments describe it. */
interface CtcBatch {
  /** Scores, targets, input lengths, target lengths and cotangents. */
  readonly inputs: readonly number[];
  readonly gradient: number;
  /** Frames, sequences, classes, width, blank, whether logits. */
  readonly shape: readonly number[];
  readonly losses: number;
  readonly tiers: number;
  /** The highest tier, as a number. */
  readonly least: number;
}

interface Opened {
  readonly n: number;
  readonly at: number;
}

/**
 * Solves these sequences of a batch, every one by several threads at once, to the bits that `ctcLoss` gives. Returns those that are not done, because they
 * need a tier that goes by one thread, or there is no memory for both passes' states.
 * @param most bytes of scratch memory that they may take together.
 */
export function solveAlone(
  call: CpuCall,
  sequences: readonly number[],
  batch: CtcBatch,
  [frames, labels]: readonly [frames: TypedArray, labels: TypedArray],
  threads: number,
  most: number,
): number[] {
  const { functions } = heap();
  const { inputs, gradient, shape, losses, tiers, least } = batch;
  const parts = Math.max(2, Math.floor(((pretended?.threads ?? threads) * PARTS_PER_THREAD) / sequences.length));
  const left: number[] = [];
  let open: Opened[] = [];
  /** Those that go on and those that start over; those that do neither are left. */
  const sort = (some: readonly Opened[], ask: (at: number, n: number) => number): [go: Opened[], again: Opened[]] => {
    const answers = some.map(({ at, n }) => ask(at, n));
    const answered = (next: number): Opened[] => some.filter((_, i) => answers[i] === next);
    left.push(...answered(NEXT.leave).map(({ n }) => n));
    return [answered(NEXT.go), answered(NEXT.again)];
  };
  const each = (some: readonly Opened[], count: number): number[][] =>
    some.flatMap(({ at }) => Array.from({ length: count }, (_, part) => [at, part]));
  // Threads take the last tasks first: so forward passes are under way before backward ones look for what they have left.
  const passes = (some: readonly Opened[]): number[][] =>
    [1, 0].flatMap((part) =>
      some.map(({ n, at }) => [at, part, Math.ceil(((frames[n]! + 3) >> 2) * (pretended?.meeting ?? 1))]),
    );
  const places: [at: number, bytes: number][] = [];
  let taken = 0;
  for (const n of sequences) {
    const bytes = scratchFor(frames[n]!, labels[n]!, shape[2]!, gradient !== 0, parts);
    const at = taken + bytes <= most ? scratchIfAny(call, bytes) : null;
    if (at === null) {
      left.push(n);
      continue;
    }
    open.push({ n, at });
    places.push([at, bytes]);
    taken += bytes;
  }
  [open] = sort(open, (at, n) => functions.ctcAloneOpen!(at, ...inputs, gradient, ...shape, n, least, parts));
  while (open.length > 0) {
    share('ctcAloneFill', each(open, parts));
    const [filled] = sort(open, (at) => functions.ctcAloneReady!(at));
    share('ctcAlonePass', passes(filled));
    const [accepted, again] = sort(filled, (at) => functions.ctcAloneDecide!(at));
    if (gradient) share('ctcAloneFinish', each(accepted, parts));
    split += sort(accepted, (at, n) => functions.ctcAloneClose!(at, losses + 8 * n, tiers + 4 * n))[0].length;
    open = again;
  }
  for (const [at, bytes] of places) call.giveScratch(at, bytes);
  return left.sort((a, b) => a - b);
}

/** Bytes of scratch memory for one sequence. Kernels count them modulo 2^32, so what does not fit is Infinity. */
function scratchFor(frames: number, labels: number, classes: number, withGradient: boolean, parts: number): number {
  const atLeast = (frames + 8) * ((withGradient ? 24 * (labels + 6) : 0) + 4 * (classes + 8));
  return atLeast > 2 ** 31
    ? Infinity
    : heap().functions.ctcAloneWorkspace!(frames, classes, labels, withGradient ? 1 : 0, parts) >>> 0;
}

function scratchIfAny(call: CpuCall, bytes: number): number | null {
  try {
    return call.scratch(bytes);
  } catch (error) {
    if (error instanceof OutOfMemoryError) return null;
    throw error;
  }
}
