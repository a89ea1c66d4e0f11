import type { Random } from 'tapegrad';
import {
  ctcLoss,
  ctcStatistics,
  type CtcStatistics,
  random,
  resetCtcStatistics,
  tensor,
  type Tensor,
  vjp,
} from 'tapegrad';
import { ctcSplit, withCtcSplit } from '../../src/backends/cpu/kernels/ctc-alone.js';

/**
 * Random sequences of the kinds that break implementations, in mixed batches, the float32 tiers against the float64 log-domain tier. What the
 * certificate accepts must be right: a sequence that misses the bounds is counted as a false accept. And what several threads make of a sequence together
 * must have the bits that it has on one.
 */

export interface FuzzReport {
  /** Sequences. */
  cases: number;
  /** Sequences by the tier that took them. */
  readonly tiers: CtcStatistics;
  /** Sequences whose loss or gradient missed the bounds, and the first few of them. */
  falseAccepts: number;
  readonly examples: string[];
  /** Sequences that several threads have solved together, and batches in which that made a difference. */
  split: number;
  differences: number;
  /** The worst errors, in the measures that the bounds are for. */
  worstGradient: number;
  worstLoss: number;
}

/**
 * Bounds for float32 inputs: of losses the result's rounding (6e-8) and a little of the emissions', far above the certificate's 2e-9. Gradients are held against the sequence's largest
 * one, or, where all are small, against one rounding of a float32 next to 1.
 */
const GRADIENT_BOUND = 1e-6;
const SMALL_GRADIENT = 0.06;
const LOSS_BOUND = 1e-7;

const KINDS = [
  'normal',
  'peaky',
  'wrong',
  'uniform',
  'oneHot',
  'blankCollapsed',
  'wide',
  'shifted',
  'impossible',
  'small',
  'repeated',
  'faint',
] as const;
type Kind = (typeof KINDS)[number];

interface Batch {
  readonly kinds: readonly Kind[];
  readonly from: 'logits' | 'logProbs';
  readonly scores: Float32Array;
  readonly shape: readonly [frames: number, batch: number, classes: number];
  readonly blank: number;
  readonly targets: readonly (readonly number[])[];
  readonly inputLengths: readonly number[];
}

export function fuzz(cases: number, seed: number, progress?: (done: number) => void): FuzzReport {
  const rng = random(seed);
  const tiers = { lengths: 0, linear: 0, log: 0 };
  const [errors, counts] = [
    { worstGradient: 0, worstLoss: 0 },
    { falseAccepts: 0, split: 0, differences: 0 },
  ];
  const report: FuzzReport = { cases: 0, tiers, ...counts, examples: [], ...errors };
  while (report.cases < cases) {
    const made = makeBatch(rng);
    resetCtcStatistics();
    const fast = solve(made, 'float32');
    const counted = ctcStatistics();
    tiers.lengths += counted.lengths;
    tiers.linear += counted.linear;
    tiers.log += counted.log;
    compareSplit(made, fast, MEETINGS[report.cases % MEETINGS.length]!, report);
    compare(made, fast, solve(made, 'float64'), report);
    report.cases += made.targets.length;
    progress?.(report.cases);
  }
  return report;
}

/** So many threads that every sequence with a share in the work is split, and where its two passes meet. */
const THREADS = 1000;
const MEETINGS = [0, 0.5, 1];

function compareSplit(made: Batch, alone: Solved, meeting: number, report: FuzzReport): void {
  const before = ctcSplit();
  const split = withCtcSplit(THREADS, meeting, () => solve(made, 'float32'));
  report.split += ctcSplit() - before;
  if (sameBits(split.losses, alone.losses) && sameBits(split.gradient, alone.gradient)) return;
  report.differences++;
  if (report.examples.length < 10)
    report.examples.push(`case ${report.cases} (${made.from}, shape ${made.shape.join('x')}): split, it is another`);
}

const sameBits = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  Array.prototype.every.call(a, (x, i) => Object.is(x, b[i]));

interface Solved {
  readonly losses: ArrayLike<number>;
  readonly gradient: ArrayLike<number>;
}

function solve({ from, scores, shape, blank, targets, inputLengths }: Batch, dtype: 'float32' | 'float64'): Solved {
  const x = tensor(dtype === 'float32' ? scores : Float64Array.from(scores), { shape });
  const ones = tensor(new Float32Array(targets.length).fill(1)).cast(dtype);
  const [losses, gradient] = vjp((t: Tensor) => ctcLoss(t, targets, inputLengths, undefined, { blank, from }), x, ones);
  return { losses: losses.dataSync(), gradient: gradient.dataSync() };
}

function compare(
  { kinds, from, shape, targets, inputLengths }: Batch,
  fast: Solved,
  exact: Solved,
  report: FuzzReport,
): void {
  const [, batch, classes] = shape;
  targets.forEach((target, n) => {
    const loss = exact.losses[n]!;
    const got = fast.losses[n]!;
    let largest = 0;
    let worst = 0;
    for (let t = 0; t < shape[0]; t++) {
      for (let c = 0; c < classes; c++) {
        const at = (t * batch + n) * classes + c;
        const want = exact.gradient[at]!;
        const error =
          t < inputLengths[n]! ? difference(fast.gradient[at]!, want) : difference(fast.gradient[at]!, 0) * Infinity;
        largest = Math.max(largest, Math.abs(want) || 0);
        worst = Math.max(worst, Number.isNaN(error) ? 0 : error);
      }
    }
    const gradientError = worst === 0 ? 0 : worst / Math.max(largest, SMALL_GRADIENT);
    const lossError = difference(got, loss) / Math.max(1, Number.isFinite(loss) ? Math.abs(loss) : 1);
    const negative = from === 'logits' && got < 0;
    report.worstGradient = Math.max(report.worstGradient, gradientError);
    report.worstLoss = Math.max(report.worstLoss, lossError);
    if (gradientError > GRADIENT_BOUND || lossError > LOSS_BOUND || negative) {
      report.falseAccepts++;
      if (report.examples.length < 10) {
        report.examples.push(
          `case ${report.cases + n} (${kinds[n]}, ${from}, shape ${shape.join('x')}, ${inputLengths[n]} frames, ${target.length} labels): ` +
            `loss ${got} for ${loss}, gradient error ${gradientError}`,
        );
      }
    }
  });
}

/** |a - b|; 0 for equal infinities and for two NaN, Infinity where only one is special. */
function difference(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0;
  return Number.isFinite(a) && Number.isFinite(b) ? Math.abs(a - b) : Infinity;
}

const pick = <T>(rng: Random, list: readonly T[]): T => list[rng.integer(0, list.length)]!;
const between = (rng: Random, low: number, high: number): number => low + rng.integer(0, high - low + 1);

function makeBatch(rng: Random): Batch {
  const from = rng.next() < 0.6 ? 'logits' : 'logProbs';
  const classes = between(rng, 2, 12);
  const isLong = rng.next() < 0.01;
  const frames = isLong ? between(rng, 700, 2600) : between(rng, 1, rng.next() < 0.1 ? 150 : 40);
  const batch = isLong ? 1 : between(rng, 1, 24);
  const kinds = Array.from({ length: batch }, () => pick(rng, KINDS));
  const blank = rng.integer(0, classes);
  const widest = between(rng, 0, isLong ? 200 : Math.min(frames, 30));
  const inputLengths = Array.from({ length: batch }, () => (rng.next() < 0.4 ? frames : between(rng, 0, frames)));
  const targets = inputLengths.map((length) => {
    const wished = rng.next() < 0.3 ? Math.min(widest, length) : between(rng, 0, widest);
    const only = rng.next() < 0.15 ? label(rng, classes, blank) : null;
    return Array.from({ length: wished }, () => only ?? label(rng, classes, blank));
  });
  const scores = new Float32Array(frames * batch * classes);
  for (let n = 0; n < batch; n++) {
    const kind = kinds[n]!;
    const height = pick(rng, [5, 20, 50, 79, 81, 100, 500]);
    const path = alignment(targets[n]!, blank, frames);
    const period = kind === 'repeated' ? between(rng, 1, 8) : frames;
    const wobble = rng.next() < 0.3 ? 10 ** between(rng, -4, 0) : 0;
    for (let t = 0; t < frames; t++) {
      if (t >= period) {
        const row = (t * batch + n) * classes;
        scores.copyWithin(row, row - period * batch * classes, row - period * batch * classes + classes);
        scores[row + blank]! += wobble * rng.gaussian();
        continue;
      }
      const peak = kind === 'wrong' ? rng.integer(0, classes) : path[t]!;
      for (let c = 0; c < classes; c++)
        scores[(t * batch + n) * classes + c] = score(rng, kind, c === peak, c === blank, t, height);
    }
  }
  if (from === 'logProbs' && rng.next() < 0.8) normalise(scores, classes);
  spoil(rng, scores, [frames, batch, classes], inputLengths);
  return { kinds, from, scores, shape: [frames, batch, classes], blank, targets, inputLengths };
}

function label(rng: Random, classes: number, blank: number): number {
  const c = rng.integer(0, classes - 1);
  return c < blank ? c : c + 1;
}

/** A path that spells the target with its labels spread evenly. */
function alignment(target: readonly number[], blank: number, frames: number): number[] {
  const states = [blank, ...target.flatMap((c) => [c, blank])];
  return Array.from({ length: frames }, (_, t) => states[Math.floor((t * states.length) / frames)]!);
}

function score(rng: Random, kind: Kind, isPeak: boolean, isBlank: boolean, t: number, height: number): number {
  const noise = rng.gaussian();
  switch (kind) {
    case 'normal':
      return noise;
    case 'peaky':
      return noise + (isPeak ? 10 : 0);
    case 'wrong':
      return noise + (isPeak ? 10 : 0);
    case 'uniform':
      return 0;
    case 'oneHot':
      return isPeak ? height : 0;
    case 'blankCollapsed':
      return 0.3 * noise + (isBlank ? height / 3 : 0);
    case 'wide':
      return noise * height;
    case 'shifted':
      return noise + (t % 2 ? 8 : -2.4) * height ** 2.5; // from a hundred to ten million away from 0
    case 'impossible':
      return rng.next() < 0.15 && !isPeak ? -Infinity : noise;
    case 'small':
      return noise * 1e-3;
    case 'repeated':
      return noise * 2;
    case 'faint':
      return 0.1 * noise - (isBlank ? 0 : height / 2);
  }
}

function normalise(scores: Float32Array, classes: number): void {
  for (let at = 0; at < scores.length; at += classes) {
    const row = scores.subarray(at, at + classes);
    const top = Math.max(...row);
    const log = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    row.forEach((x, c) => {
      row[c] = x - log;
    });
  }
}

/** NaN past the inputs' ends, where nothing may look, and now and then within a sequence. */
function spoil(
  rng: Random,
  scores: Float32Array,
  [frames, batch, classes]: Batch['shape'],
  inputLengths: readonly number[],
): void {
  inputLengths.forEach((length, n) => {
    for (let t = length; t < frames; t++)
      if (rng.next() < 0.5) scores[(t * batch + n) * classes + rng.integer(0, classes)] = NaN;
    if (length > 0 && rng.next() < 0.03)
      scores[(rng.integer(0, length) * batch + n) * classes + rng.integer(0, classes)] = NaN;
  });
}
