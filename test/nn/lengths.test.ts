import { grad, nn, random, type Random, relu, type Tensor, tensor } from 'tapegrad';

const FRAMES = 12;
const WIDTH = 4;

/** A layer of some kind that keeps the features. */
function someLayer(rng: Random, depth = 0): nn.AnyStage {
  const flip = (): boolean => rng.integer(0, 2) === 1;
  const window = { stride: rng.integer(1, 3), padding: rng.integer(0, 3), dilation: rng.integer(1, 3) };
  const kinds: (() => nn.AnyStage)[] = [
    () => nn.linear(WIDTH, WIDTH),
    () => nn.conv1d(WIDTH, WIDTH, 3, { padding: flip() ? 'same' : 'causal', groups: flip() ? WIDTH : 1 }),
    () => nn.batchNorm(WIDTH),
    () => nn.groupNorm(2, WIDTH),
    () => nn.layerNorm(WIDTH),
    () => nn.rmsNorm(WIDTH),
    () => nn.multiHeadAttention(WIDTH, 2, { causal: flip(), rotary: flip() }),
    () => nn.gru(WIDTH, WIDTH / 2, { bidirectional: true, layers: rng.integer(1, 3) }),
    () => nn.lstm(WIDTH, WIDTH),
    () => relu,
  ];
  const outer: (() => nn.AnyStage)[] = [
    () => nn.conv1d(WIDTH, WIDTH, rng.integer(1, 5), window),
    () => nn.maxPool1d(2, { stride: window.stride }),
    () => nn.avgPool1d(2, { stride: window.stride }),
    () => nn.residual(nn.sequential(someLayer(rng, 1), someLayer(rng, 1))),
    () => nn.group({ a: someLayer(rng, 1), b: someLayer(rng, 1) }),
  ];
  const all = depth === 0 ? [...kinds, ...outer] : kinds;
  return all[rng.integer(0, all.length)]!();
}

test('random stacks: a sequence in a batch is what it is alone, and its padding, NaN, reaches neither values nor gradients', () => {
  let compared = 0;
  for (let seed = 0; seed < 60; seed++) {
    const rng = random(seed);
    const model = nn.sequential(
      nn.batchNorm(WIDTH),
      ...Array.from({ length: rng.integer(1, 5) }, () => someLayer(rng)),
    );
    const params = model.init(rng);
    const state = model.initState();
    const lengths = [FRAMES, rng.integer(1, FRAMES + 1), rng.integer(0, FRAMES + 1)];
    const out = model.outputLengths(lengths);
    if (out[0]! < 1) continue; // not even the longest is long enough
    const x = rng.normal([3, FRAMES, WIDTH]);
    const data = x.dataSync();
    lengths.forEach((length, n) => data.fill(NaN, (n * FRAMES + length) * WIDTH, (n + 1) * FRAMES * WIDTH));
    const spoiled = tensor(data, { shape: x.shape });

    const together = model.apply(params, spoiled, { state, lengths });
    expect([seed, together.shape[1]]).toEqual([seed, out[0]]);
    lengths.forEach((length, n) => {
      if (out[n] === 0) return;
      const alone = model.apply(params, x.slice([n, n + 1], [0, length]), { state });
      expect([seed, n, alone.shape[1]]).toEqual([seed, n, out[n]]);
      const off = together
        .slice([n, n + 1], [0, out[n]!])
        .sub(alone)
        .abs()
        .max()
        .itemSync();
      expect(off).toBeLessThan(1e-4 * (1 + alone.abs().max().itemSync()));
      compared++;
    });
    for (const training of [true, false]) {
      const loss = (t: Tensor): Tensor => {
        const given = model.apply(params, t, { state, lengths, training });
        const y = Array.isArray(given) ? given[0] : given;
        return y
          .slice([0, 1], [0, out[0]!])
          .square()
          .sum()
          .add(
            y
              .slice([1, 3])
              .slice([], [0, Math.min(out[1]!, out[2]!)])
              .sum(),
          );
      };
      const values = grad(loss)(spoiled).dataSync();
      lengths.forEach((length, n) => {
        const [from, to] = [(n * FRAMES + length) * WIDTH, (n + 1) * FRAMES * WIDTH];
        expect(values.subarray(from, to).every((value) => value === 0)).toBe(true);
      });
      expect([seed, training, values.every(Number.isFinite)]).toEqual([seed, training, true]);
    }
  }
  expect(compared).toBeGreaterThan(60);
});

test('what a wired part is given beside the input of the group is masked as well', () => {
  const memory = tensor([[[1], [NaN]]]);
  const model = nn.group({ read: nn.sequential(nn.linear(1, 1), nn.gru(1, 1)) }, ({ read }, x) =>
    x.add(read(memory, { lengths: [1] }).sum()),
  );
  const params = model.init(random(1));
  const run = (p: nn.ParamsOf<typeof model>): Tensor => model.apply(p, tensor([[[1], [2]]]), { lengths: [2] }).sum();
  expect(run(params).itemSync()).not.toBeNaN();
  expect(Number.isFinite(grad(run)(params).read[0].weight.itemSync())).toBe(true);
});

test('ids beyond the lengths are not looked up', () => {
  const model = nn.sequential(nn.embedding(3, 2), nn.gru(2, 2));
  const params = model.init(random(1));
  const ids = tensor(
    [
      [0, 2, 1],
      [1, -1, -1],
    ],
    { dtype: 'int32' },
  );
  const y = model.apply(params, ids, { lengths: [3, 1] });
  expect(y.slice([1, 2], [0, 1]).arraySync()).toEqual(model.apply(params, ids.slice([1, 2], [0, 1])).arraySync());
});

test('a layer that keeps the frames says so', () => {
  const layers = [
    nn.linear(2, 3),
    nn.embedding(4, 2),
    nn.layerNorm(3),
    nn.rmsNorm(3),
    nn.groupNorm(1, 3),
    nn.dropout(0.5),
  ];
  for (const layer of [...layers, nn.batchNorm(3), nn.gru(2, 3), nn.lstm(2, 3), nn.multiHeadAttention(4, 2)]) {
    expect(layer.outputLength(5)).toBe(5);
    expect([...layer.outputLengths([3, 0])]).toEqual([3, 0]);
    expect(() => layer.outputLength(-1)).toThrow('length is -1');
  }
});
