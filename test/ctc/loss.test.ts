import { ctcLoss, ctcPosterior, grad, logSoftmax, random, tensor, type Tensor, valueAndGrad, vjp } from 'tapegrad';
import ndarray from 'ndarray';
import { enumerate, solve, worst } from './reference.js';

const FRAMES = 12;
const CLASSES = 6;
const TARGETS = [[1, 2, 2, 3], [4], [], [5, 5, 5], [3, 1, 3, 1, 3, 1, 3]];
const INPUT_LENGTHS = [12, 7, 9, 5, 12];
const BATCH = TARGETS.length;

const logitsOf = (seed: number, dtype: 'float32' | 'float64' = 'float32'): Tensor =>
  random(seed).normal([FRAMES, BATCH, CLASSES], { dtype });
const lossesAndGradient = (x: Tensor, f: (t: Tensor) => Tensor): [Tensor, Tensor] =>
  vjp(f, x, tensor(new Float32Array(BATCH).fill(1)).cast(x.dtype === 'float64' ? 'float64' : 'float32'));

describe('by definition', () => {
  test('every path written down', () => {
    const rng = random(1);
    for (const [frames, target, blank] of [
      [1, [], 0],
      [1, [1], 0],
      [4, [1], 0],
      [5, [1, 1], 0],
      [5, [2, 1], 2 - 2],
      [6, [0, 2, 0], 1],
      [5, [1, 0, 1], 2],
    ] as const) {
      const logProbs = logSoftmax(rng.normal([frames, 3], { dtype: 'float64' }));
      const want = enumerate(logProbs.arraySync<number[][]>(), target, blank);
      expect(ctcLoss(logProbs, target, [frames], [target.length], { blank }).itemSync()).toBeCloseTo(want, 12);
      expect(ctcLoss(logProbs.cast('float32'), target, [frames], [target.length], { blank }).itemSync()).toBeCloseTo(
        want,
        6,
      );
    }
  });

  test.each(['logits', 'logProbs'] as const)('the reference recursion, from %s', (from) => {
    for (const blank of [0, 3, 5]) {
      const targets = TARGETS.map((list) => list.map((c) => (c === blank ? 0 : c)));
      for (const dtype of ['float32', 'float64'] as const) {
        const x = logitsOf(blank + 10, dtype);
        const want = solve(
          {
            frames: FRAMES,
            batch: BATCH,
            classes: CLASSES,
            blank,
            scores: x.dataSync(),
            targets,
            inputLengths: INPUT_LENGTHS,
          },
          from === 'logits',
        );
        const [losses, gradient] = lossesAndGradient(x, (t) =>
          ctcLoss(t, targets, INPUT_LENGTHS, undefined, { blank, from }),
        );
        expect(worst(losses.dataSync(), want.losses)).toBeLessThan(dtype === 'float64' ? 1e-12 : 2e-6);
        expect(worst(gradient.dataSync(), want.gradient)).toBeLessThan(dtype === 'float64' ? 1e-12 : 3e-7);
      }
    }
  });

  test('posteriors add up to 1 on every frame that counts', () => {
    const x = logitsOf(2);
    const posterior = ctcPosterior(x, TARGETS, INPUT_LENGTHS);
    posterior
      .sum(2)
      .dataSync()
      .forEach((sum, k) => {
        expect(sum).toBeCloseTo(Math.floor(k / BATCH) < INPUT_LENGTHS[k % BATCH]! ? 1 : 0, 5);
      });
    const [, gradient] = lossesAndGradient(x, (t) => ctcLoss(t, TARGETS, INPUT_LENGTHS));
    expect(worst(posterior.dataSync(), gradient.neg().dataSync())).toBe(0);
  });
});

describe('semantics', () => {
  test('impossible targets: Infinity and gradient exactly 0', () => {
    const x = random(3).normal([3, 3, 4]);
    const masked = x.dataSync();
    masked.fill(-Infinity, 2, 3); // class 2 of the first frame of sequence 0, whose only alignment needs it
    const scores = tensor(masked, { shape: [3, 3, 4] });
    const targets = [
      [2, 1, 3],
      [1, 1],
      [1, 2],
    ];
    for (const from of ['logits', 'logProbs'] as const) {
      const [losses, gradient] = vjp(
        (t: Tensor) => ctcLoss(t, targets, [3, 2, 3], undefined, { from }),
        scores,
        tensor([1, 1, 1]),
      );
      const values = losses.dataSync();
      expect([values[0], values[1]]).toEqual([Infinity, Infinity]);
      expect(Number.isFinite(values[2])).toBe(true);
      const grads = gradient.arraySync<number[][][]>();
      for (const frame of grads) for (const n of [0, 1]) for (const g of frame[n]!) expect(g).toBe(0);
      const zeroed = valueAndGrad((t: Tensor) =>
        ctcLoss(t, targets, [3, 2, 3], undefined, { from, zeroInfinity: true, reduction: 'sum' }),
      )(scores);
      expect(zeroed[0].itemSync()).toBeCloseTo(values[2]!, 5);
      expect(worst(zeroed[1].dataSync(), gradient.dataSync())).toBe(0);
    }
  });

  test.each(['7fc00000', 'ffc00000', '7f800001', '7fc00001', '7fc000ff', 'ff8001ff', '7fffffff'])(
    'a NaN is a NaN whatever its bits say (0x%s)',
    (bits) => {
      for (const from of ['logits', 'logProbs'] as const) {
        for (const at of [0, 3, 5, 8]) {
          // among the classes that are taken four at a time, and among those left over
          const scores = new Float32Array(6 * 9).fill(-2);
          new Uint32Array(scores.buffer)[3 * 9 + at] = parseInt(bits, 16);
          const [loss, gradient] = valueAndGrad((x: Tensor) => ctcLoss(x, [1, 2], [6], [2], { from }))(
            tensor(scores, { shape: [6, 9] }),
          );
          expect(loss.itemSync()).toBeNaN();
          expect(gradient.dataSync().every(Number.isNaN)).toBe(true);
        }
      }
    },
  );

  test('frames past the end are never read and have gradient 0; a NaN stays in its sequence', () => {
    const clean = logitsOf(4);
    const values = clean.dataSync();
    for (let t = 0; t < FRAMES; t++)
      for (let n = 0; n < BATCH; n++)
        if (t >= INPUT_LENGTHS[n]!) values.fill(NaN, (t * BATCH + n) * CLASSES, (t * BATCH + n + 1) * CLASSES);
    values[(2 * BATCH + 1) * CLASSES + 5] = NaN;
    const f = (t: Tensor): Tensor => ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' });
    const [wantLosses, wantGradient] = lossesAndGradient(clean, f);
    const [losses, gradient] = lossesAndGradient(tensor(values, { shape: clean.shape }), f);
    losses.dataSync().forEach((loss, n) => {
      expect(loss).toBe(n === 1 ? NaN : wantLosses.dataSync()[n]);
    });
    const want = wantGradient.dataSync();
    gradient.dataSync().forEach((g, k) => {
      const [t, n] = [Math.floor(k / (BATCH * CLASSES)), Math.floor(k / CLASSES) % BATCH];
      expect(g).toBe(t >= INPUT_LENGTHS[n]! ? 0 : n === 1 ? NaN : want[k]);
    });
  });

  test('no frames, no labels', () => {
    const x = random(5).normal([4, 3, 3]);
    const [losses, gradient] = vjp(
      (t: Tensor) => ctcLoss(t, [[], [1], []], [0, 0, 4], undefined, { from: 'logits' }),
      x,
      tensor([1, 1, 1]),
    );
    const blanks = logSoftmax(x).slice([], 2, 0).sum().neg().itemSync();
    const [a, b, c] = losses.dataSync();
    expect([a, b]).toEqual([0, Infinity]);
    expect(c).toBeCloseTo(blanks, 5);
    expect(
      gradient.arraySync<number[][][]>().every((frame) => [...frame[0]!, ...frame[1]!].every((g) => g === 0)),
    ).toBe(true);
    expect(ctcLoss(tensor([], { shape: [0, 2, 3] }), [[], [2]]).arraySync()).toEqual([0, Infinity]);
  });

  test('confident networks keep the digits of their losses, and certain ones have none', () => {
    const path = [0, 1, 1, 0, 2, 0];
    const peaked = (height: number): Tensor => tensor(path.map((c) => [0, 1, 2].map((k) => (k === c ? height : 0))));
    for (const height of [3, 8, 12, 16, 20, 30]) {
      const exact = ctcLoss(peaked(height).cast('float64'), [1, 2], undefined, undefined, {
        from: 'logits',
      }).itemSync();
      const got = ctcLoss(peaked(height), [1, 2], undefined, undefined, { from: 'logits' }).itemSync();
      expect(Math.abs(got - exact)).toBeLessThanOrEqual(2e-7 * exact + 1e-13);
      expect(got).toBeGreaterThan(0);
      expect(ctcLoss(logSoftmax(peaked(height)), [1, 2]).itemSync()).toBeGreaterThanOrEqual(0);
    }
    expect(ctcLoss(peaked(500), [1, 2], undefined, undefined, { from: 'logits' }).itemSync()).toBe(0);
    expect(
      ctcLoss(
        tensor([
          [0, -Infinity],
          [-Infinity, 0],
        ]),
        [1],
      ).itemSync(),
    ).toBe(0);
  });

  test('the cotangent is one for each sequence, of any sign', () => {
    const x = logitsOf(6);
    const f = (t: Tensor): Tensor => ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' });
    const [, unit] = lossesAndGradient(x, f);
    const weights = [2, -0.5, 0, 1e3, -3];
    const [, weighted] = vjp(f, x, tensor(weights));
    const want = unit.mul(tensor(weights).reshape([1, BATCH, 1])).dataSync();
    expect(worst(weighted.dataSync(), want)).toBe(0);
  });

  test("reductions are torch's, and their gradients the same bits however often they are taken", () => {
    const x = logitsOf(7);
    const weights = TARGETS.map((list) => 1 / Math.max(list.length, 1));
    const each = Array.from(ctcLoss(x, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' }).dataSync());
    const usual: [string, (losses: Tensor) => Tensor, number][] = [
      ['sum', (losses) => losses.sum(), each.reduce((a, b) => a + b, 0)],
      ['mean', (losses) => losses.mean(), each.reduce((a, b) => a + b, 0) / BATCH],
      [
        'a mean by label',
        (losses) => losses.mul(tensor(weights)).mean(),
        each.reduce((a, b, n) => a + b * weights[n]!, 0) / BATCH,
      ],
      [
        'something else',
        (losses) => losses.mul(tensor([1, 2, 3, 4, 5])).sum(),
        each.reduce((a, b, n) => a + b * (n + 1), 0),
      ],
    ];
    const gradients = new Map<string, string>();
    for (const round of [0, 1, 2]) {
      for (const [name, reduce, want] of usual) {
        const [value, gradient] = valueAndGrad((t: Tensor) =>
          reduce(ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' })),
        )(x);
        expect(value.itemSync()).toBeCloseTo(want, 4);
        const bits = gradient.dataSync().join();
        if (round > 0) expect(bits).toBe(gradients.get(name));
        gradients.set(name, bits);
      }
    }
    const mean = ctcLoss(x, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits', reduction: 'mean' }).itemSync();
    expect(mean).toBeCloseTo(usual[2]![2], 5);
    const torch = valueAndGrad((t: Tensor) =>
      ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits', reduction: 'mean' }),
    )(x)[1];
    const divided = valueAndGrad((t: Tensor) =>
      ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' })
        .div(TARGETS.map((list) => Math.max(list.length, 1)))
        .mean(),
    )(x)[1];
    expect(worst(torch.dataSync(), divided.dataSync())).toBe(0);
  });

  test("log-probabilities of a logSoftmax take the logits' way, and other uses of them still count", () => {
    const x = logitsOf(8);
    const f = (t: Tensor): Tensor => ctcLoss(t, TARGETS, INPUT_LENGTHS).sum();
    const [value, gradient] = valueAndGrad((t: Tensor) => f(logSoftmax(t)))(x);
    const direct = valueAndGrad((t: Tensor) => ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' }).sum())(
      x,
    );
    expect(value.itemSync()).toBe(direct[0].itemSync());
    expect(worst(gradient.dataSync(), direct[1].dataSync())).toBe(0);
    const both = grad((t: Tensor) => {
      const p = logSoftmax(t);
      return f(p).add(p.square().mean());
    })(x);
    const apart = direct[1].add(grad((t: Tensor) => logSoftmax(t).square().mean())(x));
    expect(worst(both.dataSync(), apart.dataSync())).toBeLessThan(1e-6);
    // By the log-probabilities themselves, inside a transform that knows where they came from.
    const inner = grad((t: Tensor) => grad(f)(logSoftmax(t)).mul(0.5).sum())(x);
    expect(inner.dataSync().every(Number.isFinite)).toBe(true);
    const lp = grad((t: Tensor) => f(t))(logSoftmax(x));
    expect(worst(lp.dataSync(), ctcPosterior(logSoftmax(x), TARGETS, INPUT_LENGTHS).neg().dataSync())).toBe(0);
  });
});

describe('layouts and dtypes', () => {
  const x = logitsOf(9);
  const flat = TARGETS.flat();
  const lengths = TARGETS.map((list) => list.length);
  const width = Math.max(...lengths);
  const padded = TARGETS.map((list) => [...list, ...new Array<number>(width - list.length).fill(-1)]);
  const want = ctcLoss(x, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' }).dataSync();

  test.each([
    ['padded', padded],
    ['padded, int tensor', tensor(padded, { dtype: 'int32' })],
    ['concatenated', Int32Array.from(flat)],
    ['Uint8Array', Uint8Array.from(flat)],
    ['Int8Array', Int8Array.from(flat)],
    ['BigInt64Array', BigInt64Array.from(flat, BigInt)],
    ['Uint16Array', Uint16Array.from(flat)],
    ['numbers', flat],
    ['ndarray', ndarray(Int16Array.from(padded.flat()), [BATCH, width])],
    [
      'transposed ndarray',
      ndarray(
        Int32Array.from({ length: width * BATCH }, (_, k) => padded[k % BATCH]![Math.floor(k / BATCH)]!),
        [width, BATCH],
      ).transpose(1, 0),
    ],
    ['typed arrays, ragged', TARGETS.map((list) => Int8Array.from(list))],
  ])('%s targets', (_, targets) => {
    for (const type of [Int32Array, Uint8Array, Int16Array]) {
      const got = ctcLoss(x, targets, type.from(INPUT_LENGTHS), type.from(lengths), { from: 'logits' });
      expect([...got.dataSync()]).toEqual([...want]);
    }
  });

  test('[T, C] scores give a scalar', () => {
    const one = random(11).normal([8, 4]);
    const loss = ctcLoss(one, [1, 2, 1], undefined, undefined, { from: 'logits' });
    expect(loss.shape).toEqual([]);
    expect(loss.itemSync()).toBe(ctcLoss(one.reshape([8, 1, 4]), [[1, 2, 1]], [8], [3], { from: 'logits' }).itemSync());
    expect(grad((t: Tensor) => ctcLoss(t, [1, 2, 1], undefined, undefined, { from: 'logits' }))(one).shape).toEqual([
      8, 4,
    ]);
  });

  test('half precision is storage: computed in float32, the gradient stored as the scores are', () => {
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const half = x.cast(dtype);
      const [value, gradient] = valueAndGrad((t: Tensor) =>
        ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' }).sum(),
      )(half);
      expect(gradient.dtype).toBe(dtype);
      const [exact, exactGradient] = valueAndGrad((t: Tensor) =>
        ctcLoss(t, TARGETS, INPUT_LENGTHS, undefined, { from: 'logits' }).sum(),
      )(half.cast('float32'));
      expect(value.itemSync()).toBe(exact.itemSync());
      expect(worst(gradient.dataSync(), exactGradient.cast(dtype).dataSync())).toBe(0);
    }
  });
});
