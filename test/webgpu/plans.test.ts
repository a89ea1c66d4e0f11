/** Kernels that are cut into smaller ones on the 'webgpu' device: long sums of few rows, and sums at positions. */
import { grad, random, scatterAdd, take, tensor, type Tensor } from 'tapegrad';
import { suiteOnDevice } from './harness.js';

suiteOnDevice('long sums of few rows on webgpu', (device) => {
  test.each([
    [[5000, 8], 0],
    [[20_011], 0],
    [[3, 4001, 5], 1],
    [[2, 9000], 1],
    [[2100, 33], 0],
    [[1_000_003, 1], 0],
  ] as const)('%j over axis %d, right to the last digits', async (shape, axis) => {
    const x = random(1).normal(shape);
    const exact = x.cast('float64').sum(axis).dataSync();
    const size = x.cast('float64').abs().sum(axis).dataSync();
    const got = await x.to(device()).sum(axis).data();
    expect(got.length).toBe(exact.length);
    exact.forEach((value, i) => {
      // Half a unit of the result, and next to nothing of what cancels.
      expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(1.2e-7 * Math.abs(value) + 1e-12 * size[i]!);
    });
  });

  test('whole numbers wrap around, and what is no number stays in its row', async () => {
    const whole = random(2).integers([6000, 3], -(2 ** 31), 2 ** 31);
    expect(Array.from(await whole.to(device()).sum(0).data())).toEqual(Array.from(whole.sum(0).dataSync()));
    const data = new Float32Array(4000 * 4).fill(1);
    [data[400], data[1201], data[1605], data[2006]] = [NaN, Infinity, -Infinity, Infinity];
    const x = tensor(data, { shape: [4000, 4] });
    expect(Array.from(await x.to(device()).sum(0).data())).toEqual([NaN, NaN, Infinity, 4000]);
  });

  test('the gradient of a bias, twice to the same bits', async () => {
    const [x, b] = [random(3).normal([4, 1500, 12]).to(device()), random(4).normal([12])];
    const gradient = grad((bias: Tensor) => x.add(bias).tanh().square().sum());
    const [one, two] = await Promise.all([gradient(b.to(device())).data(), gradient(b.to(device())).data()]);
    expect(Array.from(one)).toEqual(Array.from(two));
    const there = await x.data();
    const exact = grad((bias: Tensor) =>
      tensor(there, { shape: [4, 1500, 12] })
        .cast('float64')
        .add(bias)
        .tanh()
        .square()
        .sum(),
    )(b.cast('float64')).dataSync();
    exact.forEach((value, i) => {
      expect(Math.abs(one[i]! - value)).toBeLessThan(1e-3);
    });
  });
});

suiteOnDevice('sums at positions on webgpu', (device) => {
  /** What is added one after the other in float32 to what is held. */
  function inOrder(
    held: ArrayLike<number>,
    places: ArrayLike<number>,
    values: ArrayLike<number>,
    [outer, axis, inner]: readonly [number, number, number],
  ): Float32Array {
    const out = Float32Array.from(held);
    const count = places.length / (outer * inner);
    for (let o = 0; o < outer; o++)
      for (let j = 0; j < count; j++)
        for (let i = 0; i < inner; i++) {
          const at = (o * count + j) * inner + i;
          const target = (o * axis + places[at]!) * inner + i;
          out[target] = Math.fround(out[target]! + values[at]!);
        }
    return out;
  }

  test.each([
    ['few for each target', 40, 60],
    ['next to all for one', 2, 300],
    ['at most one for each', 1000, 30],
    ['some long lists', 5, 200],
  ])('%s: the bits of adding one after the other', async (_name, axis, count) => {
    const rng = random(5);
    const [outer, inner] = [3, 4];
    const x = rng.normal([outer, axis, inner]);
    const updates = rng.normal([outer, count, inner]).mul(1e3);
    const places = rng.integers([outer, count, inner], 0, axis);
    const got = await scatterAdd(x.to(device()), places.to(device()), updates.to(device()), 1).data();
    const sums = inOrder(new Float32Array(x.size), places.dataSync(), updates.dataSync(), [outer, axis, inner]);
    expect(Array.from(got)).toEqual(Array.from(x.dataSync(), (value, i) => Math.fround(value + sums[i]!)));
  });

  test.each([
    [300, 7, 10],
    [50, 40, 3],
  ])('the gradient of %d rows taken from %d of %d', async (count, rows, width) => {
    const rng = random(6);
    const [table, ids, weights] = [
      rng.normal([rows, width]),
      rng.integers([count], 0, rows),
      rng.normal([count, width]),
    ];
    const got = await grad((t: Tensor) => take(t, ids).mul(weights.to(device())).sum())(table.to(device())).data();
    const repeated = Int32Array.from({ length: count * width }, (_, e) => ids.dataSync()[Math.floor(e / width)]!);
    const want = inOrder(new Float32Array(rows * width), repeated, weights.dataSync(), [1, rows, width]);
    expect(Array.from(got)).toEqual(Array.from(want));
  });

  test('whole numbers, and what is added to twice', async () => {
    const rng = random(7);
    const [ids, x] = [rng.integers([1, 100], 0, 9), rng.integers([1, 9], -5, 5)];
    const updates = rng.integers([1, 100], -(2 ** 31), 2 ** 31);
    const got = await scatterAdd(x.to(device()), ids.to(device()), updates.to(device()), 1).data();
    expect(Array.from(got)).toEqual(Array.from(scatterAdd(x, ids, updates, 1).dataSync()));
    // The second use adds to the gradient that the first has made.
    const [table, w] = [rng.normal([8, 5]), rng.normal([40, 5])];
    const [a, b] = [rng.integers([40], 0, 8), rng.integers([40], 0, 8)];
    const f = (weights: Tensor) => (t: Tensor) => take(t, a).mul(weights).add(take(t, b)).square().sum();
    const want = grad(f(w))(table).dataSync();
    const found = await grad(f(w.to(device())))(table.to(device())).data();
    want.forEach((value, i) => {
      expect(found[i]).toBeCloseTo(value, 3);
    });
  });
});
