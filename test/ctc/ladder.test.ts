import { ctcLoss, grad, logSoftmax, type Random, random, resetCtcStatistics, tensor, type Tensor, vjp } from 'tapegrad';
import { ctcTiers, withCtcTier } from '../../src/backends/cpu/kernels/ctc.js';
import { solve } from './reference.js';

/**
 * The ladder of CTC's tiers: each rung against the one below on the same problems, from the recursion as the paper has it up to the fast tier; and
 * rules of wasm/ctc/route.ts on both sides of their thresholds: short and long sequences, the period, frames that are alike, few-frame losses.
 */

type Rung = 'fast' | 'precise' | 'log';
type From = 'logits' | 'logProbs';

interface Problem {
  readonly shape: readonly [frames: number, batch: number, classes: number];
  readonly scores: Float32Array;
  readonly targets: readonly (readonly number[])[];
  readonly inputLengths: readonly number[];
}

const BATCH = 6;

/** Noise of one size around a path that spells the target, `height` above the rest. */
function make(rng: Random, frames: number, classes: number, height: number, size = 1): Problem {
  const inputLengths = Array.from({ length: BATCH }, (_, n) => frames - (n % 3));
  const targets = Array.from({ length: BATCH }, () =>
    Array.from({ length: rng.integer(1, Math.min(40, Math.max(2, Math.floor(frames / 4)))) }, () =>
      rng.integer(1, classes),
    ),
  );
  const scores = new Float32Array(frames * BATCH * classes).map(() => size * rng.gaussian());
  targets.forEach((target, n) => {
    const states = [0, ...target.flatMap((c) => [c, 0])];
    for (let t = 0; t < frames; t++)
      scores[(t * BATCH + n) * classes + states[Math.floor((t * states.length) / frames)]!]! += height;
  });
  return { shape: [frames, BATCH, classes], scores, targets, inputLengths };
}

interface Answer {
  readonly losses: ArrayLike<number>;
  readonly gradient: ArrayLike<number>;
}

/** The problem solved on one rung, which every sequence must have taken. */
function solveOn(rung: Rung, from: From, problem: Problem, dtype: 'float32' | 'float64' = 'float32'): Answer {
  const { shape, targets, inputLengths } = problem;
  const x = tensor(dtype === 'float32' ? problem.scores : Float64Array.from(problem.scores), { shape });
  const ones = tensor(new Array<number>(BATCH).fill(1), { dtype });
  resetCtcStatistics();
  const [losses, gradient] = withCtcTier(rung, () =>
    vjp((t: Tensor) => ctcLoss(t, targets, inputLengths, undefined, { from }), x, ones),
  );
  expect(ctcTiers()).toEqual({ lengths: 0, fast: 0, precise: 0, log: 0, [rung]: BATCH });
  return { losses: losses.dataSync(), gradient: gradient.dataSync() };
}

function expectClose(got: Answer, want: Answer, lossBound: number, gradientBound: number): void {
  for (let n = 0; n < BATCH; n++)
    expect(Math.abs(got.losses[n]! - want.losses[n]!)).toBeLessThanOrEqual(lossBound * Math.max(1, want.losses[n]!));
  let [largest, error] = [0, 0];
  for (let i = 0; i < want.gradient.length; i++) {
    largest = Math.max(largest, Math.abs(want.gradient[i]!));
    error = Math.max(error, Math.abs(got.gradient[i]! - want.gradient[i]!));
  }
  expect(error).toBeLessThanOrEqual(gradientBound * Math.max(largest, 0.06));
}

function asLogProbs(problem: Problem): Problem {
  const { scores, shape } = problem;
  return { ...problem, scores: logSoftmax(tensor(scores, { shape })).dataSync() as Float32Array };
}

describe.each([
  [12, 4, 0],
  [60, 7, 0],
  [60, 7, 4],
  [200, 33, 0],
  [200, 33, 3],
  [2300, 5, 0],
] as const)('%d frames, %d classes, a path %d above the rest', (frames, classes, height) => {
  const problem = make(random(frames + classes), frames, classes, height);
  const logProbs = asLogProbs(problem);

  test.each(['logits', 'logProbs'] as const)('log against the recursion by definition, from %s', (from) => {
    const { shape, scores, targets, inputLengths } = from === 'logits' ? problem : logProbs;
    const given = { frames, batch: BATCH, classes: shape[2], blank: 0, scores, targets, inputLengths };
    const want = solve(given, from === 'logits');
    expectClose(solveOn('log', from, { shape, scores, targets, inputLengths }, 'float64'), want, 1e-12, 1e-10);
    expectClose(solveOn('log', from, { shape, scores, targets, inputLengths }), want, 6.1e-8, 6.1e-8);
  });

  test('precise against log', () => {
    expectClose(solveOn('precise', 'logits', problem), solveOn('log', 'logits', problem), 1.3e-7, 1.5e-7);
  });

  test('fast against log, from log-probabilities', () => {
    expectClose(solveOn('fast', 'logProbs', logProbs), solveOn('log', 'logProbs', logProbs), 1.3e-7, 1.3e-7);
  });

  if (frames > 31 && frames <= 2048)
    test('fast against precise', () => {
      expectClose(solveOn('fast', 'logits', problem), solveOn('precise', 'logits', problem), 1.3e-7, 1e-6);
    });
});

describe('the rules', () => {
  const spoilt = (value: number, problem: Problem): Problem => {
    const scores = problem.scores.slice();
    for (let n = 0; n < BATCH; n++) scores[n * problem.shape[2] + 1] = value;
    return { ...problem, scores };
  };
  /** Frames that come again after `period`. */
  const periodic = (period: number, problem: Problem, wobble = 0): Problem => {
    const row = BATCH * problem.shape[2];
    const rng = random(period);
    const scores = problem.scores.map((_, i) => problem.scores[i % (period * row)]! + wobble * rng.gaussian());
    return { ...problem, scores };
  };
  const relabelled = (count: number, problem: Problem): Problem => ({
    ...problem,
    targets: problem.targets.map(() => Array.from({ length: count }, (_, i) => 1 + (i % 2))),
  });
  const ordinary = (frames: number, classes = 8): Problem => make(random(5), frames, classes, 0);

  test.each<[string, Rung | 'lengths', From, Problem]>([
    ['fewer frames than labels', 'lengths', 'logits', relabelled(50, ordinary(40))],
    ['31 frames', 'precise', 'logits', ordinary(31)],
    ['31 frames of log-probabilities', 'fast', 'logProbs', asLogProbs(ordinary(31))],
    ['34 frames', 'fast', 'logits', ordinary(34)],
    ['2048 frames', 'fast', 'logits', ordinary(2048)],
    ['more than 2048 frames', 'precise', 'logits', ordinary(2051)],
    ['more than 2048 frames of log-probabilities', 'fast', 'logProbs', asLogProbs(ordinary(2051))],
    ['NaN', 'log', 'logits', spoilt(NaN, ordinary(40))],
    ['NaN in few frames', 'log', 'logits', spoilt(NaN, ordinary(12))],
    ['NaN in log-probabilities', 'log', 'logProbs', spoilt(NaN, ordinary(40))],
    ['Infinity', 'log', 'logits', spoilt(Infinity, ordinary(40))],
    ['-Infinity of a label', 'fast', 'logits', spoilt(-Infinity, ordinary(40))],
    ['a loss next to 0', 'log', 'logits', make(random(6), 40, 5, 60)],
    ['a loss of a few frames', 'precise', 'logits', doubtful(18)],
    ['a loss of a few frames that is large', 'fast', 'logits', doubtful(8)],
    ['frames that are the same', 'precise', 'logits', periodic(1, ordinary(100))],
    ['frames that come again after 8', 'precise', 'logits', periodic(8, ordinary(100))],
    ['frames that come again after 40', 'precise', 'logits', periodic(40, ordinary(400))],
    ['frames that come again after 256', 'precise', 'logits', periodic(256, ordinary(1000))],
    ['frames that come again after 257', 'fast', 'logits', periodic(257, ordinary(1000))],
    ['frames that are alike', 'precise', 'logits', periodic(1, ordinary(100), 1e-4)],
    ['frames that are not', 'fast', 'logits', periodic(1, ordinary(100), 0.5)],
    [
      'a network that is certain of something else',
      'log',
      'logits',
      { ...relabelled(9, ordinary(40)), scores: wrong(40) },
    ],
  ])('%s: %s', (_, rung, from, { scores, shape, targets, inputLengths }) => {
    resetCtcStatistics();
    ctcLoss(tensor(scores, { shape }), targets, inputLengths, undefined, { from });
    expect(ctcTiers()).toEqual({ lengths: 0, fast: 0, precise: 0, log: 0, [rung]: BATCH });
    resetCtcStatistics();
    const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths, undefined, { from, zeroInfinity: true }).sum();
    grad(f)(tensor(scores, { shape }));
    expect(ctcTiers()).toEqual({ lengths: 0, fast: 0, precise: 0, log: 0, [rung]: BATCH });
  });

  function wrong(frames: number): Float32Array {
    return new Float32Array(frames * BATCH * 8).map((_, i) => (i % 8 === 0 ? 500 : 0));
  }

  /** Blanks for certain, at 20, and a label that stands out, by its score, in one frame only. */
  function doubtful(score: number): Problem {
    const problem = make(random(6), 100, 5, 0, 0.3);
    for (let row = 0; row < 100 * BATCH; row++) problem.scores[5 * row]! += 20;
    for (let n = 0; n < BATCH; n++) problem.scores[5 * (50 * BATCH + n) + 1]! += score;
    return { ...problem, targets: problem.targets.map(() => [1]) };
  }

  test('float64 takes the log tier', () => {
    const { scores, shape, targets, inputLengths } = ordinary(40);
    resetCtcStatistics();
    ctcLoss(tensor(Float64Array.from(scores), { shape }), targets, inputLengths, undefined, { from: 'logits' });
    expect(ctcTiers()).toEqual({ lengths: 0, fast: 0, precise: 0, log: BATCH });
  });
});
