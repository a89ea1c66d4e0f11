/** Where the rounding of float32 exponentials would add up: frames or classes that are alike, few frames, far from 0. */
import {
  ctcLoss,
  ctcStatistics,
  grad,
  logSoftmax,
  type Random,
  random,
  resetCtcStatistics,
  tensor,
  type Tensor,
  vjp,
} from 'tapegrad';

test.each([7, 32, 29, 128, 1023, 10_000])('%d classes that are all alike, or nearly', (classes) => {
  const noise = random(5).normal([4, 1, classes]);
  for (const [offset, size] of [
    [-0.1, 0],
    [0, 0],
    [2.75, 0],
    [1, 1e-6],
    [1, 1e-4],
  ] as const) {
    const x = noise.mul(size).add(offset);
    for (const from of ['logits', 'logSoftmax', 'untraced'] as const) {
      const loss = (t: Tensor): number => {
        const scores = from === 'logits' ? t : logSoftmax(t);
        if (from === 'untraced') scores.dataSync();
        return ctcLoss(scores, [[1]], undefined, undefined, {
          from: from === 'logits' ? 'logits' : 'logProbs',
        }).itemSync();
      };
      expect(Math.abs(loss(x) / loss(x.cast('float64')) - 1)).toBeLessThan(1e-7);
    }
  }
});

/** The worst error of a batch's losses from float32 logits against float64, relative to those above 1. */
function worstLoss(scores: Float32Array, shape: readonly [number, number, number], targets: number[][]): number {
  const [got, want] = [scores, Float64Array.from(scores)].map((data) =>
    ctcLoss(tensor(data, { shape }), targets, undefined, undefined, { from: 'logits' }).dataSync(),
  );
  let worst = 0;
  want!.forEach((loss, n) => {
    if (Number.isFinite(loss)) worst = Math.max(worst, Math.abs(got![n]! - loss) / Math.max(1, loss));
  });
  return worst;
}

/** Logits whose frames repeat with a period; the blank is above the others. */
function periodic(
  rng: Random,
  [frames, batch, classes]: readonly [number, number, number],
  period: number,
  size: number,
  blank = 0,
): Float32Array {
  const scores = new Float32Array(frames * batch * classes).map(
    (_, i) => size * rng.gaussian() + (i % classes === 0 ? blank : 0),
  );
  for (let t = period; t < frames; t++)
    scores.copyWithin(t * batch * classes, (t - period) * batch * classes, (t - period + 1) * batch * classes);
  return scores;
}

test.each([
  [1, 1],
  [2, 1],
  [3, 1],
  [5, 2],
  [9, 1],
  [31, 31],
  [32, 1],
  [33, 4],
  [40, 2],
  [48, 3],
  [200, 1],
  [200, 5],
  [200, 8],
  [1000, 7],
])('the rounding of exponentials is not seen in losses of %d frames with period %d', (frames, period) => {
  const rng = random(100 * frames + period);
  const batch = 64;
  for (const [size, blank] of [
    [0.1, 0],
    [1, 0],
    [4, 0],
    [0.3, 4],
    [1, 7],
  ] as const) {
    for (let round = 0; round < Math.ceil(200 / frames); round++) {
      const classes = rng.integer(2, 12);
      const labels = rng.integer(1, Math.min(frames, 20) + 1);
      const targets = Array.from({ length: batch }, () =>
        Array.from({ length: labels }, () => rng.integer(1, classes)),
      );
      // Half an ulp of the result is 6e-8.
      expect(
        worstLoss(periodic(rng, [frames, batch, classes], period, size, blank), [frames, batch, classes], targets),
      ).toBeLessThan(frames > 31 ? 8e-8 : 6.1e-8);
    }
  }
});

test.each([5, 8, 12, 25])('nor in losses that a few frames make, of networks that are certain by %d', (height) => {
  const rng = random(height);
  const batch = 128;
  for (let round = 0; round < 40; round++) {
    const [frames, classes] = [rng.integer(32, 100), rng.integer(2, 6)] as const;
    const targets = Array.from({ length: batch }, () =>
      Array.from({ length: rng.integer(1, 6) }, () => rng.integer(1, classes)),
    );
    const scores = new Float32Array(frames * batch * classes).map(() => 0.5 * height * rng.gaussian());
    targets.forEach((target, n) => {
      const states = [0, ...target.flatMap((c) => [c, 0])];
      for (let t = 0; t < frames; t++)
        scores[(t * batch + n) * classes + states[Math.floor((t * states.length) / frames)]!]! += height;
    });
    expect(worstLoss(scores, [frames, batch, classes], targets)).toBeLessThan(8e-8);
  }
});

test.each([1e-4, 0.05, 1])('nor where only some classes vary over the frames, by %d', (size) => {
  const rng = random(7);
  const batch = 64;
  for (let round = 0; round < 60; round++) {
    const [frames, classes] = [rng.integer(32, 400), rng.integer(2, 12)] as const;
    const varying = rng.integer(1, Math.min(classes, 3));
    const targets = Array.from({ length: batch }, () =>
      Array.from({ length: rng.integer(0, 5) }, () => rng.integer(1, classes)),
    );
    const scores = periodic(rng, [frames, batch, classes], 1, 3, 8 * rng.next());
    for (let i = 0; i < scores.length; i++) if (i % classes < varying) scores[i]! += size * rng.gaussian();
    expect(worstLoss(scores, [frames, batch, classes], targets)).toBeLessThan(1e-7);
  }
});

/** The worst error of one sequence's gradient from float32 logits against float64, relative to the largest. */
function worstGradient(scores: Float32Array, [frames, classes]: readonly [number, number], target: number[]): number {
  const gradient = grad((x: Tensor) => ctcLoss(x, [target], undefined, undefined, { from: 'logits' }).sum());
  const [got, want] = [scores, Float64Array.from(scores)].map((data) =>
    gradient(tensor(data, { shape: [frames, 1, classes] })).dataSync(),
  );
  let worst = 0;
  let largest = 0;
  want!.forEach((g, i) => {
    worst = Math.max(worst, Math.abs(got![i]! - g));
    largest = Math.max(largest, Math.abs(g));
  });
  return worst / largest;
}

test.each([250, 2000, 4000])(
  'nor in gradients where %d frames are all but the same, next to powers of two',
  (frames) => {
    const base = [3 * Math.LN2 + 22e-5, -1.4, 3 * Math.LN2 + 1e-3];
    const scores = new Float32Array(3 * frames).map((_, i) => base[i % 3]! + 1e-4 * Math.sin(0.7 * i + i * i));
    expect(worstGradient(scores, [frames, 3], [1, 2])).toBeLessThan(4e-7);
  },
);

test.each([1e-3, 1e-2, 1])('nor in gradients of 16000 frames that vary by %d', (size) => {
  const rng = random(1);
  expect(
    worstGradient(
      new Float32Array(48_000).map(() => size * rng.gaussian()),
      [16_000, 3],
      [1, 2],
    ),
  ).toBeLessThan(4e-7);
});

test.each([9, 12, 40])('nor where frames repeat with period %d', (period) => {
  const rng = random(period);
  for (let round = 0; round < 20; round++) {
    const scores = periodic(rng, [1800, 1, 4], period, 0.6);
    expect(worstGradient(scores, [1800, 4], [1, 2, 1])).toBeLessThan(4e-7);
    expect(worstLoss(scores, [1800, 1, 4], [[1, 2, 1]])).toBeLessThan(8e-8);
  }
});

test('nor where the greatest classes stay the same and many others vary', () => {
  const rng = random(4);
  for (let round = 0; round < 10; round++) {
    const base = Array.from({ length: 4 }, () => 3 * rng.gaussian());
    const scores = new Float32Array(1200 * 80).map((_, i) => (i % 80 < 4 ? base[i % 80]! : -6 + 0.2 * rng.gaussian()));
    expect(worstLoss(scores, [1200, 1, 80], [[1, 2, 3]])).toBeLessThan(8e-8);
  }
});

test('nor where many classes are alike, far below the greatest', () => {
  for (const [frames, classes, top, rest] of [
    [31, 1000, 3.4, -6.7],
    [31, 5000, 3.2, -6.9],
    [5000, 8, 3, -7.03],
    [5000, 8, 0, -10.03],
    [3000, 3, 11.1, 1.41],
  ] as const) {
    const scores = new Float32Array(frames * classes).map((_, i) => (i % classes ? rest : top));
    expect(worstLoss(scores, [frames, 1, classes], [[]])).toBeLessThan(6.1e-8);
  }
});

test('nor far from 0', () => {
  for (let shift = -20_011; shift < 20_000; shift += 313) {
    const scores = new Float32Array(500).map((_, i) => shift + (i % 5 ? 0 : 2.5) + 0.05 * Math.sin(i * i));
    expect(worstLoss(scores, [100, 1, 5], [[]])).toBeLessThan(1e-7);
  }
});

test('numbers so large that float32 has no step of less than 64 next to them', () => {
  const frames = (x: number): number[] => [x, x - 64, 0, 0, -57, -1000];
  for (const x of [2 ** 24, 2 ** 27, 2 ** 29 + 64, 1e9, -(2 ** 29), 2 ** 30]) {
    const scores = Float32Array.from(frames(x));
    expect(worstLoss(scores, [2, 1, 3], [[1]])).toBeLessThan(6.1e-8);
  }
});

test('repeated frames that are too many to keep their exponentials go to the log tier', () => {
  const rng = random(3);
  const [frames, classes] = [12_000, 800] as const;
  const targets = [Array.from({ length: 760 }, (_, i) => 1 + (i % (classes - 1)))];
  const scores = periodic(rng, [frames, 1, classes], 1, 1);
  resetCtcStatistics();
  expect(worstLoss(scores, [frames, 1, classes], targets)).toBeLessThan(6.1e-8);
  expect(ctcStatistics()).toEqual({ lengths: 0, linear: 0, log: 2 });
});

test('what all frames of a long sequence have in common does not add up', () => {
  const frames = 20_000;
  for (const [label, blank] of [
    [-0.1224055, -0.4665955],
    [-0.34, -0.35],
    [-0.03, -0.66],
    [-0.2, -0.5],
  ] as const) {
    const x = tensor(
      Array.from({ length: frames }, (_, t) => (t % 2 ? [blank, 0] : [0, label])),
      { dtype: 'float32' },
    );
    const got = vjp((t: Tensor) => ctcLoss(t, [1]), x, tensor(1))[1];
    const want = vjp((t: Tensor) => ctcLoss(t, [1]), x.cast('float64'), tensor(1, { dtype: 'float64' }))[1];
    expect(got.cast('float64').sub(want).abs().max().itemSync()).toBeLessThan(6e-8);
  }
});
