/** Problems for the rungs of CTC's ladder, each solved on the rung that is asked for, and how far answers may be apart. */
import { ctcLoss, logSoftmax, type Random, resetCtcStatistics, tensor, type Tensor, vjp } from 'tapegrad';
import { ctcTiers, withCtcTier } from '../../src/backends/cpu/kernels/ctc.js';

export type Rung = 'fast' | 'precise' | 'sure' | 'log';
export type From = 'logits' | 'logProbs';

export interface Problem {
  readonly shape: readonly [frames: number, batch: number, classes: number];
  readonly scores: Float32Array;
  readonly targets: readonly (readonly number[])[];
  readonly inputLengths: readonly number[];
}

/** Noise of one size around a path that spells the target, `height` above the rest. */
export function make(
  rng: Random,
  frames: number,
  classes: number,
  height: number,
  { size = 1, batch = 6 } = {},
): Problem {
  const inputLengths = Array.from({ length: batch }, (_, n) => frames - (n % 3));
  const targets = Array.from({ length: batch }, () =>
    Array.from({ length: rng.integer(1, Math.min(40, Math.max(2, Math.floor(frames / 4)))) }, () =>
      rng.integer(1, classes),
    ),
  );
  const scores = new Float32Array(frames * batch * classes).map(() => size * rng.gaussian());
  targets.forEach((target, n) => {
    const states = [0, ...target.flatMap((c) => [c, 0])];
    for (let t = 0; t < frames; t++)
      scores[(t * batch + n) * classes + states[Math.floor((t * states.length) / frames)]!]! += height;
  });
  return { shape: [frames, batch, classes], scores, targets, inputLengths };
}

/** One sequence, its scores given by frame and class. */
export function sequenceOf(
  frames: number,
  classes: number,
  target: readonly number[],
  score: (t: number, c: number) => number,
): Problem {
  const scores = new Float32Array(frames * classes).map((_, i) => score(Math.floor(i / classes), i % classes));
  return { shape: [frames, 1, classes], scores, targets: [target], inputLengths: [frames] };
}

export function asLogProbs(problem: Problem): Problem {
  const { scores, shape } = problem;
  return { ...problem, scores: logSoftmax(tensor(scores, { shape })).dataSync() as Float32Array };
}

export interface Answer {
  readonly losses: ArrayLike<number>;
  readonly gradient: ArrayLike<number>;
}

/** Losses and their gradients, where no sequence takes a rung above `rung`. float64 takes the log tier. */
export function solveUpTo(
  rung: Exclude<Rung, 'sure'>,
  from: From,
  problem: Problem,
  dtype: 'float32' | 'float64' = 'float32',
): Answer {
  const { shape, targets, inputLengths } = problem;
  const x = tensor(dtype === 'float32' ? problem.scores : new Float64Array(problem.scores), { shape });
  const ones = tensor(new Array<number>(shape[1]).fill(1), { dtype });
  resetCtcStatistics();
  const [losses, gradient] = withCtcTier(rung, () =>
    vjp((t: Tensor) => ctcLoss(t, targets, inputLengths, undefined, { from }), x, ones),
  );
  return { losses: losses.dataSync(), gradient: gradient.dataSync() };
}

/** That every sequence of the last call took this rung. */
export function expectTaken(rung: Rung | 'lengths', problem: Problem): void {
  expect(ctcTiers()).toEqual({ lengths: 0, fast: 0, precise: 0, sure: 0, log: 0, [rung]: problem.shape[1] });
}

/** The problem solved on one rung, which every sequence must have taken. */
export function solveOn(
  rung: Exclude<Rung, 'sure'>,
  from: From,
  problem: Problem,
  dtype: 'float32' | 'float64' = 'float32',
): Answer {
  const answer = solveUpTo(rung, from, problem, dtype);
  expectTaken(rung, problem);
  return answer;
}

/** Losses apart by `lossBound` of themselves (of 1 where they are smaller), gradients by `gradientBound` of the largest (of 0.06 where that is smaller). */
export function expectClose(got: Answer, want: Answer, lossBound: number, gradientBound: number): void {
  for (let n = 0; n < want.losses.length; n++)
    expect(Math.abs(got.losses[n]! - want.losses[n]!)).toBeLessThanOrEqual(lossBound * Math.max(1, want.losses[n]!));
  let [largest, error] = [0, 0];
  for (let i = 0; i < want.gradient.length; i++) {
    largest = Math.max(largest, Math.abs(want.gradient[i]!));
    error = Math.max(error, Math.abs(got.gradient[i]! - want.gradient[i]!));
  }
  expect(error).toBeLessThanOrEqual(gradientBound * Math.max(largest, 0.06));
}
