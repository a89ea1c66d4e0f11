/** Convolutions and pools as layers: groups, padding, transposed ones, and what lengths become of. */
import { grad, memory, nn, random, relu, resetPeakMemory, type Tensor, tensor, valueAndGrad, vjp } from 'tapegrad';
import { gradCheckTree, inFloat64, wave } from './wave.js';

const plain = (x: Tensor): number[] => Array.from(x.dataSync());

/** Layers over [N, T, 4] or [N, T, 3, 4]. */
const flat: readonly (readonly [string, nn.Layer<unknown> & nn.Lengths])[] = [
  ['conv1d, depthwise', nn.conv1d(4, 4, 3, { groups: 4, padding: 'same' })],
  ['conv1d, groups and a stride', nn.conv1d(4, 6, 3, { groups: 2, stride: 2, padding: 1 })],
  ["conv1d, an even window and 'same'", nn.conv1d(4, 2, 4, { padding: 'same' })],
  ['conv1d, causal', nn.conv1d(4, 2, 3, { padding: 'causal', dilation: 2 })],
  ['conv1d, causal with a stride', nn.conv1d(4, 4, 4, { padding: 'causal', stride: 3, groups: 4 })],
  ['convTranspose1d', nn.convTranspose1d(4, 3, 4, { stride: 2, padding: 1 })],
  ['convTranspose1d, longer', nn.convTranspose1d(4, 4, 3, { stride: 3, outputPadding: 2, groups: 4 })],
  ['maxPool1d', nn.maxPool1d(3, { stride: 2, padding: 1 })],
  ['maxPool1d, side by side', nn.maxPool1d(2)],
  ['avgPool1d', nn.avgPool1d(3, { stride: 2, padding: 1 })],
  ['adaptiveAvgPool1d', nn.adaptiveAvgPool1d(3)],
  ['sequential', nn.sequential(nn.conv1d(4, 4, 3, { padding: 1 }), relu, nn.maxPool1d(2), nn.conv1d(4, 3, 2))],
];
const upright: typeof flat = [
  ['conv2d, groups', nn.conv2d(4, 6, [3, 2], { groups: 2, stride: [2, 1], padding: [1, 0] })],
  ['convTranspose2d', nn.convTranspose2d(4, 3, [4, 2], { stride: [2, 1], padding: [1, 0] })],
  ['maxPool2d', nn.maxPool2d([3, 2], { stride: [2, 1], padding: [1, 0] })],
  ['avgPool2d', nn.avgPool2d([2, 3])],
  ['adaptiveAvgPool2d', nn.adaptiveAvgPool2d([2, 3])],
];
const layers = [
  ...flat.map(([name, layer]) => [name, layer, [4]] as const),
  ...upright.map(([name, layer]) => [name, layer, [3, 4]] as const),
];

describe.each(layers)('%s', (_name, layer, rest) => {
  const params = layer.init(random(1));

  test('says how many frames it makes', () => {
    expect(layer.outputLength(0)).toBe(0);
    for (let frames = 1; frames < 20; frames++) {
      const want = layer.outputLength(frames);
      if (want === 0) expect(() => layer.apply(params, random(2).normal([1, frames, ...rest]))).toThrow();
      else expect(layer.apply(params, random(2).normal([1, frames, ...rest])).shape[1]).toBe(want);
    }
  });

  test('makes of a sequence in a batch what it makes of it alone, whatever lies beyond', () => {
    const lengths = [13, 6, 9, 0];
    const x = random(3).normal([4, 13, ...rest]);
    const shown = lengths.map((length) => Array.from({ length: 13 }, (_, t) => t < length));
    const within = tensor(shown).reshape([4, 13, ...rest.map(() => 1)]);
    const padded = x.where(within, NaN);
    const out = layer.apply(params, padded, { lengths });
    lengths.forEach((length, n) => {
      const frames = layer.outputLength(length);
      if (frames === 0) return;
      const alone = layer.apply(params, x.slice([n, n + 1], [0, length]));
      expect(alone.shape[1]).toBe(frames);
      const here = out.slice([n, n + 1], [0, frames]);
      plain(alone).forEach((value, i) => {
        expect(plain(here)[i]).toBeCloseTo(value, 5);
      });
    });
    const gradient = grad((t: Tensor) => {
      const y = layer.apply(params, t, { lengths });
      const frames = lengths.map((length) =>
        Array.from({ length: y.shape[1]! }, (_, t_) => t_ < layer.outputLength(length)),
      );
      return y
        .square()
        .where(tensor(frames).reshape([4, y.shape[1]!, ...rest.map(() => 1)]), 0)
        .sum();
    })(padded);
    // None comes from beyond the lengths, and none goes there.
    expect(plain(gradient.where(within, 0))).toEqual(plain(gradient));
    expect(plain(gradient).every(Number.isFinite)).toBe(true);
  });
});

test.each(layers.filter(([name]) => name.startsWith('conv')))('gradients of %s', (_name, layer, rest) => {
  const x = wave([2, 7, ...rest], 0.3);
  expect(() => {
    gradCheckTree((p: unknown, input) => layer.apply(p, input), inFloat64(layer.init(random(3))), x);
  }).not.toThrow();
});

test('a causal convolution sees nothing that is to come', () => {
  const layer = nn.conv1d(2, 3, 5, { padding: 'causal', dilation: 2 });
  const params = layer.init(random(1));
  const x = random(2).normal([1, 12, 2]);
  const changed = x.where(tensor([Array.from({ length: 12 }, (_, t) => [t < 7])]), 100);
  const [a, b] = [layer.apply(params, x), layer.apply(params, changed)];
  expect(plain(b.slice([], [0, 7]))).toEqual(plain(a.slice([], [0, 7])));
  expect(plain(b.slice([], [7, 12]))).not.toEqual(plain(a.slice([], [7, 12])));
});

test('a transposed convolution is the adjoint of the convolution with its windows', () => {
  const source = random(4);
  for (const groups of [1, 2, 4]) {
    const convolution = nn.conv1d(4, 4, 3, { stride: 2, padding: 1, groups, bias: false });
    const transposed = nn.convTranspose1d(4, 4, 3, { stride: 2, padding: 1, outputPadding: 1, groups, bias: false });
    // [O, K, C / groups] with O and C exchanged, group by group.
    const { weight } = convolution.init(source);
    const own = 4 / groups;
    const turned = weight.reshape([groups, own, 3, own]).permute([0, 3, 2, 1]).reshape([4, 3, own]);
    const y = source.normal([2, 4, 4]);
    const [, adjoint] = vjp((x: Tensor) => convolution.apply({ weight, bias: null }, x), source.normal([2, 8, 4]), y);
    const got = plain(transposed.apply({ weight: turned, bias: null }, y));
    plain(adjoint).forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 5);
    });
  }
});

test('global pools look at the frames within the lengths', () => {
  const x = tensor([
    [[1], [2], [6]],
    [[4], [-2], [9]],
  ]);
  const [average, largest] = [nn.globalAvgPool(), nn.globalMaxPool()];
  const none = average.init(random(1));
  expect(plain(average.apply(none, x))).toEqual([3, Math.fround(11 / 3)]);
  expect(plain(average.apply(none, x, { lengths: [3, 2] }))).toEqual([3, 1]);
  expect(plain(largest.apply(none, x))).toEqual([6, 9]);
  expect(plain(largest.apply(none, x, { lengths: [3, 2] }))).toEqual([6, 4]);
  const model = nn.sequential(nn.conv1d(1, 4, 3, { padding: 1 }), nn.maxPool1d(2), nn.globalAvgPool(), nn.linear(4, 2));
  const params = model.init(random(1));
  const alone = model.apply(params, x.slice([1, 2], [0, 2]));
  plain(model.apply(params, x, { lengths: [3, 2] }).slice([1, 2])).forEach((value, i) => {
    expect(value).toBeCloseTo(plain(alone)[i]!, 6);
  });
});

test('groups start with the fan-in of a group', () => {
  const values = plain(nn.conv1d(64, 64, 9, { groups: 64 }).init(random(1)).weight);
  expect(values).toHaveLength(64 * 9);
  const bound = Math.fround(1 / 3);
  expect(Math.max(...values)).toBeLessThanOrEqual(bound);
  expect(Math.max(...values)).toBeGreaterThan(0.95 * bound);
});

test('a depthwise convolution needs no copies of patches', () => {
  const layer = nn.conv1d(64, 64, 31, { groups: 64, padding: 'same' });
  const params = layer.init(random(1));
  const x = random(2).normal([4, 400, 64]);
  const before = memory().usedBytes;
  resetPeakMemory();
  valueAndGrad((p: typeof params, t: Tensor) => layer.apply(p, t).sum(), { argnums: [0, 1] })(params, x);
  expect(memory().peakBytes - before).toBeLessThan(12 * x.size * 4); // patches alone would be 31
});
