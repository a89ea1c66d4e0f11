import { nn, type Random, random, relu, type Tensor, tensor, valueAndGrad } from 'tapegrad';
import { expectClose, gradCheckTree, inFloat64, wave } from './wave.js';

/* The constants were computed with torch 1.13 in float64, on the same waves. */

const CONV1D = [
  0.693653211, 0.857374018, 1.98038712, 2.10259635, 2.6025771, 2.7882873, 0.0716623606, 0.250657062, -1.18082304,
  -1.03136578, 0.139159692, 0.278685425,
];
const CONV2D = [
  0.441666024, 0.692665942, 1.38580158, 1.49424448, 0.643106693, 0.384694233, 1.46317604, 1.17217682, -0.133717555,
  1.09335821, -0.627565611, 2.10527193, 2.61715921, 0.0379572139, -0.109725976, 1.19320107, 2.28669732, -1.02125829,
  1.2150987, 0.509578316, 0.80251956, 1.73481254, 0.734365655, 0.0493466926, 0.771520693, 1.3862865, 0.33556834,
];
const LAYER_NORM = [
  0.0493997706, 1.16216975, 1.63634873, 0.275502261, 1.59513416, 1.14047236, -0.101966268, -0.427589835,
];

const plain = (x: Tensor): number[] => Array.from(x.dataSync());

describe('layers against numbers from elsewhere', () => {
  test('linear, by hand', () => {
    const layer = nn.linear(2, 3);
    const params = {
      weight: tensor([
        [1, 2],
        [3, 4],
        [5, 6],
      ]),
      bias: tensor([0.5, 0, -1]),
    };
    expect(
      plain(
        layer.apply(
          params,
          tensor([
            [1, -1],
            [0, 2],
          ]),
        ),
      ),
    ).toEqual([-0.5, -1, -2, 4.5, 8, 11]);
    expect(plain(layer.apply({ ...params, bias: null }, tensor([1, 1])))).toEqual([3, 7, 11]);
    expect(layer.apply(params, tensor(new Float32Array(0), { shape: [0, 2] })).shape).toEqual([0, 3]);
  });

  test('conv1d with stride, padding and dilation', () => {
    const layer = nn.conv1d(3, 2, 3, { stride: 2, padding: 1, dilation: 2 });
    const y = layer.apply({ weight: wave([2, 3, 3], 0.5), bias: wave([2], 1) }, wave([2, 7, 3], 0.1));
    expect(y.shape).toEqual([2, 3, 2]);
    expectClose(y, CONV1D);
  });

  test('conv2d with unequal kernel, stride and padding', () => {
    const layer = nn.conv2d(2, 3, [3, 2], { stride: [2, 1], padding: [1, 0] });
    const y = layer.apply({ weight: wave([3, 3, 2, 2], 0.5), bias: wave([3], 1) }, wave([1, 5, 4, 2], 0.1));
    expect(y.shape).toEqual([1, 3, 3, 3]);
    expectClose(y, CONV2D);
  });

  test("'same' padding keeps the size, also when dilated", () => {
    const source = random(1);
    const d1 = nn.conv1d(2, 4, 5, { padding: 'same', dilation: 3 });
    expect(d1.apply(d1.init(source), random(2).normal([2, 9, 2])).shape).toEqual([2, 9, 4]);
    const d2 = nn.conv2d(2, 4, [3, 5], { padding: 'same', bias: false });
    const params = d2.init(source);
    expect(params.bias).toBeNull();
    expect(d2.apply(params, random(2).normal([2, 6, 7, 2])).shape).toEqual([2, 6, 7, 4]);
  });

  test('layerNorm', () => {
    const x = wave([2, 4], 0.1).mul(3).add(1);
    expectClose(nn.layerNorm(4).apply({ weight: wave([4], 0.5), bias: wave([4], 1) }, x), LAYER_NORM);
  });

  test('embedding', () => {
    const layer = nn.embedding(5, 3);
    const y = layer.apply(
      { table: wave([5, 3], 0.2) },
      tensor(
        [
          [4, 0],
          [1, 1],
        ],
        { dtype: 'int32' },
      ),
    );
    expect(y.shape).toEqual([2, 2, 3]);
    expectClose(
      y,
      [12, 13, 14, 0, 1, 2, 3, 4, 5, 3, 4, 5].map((i) => Math.sin(0.7 * i + 0.2)),
    );
  });
});

describe('gradients', () => {
  const cases: [string, () => void][] = [];
  const add = <P>(name: string, layer: nn.Layer<P>, x: Tensor): void => {
    cases.push([
      name,
      () => {
        gradCheckTree((params: P, input) => layer.apply(params, input), inFloat64(layer.init(random(3))), x);
      },
    ]);
  };
  add('linear', nn.linear(3, 2), wave([4, 3], 0.3));
  add('conv1d', nn.conv1d(2, 3, 3, { stride: 2, padding: 1 }), wave([2, 5, 2], 0.3));
  add('conv2d', nn.conv2d(2, 2, 3, { padding: 'same' }), wave([1, 4, 3, 2], 0.3));
  add('layerNorm', nn.layerNorm(5), wave([3, 5], 0.3));
  add(
    'sequential',
    nn.sequential(nn.linear(3, 4), nn.layerNorm(4), (x) => x.tanh(), nn.linear(4, 2)),
    wave([2, 3], 0.3),
  );

  test.each(cases)('%s agrees with finite differences', (_, check) => {
    expect(check).not.toThrow();
  });

  test('embedding: rows that are looked up several times add up', () => {
    const layer = nn.embedding(4, 2);
    const ids = tensor([1, 3, 1], { dtype: 'int32' });
    const [, gradient] = valueAndGrad((params: nn.EmbeddingParams) =>
      layer
        .apply(params, ids)
        .mul(
          tensor([
            [1, 2],
            [3, 4],
            [5, 6],
          ]),
        )
        .sum(),
    )(layer.init(random(1)));
    expect(plain(gradient.table)).toEqual([0, 0, 6, 8, 0, 0, 3, 4]);
  });
});

describe('parameters', () => {
  const model = nn.sequential(nn.conv1d(4, 8, 3), relu, nn.layerNorm(8), nn.dropout(0.5), nn.linear(8, 2));

  test('come from the seed alone, in a tree that the gradients share', () => {
    const params = model.init(random(5));
    expect(params[1]).toBeNull();
    expect(params[3]).toBeNull();
    expect(plain(params[0].weight)).toEqual(plain(model.init(random(5))[0].weight));
    expect(plain(params[0].weight)).not.toEqual(plain(model.init(random(6))[0].weight));
    const [, gradients] = valueAndGrad((p: typeof params) =>
      model
        .apply(p, random(1).normal([2, 6, 4]))
        .square()
        .mean(),
    )(params);
    expect(gradients[0].weight.shape).toEqual([8, 3, 4]);
    expect(gradients[3]).toBeNull();
    expect(Object.keys(gradients[4])).toEqual(['weight', 'bias']);
  });

  test('start uniform within 1 / sqrt(fan in)', () => {
    const values = plain(nn.conv2d(3, 200, 3).init(random(1)).weight);
    const bound = Math.fround(1 / Math.sqrt(27));
    expect(Math.max(...values)).toBeLessThanOrEqual(bound);
    expect(Math.max(...values)).toBeGreaterThan(0.99 * bound);
    expect(Math.min(...values)).toBeLessThan(-0.99 * bound);
    expect(values.reduce((a, b) => a + b) / values.length).toBeCloseTo(0, 2);
    expect(values.reduce((a, b) => a + b * b) / values.length).toBeCloseTo(bound ** 2 / 3, 3);
  });

  test('dropout acts only with a random source, and keeps the mean', () => {
    const layer = nn.dropout(0.25);
    const x = tensor(new Float32Array(20000).fill(1));
    const apply = (source?: Random): Tensor => layer.apply(null, x, source && { random: source });
    expect(apply()).toBe(x);
    const y = plain(apply(random(4)));
    expect(new Set(y)).toEqual(new Set([0, Math.fround(4 / 3)]));
    expect(y.reduce((a, b) => a + b) / y.length).toBeCloseTo(1, 1);
    expect(plain(apply(random(4)))).toEqual(y);
  });
});

describe('bad input is refused by name', () => {
  test.each([
    ['[linear] inFeatures is 0', () => nn.linear(0, 2)],
    ['[conv1d] kernel is 1.5', () => nn.conv1d(1, 2, 1.5)],
    ['[conv1d] groups is 2; it must divide', () => nn.conv1d(3, 2, 4, { groups: 2 })],
    [
      "[conv1d] padding 'same' keeps the size, which stride 2",
      () => nn.conv1d(1, 2, 3, { padding: 'same', stride: 2 }),
    ],
    [
      "[conv2d] padding 'same' keeps the size, which stride 3",
      () => nn.conv2d(1, 2, 3, { padding: 'same', stride: [1, 3] }),
    ],
    ['[convTranspose1d] outputPadding is 2', () => nn.convTranspose1d(1, 2, 3, { stride: 2, outputPadding: 2 })],
    ['[adaptiveAvgPool1d] size is 0', () => nn.adaptiveAvgPool1d(0)],
    ["[maxPool1d] padding 'same' keeps the size, which stride 3", () => nn.maxPool1d(3, { padding: 'same' })],
    ['[dropout] rate is 1', () => nn.dropout(1)],
    ['[embedding] count is -1', () => nn.embedding(-1, 2)],
    [
      '[linear] x is [2, 3]; it must be [..., 4]',
      () => nn.linear(4, 2).apply(nn.linear(4, 2).init(random(1)), random(1).normal([2, 3])),
    ],
    [
      '[conv2d] x is [2, 3, 4]; it must be [N, H, W, 4]',
      () => nn.conv2d(4, 2, 1).apply(nn.conv2d(4, 2, 1).init(random(1)), random(1).normal([2, 3, 4])),
    ],
    [
      '[layerNorm] x is [2, 3]; it must be [..., 4]',
      () => nn.layerNorm(4).apply(nn.layerNorm(4).init(random(1)), random(1).normal([2, 3])),
    ],
  ])('%s', (message, run: () => unknown) => {
    expect(run).toThrow(message);
  });
});
