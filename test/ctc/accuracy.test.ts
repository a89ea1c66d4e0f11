import {
  ctcLoss,
  ctcStatistics,
  grad,
  hvp,
  logSoftmax,
  type Random,
  random,
  resetCtcStatistics,
  tensor,
  type Tensor,
  vjp,
} from 'tapegrad';

/** The shapes of the benchmark, with four sequences each: the float32 tiers against float64's log domain. */
const SHAPES = [
  [64, 32, 16],
  [128, 32, 32],
  [256, 32, 64],
  [512, 32, 128],
  [1024, 32, 256],
  [128, 8, 32],
  [128, 64, 32],
  [256, 32, 16],
] as const;
const BATCH = 4;
const FROM = ['logits', 'logProbs'] as const;

type Kind = 'random' | 'trained' | 'uniform' | 'certain' | 'just fitting' | 'one label' | 'blank collapsed';
const KINDS: readonly Kind[] = [
  'random',
  'trained',
  'uniform',
  'certain',
  'just fitting',
  'one label',
  'blank collapsed',
];

interface Made {
  readonly scores: Float32Array;
  readonly targets: number[][];
  readonly inputLengths: number[];
}

function make(rng: Random, kind: Kind, frames: number, classes: number, most: number): Made {
  const inputLengths = Array.from({ length: BATCH }, () => rng.integer(frames / 2, frames));
  const targets = inputLengths.map((length) => {
    const one = rng.integer(1, classes);
    const count = kind === 'just fitting' ? Math.min(most, length) : rng.integer(most / 2, most);
    const labels = Array.from({ length: count }, () => (kind === 'one label' ? one : rng.integer(1, classes)));
    if (kind !== 'just fitting') return labels;
    // No two neighbours alike, so that the labels alone fill the frames where there are as many.
    return labels.map((_, i) => 1 + (i % (classes - 1)));
  });
  if (kind === 'just fitting')
    targets.forEach((list, n) => {
      inputLengths[n] = list.length + (n % 2);
    });
  const scores = new Float32Array(frames * BATCH * classes);
  for (let n = 0; n < BATCH; n++) {
    const states = [0, ...targets[n]!.flatMap((c) => [c, 0])];
    const height = [5, 20, 100, 500][n]!;
    for (let t = 0; t < frames; t++) {
      const peak = states[Math.min(states.length - 1, Math.floor((t * states.length) / inputLengths[n]!))];
      for (let c = 0; c < classes; c++) {
        const noise = rng.gaussian();
        const at = (t * BATCH + n) * classes + c;
        if (kind === 'uniform') scores[at] = 0;
        else if (kind === 'certain') scores[at] = c === peak ? height : 0;
        else if (kind === 'trained') scores[at] = noise + (c === peak ? 10 : 0);
        else if (kind === 'blank collapsed') scores[at] = 0.3 * noise + (c === 0 ? 8 : 0);
        else scores[at] = noise;
      }
    }
  }
  return { scores, targets, inputLengths };
}

describe.each(SHAPES)('%d frames, %d classes, %d labels', (frames, classes, most) => {
  test.each(KINDS.flatMap((kind) => FROM.map((from) => [kind, from] as const)))('%s %s', (kind, from) => {
    const { scores, targets, inputLengths } = make(random(frames + classes + most), kind, frames, classes, most);
    const shape = [frames, BATCH, classes];
    if (from === 'logProbs') scores.set(logSoftmax(tensor(scores, { shape })).dataSync());
    const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths, undefined, { from });
    resetCtcStatistics();
    const [losses, gradient] = vjp(f, tensor(scores, { shape }), tensor(new Float32Array(BATCH).fill(1)));
    const { linear } = ctcStatistics();
    if (['random', 'trained', 'uniform', 'one label'].includes(kind))
      expect(linear).toBe(BATCH - targets.filter((list, n) => needs(list) > inputLengths[n]!).length);
    const [exact, exactGradient] = vjp(
      f,
      tensor(Float64Array.from(scores), { shape }),
      tensor(new Float64Array(BATCH).fill(1)),
    );
    const [got, want] = [losses.dataSync(), exact.dataSync()];
    for (let n = 0; n < BATCH; n++) {
      if (Number.isFinite(want[n]))
        expect(Math.abs(got[n]! - want[n]!)).toBeLessThanOrEqual(1e-7 * Math.max(1, want[n]!));
      else expect(got[n]).toBe(want[n]);
    }
    const [g, reference] = [gradient.dataSync(), exactGradient.dataSync()];
    let largest = 0;
    let error = 0;
    reference.forEach((value, k) => {
      largest = Math.max(largest, Math.abs(value));
      error = Math.max(error, Math.abs(g[k]! - value));
    });
    // A posterior is rounded once; a gradient by logits is a difference.
    expect(error).toBeLessThanOrEqual(from === 'logProbs' ? 6e-8 : 1e-6 * Math.max(largest, 0.06));
  });
});

test('log-probabilities of long sequences and short ones in a batch, whether their exponentials are kept or not', () => {
  const rng = random(11);
  const [frames, classes, labels] = [3000, 500, 400];
  const inputLengths = [500, 3000, 40];
  const targets = [labels / 4, labels, 3].map((count) => Array.from({ length: count }, () => rng.integer(1, classes)));
  const logProbs = logSoftmax(rng.normal([frames, 3, classes]));
  for (const withGradient of [true, false]) {
    const [got, want] = [logProbs, logProbs.cast('float64')].map((x) => {
      const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths);
      return withGradient ? vjp(f, x, tensor([1, 1, 1], { dtype: x.dtype })) : [f(x)];
    }) as [Tensor[], Tensor[]];
    got[0]!.dataSync().forEach((loss, n) => {
      expect(Math.abs(loss / want[0]!.dataSync()[n]! - 1)).toBeLessThan(1e-7);
    });
    if (withGradient) expect(got[1]!.cast('float64').sub(want[1]!).abs().max().itemSync()).toBeLessThan(6e-8);
  }
});

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

test('posteriors too small for float32 are +0 in gradients, however they are scaled', () => {
  const logProbs = logSoftmax(random(3).normal([100, 2, 5]).mul(12)).dataSync();
  const x = tensor(logProbs, { shape: [100, 2, 5] });
  const targets = [
    [1, 2, 3],
    [2, 1, 4],
  ];
  for (const reduction of ['none', 'sum'] as const) {
    const gradient = grad((y: Tensor) => ctcLoss(y, targets, undefined, undefined, { reduction }).sum())(x).dataSync();
    expect(gradient.filter((g) => Object.is(g, -0))).toHaveLength(0);
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

test('losses next to 0 from log-probabilities', () => {
  const lossOf = (frames: readonly (readonly number[])[]): number =>
    ctcLoss(tensor(frames, { dtype: 'float32' }), []).itemSync();
  expect(lossOf([[0, 0]])).toBe(0);
  expect(
    lossOf([
      [0, -Infinity],
      [0, -200],
      [0, -70],
      [0, 0],
    ]),
  ).toBe(0);
  for (const x of [1e-12, 1e-9, 1e-6, 1e-3]) {
    const frames = Array.from({ length: 7 }, () => [Math.fround(-x), -30]);
    expect(lossOf(frames) / (7 * Math.fround(x))).toBeCloseTo(1, 3);
    expect(Math.abs(lossOf(frames) - 7 * Math.fround(x))).toBeLessThan(1e-11 + 6e-8 * 7 * x);
  }
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

test.each([8192, 16_384, 20_000, 32_768, 1e5, 1e6, 1e8, -16_400, -1e5, -1e7])(
  'scores around %d are as good as scores around 0',
  (offset) => {
    const rng = random(7);
    const shape = [24, 3, 9];
    const scores = Float32Array.from({ length: 24 * 3 * 9 }, () => offset + 3 * rng.gaussian());
    for (const from of ['logits', 'logProbs'] as const) {
      const f = (t: Tensor): Tensor => ctcLoss(t, [[1, 2, 2], [3], [4, 5, 6, 7]], [24, 20, 21], undefined, { from });
      resetCtcStatistics();
      const [losses, gradient] = vjp(f, tensor(scores, { shape }), tensor([1, 1, 1]));
      expect(ctcStatistics()).toEqual({ lengths: 0, linear: 3, log: 0 });
      const [exact, exactGradient] = vjp(
        f,
        tensor(Float64Array.from(scores), { shape }),
        tensor(new Float64Array(3).fill(1)),
      );
      losses.dataSync().forEach((loss, n) => {
        expect(Math.abs(loss / exact.dataSync()[n]! - 1)).toBeLessThanOrEqual(1e-7);
      });
      const want = exactGradient.dataSync();
      const error = Math.max(...Array.from(gradient.dataSync(), (value, k) => Math.abs(value - want[k]!)));
      expect(error).toBeLessThanOrEqual(5e-7);
    }
  },
);

test.each([2 ** 20, 2 ** 48, -(2 ** 48)])(
  'float64 scores around %d have the derivatives of scores around 0, to the bit',
  (offset) => {
    const rng = random(7);
    const shape = [24, 3, 9];
    const near = Float64Array.from({ length: 24 * 3 * 9 }, () => Math.round(24 * rng.gaussian()) / 8); // exact also around 2 ** 48
    const far = near.map((score, i) => score + (Math.floor(i / 27) % 2 === 0 ? offset : 0)); // every other frame
    const direction = rng.normal(shape, { dtype: 'float64' });
    for (const from of ['logits', 'logProbs'] as const) {
      const f = (t: Tensor): Tensor => ctcLoss(t, [[1, 2, 2], [3], [4, 5, 6, 7]], [24, 20, 21], undefined, { from });
      const [[losses, gradient, product], [farLosses, farGradient, farProduct]] = [near, far].map((scores) => {
        const x = tensor(scores, { shape });
        return [...vjp(f, x, tensor(new Float64Array(3).fill(1))), hvp((t: Tensor) => f(t).sum(), x, direction)];
      }) as [Tensor[], Tensor[]];
      expect(farGradient!.dataSync()).toEqual(gradient!.dataSync());
      expect(farProduct!.dataSync()).toEqual(product!.dataSync());
      const taken = from === 'logits' ? [0, 0, 0] : [12, 10, 11];
      losses!.dataSync().forEach((loss, n) => {
        const want = loss - taken[n]! * offset;
        expect(Math.abs(farLosses!.dataSync()[n]! / want - 1)).toBeLessThanOrEqual(1e-14);
      });
    }
  },
);

test.each([1e4, 1e9, 1e16, 1e20])(
  'a class that no target uses, with a score of %d, takes no digits from the others',
  (dwarfing) => {
    const rows = (last: number): number[][] => [
      [-1, -2, -3, last],
      [-2, -1, -3, last],
      [-1.5, -2, -0.5, last],
    ];
    for (const dtype of ['float32', 'float64'] as const) {
      for (const from of ['logProbs', 'logits'] as const) {
        const f = (t: Tensor): Tensor => ctcLoss(t, [1], undefined, undefined, { from });
        const [loss, gradient] = vjp(f, tensor(rows(dwarfing), { dtype }), tensor(1, { dtype }));
        const [want, wantGradient] = vjp(
          (t: Tensor) => ctcLoss(t, [1]),
          tensor(rows(-1), { dtype: 'float64' }),
          tensor(1, { dtype: 'float64' }),
        );
        const expected = wantGradient
          .arraySync<number[][]>()
          .map((row) => (from === 'logits' ? [...row.slice(0, 3), 1] : row));
        expect(
          gradient
            .cast('float64')
            .sub(tensor(expected, { dtype: 'float64' }))
            .abs()
            .max()
            .itemSync(),
        ).toBeLessThan(dtype === 'float32' ? 1e-7 : 1e-15);
        const total = want.itemSync() + (from === 'logits' ? 3 * dwarfing : 0);
        expect(Math.abs(loss.itemSync() / total - 1)).toBeLessThan(dtype === 'float32' ? 1e-7 : 1e-15);
      }
    }
  },
);

test.each([10, 16, 20, 24, 28, 32, 40, 80, 100])(
  'a network that is certain by %d keeps the digits of loss and gradient',
  (height) => {
    // One frame, where both have a closed form.
    for (const dtype of ['float32', 'float64'] as const) {
      const [loss, gradient] = vjp(
        (t: Tensor) => ctcLoss(t, [1], undefined, undefined, { from: 'logits' }),
        tensor([[0, height]], { dtype }),
        tensor(1, { dtype }),
      );
      const other = 1 / (1 + Math.exp(height));
      const digits = dtype === 'float32' ? 2e-7 : 1e-14;
      if (dtype === 'float32' && other < 1e-37) continue; // below its normal numbers
      expect(Math.abs(loss.itemSync() / Math.log1p(Math.exp(-height)) - 1)).toBeLessThan(digits);
      const [first, second] = gradient.dataSync();
      expect([Math.abs(first! / other - 1) < digits, Math.abs(second! / other + 1) < digits]).toEqual([true, true]);
    }
    // Many frames, with noise, against float64.
    const rng = random(height);
    for (const frames of [20, 400]) {
      const labels = Array.from({ length: frames / 4 }, () => rng.integer(1, 6));
      const scores = Float32Array.from(
        { length: frames * 6 },
        (_, k) =>
          0.5 * rng.gaussian() +
          (k % 6 === (Math.floor(k / 6) % 4 === 0 ? labels[Math.floor(k / 24)] : 0) ? height : 0),
      );
      const f = (t: Tensor): Tensor => ctcLoss(t, labels, undefined, undefined, { from: 'logits' });
      const [loss, gradient] = vjp(f, tensor(scores, { shape: [frames, 6] }), tensor(1));
      const [exact, exactGradient] = vjp(
        f,
        tensor(Float64Array.from(scores), { shape: [frames, 6] }),
        tensor(1, { dtype: 'float64' }),
      );
      if (exact.itemSync() > 1e-14) expect(Math.abs(loss.itemSync() / exact.itemSync() - 1)).toBeLessThan(1e-7);
      const largest = exactGradient.abs().max().itemSync();
      if (largest > 1e-37)
        expect(gradient.cast('float64').sub(exactGradient).abs().max().itemSync() / largest).toBeLessThan(1e-6);
    }
  },
);

const needs = (labels: readonly number[]): number =>
  labels.length + labels.filter((c, i) => c === labels[i - 1]).length;
