import {
  ctcLoss,
  ctcPosterior,
  ctcStatistics,
  grad,
  gradCheck,
  hessian,
  hvp,
  logSoftmax,
  memory,
  OutOfMemoryError,
  random,
  resetCtcStatistics,
  setThreads,
  tensor,
  type Tensor,
  valueAndGrad,
  vjp,
  zeros,
} from 'tapegrad';
import ndarray from 'ndarray';
import { warmThreads } from '../../src/backends/cpu/pool.js';
import { enumerate, solve } from './reference.js';

afterAll(() => {
  setThreads(1);
});

const FRAMES = 12;
const CLASSES = 6;
const TARGETS = [[1, 2, 2, 3], [4], [], [5, 5, 5], [3, 1, 3, 1, 3, 1, 3]];
const INPUT_LENGTHS = [12, 7, 9, 5, 12];
const BATCH = TARGETS.length;

const logitsOf = (seed: number, dtype: 'float32' | 'float64' = 'float32'): Tensor =>
  random(seed).normal([FRAMES, BATCH, CLASSES], { dtype });
const lossesAndGradient = (x: Tensor, f: (t: Tensor) => Tensor): [Tensor, Tensor] =>
  vjp(f, x, tensor(new Float32Array(BATCH).fill(1)).cast(x.dtype === 'float64' ? 'float64' : 'float32'));

function worst(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got).toHaveLength(want.length);
  return Array.from(want).reduce((error, value, i) => Math.max(error, Math.abs(got[i]! - value)), 0);
}

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

describe('errors come before anything is computed', () => {
  const x = random(12).normal([6, 2, 4]);
  const one = random(12).normal([6, 4]);
  test.each([
    [() => ctcLoss(x, [[1, 2], [4]]), '[ctcLoss] sequence 1: label 0 is 4; it must be a class in [0, 4)'],
    [() => ctcLoss(x, [[1, 0], [2]]), '[ctcLoss] sequence 0: label 1 is 0, which is the blank'],
    [() => ctcLoss(x, [[1.5], [2]]), '[ctcLoss] sequence 0: label 0 is 1.5; it must be a whole number that fits int32'],
    [
      () => ctcLoss(x, [[1], [2 ** 32 + 1]]),
      '[ctcLoss] sequence 1: label 0 is 4294967297; it must be a whole number that fits int32',
    ],
    [
      () => ctcLoss(x, [[1], [2]], [6, 7]),
      `[ctcLoss] sequence 1: input length is 7; the scores have 6 frames: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [() => ctcLoss(x, [[1], [2]], [6, -1]), '[ctcLoss] sequence 1: input length is -1; it must not be negative'],
    [
      () => ctcLoss(x, [[1], [2]], [6, 5.5]),
      '[ctcLoss] sequence 1: input length is 5.5; it must be a whole number that fits int32',
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, [NaN, 1]),
      '[ctcLoss] sequence 0: target length is NaN; it must be a whole number that fits int32',
    ],
    [
      () => ctcLoss(x, [[1], [2]], [6]),
      `[ctcLoss] 1 input lengths for 2 sequences: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, null as never),
      '[ctcLoss] the options are null; they must be an object: { inputLengths, targetLengths, layout, blank, from, reduction, zeroInfinity }',
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { zeroInfinity: 'no' as never }),
      "[ctcLoss] zeroInfinity is 'no'; it must be true or false",
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, [1, 2]),
      '[ctcLoss] sequence 1: target length is 2; its list has 1 labels',
    ],
    [
      () => ctcLoss(x, tensor([[1], [2]], { dtype: 'int32' }), undefined, [1, 2]),
      '[ctcLoss] sequence 1: target length is 2; the targets are 1 wide',
    ],
    [
      () => ctcLoss(x, Int32Array.of(1, 2, 3), undefined, [1, 1]),
      '[ctcLoss] the concatenated targets hold 3 labels; the target lengths add up to 2',
    ],
    [
      () => ctcLoss(x, Int32Array.of(1, 2)),
      `[ctcLoss] 1-D targets of 2 sequences need target lengths: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [
      () => ctcLoss(x, [[1], [2], [3]]),
      `[ctcLoss] 3 target lists for 2 sequences: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [() => ctcLoss(x, tensor([1.5, 2])), '[ctcLoss] targets is float32; it must hold integers'],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { blank: 4 }),
      '[ctcLoss] blank is 4; it must be a class in [0, 4)',
    ],
    [() => ctcLoss(x.reshape([48]), [[1], [2]]), '[ctcLoss] the scores are [48]; they must be [T, N, C] or [T, C]'],
    [() => ctcLoss(x.cast('int32'), [[1], [2]]), '[ctcLoss] the scores are int32; they must be a float dtype'],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { from: 'probs' as 'logits' }),
      "[ctcLoss] from is 'probs'; it must be 'logProbs' or 'logits'",
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { reduction: 'max' as 'mean' }),
      "[ctcLoss] reduction is 'max'; it must be 'none', 'mean' or 'sum'",
    ],
    [
      () => ctcLoss(x, [new DataView(new ArrayBuffer(8)) as never, [1]]),
      '[ctcLoss] sequence 0: its targets are a DataView, not a list of labels',
    ],
    [() => ctcLoss(x, [[1], null as never]), '[ctcLoss] sequence 1: its targets are null, not a list of labels'],
    [() => ctcLoss(one, [1.5, 2]), '[ctcLoss] targets: element 0 is 1.5; int32 holds whole numbers in [-2^31, 2^31)'],
    [
      () => ctcLoss(one, BigInt64Array.of(2n ** 40n)),
      '[ctcLoss] targets: element 0 is 1099511627776; int32 holds whole numbers in [-2^31, 2^31)',
    ],
    [
      () => ctcLoss(one, null as never),
      '[ctcLoss] targets: cannot make a tensor of null; it takes numbers, booleans, nested arrays, typed arrays and ndarrays',
    ],
    [
      () => ctcLoss(x, [[1], [2]], '6' as never),
      '[ctcLoss] inputLengths: cannot make a tensor of a string; it takes numbers, booleans, nested arrays, typed arrays and ndarrays',
    ],
    [
      () => ctcLoss(x, [[1], [2]], [[6], [6, 6]] as never),
      '[ctcLoss] inputLengths: ragged data: an array of length 2 at depth 1, where its neighbour gives shape [2, 1]',
    ],
    [() => ctcPosterior(x, [[1], [9]]), '[ctcPosterior] sequence 1: label 0 is 9; it must be a class in [0, 4)'],
  ])('%#', (call, message) => {
    expect(call).toThrow(new Error(message));
  });
});

test('an empty batch has no losses, whatever the layout of its targets', () => {
  for (const targets of [[], new Int32Array(0), zeros([0, 3], { dtype: 'int32' })]) {
    const [value, gradient] = valueAndGrad((t: Tensor) => ctcLoss(t, targets, [], []).sum())(zeros([5, 0, 3]));
    expect([value.itemSync(), gradient.shape]).toEqual([0, [5, 0, 3]]);
  }
  expect(ctcLoss(zeros([5, 0, 3]), []).shape).toEqual([0]);
});

test('a target that is much too long is impossible, and takes no memory', () => {
  const x = random(3).normal([16_384, 2, 2]);
  const f = (t: Tensor): Tensor =>
    ctcLoss(t, [new Int32Array(20_000).fill(1), [1]], undefined, undefined, { from: 'logits' });
  const [losses, gradient] = vjp(f, x, tensor([1, 1]));
  expect([losses.dataSync()[0], Number.isFinite(losses.dataSync()[1])]).toEqual([Infinity, true]);
  const [first, second] = [0, 1].map((n) => gradient.take([n], 1).abs().max().itemSync());
  expect([first, second! > 0.1]).toEqual([0, true]);
});

test('scratch memory beyond 4 GiB is refused where the states alone would fit', () => {
  const x = zeros([53_700_000, 1]);
  const f = (t: Tensor): Tensor => ctcLoss(t, [], undefined, undefined, { from: 'logits' });
  expect(() => grad(f)(x)).toThrow(/\[ctcLoss\] 53700000 frames of 1 classes and 0 labels need \d+ bytes/);
  expect(() => f(zeros([268_500_000, 1]))).toThrow(OutOfMemoryError);
  expect(memory().usedBytes).toBe(0);
});

test('states that no address space holds are refused, not computed wrong', () => {
  const frames = 2 ** 15;
  const target = new Int32Array(2 ** 14).fill(1);
  const x = tensor(new Float32Array(frames * 2), { shape: [frames, 1, 2] });
  expect(() => grad((t: Tensor) => ctcLoss(t, [target], undefined, undefined, { from: 'logits' }).sum())(x)).toThrow(
    /\[ctcLoss\] 32768 frames of 2 classes and 16384 labels need \d+ bytes/,
  );
  expect(Number.isFinite(ctcLoss(tensor([[0, 1]]), [1]).itemSync())).toBe(true);
});

describe('derivatives', () => {
  const small = random(13).normal([6, 3, 4], { dtype: 'float64' });
  const targets = [[1, 2], [3, 3], []];
  const lengths = [6, 5, 3];

  test.each(['logits', 'logProbs'] as const)('second order from %s', (from) => {
    gradCheck((x) => ctcLoss(x, targets, lengths, undefined, { from }), [small], { order: 2, tolerance: 1e-6 });
  });

  test('second order through logSoftmax, and of the posterior', () => {
    gradCheck((x) => ctcLoss(logSoftmax(x), targets, lengths), [small], { order: 2, tolerance: 1e-6 });
    gradCheck((x) => ctcPosterior(x, targets, lengths), [small], { order: 1, tolerance: 1e-6 });
  });

  test('Hessians are symmetric and agree with hvp', () => {
    const x = random(14).normal([4, 1, 3], { dtype: 'float64' });
    const f = (t: Tensor): Tensor => ctcLoss(t, [[1, 2]], [4], undefined, { from: 'logits' }).sum();
    const h = hessian(f)(x).reshape([12, 12]);
    expect(worst(h.dataSync(), h.transpose().dataSync())).toBeLessThan(1e-14);
    const v = random(15).normal([4, 1, 3], { dtype: 'float64' });
    expect(worst(hvp(f, x, v).dataSync(), h.matmul(v.reshape([12, 1])).dataSync())).toBeLessThan(1e-13);
  });

  test('third derivatives throw instead of being 0', () => {
    const f = (t: Tensor): Tensor => ctcLoss(t, [[1, 2]], [6], undefined, { from: 'logits' }).sum();
    const x = random(16).normal([6, 1, 4], { dtype: 'float64' });
    const second = (t: Tensor): Tensor => grad((u: Tensor) => grad(f)(u).square().sum())(t).sum();
    expect(() => grad(second)(x)).toThrow(/\[ctcLoss\] third derivatives/);
  });

  test('impossible sequences and frames past the end have second derivative 0, NaN stays in its sequence', () => {
    const values = random(17).normal([4, 3, 3], { dtype: 'float64' }).dataSync();
    values[1 * 9 + 2 * 3] = NaN;
    values[3 * 9] = NaN;
    const x = tensor(values, { shape: [4, 3, 3] });
    const product = hvp(
      (t: Tensor) => ctcLoss(t, [[1], [1, 1, 1], [2]], [3, 4, 4], undefined, { from: 'logits' }).sum(),
      x,
      random(18).normal([4, 3, 3], { dtype: 'float64' }),
    ).arraySync<number[][][]>();
    product.forEach((frame, t) => {
      expect(frame[0]!.every((g) => (t < 3 ? Number.isFinite(g) && g !== 0 : g === 0))).toBe(true);
      expect(frame[1]!.every((g) => g === 0)).toBe(true);
      expect(frame[2]!.every(Number.isNaN)).toBe(true);
    });
  });
});

describe('tiers and threads', () => {
  test('statistics tell which tier took what', () => {
    resetCtcStatistics();
    ctcLoss(random(19).normal([8, 3, 4]), [[1, 2], [1, 1, 1, 1, 1], [3]], [8, 8, 8], undefined, { from: 'logits' });
    expect(ctcStatistics()).toEqual({ lengths: 1, linear: 2, log: 0 });
    // Certain of the wrong class, with no float64 range to say how unlikely the rest is.
    const wrong = tensor(Array.from({ length: 40 }, () => [500, 0, 0]));
    ctcLoss(
      wrong,
      new Array<number>(10).fill(0).map((_, i) => 1 + (i % 2)),
      undefined,
      undefined,
      { from: 'logits' },
    );
    ctcLoss(random(20).normal([5, 4], { dtype: 'float64' }), [1]);
    expect(ctcStatistics()).toEqual({ lengths: 1, linear: 2, log: 2 });
  });

  test('any number of threads gives the same bits', async () => {
    const [frames, batch, classes] = [160, 48, 24];
    const rng = random(21);
    const x = rng.normal([frames, batch, classes]);
    const inputLengths = Array.from({ length: batch }, () => rng.integer(80, frames + 1));
    const targets = inputLengths.map(() => Array.from({ length: rng.integer(0, 40) }, () => rng.integer(1, classes)));
    const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths, undefined, { from: 'logits' });
    const short = x.slice([0, 20]);
    const solveAll = (): string => {
      const [losses, gradient] = vjp(f, x, tensor(new Float32Array(batch).fill(1)));
      const product = hvp(
        (t: Tensor) =>
          ctcLoss(
            t,
            targets.map((list) => list.slice(0, 3)),
            undefined,
            undefined,
            { from: 'logits' },
          ).sum(),
        short,
        short,
      );
      return [losses, gradient, product].map((t) => Buffer.from(t.dataSync().buffer).toString('latin1')).join();
    };
    setThreads(1);
    const alone = solveAll();
    for (const n of [2, 3]) {
      setThreads(n);
      expect(await warmThreads()).toBe(n);
      for (let round = 0; round < 3; round++) expect(solveAll() === alone).toBe(true);
    }
  });
});
