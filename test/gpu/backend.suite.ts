/** A GPU as a whole: element types, training and layers, beside the CPU's answers. */
import * as tapegrad from 'tapegrad';
import {
  cast,
  ctcLoss,
  device as openDevice,
  grad,
  nn,
  optim,
  random,
  tensor,
  type Tensor,
  valueAndGrad,
} from 'tapegrad';
import { formulas } from '../../src/ops/formulas.js';

type Op = (...operands: Tensor[]) => Tensor;
const publicOps = tapegrad as unknown as Readonly<Record<string, Op>>;

/** Whole numbers, truth values, half precision, casts, and second derivatives. */
export function elementTypeSuite(device: () => tapegrad.Backend): void {
  const INTS = [
    [-3, 0, 1, 2, 7, -1],
    [2, 3, 1, 0, 5, -2],
    [4, 4, -6, 1, 0, 9],
  ];
  const BOOLS = [
    [true, false, true, true, false, false],
    [true, true, false, true, false, true],
    [false, true, true, false, false, true],
  ];

  const named = [...formulas].filter(([name]) => name in publicOps);
  test('there are ops to test', () => {
    expect(named.length).toBeGreaterThan(35);
  });

  test.each(named)('%s of int32 and bool answers as the CPU does', async (name, { arity, operands }) => {
    const op = publicOps[name]!;
    for (const data of [INTS, BOOLS]) {
      const args = data.slice(0, arity).map((values, i) =>
        operands?.[i] === 'bool'
          ? tensor(BOOLS[i]!)
          : tensor(
              // Integer powers have no negative exponents.
              data === INTS && name === 'pow' && i === 1 ? INTS[1]!.map(Math.abs) : values,
              data === INTS ? { dtype: 'int32' } : {},
            ),
      );
      const want = op(...args);
      const got = op(...args.map((t) => t.to(device())));
      expect(got.dtype).toBe(want.dtype);
      const [all, right] = [await got.data(), want.dataSync()];
      right.forEach((value, i) => {
        if (want.dtype === 'float32' && Number.isFinite(value))
          expect(Math.abs(all[i]! - value)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
        else expect(all[i]).toBe(value);
      });
    }
  });

  test('int32 reductions, products, gathers and windows', async () => {
    const x = random(3).integers([3, 4, 5], -9, 9);
    const y = random(4).integers([3, 5, 2], -9, 9);
    const ids = tensor(
      [
        [2, 0],
        [1, 1],
      ],
      { dtype: 'int32' },
    );
    const uses: readonly (readonly [string, (a: Tensor, b: Tensor, at: Tensor) => Tensor])[] = [
      ['sum', (a) => a.sum([0, 2])],
      ['max', (a) => a.max(1)],
      ['min', (a) => a.min(2)],
      ['argmax', (a) => a.argmax(1)],
      ['argmin', (a) => a.argmin(2)],
      ['cumsum', (a) => a.cumsum(1)],
      ['prod', (a) => a.prod(2)],
      ['matmul', (a, b) => a.matmul(b)],
      ['take', (a, _b, at) => a.take(at, 1)],
      ['slice', (a) => a.slice([null, null, -1], [1, 3])],
    ];
    for (const [name, use] of uses) {
      const want = use(x, y, ids);
      const got = use(x.to(device()), y.to(device()), ids.to(device()));
      expect([name, got.dtype, got.shape, Array.from(await got.data())]).toEqual([
        name,
        want.dtype,
        want.shape,
        Array.from(want.dataSync()),
      ]);
    }
  });

  test('a long sum of small products, cut into parts or not, and added to another', async () => {
    const [w, rng] = [random(21).normal([5, 3]), random(22)];
    const inputs = [2000, 2003, 512].map((rows) => rng.normal([rows, 5]));
    const f = (xs: readonly Tensor[]) => (u: Tensor) =>
      xs.map((x) => tapegrad.tanh(x.matmul(u)).sum()).reduce((a, b) => a.add(b));
    const want = grad(f(inputs.map((x) => cast(x, 'float64'))))(cast(w, 'float64')).dataSync();
    const got = await grad(f(inputs.map((x) => x.to(device()))))(w.to(device())).data();
    want.forEach((value, i) => {
      expect(Math.abs(got[i]! - value)).toBeLessThan(2e-4 * Math.abs(value) + 1e-3);
    });
    const [a, b] = [rng.integers([1024, 2], -9, 9), rng.integers([1024, 3], -9, 9)];
    const product = (x: Tensor, y: Tensor) => x.transpose(0, 1).matmul(y);
    expect([...(await product(a.to(device()), b.to(device())).data())]).toEqual([...product(a, b).dataSync()]);
  });

  test('casts agree with the CPU bit for bit', async () => {
    const values = [
      0,
      -0,
      1,
      -1,
      0.5,
      2.5,
      3.5,
      -2.5,
      1.00048828125,
      65504,
      65520,
      1e-5,
      6e-8,
      3e38,
      -3e38,
      Infinity,
      -Infinity,
      3e9,
      -3e9,
      1.0039062500001,
      1.01171875,
    ].filter((v) => process.platform !== 'darwin' || v === 0 || Math.abs(v) >= 2 ** -14); // GPUs may take numbers below the normal ones for 0
    const dtypes = ['float32', 'int32', 'bool', 'float16', 'bfloat16'] as const;
    for (const from of dtypes) {
      const whole = values.map((v) =>
        Number.isFinite(v) ? Math.trunc(Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, v))) : 7,
      );
      const start = from === 'int32' ? tensor(whole, { dtype: 'int32' }) : cast(tensor(values), from);
      for (const to of dtypes) {
        const want = cast(start, to).rawDataSync('view');
        const got = await cast(start.to(device()), to).rawData();
        expect([from, to, Array.from(got)]).toEqual([from, to, Array.from(want)]);
      }
    }
    expect((await cast(tensor([NaN]).to(device()), 'int32').data())[0]).toBe(0);
    for (const to of ['float16', 'bfloat16'] as const)
      expect((await cast(tensor([NaN]).to(device()), to).data())[0]).toBeNaN();
  });

  test('float16 and bfloat16 are storage: they move as they are and compute in float32', async () => {
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const x = cast(random(5).normal([4, 6]), dtype);
      const f = (t: Tensor) =>
        tapegrad
          .concat([t.transpose(), t.transpose()], 1)
          .mul(t.slice([0, 1]).reshape([6, 1]))
          .sum(0);
      const want = f(x);
      const got = f(x.to(device()));
      expect(got.dtype).toBe(dtype);
      const [all, right] = [await got.data(), want.dataSync()];
      right.forEach((value, i) => {
        expect(Math.abs(all[i]! - value)).toBeLessThanOrEqual(
          Math.abs(value) * (dtype === 'float16' ? 2 ** -10 : 2 ** -7),
        );
      });
    }
  });

  test('second derivatives', async () => {
    const x = tensor([0.3, -0.7, 1.2]);
    const f = (t: Tensor) => t.tanh().mul(t.exp()).logSumExp().add(t.square().sum().sqrt());
    const second = (t: Tensor) =>
      grad((u: Tensor) =>
        grad(f)(u)
          .mul(tensor([1, -2, 0.5]).to(u.device))
          .sum(),
      )(t);
    const want = second(x).dataSync();
    const got = await second(x.to(device())).data();
    want.forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 5);
    });
  });
}

/** A small net with ctcLoss, an optimizer and clipped gradients. */
export function trainingSuite(device: () => tapegrad.Backend): void {
  const classes = 5;
  const model = nn.sequential(nn.linear(6, 8), tapegrad.tanh, nn.layerNorm(8), nn.linear(8, classes));
  const optimizer = optim.adamw({ learningRate: 0.05 });
  const inputs = random(1).normal([12, 3, 6]);
  const loss = (params: ReturnType<typeof model.init>, x: Tensor) =>
    ctcLoss(model.apply(params, x), [[1, 2], [3], [4, 4, 1]], [12, 10, 12], [2, 1, 3], {
      from: 'logits',
      reduction: 'mean',
    });

  test("steps of the optimizer follow the CPU's", async () => {
    const losses = async (on: tapegrad.Backend, steps: number): Promise<number[]> => {
      let params = tapegrad.mapTensors((t) => t.to(on), model.init(random(2)));
      const x = inputs.to(on);
      let state = optimizer.init(params);
      const seen: number[] = [];
      for (let step = 0; step < steps; step++) {
        const [value, gradients] = valueAndGrad(loss)(params, x);
        ({ params, state } = optimizer.update(params, optim.clipByGlobalNorm(gradients, 1).gradients, state));
        seen.push(await value.item());
      }
      return seen;
    };
    const [here, there] = [await losses(await openDevice('cpu'), 15), await losses(device(), 15)];
    here.forEach((value, i) => {
      expect(there[i]! / value).toBeCloseTo(1, 4);
    });
    expect(there[14]!).toBeLessThan(there[0]! * 0.8);
  });
}

/** Every layer's value and gradients. */
export function layerSuite(device: () => tapegrad.Backend): void {
  interface AnyLayer {
    init(source: tapegrad.Random): unknown;
    apply(params: never, x: Tensor, options?: object): Tensor;
  }
  const layers: Readonly<Record<string, readonly [layer: AnyLayer, shape: readonly number[], options?: object]>> = {
    linear: [nn.linear(4, 3), [5, 4]],
    conv1d: [nn.conv1d(3, 4, 3, { padding: 1 }), [2, 7, 3]],
    conv2d: [nn.conv2d(2, 3, 3, { stride: 2, padding: 1 }), [2, 6, 5, 2]],
    layerNorm: [nn.layerNorm(6), [3, 6]],
    gru: [nn.gru(3, 4), [2, 6, 3]],
    'gru, both directions, masked by lengths': [nn.gru(3, 4, { bidirectional: true }), [2, 6, 3], { lengths: [6, 4] }],
    lstm: [nn.lstm(3, 4, { bidirectional: true }), [2, 5, 3], { lengths: [3, 5] }],
    dropout: [nn.sequential(nn.linear(4, 4), nn.dropout(0.5)), [6, 4], { random: random(3) }],
  };

  test.each(Object.entries(layers))("%s: value and gradients are the CPU's", async (_, [layer, shape, options]) => {
    const params = layer.init(random(1));
    const x = random(2).normal(shape);
    const own = (): object | undefined =>
      options && { ...options, ...('random' in options ? { random: random(4) } : {}) };
    const step = valueAndGrad((p: unknown, input: Tensor) =>
      layer
        .apply(p as never, input, own())
        .square()
        .mean(),
    );
    const [want, wantGradients] = step(params, x);
    const [got, gradients] = step(
      tapegrad.mapTensors((t) => t.to(device()), params),
      x.to(device()),
    );
    expect(await got.item()).toBeCloseTo(want.itemSync(), 5);
    const [all, right] = [tapegrad.tensorsOf(gradients), tapegrad.tensorsOf(wantGradients)];
    expect(all.length).toBe(right.length);
    for (const [i, t] of right.entries()) {
      const data = await all[i]!.data();
      t.dataSync().forEach((value, j) => {
        expect(Math.abs(data[j]! - value)).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(value)));
      });
    }
  });

  test("an embedding, and reading a net's output as labels", async () => {
    const layer = nn.embedding(7, 3);
    const table = layer.init(random(1));
    const ids = tensor(
      [
        [1, 6],
        [0, 1],
      ],
      { dtype: 'int32' },
    );
    const want = valueAndGrad((p: typeof table, at: Tensor) => layer.apply(p, at).square().sum())(table, ids);
    const got = valueAndGrad((p: typeof table, at: Tensor) => layer.apply(p, at).square().sum())(
      tapegrad.mapTensors((t) => t.to(device()), table),
      ids.to(device()),
    );
    expect(Array.from(await tapegrad.tensorsOf(got[1])[0]!.data())).toEqual(
      Array.from(tapegrad.tensorsOf(want[1])[0]!.dataSync()),
    );
    const scores = random(5).normal([9, 2, 4]);
    expect(await tapegrad.greedyDecode(scores.to(device()), [9, 7])).toEqual(
      await tapegrad.greedyDecode(scores, [9, 7]),
    );
  });
}
