/**
 * The rules of wasm/ctc/route.ts: which sequence takes which rung of CTC's ladder, on both sides of every threshold, with the right numbers on both.
 */
import { readFileSync } from 'node:fs';
import { ctcLoss, grad, random, resetCtcStatistics, tensor, type Tensor } from 'tapegrad';
import { ctcTiers } from '../../src/backends/cpu/kernels/ctc.js';
import {
  asLogProbs,
  expectClose,
  expectTaken,
  type From,
  make,
  type Problem,
  type Rung,
  sequenceOf,
  solveUpTo,
} from './rungs.js';

const ordinary = (frames: number, classes = 8): Problem => make(random(5), frames, classes, 0);
const one = (frames: number, height = 0, seed = 6): Problem => make(random(seed), frames, 5, height, { batch: 1 });

/** The problem of a family, from `low` to `high` with ever smaller losses, that has this loss. */
function withLoss(loss: number, family: (x: number) => Problem, low: number, high: number): Problem {
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    const { losses } = solveUpTo('log', 'logits', family(middle), 'float64');
    if (losses[0]! > loss) low = middle;
    else high = middle;
  }
  return family(low);
}

/** Frame t as frame `source(t)`. */
function refilled(problem: Problem, source: (t: number) => number): Problem {
  const row = problem.shape[1] * problem.shape[2];
  const scores = problem.scores.map((_, i) => problem.scores[source(Math.floor(i / row)) * row + (i % row)]!);
  return { ...problem, scores };
}

/** Frames that come again after `period`: all, or the first so many that can. */
const periodic = (period: number, problem: Problem, count = Infinity): Problem =>
  refilled(problem, (t) => (t >= period && t < period + count ? t % period : t));

const noisy = (size: number, problem: Problem): Problem => {
  const rng = random(9);
  return { ...problem, scores: problem.scores.map((x) => x + size * rng.gaussian()) };
};

const relabelled = (count: number, problem: Problem): Problem => ({
  ...problem,
  targets: problem.targets.map(() => Array.from({ length: count }, (_, i) => 1 + (i % 2))),
});

/** `count` frames that are the same as the one before, far from one another. */
const repeating = (count: number, problem: Problem): Problem =>
  refilled(problem, (t) => (t % 10 === 1 && t < 10 * count ? t - 1 : t));

/**
 * Frames of which no number comes again in the first ten bits of its mantissa, but the greatest of `count` frames, of which it does less `off` units
 * of the tenth bit.
 */
const alike = (count: number, off: number): Problem =>
  sequenceOf(120, 8, [1, 2, 3, 4, 5, 6, 7], (t, c) => {
    const greatest = 1 + (t % 7);
    const isAlike = c === greatest && t % 5 === 1 && t < 5 * count;
    const places = isAlike ? ((37 * (t - 1) + 101 * (1 + ((t - 1) % 7))) % 1024) + off : (37 * t + 101 * c) % 1024;
    const exponent = c === greatest ? 6 : ((5 * t + 3 * c) % 3) - 1;
    return Math.log(2 ** exponent * (1 + places / 1024));
  });

/** The scores of `wide`, made once. */
let noise: ArrayLike<number> | undefined;

/** 1024 blocks of four frames, in each 32 bytes for every distinct label and the blank: 2048 of these take 64 MB. */
function wide(labels: number, distinct: number, isSame = false): Problem {
  const [frames, classes] = [4096, 2050];
  const scores = new Float32Array(frames * classes);
  if (isSame) {
    const row = random(8).normal([classes]).mul(0.01).dataSync();
    for (let t = 0; t < frames; t++) scores.set(row, t * classes);
  } else scores.set((noise ??= random(7).normal([frames, classes]).dataSync()));
  const targets = [Array.from({ length: labels }, (_, i) => 1 + (i % distinct))];
  return { shape: [frames, 1, classes], scores, targets, inputLengths: [frames] };
}

/**
 * A label that is read in one frame with a probability of e^-depth: the pass backward allows for it in the others as well, at e^-80 each, so that the
 * bounds of the probability are apart by 39 e^(depth - 80) of it.
 */
const hidden = (depth: number): Problem =>
  sequenceOf(40, 3, [1], (t, c) => (c === 0 ? 0 : c === 1 && t === 20 ? -depth : -1000));

/**
 * All that the target uses is e^-depth as likely as another class, from one frame to another: the scale of the states follows eight frames late, so that
 * they are lower by 11.5 depth bits there, and products of two by twice that.
 */
const falling = (depth: number, begin: number, end: number, target: readonly number[] = []): Problem =>
  sequenceOf(80, 4, target, (t, c) => {
    const isDown = t >= begin && t < end;
    return c === 3 ? (isDown ? 0 : -20) : isDown ? -depth : -0.1 * c * (1 + Math.sin(3 * t + 7 * c));
  });

/** Frames of which one class has `share`, and a loss of about 1. */
const nearlyAll = (share: number): Problem => {
  const height = Math.log((share / (1 - share)) * 4);
  return sequenceOf(60, 5, [1, 2], (t, c) => {
    const peak = t === 20 ? 1 : t === 40 ? 2 : 0;
    return (c === peak ? height : 0) + 0.05 * Math.sin(11 * t + 5 * c * c);
  });
};

/** How far each rung's losses and gradients may be from the exact ones: docs/ctc.md, and for the bounds' meaning `expectClose`. */
type Bounds = readonly [loss: number, gradient: number];
const PRECISE: Bounds = [1.3e-7, 1.5e-7];
const LOG: Bounds = [6.1e-8, 6.1e-8];
const SURE: Bounds = [1e-7, 1e-7];
const BOUNDS: Record<From, Record<Rung, Bounds>> = {
  logits: { fast: [1.3e-7, 1e-6], precise: PRECISE, sure: SURE, log: LOG },
  logProbs: { fast: [1.3e-7, 1.3e-7], precise: PRECISE, sure: SURE, log: LOG },
};

/** That a problem takes the rung, whether its gradient is wanted or not (or as `only` says), and that its numbers are right. */
function check(rung: Rung, problem: Problem, from: From = 'logits', only?: 'loss' | 'gradient'): void {
  const bounds = BOUNDS[from][rung];
  if (only !== 'loss') {
    const got = solveUpTo('fast', from, problem);
    expectTaken(rung, problem);
    expectClose(got, solveUpTo('log', from, problem, 'float64'), ...bounds);
  }
  if (only !== 'gradient') {
    const { scores, shape, targets, inputLengths } = problem;
    const [want, got] = [new Float64Array(scores), scores].map((data) => {
      resetCtcStatistics();
      return ctcLoss(tensor(data, { shape }), targets, inputLengths, undefined, { from }).dataSync();
    });
    expectTaken(rung, problem);
    expectClose({ losses: got!, gradient: [] }, { losses: want!, gradient: [] }, ...bounds);
  }
}

describe('thresholds, just below and just above', () => {
  test('SHORT: 31 frames', () => {
    check('precise', make(random(5), 31, 8, 0, { batch: 1 }));
    check('fast', make(random(5), 32, 8, 0, { batch: 1 }));
    check('fast', asLogProbs(ordinary(31)), 'logProbs');
  });

  test('LONG: 2048 frames', () => {
    check('fast', one(2048));
    check('precise', one(2049));
    check('fast', asLogProbs(one(2049)), 'logProbs');
  });

  test('GREATEST_CACHE: 64 MB, of a long sequence, of one whose frames repeat, and of log-probabilities', () => {
    check('precise', wide(2047, 2047), 'logits', 'gradient');
    check('fast', wide(2048, 2047), 'logits', 'loss');
    check('precise', wide(2048, 2047, true), 'logits', 'loss');
    check('log', wide(2048, 2048, true), 'logits', 'loss');
    // Beyond it the exponentials of log-probabilities are computed again.
    const logProbs = asLogProbs(wide(2048, 2048));
    check('fast', logProbs, 'logProbs', 'gradient');
    check('fast', { ...logProbs, targets: wide(2048, 2047).targets }, 'logProbs', 'gradient');
  });

  test('GREATEST_STATES: 128 MB of blanks, 8 bytes each', () => {
    for (const [frames, tier] of [
      [8188, 'sure'],
      [8189, 'log'],
    ] as const) {
      // 2048 cells, and four frames more than there are.
      const target = Array.from({ length: 2044 }, (_, i) => 1 + (i % 2));
      const { scores, shape } = sequenceOf(frames, 3, target, (t, c) => {
        const state = Math.min(t >> 1, 4088);
        return c === (state % 2 ? target[state >> 1] : 0) ? 60 : 0;
      });
      resetCtcStatistics();
      const [loss] = ctcLoss(tensor(scores, { shape }), [target], { from: 'logits' }).dataSync();
      expect(ctcTiers()[tier]).toBe(1);
      expect(loss).toBeCloseTo(0, 6);
    }
  });

  test.each([40, 400, 1000])('VANISHING and VANISHING_PER_FRAME: 1e-6 and 2e-8 for each of %d frames', (frames) => {
    for (const [share, rung] of [
      [0.99, 'sure'],
      [1.01, 'fast'],
    ] as const) {
      const problem = withLoss(share * (1e-6 + 2e-8 * frames), (height) => one(frames, height), 5, 40);
      check(rung, problem);
      // Small losses and their gradients have digits of their own on either side.
      const [got, want] = [solveUpTo('fast', 'logits', problem), solveUpTo('log', 'logits', problem, 'float64')];
      const largest = Math.max(...Array.from(want.gradient, Math.abs));
      expect(got.losses[0]! / want.losses[0]!).toBeCloseTo(1, 6);
      Array.from(want.gradient).forEach((x, i) => {
        expect(Math.abs(got.gradient[i]! - x)).toBeLessThanOrEqual(1e-6 * largest);
      });
    }
  });

  test('MANY_REPEATS: 64 frames', () => {
    check('fast', repeating(64, one(800)));
    check('precise', repeating(65, one(800)));
  });

  test('LEAST_LOSS_PER_REPEAT: 5, of ten frames', () => {
    const family = (height: number): Problem => repeating(10, one(120, height));
    check('precise', withLoss(49.8, family, 0, 9));
    check('fast', withLoss(50.2, family, 0, 9));
  });

  test('ALIKE_BITS: 13 of 23, and ONE_ALIKE_IN: 6 of 120 frames', () => {
    check('fast', alike(20, 0));
    check('precise', alike(21, 0));
    check('precise', alike(21, 0.45));
    check('fast', alike(24, 0.55));
  });

  test('LONGEST_PERIOD: 256 frames, and ONE_PERIODIC_IN: 4 of 1000', () => {
    for (const period of [1, 8, 9]) check('precise', periodic(period, one(400)));
    check('precise', periodic(256, one(1000)));
    check('fast', periodic(257, one(1000)));
    check('fast', periodic(100, one(1000), 250));
    check('precise', periodic(100, one(1000), 251));
  });

  test('LEAST_LOSS and GREATEST_LOSS: 0.4 and 8', () => {
    for (const [loss, rung] of [
      [0.396, 'fast'],
      [0.404, 'precise'],
      [7.92, 'precise'],
      [8.08, 'fast'],
    ] as const)
      check(
        rung,
        withLoss(loss, (height) => one(100, height), 1, 12),
      );
  });

  test('NEARLY_ALL: 31 of 32', () => {
    for (const share of [30.9 / 32, 31.1 / 32]) check('precise', nearlyAll(share));
  });

  test.each(['logits', 'logProbs'] as const)('AGREEMENT: 1e-9, from %s', (from) => {
    const depth = 80 + Math.log(1e-9 / 39);
    check('fast', hidden(depth - 0.02), from);
    check('log', hidden(depth + 0.02), from);
  });

  test('PRODUCT_LOW: 1e-250, where states are at 2^340 less 11.5 depth bits', () => {
    const depth = (340 * Math.LN2 + 125 * Math.LN10) / 8;
    // Beyond it, a scale for every cell is enough.
    for (const side of [-1, 1]) {
      check('fast', falling(depth + 0.1 * side, 24, 56), 'logProbs', 'gradient');
      check('fast', falling(depth + 2 * side, 24, 56, [1, 2, 1]), 'logProbs', 'gradient');
    }
  });

  test('GREATEST_RESCALE: 900 bits between the scales of both bounds', () => {
    const depth = (900 * Math.LN2) / 8;
    for (const side of [-1, 1]) check('fast', falling(depth + 0.1 * side, 72, 80), 'logProbs', 'gradient');
  });

  test('UNGAUGED_FRAMES: 2048', () => {
    for (const frames of [2048, 2049]) check('fast', asLogProbs(one(frames)), 'logProbs');
  });

  test('LARGE_LOSS_PER_FRAME: 4, of 60 frames that are the same', () => {
    for (const loss of [239, 241])
      check(
        'precise',
        withLoss(
          loss,
          (size) =>
            periodic(
              1,
              sequenceOf(60, 400, [1, 2, 3], (_, c) => -size * Number(c < 4) + 0.1 * Math.sin(c * c)),
            ),
          4,
          0,
        ),
      );
  });
});

describe('rules without a threshold', () => {
  /** One class of the first frame of every sequence has this value. */
  const spoilt = (value: number, problem: Problem): Problem => {
    const scores = problem.scores.slice();
    for (let n = 0; n < problem.shape[1]; n++) scores[n * problem.shape[2] + 1] = value;
    return { ...problem, scores };
  };
  const ofSomethingElse = sequenceOf(40, 8, [1, 2, 1, 2, 1, 2, 1, 2, 1], (_t, c) => (c === 0 ? 500 : 0));

  test.each<[string, Rung | 'lengths', From, Problem]>([
    ['fewer frames than labels', 'lengths', 'logits', relabelled(50, ordinary(40))],
    ['NaN', 'log', 'logits', spoilt(NaN, ordinary(40))],
    ['NaN in few frames', 'log', 'logits', spoilt(NaN, ordinary(12))],
    ['NaN in log-probabilities', 'log', 'logProbs', spoilt(NaN, ordinary(40))],
    ['Infinity', 'log', 'logits', spoilt(Infinity, ordinary(40))],
    ['-Infinity of a label', 'fast', 'logits', spoilt(-Infinity, ordinary(40))],
    ['no path left in range', 'log', 'logits', ofSomethingElse],
    ['frames that hardly vary', 'precise', 'logits', noisy(1e-4, periodic(1, ordinary(100)))],
    ['frames that vary', 'fast', 'logits', noisy(0.5, periodic(1, ordinary(100)))],
  ])('%s: %s', (_, rung, from, problem) => {
    const { scores, shape, targets, inputLengths } = problem;
    resetCtcStatistics();
    ctcLoss(tensor(scores, { shape }), targets, inputLengths, undefined, { from });
    expectTaken(rung, problem);
    resetCtcStatistics();
    const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths, undefined, { from, zeroInfinity: true }).sum();
    grad(f)(tensor(scores, { shape }));
    expectTaken(rung, problem);
  });

  test('float64 takes the log tier', () => {
    const problem = ordinary(40);
    solveUpTo('fast', 'logits', problem, 'float64');
    expectTaken('log', problem);
  });
});

test('the table in docs/ctc.md has every threshold of the route, with its value', () => {
  const constants = readFileSync('wasm/ctc/route.ts', 'utf8').matchAll(
    /^@inline (?:export )?const (\w+): \w+ = (.+);$/gm,
  );
  const page = readFileSync('docs/ctc.md', 'utf8');
  const told = page.matchAll(/`([A-Z_]{4,})`,? (?:of |\()?(\d[\d.]*(?:e-?\d+)?(?: MB| of \d+)?)/g);
  const values = new Map([...told].map(([, name, value]) => [name, value]));
  const written = (text: string): string =>
    text.startsWith('1 << ')
      ? `${2 ** (Number(text.slice(5)) - 20)} MB`
      : text === '1.0 - 1.0 / 32.0'
        ? '31 of 32'
        : text.replace(/\.0(?=e|$)/, '');
  for (const [, name, text] of constants) expect([name, values.get(name)]).toEqual([name, written(text!)]);
});
