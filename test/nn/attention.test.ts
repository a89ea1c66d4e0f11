import { causalMask, grad, nn, random, type Tensor, tensor, zeros } from 'tapegrad';
import { expectClose, gradCheckTree, inFloat64, wave } from './wave.js';

const plain = (x: Tensor): number[] => Array.from(x.dataSync());
const LENGTHS = [4, 1, 0];

/** x with NaN beyond the lengths. */
function spoiled(x: Tensor): Tensor {
  const [, frames, features] = x.shape as [number, number, number];
  const data = x.dataSync();
  LENGTHS.forEach((length, n) => data.fill(NaN, (n * frames + length) * features, (n + 1) * frames * features));
  return tensor(data, { shape: x.shape });
}

describe.each([
  ['plain', {}],
  ['causal and rotary', { causal: true, rotary: true }],
  ['without bias', { bias: false }],
])('multiHeadAttention: %s', (_, options) => {
  const layer = nn.multiHeadAttention(4, 2, options);
  const params = inFloat64(layer.init(random(1)));
  const x = wave([3, 4, 4], 0.2);
  const weights = wave([3, 4, 4], 0.9);

  test('a sequence in a batch is what it is alone, whatever the padding holds, and the padding has no gradient', () => {
    const y = layer.apply(params, spoiled(x), { lengths: LENGTHS });
    LENGTHS.forEach((length, n) => {
      if (length > 0)
        expectClose(
          y.slice([n, n + 1], [0, length]),
          plain(layer.apply(params, x.slice([n, n + 1], [0, length]))),
          1e-12,
        );
      if (length < 4) expect(plain(y.slice(n, [length, 4])).every((value) => value === 0)).toBe(true);
    });
    const gradients = grad(
      (p: nn.AttentionParams, t: Tensor) => layer.apply(p, t, { lengths: LENGTHS }).mul(weights).sum(),
      { argnums: [0, 1] },
    );
    const [dp, dx] = gradients(params, spoiled(x));
    const [cleanP, cleanX] = gradients(params, x);
    expect(plain(dx)).toEqual(plain(cleanX));
    expect(plain(dp.value.weight)).toEqual(plain(cleanP.value.weight));
    LENGTHS.forEach((length, n) => {
      if (length < 4) expect(plain(dx.slice(n, [length, 4])).every((value) => value === 0)).toBe(true);
    });
  });

  test('derivatives of first and second order', () => {
    expect(() => {
      gradCheckTree(
        (p: nn.AttentionParams, t) => layer.apply(p, t, { lengths: [3, 1] }).mul(wave([2, 3, 4], 0.9)),
        params,
        wave([2, 3, 4], 0.4),
        { order: 2, tolerance: 1e-5 },
      );
    }).not.toThrow();
  });
});

describe('multiHeadAttention', () => {
  const layer = nn.multiHeadAttention(4, 2);
  const params = layer.init(random(1));
  const x = wave([2, 3, 4], 0.2).cast('float32');

  test('causal is the causal mask', () => {
    const causal = nn.multiHeadAttention(4, 2, { causal: true });
    expect(plain(causal.apply(params, x))).toEqual(plain(layer.apply(params, x, { mask: causalMask(3) })));
    const changed = x.add(tensor([0, 0, 5]).reshape([3, 1]));
    expect(plain(causal.apply(params, changed).slice([], [0, 2]))).toEqual(
      plain(causal.apply(params, x).slice([], [0, 2])),
    );
    expect(plain(causal.apply(params, changed))).not.toEqual(plain(causal.apply(params, x)));
  });

  test('rotary positions make distances count, not places', () => {
    const rotary = nn.multiHeadAttention(4, 2, { rotary: true });
    const constant = zeros([1, 2, 4])
      .add(1)
      .concat([x.slice([0, 1], [0, 2])], 1);
    const turned = x.slice([0, 1], [0, 2]).concat([zeros([1, 2, 4]).add(1)], 1);
    expect(plain(rotary.apply(params, constant).slice(0, 3))).not.toEqual(
      plain(rotary.apply(params, turned).slice(0, 1)),
    );
    expectClose(layer.apply(params, constant).slice(0, 3), plain(layer.apply(params, turned).slice(0, 1)), 1e-6);
  });

  test('looks at a memory of other features and length, within its lengths', () => {
    const cross = nn.multiHeadAttention(4, 2, { memoryFeatures: 3 });
    const own = inFloat64(cross.init(random(2)));
    const memory = wave([2, 5, 3], 0.3);
    const query = wave([2, 3, 4], 0.2);
    const y = cross.apply(own, query, { memory, memoryLengths: [5, 2], lengths: [3, 2] });
    expectClose(
      y.slice([1, 2], [0, 2]),
      plain(cross.apply(own, query.slice([1, 2], [0, 2]), { memory: memory.slice([1, 2], [0, 2]) })),
      1e-12,
    );
    expect(plain(y.slice(1, 2))).toEqual([0, 0, 0, 0]);
    const bad = memory.concat([zeros([2, 1, 3], { dtype: 'float64' }).add(NaN)], 1);
    expectClose(
      cross.apply(own, query, { memory: bad, memoryLengths: [5, 5] }),
      plain(cross.apply(own, query, { memory })),
      1e-12,
    );
    const nothing = cross.apply(own, query, { memory: bad, memoryLengths: [5, 0] });
    for (const t of [0, 1, 2]) expectClose(nothing.slice(1, t), plain(own.output.bias!), 0);
  });

  test('drops weights in training', () => {
    const dropping = nn.multiHeadAttention(4, 2, { dropout: 0.5 });
    expect(plain(dropping.apply(params, x))).toEqual(plain(layer.apply(params, x)));
    expect(plain(dropping.apply(params, x, { random: random(1) }))).not.toEqual(plain(layer.apply(params, x)));
    expect(plain(dropping.apply(params, x, { random: random(1), training: false }))).toEqual(
      plain(layer.apply(params, x)),
    );
    expect(() => dropping.apply(params, x, { training: true })).toThrow(
      '[multiHeadAttention] in training it needs a source',
    );
  });

  test('is wired in groups with all that it is told', () => {
    const decoder = nn.group({ cross: nn.multiHeadAttention(4, 2, { memoryFeatures: 3 }) }, ({ cross }, t) =>
      cross(t, { memory: zeros([2, 5, 3]), memoryLengths: [5, 1] }),
    );
    expect(decoder.apply(decoder.init(random(1)), x).shape).toEqual([2, 3, 4]);
  });

  test('bad input', () => {
    const cross = nn.multiHeadAttention(4, 2, { memoryFeatures: 3 });
    const own = cross.init(random(1));
    const memory = zeros([2, 5, 3]);
    const { key: _key, ...incomplete } = params;
    const loose = layer.apply.bind(layer) as (...given: unknown[]) => unknown;
    const cases: [() => unknown, string][] = [
      [() => nn.multiHeadAttention(4, 3), '4 features do not fall into 3 heads of one size'],
      [() => nn.multiHeadAttention(6, 2, { rotary: true }), 'heads of 3 features; rotary positions turn pairs'],
      [() => nn.multiHeadAttention(4, 2, { dropout: 1 }), 'dropout is 1; it must be in [0, 1)'],
      [() => nn.multiHeadAttention(4, 2, { memoryFeatures: 0 }), 'memoryFeatures is 0'],
      [() => layer.apply(params, zeros([2, 3, 5])), 'x is [2, 3, 5]; it must be [N, T, 4]'],
      [() => layer.apply(params, zeros([3, 4])), 'x is [3, 4]; it must be [N, T, 4]'],
      [() => layer.apply(params, x, { lengths: [4, 1] }), 'sequence 0: length is 4; it must be in [0, 3]'],
      [() => layer.apply(params, x, { memoryLengths: [4, 1] }), 'there are memoryLengths, but no memory'],
      [() => layer.apply(params, x, { mask: zeros([3, 3]) }), 'the mask is float32; it must be bool'],
      [() => cross.apply(own, x), 'it looks at a memory of 3 features: { memory }'],
      [() => cross.apply(own, x, { memory: zeros([2, 5, 4]) }), 'the memory is [2, 5, 4]; it must be [N, T, 3]'],
      [() => cross.apply(own, x, { memory: zeros([1, 5, 3]) }), 'a memory of 1 sequences for 2 that look at it'],
      [() => cross.apply(own, x, { memory, memoryLengths: [6, 1] }), 'sequence 0: length is 6; it must be in [0, 5]'],
      [
        () => nn.multiHeadAttention(4, 2, { causal: true }).apply(params, x, { memory: x }),
        'causal is about the order of one sequence; a memory is another one',
      ],
      [() => loose(incomplete, x), 'the parameters have undefined as key; it must be { weight, bias }'],
    ];
    for (const [run, message] of cases) expect(run).toThrow(`[multiHeadAttention] ${message}`);
    expect(() => layer.apply(params, x, { mask: causalMask(2) })).toThrow(
      '[attention] the mask is [2, 2]; it must stretch to [2, 2, 3, 3]',
    );
  });
});
