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
