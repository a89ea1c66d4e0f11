import {
  type Alignment,
  type AlignOptions,
  ctcAlign,
  ctcAlignSync,
  greedyDecodeSync,
  mergeSpans,
  random,
  setThreads,
  tensor,
  type Tensor,
  ctcPosterior,
  grad,
} from 'tapegrad';
import { warmThreads } from '../../src/backends/cpu/pool.js';
import { remoteDevice } from '../devices.js';
import { faultOf, fuzz, makeLongProblem, solve } from './align-fuzz.js';
import { allPaths, type Problem, scoreOf } from './align-reference.js';

const rows = (p: Problem): Float32Array => Float32Array.from(p.scores.flat());

function small(seed: number): Problem {
  const rng = random(seed);
  const frames = rng.integer(0, 7);
  const classes = rng.integer(2, 5);
  const kind = rng.next();
  const score = (): number =>
    kind < 0.4 ? -rng.integer(0, 3) : kind < 0.55 && rng.next() < 0.3 ? -Infinity : Math.fround(Math.log(rng.next()));
  const target = Array.from({ length: rng.integer(0, 5) }, () => (rng.next() < 0.1 ? 9 : rng.integer(1, classes)));
  const free = (): number | null => (rng.next() < 0.25 ? (rng.next() < 0.5 ? 0 : -1) : null);
  return {
    scores: Array.from({ length: frames }, () => Array.from({ length: classes }, score)),
    target,
    blank: 0,
    wildcard: target.includes(9) ? 9 : null,
    wildcardCost: target.includes(9) && rng.next() < 0.5 ? -1 : 0,
    opening: free(),
    closing: free(),
  };
}

const optionsOf = (p: Problem): AlignOptions => ({
  ...(p.wildcard === null ? {} : { wildcard: { label: p.wildcard, logProb: p.wildcardCost } }),
  freeEnds: { start: p.opening ?? false, end: p.closing ?? false },
});

describe('against every path', () => {
  test('1500 small problems, ties, holes, wildcards and free ends among them: a best path, and its score', () => {
    let ties = 0;
    for (let seed = 1; seed <= 1500; seed++) {
      const p = small(seed);
      let best = -Infinity;
      let count = 0;
      for (const [, score] of allPaths(p)) {
        if (score > best) [best, count] = [score, 1];
        else if (score === best) count++;
      }
      if (best > -Infinity && count > 1) ties++;
      const shape = [p.scores.length, p.scores[0]?.length ?? 5];
      const [alignment] = ctcAlignSync(tensor(rows(p), { shape }), [p.target], optionsOf(p));
      expect(alignment!.feasible).toBe(best > -Infinity);
      if (best === -Infinity) continue;
      expect(alignment!.logProb).toBeCloseTo(best, 6);
      expect(scoreOf(p, alignment!.path)).toBeCloseTo(best, 6);
    }
    expect(ties).toBeGreaterThan(100);
  });
});

test('1500 random problems of every kind: the proof of a best path is never false', () => {
  const report = fuzz(1500, 7);
  expect(report.examples).toEqual([]);
  expect(report.falseAccepts).toBe(0);
  expect(report.infeasible).toBeGreaterThan(50);
  for (const count of report.passes) expect(count).toBeGreaterThan(20);
});

test('long ones that are misread a lot: a bound that knows the target cuts no best path', () => {
  const rng = random(12);
  let narrowed = 0;
  for (let k = 0; k < 20; k++) {
    const problem = makeLongProblem(rng);
    const alignment = solve(problem);
    expect(faultOf(problem, alignment)).toBeNull();
    // As wasm/ctc/align.ts decides it.
    const missed = problem.scores.reduce((sum, row) => sum + Math.max(...row), 0) - alignment.logProb;
    if (alignment.passes === 2 && missed > 800 && missed < problem.scores.length) narrowed++;
  }
  expect(narrowed).toBeGreaterThan(8);
});

test('long enough for saved bands to be thinned out: a path that spells the target and has its score', () => {
  const rng = random(3);
  const [frames, labels] = [39_998, 34_000];
  const scores = Array.from({ length: frames }, () => [0, 0, 0].map(() => Math.fround(-4 * rng.next())));
  const target = Array.from({ length: labels }, (_, i) => 1 + (i & 1));
  const p = { scores, target, blank: 0, wildcard: null, wildcardCost: 0, opening: null, closing: null };
  const [alignment] = ctcAlignSync(tensor(rows(p), { shape: [frames, 3] }), target);
  expect(scoreOf(p, alignment!.path)! / alignment!.logProb).toBeCloseTo(1, 10);
});

test('every tail of a frame to three, over several saved bands', () => {
  for (const frames of [96, 97, 98, 99, 100, 127, 128, 129]) {
    const rng = random(frames);
    const scores = Array.from({ length: frames }, () => [0, 0, 0, 0].map(() => Math.fround(-3 * rng.next())));
    const target = Array.from({ length: 30 }, () => rng.integer(1, 4));
    const p = { scores, target, blank: 0, wildcard: null, wildcardCost: 0, opening: null, closing: null };
    expect(faultOf(p, solve(p))).toBeNull();
  }
});

describe('batches', () => {
  const rng = random(11);
  const [T, N, C] = [50, 7, 6];
  const x = rng.normal([T, N, C]).logSoftmax(-1);
  const lengths = [50, 41, 50, 3, 0, 30, 49];
  const targets = [[1, 2, 3], [4, 4], [5, 1, 1, 2, 3, 4, 5, 1], [1, 1, 1], [], [2], [3, 3, 3]];

  test('are the same one by one, in both layouts, and in every layout of targets', () => {
    const all = ctcAlignSync(x, targets, lengths);
    all.forEach((alignment, n) => {
      const alone = x.slice(null, n).slice([0, lengths[n]!]);
      expect(ctcAlignSync(alone, [targets[n]!])[0]).toEqual(alignment);
    });
    expect(ctcAlignSync(x.permute([1, 0, 2]), targets, { inputLengths: lengths, layout: 'NTC' })).toEqual(all);
    const targetLengths = targets.map(({ length }) => length);
    expect(ctcAlignSync(x, targets.flat(), lengths, targetLengths)).toEqual(all);
    const padded = targets.map((list) => [...list, 1, 1, 1, 1, 1, 1, 1, 1].slice(0, 8));
    expect(ctcAlignSync(x, padded, lengths, targetLengths)).toEqual(all);
  });

  test('have the same bits for any number of threads', async () => {
    const big = random(5).normal([400, 24, 20]).logSoftmax(-1);
    const labels = Array.from({ length: 24 }, (_, n) => Array.from({ length: 40 }, (_, i) => 1 + ((i * 7 + n) % 19)));
    setThreads(1);
    const one = ctcAlignSync(big, labels);
    for (const threads of [2, 3]) {
      setThreads(threads);
      await warmThreads();
      expect(ctcAlignSync(big, labels)).toEqual(one);
    }
    setThreads(1);
  });

  test('what does not fit is a result, and says why', () => {
    const [fits, not] = ctcAlignSync(x.slice(null, [0, 2]), [[1], [2, 2, 2, 3]], [5, 5]);
    expect(fits!.feasible).toBe(true);
    expect(not).toMatchObject({ feasible: false, framesNeeded: 6, spans: [], logProb: -Infinity, passes: 0 });
    expect(not!.path).toHaveLength(0);
  });
});

describe('scores', () => {
  const rng = random(2);
  const logits = rng.normal([30, 5]);
  const target = [1, 4, 4, 2];

  test('logits are normalised', () => {
    expect(ctcAlignSync(logits, target, { from: 'logits' })).toEqual(ctcAlignSync(logits.logSoftmax(-1), target));
  });

  test('float64 and float16 are taken as they are', () => {
    const wide = logits.logSoftmax(-1);
    const [a] = ctcAlignSync(wide, target);
    const [b] = ctcAlignSync(wide.cast('float64'), target);
    expect(b!.path).toEqual(a!.path);
    expect(b!.logProb).toBeCloseTo(a!.logProb, 9);
    expect(ctcAlignSync(wide.cast('float16'), target)[0]!.logProb).toBeCloseTo(a!.logProb, 1);
  });

  test('priors are subtracted', () => {
    const priors = [-0.1, -3, -3, -4, -2];
    const wide = logits.logSoftmax(-1);
    expect(ctcAlignSync(wide, target, { priors })).toEqual(ctcAlignSync(wide.sub(tensor(priors)), target));
  });

  test('the best alignment of what was read greedily is at least as good as the greedy path', () => {
    for (let seed = 1; seed < 40; seed++) {
      const x = random(seed).normal([25, 4]).logSoftmax(-1);
      const [greedy] = greedyDecodeSync(x);
      expect(ctcAlignSync(x, [greedy!.labels])[0]!.logProb).toBeGreaterThanOrEqual(greedy!.logProb - 1e-6);
    }
  });

  test('nothing is recorded', () => {
    const g = grad((x: Tensor) => {
      expect(ctcAlignSync(x.logSoftmax(-1), target)[0]!.feasible).toBe(true);
      return x.sum();
    })(logits);
    expect(Array.from(g.dataSync())).toEqual(new Array(150).fill(1));
  });

  test('of a device that cannot be read at once are read once', async () => {
    let reads = 0;
    const remote = await remoteDevice();
    const read = remote.read.bind(remote);
    remote.read = (buffer) => (reads++, read(buffer));
    const there = logits.to(remote);
    expect(await ctcAlign(there, target, { from: 'logits' })).toEqual(ctcAlignSync(logits, target, { from: 'logits' }));
    expect(reads).toBe(1);
    expect(() => ctcAlignSync(there, target)).toThrow('cannot be read synchronously');
  });
});

describe('spans', () => {
  // Three frames a label, blanks between.
  const path = [0, 1, 1, 0, 2, 0, 3, 3, 0];
  const x = tensor(path.map((label) => [0, 1, 2, 3].map((c) => (c === label ? Math.log(0.91) : Math.log(0.03)))));

  test('hold frames, the mean log-probability and, if asked for, the posterior', () => {
    const [alignment] = ctcAlignSync(x, [1, 2, 3], { occupancy: true });
    expect(alignment!.spans.map(({ label, index, start, end }) => [label, index, start, end])).toEqual([
      [1, 0, 1, 3],
      [2, 1, 4, 5],
      [3, 2, 6, 8],
    ]);
    expect(Array.from(alignment!.path)).toEqual([-1, 0, 0, -1, 1, -1, 2, 2, -1]);
    const posterior = ctcPosterior(x, [1, 2, 3]).arraySync<number[][]>();
    for (const { label, start, end, logProb, occupancy } of alignment!.spans) {
      expect(logProb).toBeCloseTo(Math.log(0.91), 6);
      let sum = 0;
      for (let t = start; t < end; t++) sum += posterior[t]![label]!;
      expect(occupancy).toBeCloseTo(sum / (end - start), 6);
    }
    expect(ctcAlignSync(x, [1, 2, 3])[0]!.spans[0]).not.toHaveProperty('occupancy');
  });

  test('a wildcard takes what it likes, free ends the rest', () => {
    const [starred] = ctcAlignSync(x, [1, -1, 3], { wildcard: { label: -1, logProb: -0.5 }, occupancy: true });
    expect(starred!.spans.map(({ label, start, end }) => [label, start, end])).toEqual([
      [1, 1, 3],
      [-1, 4, 5],
      [3, 6, 8],
    ]);
    for (const { occupancy } of starred!.spans) expect(occupancy).toBeGreaterThan(0.5);
    const [free] = ctcAlignSync(x, [2], { freeEnds: true, occupancy: true });
    expect(Array.from(free!.path)).toEqual([-2, -2, -2, -2, 0, -2, -2, -2, -2]);
    expect(free!.logProb).toBeCloseTo(Math.log(0.91), 6);
    expect(free!.spans[0]!.occupancy).toBeGreaterThan(0.9);
  });

  test('occupancy is by place in the target, over all paths, free ends and wildcards among them', () => {
    let spans = 0;
    for (let seed = 0; seed < 300; seed++) {
      const given = small(seed);
      // Every fourth one steep beyond what float64 holds beside 1.
      const steep = (x: number): number => (seed % 4 === 0 ? 300 * x : x);
      const problem = { ...given, scores: given.scores.map((row) => row.map(steep)) };
      if (problem.scores.length === 0) continue;
      const alignment = solve(problem, { occupancy: true });
      if (!alignment.feasible) continue;
      const paths: [number[], number][] = [];
      for (const [path, score] of allPaths(problem)) paths.push([[...path], score - alignment.logProb]);
      const whole = paths.reduce((sum, [, score]) => sum + Math.exp(score), 0);
      for (const { index, start, end, occupancy } of alignment.spans) {
        let sum = 0;
        for (const [path, score] of paths)
          for (let t = start; t < end; t++) if (path[t] === index) sum += Math.exp(score);
        expect(occupancy).toBeCloseTo(sum / whole / (end - start), 9);
        spans++;
      }
    }
    expect(spans).toBeGreaterThan(60);
  });

  test('occupancy of a label that comes twice is not that of both, and needs no matrix', () => {
    const flat = tensor(Array.from({ length: 3 }, () => [Math.log(0.5), Math.log(0.5)]));
    // 1 1 in three frames leaves one path.
    expect(ctcAlignSync(flat, [1, 1], { occupancy: true })[0]!.spans.map(({ occupancy }) => occupancy)).toEqual([1, 1]);
    const long = random(3).normal([1200, 20]).mul(3).logSoftmax(-1);
    const target = Array.from({ length: 500 }, (_, i) => 1 + (i % 2));
    const [{ spans }] = ctcAlignSync(long, target, { occupancy: true }) as [Alignment];
    expect(spans).toHaveLength(500);
    for (const { occupancy } of spans) expect(occupancy! > 0 && occupancy! <= 1).toBe(true);
    // Scores whose range no float64 holds are summed as logarithms.
    const steep = long.mul(40);
    const [{ spans: sharp }] = ctcAlignSync(steep, target, { occupancy: true }) as [Alignment];
    expect(sharp.every(({ occupancy }) => occupancy! >= 0 && occupancy! <= 1)).toBe(true);
  });

  test('merge to words, by a separator or by ranges, and words to lines', () => {
    const [alignment] = ctcAlignSync(x, [1, 2, 3]);
    const words = mergeSpans(alignment!, 2);
    expect(words.map(({ labels, first, last, start, end }) => [labels, first, last, start, end])).toEqual([
      [[1], 0, 1, 1, 3],
      [[3], 2, 3, 6, 8],
    ]);
    expect(mergeSpans(alignment!, 2, { boundaries: 'middle' }).map(({ start, end }) => [start, end])).toEqual([
      [1, 4],
      [4, 8],
    ]);
    const [line] = mergeSpans(words, [[0, 2]]);
    expect(line).toMatchObject({ labels: [1, 3], start: 1, end: 8 });
    expect(line!.logProb).toBeCloseTo(Math.log(0.91), 6);
    expect(mergeSpans(alignment!, [[0, 3]])[0]!.labels).toEqual([1, 2, 3]);
    expect(mergeSpans(alignment!, 7)).toHaveLength(1);
  });

  test('wrong groups are refused', () => {
    const [alignment] = ctcAlignSync(x, [1, 2, 3]);
    const [not] = ctcAlignSync(x.slice([0, 1]), [1, 2, 3]);
    expect(() => mergeSpans(not!, 2)).toThrow('[mergeSpans] the alignment is not feasible: its target needs 3 frames');
    expect(() => mergeSpans(alignment!, [[0, 4]])).toThrow('group 0 is [0, 4)');
    expect(() =>
      mergeSpans(alignment!, [
        [1, 2],
        [0, 1],
      ]),
    ).toThrow('group 1 is [0, 1)');
    expect(() => mergeSpans(alignment!, [[1, 1]])).toThrow('it must hold a span or more');
    expect(() => mergeSpans(alignment!, 2, { boundaries: 'frames' as never })).toThrow("'labels' or 'middle'");
    expect(() => mergeSpans(alignment!, 2, { border: 1 } as never)).toThrow("no option 'border'");
  });
});

describe('errors', () => {
  const x = random(1).normal([6, 2, 4]).logSoftmax(-1);
  test.each([
    ['a label out of range', () => ctcAlignSync(x, [[1], [4]]), 'sequence 1: label 0 is 4'],
    ['the blank as a label', () => ctcAlignSync(x, [[0], [1]]), 'sequence 0: label 0 is 0, which is the blank'],
    ['-1 without a wildcard', () => ctcAlignSync(x, [[-1], [1]]), 'sequence 0: label 0 is -1'],
    [
      'the blank as wildcard',
      () => ctcAlignSync(x, [[1], [1]], { wildcard: 0 }),
      'the wildcard is 0, which is the blank',
    ],
    ['a wildcard that is no number', () => ctcAlignSync(x, [[1], [1]], { wildcard: 1.5 }), 'the wildcard is 1.5'],
    ['free ends of no kind', () => ctcAlignSync(x, [[1], [1]], { freeEnds: 3 as never }), 'freeEnds is 3'],
    [
      'a cost of -Infinity',
      () => ctcAlignSync(x, [[1], [1]], { freeEnds: { start: -Infinity } }),
      'freeEnds.start is -Infinity',
    ],
    [
      'priors of a wrong size',
      () => ctcAlignSync(x, [[1], [1]], { priors: [1, 2] }),
      'the priors are [2]; they must be [4]',
    ],
    [
      'a prior of a class that never came',
      () => ctcAlignSync(x, [[1], [1]], { priors: [-1, -1, -Infinity, -1] }),
      'priors[2] is -Infinity; it must be finite',
    ],
    ['an unknown option', () => ctcAlignSync(x, [[1], [1]], { beam: 3 } as never), "there is no option 'beam'"],
    ['a length past the end', () => ctcAlignSync(x, [[1], [1]], [6, 7]), 'sequence 1: input length is 7'],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
    expect(call).toThrow('[ctcAlignSync]');
  });

  test.each([NaN, Infinity])('a score of %d within a sequence is named, past its end not read', (bad) => {
    const values = Float32Array.from(x.dataSync());
    values[(4 * 2 + 1) * 4 + 2] = bad;
    const scores = tensor(values, { shape: [6, 2, 4] });
    expect(() => ctcAlignSync(scores, [[1], [1]])).toThrow(
      'sequence 1, frame 4: the score of class 2 is NaN or Infinity',
    );
    expect(ctcAlignSync(scores, [[1], [1]], [6, 4])[1]!.feasible).toBe(true);
  });

  test.each(['float32', 'float64'] as const)(
    'a bad score is named where the target does not fit as well, %s',
    (dtype) => {
      const tooLong = [[1], [1, 1, 1, 1]]; // needs 7 frames
      for (const bad of [NaN, Infinity]) {
        const values = Float64Array.from(x.dataSync());
        values[(4 * 2 + 1) * 4 + 2] = bad;
        const scores = tensor(values, { shape: [6, 2, 4], dtype });
        expect(() => ctcAlignSync(scores, tooLong)).toThrow(
          'sequence 1, frame 4: the score of class 2 is NaN or Infinity',
        );
        expect(ctcAlignSync(scores, tooLong, [6, 4])[1]).toMatchObject({
          feasible: false,
          logProb: -Infinity,
          passes: 0,
        });
      }
    },
  );
});
