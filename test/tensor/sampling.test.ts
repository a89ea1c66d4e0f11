/** What `Random` draws from tensors: distributions by chi-squared with fixed seeds, shapes, refusals. */
import { grad, random, ShapeError, tensor, type Tensor, ValueError, zeros } from 'tapegrad';
import { remoteDevice } from '../devices.js';

/** The 99.9 % points of chi-squared by degrees of freedom. */
const LIMITS: Readonly<Record<number, number>> = { 2: 13.8, 3: 16.3, 4: 18.5, 5: 20.5, 11: 31.3, 23: 49.7 };

/** Whether values follow probabilities, those of 0 exactly. */
function expectShares(values: ArrayLike<number>, probabilities: readonly number[]): void {
  const counts = probabilities.map(() => 0);
  for (const value of Array.from(values)) counts[value]!++;
  const possible = probabilities.filter((p) => p > 0).length;
  const squares = probabilities.reduce((sum, p, i) => {
    if (p === 0) expect([i, counts[i]]).toEqual([i, 0]);
    return p === 0 ? sum : sum + (counts[i]! - p * values.length) ** 2 / (p * values.length);
  }, 0);
  expect(squares).toBeLessThan(LIMITS[possible - 1]!);
}

const normalised = (weights: readonly number[]): number[] => {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
};

describe('categorical', () => {
  test('classes come as often as softmax says, -Infinity never', () => {
    const logits = [0, 1, -1, -Infinity, 2, 0.5];
    const drawn = random(1).categorical(tensor(logits), { shape: [20_000] });
    expect([drawn.dtype, drawn.shape]).toEqual(['int32', [20_000]]);
    expectShares(drawn.dataSync(), normalised(logits.map(Math.exp)));
  });

  test('each row from its own distribution, along any axis, in any scale', () => {
    const rows = [
      [1000, 1001, 999],
      [-1e4, -1e4, -1e4 + 2],
    ];
    const expected = rows.map((row) => normalised(row.map((x) => Math.exp(x - Math.max(...row)))));
    for (const [logits, axis] of [
      [tensor(rows), 1],
      [tensor(rows).transpose(), 0],
    ] as const) {
      const drawn = random(2).categorical(logits, { axis, shape: [8000, 2] });
      expected.forEach((shares, i) => {
        expectShares(drawn.slice([], i).dataSync(), shares);
      });
    }
    expect(random(1).categorical(zeros([2, 3, 4]), { axis: 1 }).shape).toEqual([2, 4]);
    expect(random(1).categorical(zeros([0, 3])).shape).toEqual([0]);
    expect(random(1).categorical(zeros([3])).shape).toEqual([]);
  });

  test('other element types; the same seed gives the same draws', () => {
    const logits = tensor([0, 3, 1, 2], { dtype: 'int32' });
    const draw = (t: Tensor): unknown =>
      random(5)
        .categorical(t, { shape: [50] })
        .arraySync();
    expect(draw(logits)).toEqual(draw(logits.cast('float32')));
    expect(draw(logits)).toEqual(draw(logits.cast('float16')));
    expect(draw(logits)).toEqual(draw(logits.cast('float64')));
  });

  test('on a device that cannot be read synchronously: the same draws, and only there', async () => {
    const device = await remoteDevice();
    const logits = random(4).normal([3, 7]);
    const there = random(5).categorical(logits.to(device));
    expect(there.device).toBe(device);
    expect(await there.data()).toEqual(random(5).categorical(logits).dataSync());
    const part = random(6).choice(logits.to(device), [2], { axis: 1, weights: [0, 1, 0, 2, 0, 0, 1] });
    expect(part.device).toBe(device);
    const here = random(6).choice(logits, [2], { axis: 1, weights: [0, 1, 0, 2, 0, 0, 1] });
    expect(await part.data()).toEqual(here.dataSync());
    const shuffled = random(7).shuffle(logits.to(device), 1);
    expect(await shuffled.data()).toEqual(random(7).shuffle(logits, 1).dataSync());
  });

  test('draws are constants to a transform', () => {
    const slope = grad((x: Tensor) => x.mul(random(1).categorical(x).cast('float32')).sum())(tensor([0, 9, 0]));
    expect(slope.arraySync()).toEqual([1, 1, 1]);
  });

  test('refusals', () => {
    const rng = random(1);
    expect(() => rng.categorical(zeros([2, 0]))).toThrow('[categorical] logits are [2, 0]: there are no classes');
    expect(() => rng.categorical(zeros([2, 3]), { shape: [2, 4] })).toThrow(
      '[categorical] shape [2, 4] for logits [2, 3]; it must end in [2]',
    );
    for (const [bad, most] of [
      [[-Infinity, -Infinity], -Infinity],
      [[NaN, 1], NaN],
      [[Infinity, 1], Infinity],
    ] as const)
      expect(() => rng.categorical(tensor([[0, 0], bad]))).toThrow(
        `[categorical] row 1 of the logits has ${most} as its largest; it must be a finite number`,
      );
    expect(() => rng.categorical(zeros([2]), { axis: 1 })).toThrow(ShapeError);
    expect(() => rng.categorical(zeros([2]), { num: 1 } as never)).toThrow("there is no option 'num'");
  });
});

describe('choice', () => {
  test('numbers below n, equally often', () => {
    const drawn = random(3).choice(6, [30_000]);
    expect([drawn.dtype, drawn.shape]).toEqual(['int32', [30_000]]);
    expectShares(drawn.dataSync(), normalised([1, 1, 1, 1, 1, 1]));
    expect(random(3).choice(6, [2, 3]).shape).toEqual([2, 3]);
    expect(random(3).choice(6).shape).toEqual([]);
    expect(random(3).choice(0, [0]).shape).toEqual([0]);
  });

  test('by weights, whatever their scale; what weighs 0 never', () => {
    for (const scale of [1, 1e300, 1e-300]) {
      const weights = [0, 1, 3, 0, 6, 0].map((weight) => weight * scale);
      expectShares(random(4).choice(6, [10_000], { weights }).dataSync(), normalised([0, 1, 3, 0, 6, 0]));
    }
    expectShares(
      random(5)
        .choice(3, [5000], { weights: tensor([2, 1, 1], { dtype: 'int32' }) })
        .dataSync(),
      [0.5, 0.25, 0.25],
    );
  });

  test('without replacement: every arrangement equally often', () => {
    const rng = random(6);
    const arrangements = new Map<string, number>();
    const draws = Array.from({ length: 6000 }, () => {
      const key = rng.choice(4, [2], { replace: false }).dataSync().join();
      if (!arrangements.has(key)) arrangements.set(key, arrangements.size);
      return arrangements.get(key)!;
    });
    expect([...random(6).choice(1000, [1000], { replace: false }).dataSync()].sort((a, b) => a - b)).toEqual([
      ...Array(1000).keys(),
    ]);
    expect(
      new Set(
        random(6)
          .choice(2 ** 31 - 1, [1000], { replace: false })
          .dataSync(),
      ).size,
    ).toBe(1000);
    expect(arrangements.size).toBe(12);
    expectShares(draws, new Array<number>(12).fill(1 / 12));
  });

  test('without replacement by weights: one after another among those that are left', () => {
    const weights = [1, 2, 0, 3];
    const rng = random(7);
    const pairs = [0, 1, 3].flatMap((i) => [0, 1, 3].filter((j) => j !== i).map((j) => [i, j] as const));
    const shares = pairs.map(([i, j]) => (weights[i]! / 6) * (weights[j]! / (6 - weights[i]!)));
    const names = pairs.map((pair) => pair.join());
    const draws = Array.from({ length: 6000 }, () =>
      names.indexOf(rng.choice(4, [2], { replace: false, weights }).dataSync().join()),
    );
    expectShares(draws, shares);
  });

  test('parts of a tensor, along an axis, with gradients', () => {
    const x = tensor([
      [0, 1, 2],
      [10, 11, 12],
    ]);
    const columns = random(8).choice(x, [5], { axis: 1 });
    const at = random(8).choice(3, [5]);
    expect(columns.arraySync()).toEqual(x.take(at, 1).arraySync());
    expect(random(8).choice(x, [4, 2]).shape).toEqual([4, 2, 3]);
    expect(random(8).choice(x).shape).toEqual([3]);
    const counts = [0, 1, 2].map((i) => at.dataSync().filter((value) => value === i).length);
    expect(grad((t: Tensor) => random(8).choice(t, [5]).sum())(tensor([1, 2, 3])).arraySync()).toEqual(counts);
    expect(random(8).choice(tensor([true, false]), [2]).dtype).toBe('bool');
  });

  test('refusals', () => {
    const rng = random(1);
    expect(() => rng.choice(3, [4], { replace: false })).toThrow(
      '[choice] 4 of 3 elements without replacement: there are too few',
    );
    expect(() => rng.choice(3, [2], { replace: false, weights: [1, 0, 0] })).toThrow(
      '[choice] 2 of 1 elements with a weight without replacement: there are too few',
    );
    expect(() => rng.choice(0, [1])).toThrow('[choice] 1 of 0 elements: there are too few');
    expect(() => rng.choice(2, [1], { weights: [0, 0] })).toThrow('[choice] 1 of 0 elements with a weight');
    expect(() => rng.choice(2, [1], { weights: [1, -1] })).toThrow(
      '[choice] weight 1 is -1; it must be a finite number, not negative',
    );
    expect(() => rng.choice(2, [1], { weights: [1, Infinity] })).toThrow('[choice] weight 1 is Infinity');
    expect(() => rng.choice(2, [1], { weights: [1, NaN] })).toThrow('[choice] weight 1 is NaN');
    expect(() => rng.choice(2, [1], { weights: [1] })).toThrow(
      '[choice] weights are [1] for 2 elements; they must be [2]',
    );
    expect(() => rng.choice(2.5)).toThrow(ValueError);
    expect(() => rng.choice(-1)).toThrow(ValueError);
    expect(() => rng.choice(zeros([2]), [1], { axis: 1 })).toThrow(ShapeError);
    expect(() => rng.choice(2, [1], { replace: 1 as never })).toThrow(
      '[choice] replace is 1; it must be true or false',
    );
  });
});

describe('shuffle', () => {
  test('every order equally often', () => {
    const rng = random(9);
    const orders = new Map<string, number>();
    const draws = Array.from({ length: 6000 }, () => {
      const key = rng
        .shuffle(tensor([0, 1, 2, 3]))
        .dataSync()
        .join();
      if (!orders.has(key)) orders.set(key, orders.size);
      return orders.get(key)!;
    });
    expectShares(draws, new Array<number>(24).fill(1 / 24));
  });

  test('rows stay whole, along any axis, with gradients; lists become new lists', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const columns = random(1).shuffle(x, 1).transpose().arraySync<number[][]>();
    expect(columns.sort((a, b) => a[0]! - b[0]!)).toEqual(x.transpose().arraySync());
    const slope = grad((t: Tensor) => random(2).shuffle(t).mul([1, 2, 3, 4]).sum())(tensor([0, 0, 0, 0]));
    expect([...slope.dataSync()].sort()).toEqual([1, 2, 3, 4]);
    const list = ['a', 'b', 'c', 'd'];
    const shuffled: string[] = random(3).shuffle(list);
    expect(list).toEqual(['a', 'b', 'c', 'd']);
    expect([...shuffled].sort()).toEqual(list);
    expect(random(3).shuffle([])).toEqual([]);
    expect(() => random(3).shuffle(x, 2)).toThrow('[shuffle] axis 2 is outside [-2, 2)');
    expect(() => random(3).shuffle(list as never, 1)).toThrow(ShapeError);
  });
});
