import { gradCheck, nn, random, type Tensor, tensor, valueAndGrad, zeros } from 'tapegrad';
import { expectClose, gradCheckTree, inFloat64, wave } from './wave.js';

const plain = (x: Tensor): number[] => Array.from(x.dataSync());

/** Numbers that come out in another order of magnitude for every feature. */
const x = wave([3, 4, 2], 0.1)
  .mul(tensor(Float64Array.from([1, 30])))
  .add(tensor(Float64Array.from([5, -2])));
const LENGTHS = [4, 1, 3];
const weights = wave([3, 4, 2], 0.7);

/** x with anything beyond its lengths. */
function spoiled(value = NaN): Tensor {
  const data = x.dataSync();
  LENGTHS.forEach((length, n) => data.fill(value, (n * 4 + length) * 2, (n + 1) * 8));
  return tensor(data, { shape: x.shape });
}

describe('batchNorm', () => {
  const layer = nn.batchNorm(2, { momentum: 0.25, eps: 1e-3 });
  const params = { weight: wave([2], 0.5), bias: wave([2], 1) };
  const state = inFloat64(layer.initState());

  test('starts with nothing learned and nothing seen', () => {
    expect(layer.init(random(1)).weight.arraySync()).toEqual([1, 1]);
    const { mean, variance } = layer.initState();
    expect([mean.arraySync(), variance.arraySync()]).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  test('in training uses the batch, by plain loops, and takes a step towards it', () => {
    const [y, next] = layer.apply(params, x, { state, training: true });
    const data = plain(x);
    for (const c of [0, 1]) {
      const column = data.filter((_, i) => i % 2 === c);
      const mean = column.reduce((a, b) => a + b) / 12;
      const squares = column.reduce((a, b) => a + (b - mean) ** 2, 0);
      const [w, b] = [plain(params.weight)[c]!, plain(params.bias)[c]!];
      expectClose(
        y.slice([], [], c),
        column.map((value) => ((value - mean) / Math.sqrt(squares / 12 + 1e-3)) * w + b),
        1e-12,
      );
      expect(plain(next.mean)[c]).toBeCloseTo(0.25 * mean, 12);
      expect(plain(next.variance)[c]).toBeCloseTo(0.75 + (0.25 * squares) / 11, 10);
    }
    const used = layer.apply(params, x, { state: next });
    const column = plain(used.slice([], [], 1));
    const [mean, variance] = [plain(next.mean)[1]!, plain(next.variance)[1]!];
    expectClose(
      x
        .slice([], [], 1)
        .sub(mean)
        .div(Math.sqrt(variance + 1e-3))
        .mul(plain(params.weight)[1]!)
        .add(plain(params.bias)[1]!),
      column,
      1e-12,
    );
  });

  test.each([true, false])('does not see frames beyond the lengths, training: %s', (training) => {
    const apply = (p: nn.NormParams, input: Tensor): Tensor => {
      const given = layer.apply(p, input, { state, training, lengths: LENGTHS });
      return Array.isArray(given) ? given[0] : given;
    };
    const packed = LENGTHS.map((length, n) => x.slice(n, [0, length]));
    const together = packed[0]!.concat(packed.slice(1), 0);
    const wanted = layer.apply(params, together, { state, training });
    const alone = Array.isArray(wanted) ? wanted[0] : wanted;
    const loss = (p: nn.NormParams, input: Tensor): Tensor => apply(p, input).mul(weights).sum();
    for (const bad of [spoiled(), spoiled(1e300), spoiled(Infinity)]) {
      const y = apply(params, bad);
      let at = 0;
      LENGTHS.forEach((length, n) => {
        expectClose(y.slice(n, [0, length]), plain(alone.slice([at, (at += length)])), 1e-12);
        if (length < 4) expect(plain(y.slice(n, [length, 4])).every((value) => value === 0)).toBe(true);
      });
      const [, [dp, dx]] = valueAndGrad(loss, { argnums: [0, 1] })(params, bad);
      const [, [cleanP, cleanX]] = valueAndGrad(loss, { argnums: [0, 1] })(params, x);
      expect(plain(dp.weight)).toEqual(plain(cleanP.weight));
      expect(plain(dx)).toEqual(plain(cleanX));
      LENGTHS.forEach((length, n) => {
        if (length < 4) expect(plain(dx.slice(n, [length, 4])).every((value) => value === 0)).toBe(true);
      });
    }
    if (training) {
      const [, next] = layer.apply(params, spoiled(), { state, training: true, lengths: LENGTHS });
      const [, clean] = layer.apply(params, together, { state, training: true });
      expectClose(next.mean, plain(clean.mean), 1e-12);
      expectClose(next.variance, plain(clean.variance), 1e-12);
    }
  });

  test.each([
    ['training', { state, training: true } as const],
    ['evaluation', { state, training: false } as const],
    ['training with lengths', { state, training: true, lengths: LENGTHS } as const],
    ['evaluation with lengths', { state, training: false, lengths: LENGTHS } as const],
  ])('derivatives of first and second order: %s', (_, options) => {
    const run = (p: nn.NormParams, input: Tensor): Tensor => {
      const given = options.training ? layer.apply(p, input, options)[0] : layer.apply(p, input, options);
      return given.mul(weights);
    };
    expect(() => {
      gradCheckTree(run, params, wave([3, 4, 2], 0.4), { order: 2 });
    }).not.toThrow();
  });

  test('no derivative goes through the state', () => {
    const next = (t: Tensor): Tensor => layer.apply(params, t, { state, training: true })[1].mean;
    expect(() => valueAndGrad((t: Tensor) => next(t).sum())(x)).toThrow('does not depend on the arguments');
    const [, back] = valueAndGrad((s: nn.BatchNormState) => layer.apply(params, x, { state: s }).sum(), {
      allowConstant: true,
    })(state);
    expect(plain(back.mean)).toEqual([0, 0]);
  });

  test('float32 beyond the squares of its range, and float16', () => {
    const unit = { weight: tensor([1]), bias: tensor([0]) };
    const one = nn.batchNorm(1);
    const [y] = one.apply(unit, tensor([[3e30], [-3e30]]), { state: one.initState(), training: true });
    expect(plain(y)).toEqual([1, -1]);
    const half = tensor([[1000], [3000]], { dtype: 'float16' });
    const [z, next] = one.apply(unit, half, { state: one.initState(), training: true });
    expectClose(z, [-1, 1], 1e-6);
    expectClose(next.mean, [200], 1e-4);
    expectClose(next.variance, [0.9 + 200_000], 0.1);
    expect(next.variance.dtype).toBe('float32');
  });

  test('bad input', () => {
    const one = nn.batchNorm(3);
    const [p, s] = [one.init(random(1)), one.initState()];
    const train = (t: Tensor, more: object = {}): unknown => one.apply(p, t, { state: s, training: true, ...more });
    expect(() => train(zeros([2, 2]))).toThrow('[batchNorm] x is [2, 2]; it must be [..., 3]');
    expect(() => train(zeros([1, 3]))).toThrow(
      '[batchNorm] x of [1, 3] has one value for each feature; training needs two',
    );
    expect(() => train(zeros([0, 3]))).toThrow('has no values for each feature');
    expect(() => train(zeros([2, 4, 3]), { lengths: [1, 0] })).toThrow('one value for each feature within its lengths');
    expect(() => train(zeros([2, 4, 3]), { lengths: [1, 5] })).toThrow('[batchNorm] sequence 1: length is 5');
    expect(() => train(zeros([2, 4, 3]), { state: { mean: s.mean } })).toThrow(
      '[batchNorm] the state has undefined as variance',
    );
    expect(() => train(zeros([2, 4, 3]), { state: { ...s, variance: zeros([2]) } })).toThrow(
      '[batchNorm] the running variance is [2]; it must be [3]',
    );
    expect(() => one.apply({ ...p, weight: zeros([1]) }, zeros([2, 3]), { state: s })).toThrow(
      '[batchNorm] the weight is [1]; it must be [3]',
    );
    expect(() => nn.batchNorm(3, { momentum: 2 })).toThrow('[batchNorm] momentum is 2; it must be in [0, 1]');
    expect(() => nn.batchNorm(3, { eps: -1 })).toThrow('[batchNorm] eps is -1');
    expect(() => nn.batchNorm(0)).toThrow('[batchNorm] features is 0');
  });
});

describe('groupNorm', () => {
  const layer = nn.groupNorm(2, 4);
  const params = { weight: wave([4], 0.5), bias: wave([4], 1) };

  test('with lengths a sequence is what it is alone, whatever lies beyond', () => {
    const clean = wave([3, 4, 4], 0.2);
    const data = clean.dataSync();
    LENGTHS.forEach((length, n) => data.fill(NaN, (n * 4 + length) * 4, (n + 1) * 16));
    const bad = tensor(data, { shape: [3, 4, 4] });
    const y = layer.apply(params, bad, { lengths: LENGTHS });
    LENGTHS.forEach((length, n) => {
      expectClose(
        y.slice([n, n + 1], [0, length]),
        plain(layer.apply(params, clean.slice([n, n + 1], [0, length]))),
        1e-12,
      );
      if (length < 4) expect(plain(y.slice(n, [length, 4])).every((value) => value === 0)).toBe(true);
    });
    const [, dx] = valueAndGrad(
      (p: nn.NormParams, t: Tensor) => layer.apply(p, t, { lengths: LENGTHS }).square().sum(),
      {
        argnums: 1,
      },
    )(params, bad);
    expect(plain(dx).every(Number.isFinite)).toBe(true);
    expect(plain(dx.slice(1, [1, 4])).every((value) => value === 0)).toBe(true);
    expect(() => {
      gradCheckTree((p: nn.NormParams, t) => layer.apply(p, t, { lengths: [3, 2] }), params, wave([2, 3, 4], 0.4), {
        order: 2,
      });
    }).not.toThrow();
    expect(
      layer
        .apply(params, clean, { lengths: [4, 0, 3] })
        .slice(1)
        .abs()
        .sum()
        .itemSync(),
    ).toBe(0);
  });

  test('bad input', () => {
    expect(() => nn.groupNorm(3, 4)).toThrow('[groupNorm] 4 features do not fall into 3 groups of one size');
    expect(() => layer.apply(params, zeros([4]))).toThrow('[groupNorm] x is [4]; it must be [N, ..., 4]');
    expect(() => layer.apply(params, zeros([2, 3]))).toThrow('[groupNorm] x is [2, 3]; it must be [N, ..., 4]');
    expect(() => layer.apply(params, zeros([2, 4, 4]), { lengths: [5, 1] })).toThrow(
      '[groupNorm] sequence 0: length is 5',
    );
  });
});

describe('rmsNorm', () => {
  test('divides by the root mean square', () => {
    const layer = nn.rmsNorm(2, { eps: 0 });
    const y = layer.apply(layer.init(random(1)), tensor([[3, 4]]));
    expectClose(y, [3 / Math.sqrt(12.5), 4 / Math.sqrt(12.5)], 1e-6);
    expect(() => layer.apply(layer.init(random(1)), zeros([2, 3]))).toThrow(
      '[rmsNorm] x is [2, 3]; it must be [..., 2]',
    );
  });

  test('derivatives at rows of zeros', () => {
    expect(() => {
      gradCheck(
        (t) => nn.rmsNorm(3, { eps: 0.5 }).apply({ weight: wave([3], 1) }, t),
        [zeros([2, 3], { dtype: 'float64' })],
        {
          order: 3,
          tolerance: 1e-5,
        },
      );
    }).not.toThrow();
  });
});

test('what a global pool leaves, [N, features], has no frames: lengths take no features from it', () => {
  const rng = random(1);
  const [input, lengths] = [rng.normal([3, 5, 2]), [5, 2, 3]];
  const alone = (n: number): Tensor => input.slice([n, n + 1], [0, lengths[n]!]);
  const model = nn.sequential(
    nn.conv1d(2, 4, 3, { padding: 'same' }),
    nn.globalAvgPool(),
    nn.groupNorm(2, 4),
    nn.batchNorm(4),
  );
  const params = model.init(rng);
  const state = model.initState();
  const y = model.apply(params, input, { state, lengths });
  for (const n of [0, 1, 2]) expectClose(y.slice([n, n + 1]), plain(model.apply(params, alone(n), { state })), 1e-5);

  const norm = nn.batchNorm(2);
  const [p, s] = [norm.init(rng), norm.initState()];
  const pooled = rng.normal([3, 2]);
  const outcome = (lengths?: number[]): number[][] => {
    const [z, next] = norm.apply(p, pooled, { state: s, training: true, ...(lengths && { lengths }) });
    return [z, next.mean, next.variance, norm.apply(p, pooled, { state: next, ...(lengths && { lengths }) })].map(
      plain,
    );
  };
  expect(outcome([1, 1, 1])).toEqual(outcome());
});
