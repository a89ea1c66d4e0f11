import { setThreads } from 'tapegrad';
import { warmThreads } from '../../src/backends/cpu/pool.js';
import { VIEWS, DTYPES, rng, spreadOut, make, lines, exactProduct, eps, expectSum, eachResult } from './along-axis.js';

/* Reductions and running sums of float32, float64 and int32 against plain loops over numbers; sums against exact ones. */

describe.each(DTYPES)('%s', (dtype) => {
  test('sum', () => {
    eachResult(
      dtype,
      (x) => x.sum(1),
      (got, elements) => {
        expectSum(got, elements, dtype);
      },
    );
  });

  test('prod, far out of the range on the way', () => {
    for (const view of VIEWS) {
      const [outer, axis, inner] = view;
      const uniform = rng.uniform([2 * outer * axis * inner], { dtype: 'float64' }).dataSync();
      const half = Math.floor(axis / 2);
      const far = dtype === 'float64' ? 1000 : 110;
      const values = Array.from({ length: outer * axis * inner }, (_, i) => {
        if (dtype === 'int32') return Math.floor((uniform[2 * i]! - 0.5) * 2 ** 31) | 1;
        const j = Math.floor(i / inner) % axis;
        const value = (0.7 + 0.7 * uniform[2 * i]!) * 2 ** (j < half ? far : j < 2 * half ? -far : 0);
        return (uniform[2 * i + 1]! < 0.5 ? -1 : 1) * (dtype === 'float32' ? Math.fround(value) : value);
      });
      const data = make(dtype, view, values).prod(-2).dataSync();
      lines(values, view).forEach((elements, i) => {
        if (dtype === 'int32') {
          expect(data[i]).toBe(elements.reduce((product, x) => Math.imul(product, x), 1));
          return;
        }
        const want = exactProduct(elements);
        const units = dtype === 'float64' ? elements.length + 4 : 1.01;
        expect(Math.abs(data[i]! - want)).toBeLessThanOrEqual(units * eps(dtype) * Math.abs(want));
      });
    }
  });

  test('cumsum, in both directions', () => {
    for (const reverse of [false, true]) {
      for (const view of VIEWS) {
        const values = spreadOut(dtype, view[0] * view[1] * view[2]);
        const got = lines([...make(dtype, view, values).cumsum(-2, { reverse }).dataSync()], view);
        lines(values, view).forEach((elements, i) => {
          for (const j of [0, 1, 2, elements.length >> 1, elements.length - 1])
            if (j < elements.length)
              expectSum(got[i]![j]!, reverse ? elements.slice(j) : elements.slice(0, j + 1), dtype);
        });
      }
    }
  });

  test.each(['max', 'min', 'argmax', 'argmin'] as const)('%s', (name) => {
    const sign = name.endsWith('max') ? 1 : -1;
    const few = (count: number): number[] => spreadOut(dtype, count).map((x) => (Math.abs(x) < 1e8 ? x : 77)); // some are equal
    eachResult(
      dtype,
      (x) => x[name](1),
      (got, elements) => {
        let best = 0;
        elements.forEach((x, i) => {
          if (sign * x > sign * elements[best]!) best = i;
        });
        expect(got).toBe(name.startsWith('arg') ? best : elements[best]! + 0);
      },
      few,
    );
  });

  test('any number of threads gives the same bits', async () => {
    const shapes = [
      [[1_200_007], 0],
      [[3, 400_003], 1],
      [[1100, 1003], 0],
      [[2, 600, 1001], 1],
    ] as const;
    for (const [shape, axis] of shapes) {
      const x = (dtype === 'int32' ? rng.integers(shape, -1e9, 1e9) : rng.normal(shape)).cast(dtype);
      const all = (): Uint8Array[] =>
        [
          x.sum(axis),
          x.mean(axis),
          x.prod(axis),
          x.max(axis),
          x.argmin(axis),
          ...(dtype === 'int32' ? [] : [x.logSumExp(axis), x.softmax(axis), x.logSoftmax(axis), x.variance(axis)]),
          x.cumsum(axis),
        ].map((result) => new Uint8Array(result.dataSync().buffer as ArrayBuffer).slice());
      setThreads(1);
      const alone = all();
      setThreads(3);
      await warmThreads();
      all().forEach((bytes, i) => {
        expect(Buffer.compare(bytes, alone[i]!)).toBe(0);
      });
    }
    setThreads(1);
  });
});

test('several axes and negative ones, of every element type', () => {
  for (const dtype of DTYPES) {
    const values = spreadOut(dtype, 2 * 5 * 3 * 7);
    const x = make(dtype, [2, 5, 3, 7], values);
    const got = x.sum([-1, 1]).dataSync();
    for (let a = 0; a < 2; a++) {
      for (let c = 0; c < 3; c++) {
        const elements = Array.from(
          { length: 35 },
          (_, k) => values[((a * 5 + Math.floor(k / 7)) * 3 + c) * 7 + (k % 7)]!,
        );
        expectSum(got[a * 3 + c]!, elements, dtype);
      }
    }
    const most = x.max([0, -2], { keepDims: true });
    expect(most.shape).toEqual([1, 5, 1, 7]);
    expect(most.transpose(1, 3).max().itemSync()).toBe(Math.max(...values));
  }
});

test('sums and means of float64 whose partial sums leave the range', () => {
  const big = [-1.7e308, 0, 1.7e308, 1.7e308, ...new Array<number>(20).fill(0)];
  for (const shape of [[24], [24, 1], [24, 3]]) {
    const values = shape[1] === 3 ? big.flatMap((x) => [x, 1, x]) : big;
    const x = make('float64', shape, values);
    expect(x.sum(0).dataSync()[0]).toBe(1.7e308);
    expect(x.mean(0).dataSync()[0]).toBeCloseTo(1.7e308 / 24, -295);
  }
  expect(make('float64', [2], [1.7e308, 1.7e308]).mean().itemSync()).toBe(1.7e308);
  expect(make('float64', [2, 2], [1.7e308, 1, 1.7e308, 3]).mean(0).dataSync()).toEqual(Float64Array.of(1.7e308, 2));
});

test('of nothing', () => {
  for (const dtype of DTYPES) {
    const empty = make(dtype, [2, 0, 3], []);
    expect([...empty.sum(1).dataSync()]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(empty.sum().itemSync()).toBe(0);
    expect([...empty.prod(1).dataSync()]).toEqual([1, 1, 1, 1, 1, 1]);
    expect(empty.max(0).shape).toEqual([0, 3]);
    expect(empty.softmax(1).shape).toEqual([2, 0, 3]);
    if (dtype !== 'int32') {
      expect(empty.logSumExp(1).dataSync()[5]).toBe(-Infinity);
      expect(empty.mean(1).dataSync()[5]).toBeNaN();
    }
  }
});
