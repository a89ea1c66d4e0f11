/** Sequences that several threads solve together: the bits of one thread, on every rung and wherever it has to be left. */
import {
  ctcLoss,
  ctcPosterior,
  logSoftmax,
  random,
  type Random,
  resetCtcStatistics,
  setThreads,
  tensor,
  type Tensor,
  vjp,
} from 'tapegrad';
import { ctcSplit, sequencesAlone, withCtcSplit } from '../../src/backends/cpu/kernels/ctc-alone.js';
import { ctcTiers } from '../../src/backends/cpu/kernels/ctc.js';
import { warmThreads } from '../../src/backends/cpu/pool.js';
import { asLogProbs, make, type Problem, sequenceOf } from './rungs.js';

const bitsOf = (t: Tensor): string => Buffer.from(new Uint8Array(t.dataSync().slice().buffer)).toString('latin1');

/** Losses with their gradient, for cotangents of both signs, and losses alone: as bits, and by which rungs. */
function solve({ shape, scores, targets, inputLengths }: Problem, from: 'logits' | 'logProbs'): unknown {
  const x = tensor(scores, { shape });
  const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths, undefined, { from });
  resetCtcStatistics();
  const [losses, gradient] = vjp(f, x, tensor(Float32Array.from(targets, (_, n) => (n % 2 ? -0.75 : 1.5))));
  const [, plain] = vjp(f, x, tensor(new Float32Array(targets.length).fill(1)));
  return [bitsOf(losses), bitsOf(gradient), bitsOf(plain), bitsOf(f(x)), { ...ctcTiers() }];
}

/** How many sequences a call for the losses splits. */
function splitIn({ shape, scores, targets, inputLengths }: Problem, from: 'logits' | 'logProbs'): number {
  const before = ctcSplit();
  ctcLoss(tensor(scores, { shape }), targets, inputLengths, undefined, { from });
  return ctcSplit() - before;
}

/** That splitting the sequences for so many threads changes nothing; returns how many are split. */
function expectSame(problem: Problem, from: 'logits' | 'logProbs' = 'logits', threads = [2, 3, 7]): number {
  const want = solve(problem, from);
  for (const [i, n] of threads.entries())
    expect(withCtcSplit(n, (2 - i) / 2, () => solve(problem, from))).toEqual(want);
  return withCtcSplit(threads[0]!, 0.3, () => splitIn(problem, from));
}

const targetOf = (rng: Random, length: number, classes: number): number[] =>
  Array.from({ length }, () => rng.integer(1, classes));

const noise = (rng: Random, frames: number, classes: number, labels: number, size = 1): Problem =>
  sequenceOf(frames, classes, targetOf(rng, labels, classes), () => size * rng.gaussian());

describe('one sequence over several threads', () => {
  test.each([
    [700, 32, 90],
    [333, 5, 40],
    [40, 3, 1],
    [48, 7, 34],
    [2050, 11, 300], // a scale for every cell
    [2400, 4, 20],
    [20, 6, 3], // precise, since it is short
    [1, 4, 1],
    [64, 2, 0],
    [90, 8, 0],
  ])('noise of %i frames, %i classes and %i labels', (frames, classes, labels) => {
    const rng = random(frames + classes + labels);
    const problem = noise(rng, frames, classes, labels);
    expect(expectSame(problem)).toBe(1);
    expect(expectSame(asLogProbs(problem), 'logProbs')).toBe(1);
  });

  test('frames past the end, which may hold anything', () => {
    const problem = noise(random(2), 130, 6, 20);
    problem.scores.fill(NaN, 101 * 6);
    expect(expectSame({ ...problem, inputLengths: [101] })).toBe(1);
  });

  test('several sequences, and one among others that go by one thread', () => {
    const rng = random(3);
    const two = make(rng, 200, 9, 2, { batch: 2 });
    expect(expectSame({ ...two, targets: [targetOf(rng, 40, 9), targetOf(rng, 41, 9)] }, 'logits', [4])).toBe(2);
    const problem = make(rng, 400, 9, 2, { batch: 5 });
    const inputLengths = [20, 9, 400, 13, 17];
    const targets = [[1], [2, 3], targetOf(rng, 80, 9), [5, 5], []];
    expect(expectSame({ ...problem, inputLengths, targets }, 'logits', [2])).toBe(1);
  });

  test.each([15, 30, 200, 5000, -40, 2e6])('logits that are moved by %d from some frame on', (height) => {
    const rng = random(5);
    for (const from of [0, 3, 149, 150, 151, 299])
      expectSame(
        sequenceOf(300, 6, targetOf(rng, 30, 6), (t) => (t >= from && t < from + 140 ? height : 0) + rng.gaussian()),
      );
  });

  test('peaks that make the shift of exponentials come and go', () => {
    const rng = random(6);
    for (const every of [7, 61, 173, 251])
      expectSame(
        sequenceOf(500, 8, targetOf(rng, 60, 8), (t, c) => (t % every === 5 && c === 0 ? 16 : 0) + rng.gaussian()),
      );
  });

  test('rungs that come after the first', () => {
    const rng = random(7);
    const kinds: [Problem, expected: object][] = [
      // Frames that repeat: precise.
      [sequenceOf(400, 6, targetOf(rng, 50, 6), (t, c) => Math.sin(c * (t % 3))), { precise: 1 }],
      // Faint labels: a scale for every cell.
      [sequenceOf(900, 6, targetOf(rng, 200, 6), (_, c) => (c === 0 ? 0 : -6) + 0.1 * rng.gaussian()), {}],
      // Out of range altogether.
      [sequenceOf(300, 6, targetOf(rng, 50, 6), (t, c) => (c === 0 ? 200 : t === c ? -300 : 0) + rng.gaussian()), {}],
      // All but certain.
      [{ ...make(rng, 200, 12, 60, { batch: 1 }) }, { sure: 1 }],
      [{ ...make(rng, 200, 12, 9, { batch: 1 }) }, {}],
    ];
    for (const [problem, expected] of kinds) {
      expectSame(problem);
      expectSame(asLogProbs(problem), 'logProbs');
      solve(problem, 'logits');
      const taken = ctcTiers();
      for (const tier of Object.keys(expected)) expect(taken[tier as keyof typeof taken]).toBe(3);
    }
  });

  test('what is not a number, infinite, impossible or does not fit', () => {
    const rng = random(8);
    for (const bad of [NaN, Infinity, -Infinity])
      for (const t of [0, 77, 149]) {
        const problem = noise(rng, 150, 5, 20);
        problem.scores[t * 5 + 2] = bad;
        expectSame(problem);
        expectSame(problem, 'logProbs');
        problem.scores.fill(bad, t * 5, t * 5 + 5);
        expectSame(problem);
        expectSame(problem, 'logProbs');
      }
    expectSame(noise(rng, 19, 5, 20));
    expectSame({ ...noise(rng, 19, 5, 4), inputLengths: [0] });
    expectSame(sequenceOf(30, 5, new Array<number>(20).fill(3), () => rng.gaussian()));
  });

  test('posteriors', () => {
    const x = logSoftmax(random(9).normal([180, 7]));
    const want = bitsOf(ctcPosterior(x, [1, 2, 3, 3, 4]));
    expect(withCtcSplit(2, 0.7, () => bitsOf(ctcPosterior(x, [1, 2, 3, 3, 4])))).toBe(want);
  });
});

test('split are long sequences that would keep a thread busy when the others are done', () => {
  const aloneOf = (threads: number, frames: number[], labels: number, classes: number): number[] => {
    const works = Float64Array.from(frames, (count) => 3 * count * (4 * labels + 2 * classes));
    return sequencesAlone(
      works,
      works.reduce((a, b) => a + b, 0),
      [frames, frames.map(() => labels)],
      classes,
      threads,
    );
  };
  const alone = (threads: number, ...works: number[]): number[] =>
    aloneOf(
      threads,
      works.map((work) => work * 6000),
      100,
      32,
    );
  expect(alone(1, 1)).toEqual([]);
  expect(alone(2, 1)).toEqual([0]);
  expect(alone(2, 0.1)).toEqual([]); // not worth it
  expect(alone(2, 1, 1)).toEqual([]);
  expect(alone(4, 1, 1)).toEqual([0, 1]);
  expect(alone(4, 1, 1, 1)).toEqual([]);
  expect(alone(2, 0.5, 8, 0.5)).toEqual([1]);
  expect(alone(2, 1, 2, 1)).toEqual([]);
  expect(alone(8, 1, 0, 1, 1)).toEqual([0, 2, 3]);
  // Of 2048 frames and less threads share what is done for each class, but not the recursion.
  expect(aloneOf(2, [2048], 1000, 32)).toEqual([]);
  expect(aloneOf(2, [2049], 100, 32)).toEqual([0]);
  expect(aloneOf(2, [1500], 100, 500)).toEqual([0]);
});

describe('with threads', () => {
  afterAll(() => {
    setThreads(1);
  });

  test.each([
    [1500, 500, 150],
    [2500, 16, 60],
  ])('a sequence of %i frames, %i classes and %i labels is split, to the same bits', async (...shape) => {
    const problem = noise(random(10), ...shape);
    setThreads(1);
    expect(splitIn(problem, 'logits')).toBe(0);
    const want = solve(problem, 'logits');
    for (const n of [2, 3]) {
      setThreads(n);
      while ((await warmThreads()) < n);
      expect(splitIn(problem, 'logits')).toBe(1);
      for (let round = 0; round < 3; round++) expect(solve(problem, 'logits')).toEqual(want);
    }
  });
});
