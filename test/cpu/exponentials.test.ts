import { VIEWS, FLOATS, rng, make, lines, exactSum, eps, eachResult } from './along-axis.js';

/* Means, logSumExp, softmax and the like of float32 and float64 against plain loops over numbers and exact sums. */

const logSumExp = (elements: readonly number[]): { top: number; rest: number } => {
  const top = Math.max(...elements);
  const at = elements.indexOf(top);
  const others = elements.filter((_, i) => i !== at).map((x) => Math.exp(x - top));
  return { top, rest: Math.log1p(exactSum(others)) };
};

describe.each(FLOATS)('exponentials of %s', (dtype) => {
  const logits = (count: number): number[] =>
    [...rng.normal([count], { dtype: 'float64' }).dataSync()].map((x) =>
      dtype === 'float32' ? Math.fround(6 * x) : 6 * x,
    );

  test('mean', () => {
    eachResult(
      dtype,
      (x) => x.mean(1),
      (got, elements) => {
        const want = exactSum(elements) / elements.length;
        const size = elements.reduce((sum, x) => sum + Math.abs(x), 0);
        expect(Math.abs(got - want)).toBeLessThanOrEqual(
          2.1 * eps(dtype) * Math.abs(want) + (dtype === 'float64' ? 2 ** -95 : 2 ** -50) * size,
        );
      },
    );
  });

  test('logSumExp', () => {
    eachResult(
      dtype,
      (x) => x.logSumExp(1),
      (got, elements) => {
        const { top, rest } = logSumExp(elements);
        expect(Math.abs(got - (top + rest))).toBeLessThanOrEqual(
          eps(dtype) *
            ((dtype === 'float64' ? 2.1 : 1.1) * Math.abs(top + rest) + 20 * rest + (dtype === 'float64' ? 8 : 0)),
        );
      },
      logits,
    );
  });

  test('softmax and logSoftmax', () => {
    for (const view of VIEWS) {
      const values = logits(view[0] * view[1] * view[2]);
      const x = make(dtype, view, values);
      const [shares, logs] = [x.softmax(-2), x.logSoftmax(-2)].map((y) => lines([...y.dataSync()], view));
      let worst = 0;
      lines(values, view).forEach((elements, i) => {
        const { top, rest } = logSumExp(elements);
        elements.forEach((value, j) => {
          const want = value - top - rest;
          // The rounding of a difference to the maximum counts as often as it is large.
          const slack = eps(dtype) * (12 + 2 * Math.abs(value - top));
          const share = Math.abs(shares![i]![j]! - Math.exp(want)) / (slack * Math.exp(want) + 1e-300);
          const log = eps(dtype) * (3 * Math.abs(want) + 30 * rest + (dtype === 'float64' ? 12 : 0));
          worst = Math.max(worst, share, Math.abs(logs![i]![j]! - want) / (log + 1e-300));
        });
      });
      expect(worst).toBeLessThanOrEqual(1);
    }
  });

  test('a sure row keeps the digits of the small difference, along any axis', () => {
    const gap = dtype === 'float64' ? 25 : 14;
    for (const axis of [0, 1]) {
      const x = make(
        dtype,
        axis ? [4, 3] : [3, 4],
        axis
          ? [0, -gap, -gap - 1, 0, -gap, -gap - 1, 0, -gap, -gap - 1, 0, -gap, -gap - 1]
          : [0, 0, 0, 0, -gap, -gap, -gap, -gap, -gap - 1, -gap - 1, -gap - 1, -gap - 1],
      );
      const want = Math.log1p(Math.exp(-gap) + Math.exp(-gap - 1));
      const relative = dtype === 'float64' ? 1e-5 : 1e-6; // a float64 sum holds 1 + 1e-11 to 1e-5 of the rest
      for (const value of x.logSumExp(axis).dataSync()) expect(Math.abs(value / want - 1)).toBeLessThan(relative);
    }
  });

  test('e^x over its whole range', () => {
    // The other element is 0: its share is 1 over the sum, and the quotient of both e^x.
    const range = dtype === 'float64' ? 744 : 86;
    const values = Array.from({ length: 4001 }, (_, i) => -(i / 4000) * range).map((x) =>
      dtype === 'float32' ? Math.fround(x) : x,
    );
    for (const axis of [0, 1]) {
      const pairs = axis === 1 ? values.flatMap((x) => [0, x]) : [...values.map(() => 0), ...values];
      const data = make(dtype, axis === 1 ? [values.length, 2] : [2, values.length], pairs)
        .softmax(axis)
        .dataSync();
      const errors = values.map((x, i) => {
        const [one, share] = axis === 1 ? [data[2 * i]!, data[2 * i + 1]!] : [data[i]!, data[values.length + i]!];
        const unit = 6 * eps(dtype) * Math.exp(x) + (dtype === 'float64' ? 2 ** -1074 : 0);
        return Math.abs(share / one - Math.exp(x)) / unit;
      });
      expect(Math.max(...errors)).toBeLessThanOrEqual(1);
    }
  });

  test.each([
    ['NaN', [1, NaN, 2], [NaN, NaN, NaN]],
    ['Infinity', [1, Infinity, 2], [NaN, NaN, NaN]],
    ['nothing but -Infinity', [-Infinity, -Infinity, -Infinity], [NaN, NaN, NaN]],
    ['-Infinity', [-Infinity, 4, -Infinity], [0, 1, 0]],
    ['numbers far apart', [-1e30, 1e30, 0], [0, 1, 0]],
  ])('softmax and logSoftmax of %s, alone and beside others, along either axis', (_name, column, want) => {
    const stored = make(dtype, [3], column).dataSync();
    const logs = want.map((share, i) => (share === 0 ? stored[i]! - stored[1]! : Math.log(share)));
    for (const width of [1, 2, 3, 5, 130]) {
      for (const at of [0, width - 1]) {
        const values = column.flatMap((x, j) => Array.from({ length: width }, (__, i) => (i === at ? x : j)));
        const x = make(dtype, [3, width], values);
        for (const y of [x.softmax(0), x.transpose().softmax(1).transpose()]) {
          expect([...y.slice([], at).dataSync()]).toEqual(want);
          for (let other = 0; other < width; other++)
            if (other !== at) expect(Math.abs(y.slice(2, other).itemSync() - 0.6652409557748219)).toBeLessThan(1e-7);
        }
        for (const y of [x.logSoftmax(0), x.transpose().logSoftmax(1).transpose()]) {
          expect([...y.slice([], at).dataSync()]).toEqual(logs);
          for (let other = 0; other < width; other++)
            if (other !== at) expect(Math.abs(y.slice(2, other).itemSync() + 0.4076059644443803)).toBeLessThan(1e-6);
        }
      }
    }
  });

  test.each([
    ['NaN', [1, NaN, Infinity], { sum: NaN, mean: NaN, max: NaN, min: NaN, argmax: 1, argmin: 1, logSumExp: NaN }],
    [
      'Infinity',
      [1, Infinity, 2],
      { sum: Infinity, mean: Infinity, max: Infinity, min: 1, argmax: 1, argmin: 0, logSumExp: Infinity },
    ],
    ['both', [-Infinity, 0, Infinity], { sum: NaN, mean: NaN, max: Infinity, min: -Infinity, argmax: 2, argmin: 0 }],
    ['two NaN', [5, NaN, NaN], { argmax: 1, argmin: 1, max: NaN }],
    ['nothing but -Infinity', [-Infinity, -Infinity, -Infinity], { logSumExp: -Infinity, argmax: 0, max: -Infinity }],
  ] as const)('reductions of %s, alone and beside others', (_name, column, want) => {
    for (const width of [1, 2, 3, 5, 130]) {
      for (const at of [0, width - 1]) {
        const values = column.flatMap((x, j) => Array.from({ length: width }, (__, i) => (i === at ? x : 2 * j)));
        const x = make(dtype, [3, width], values);
        const others = { sum: 6, mean: 2, max: 4, min: 0, argmax: 2, argmin: 0, logSumExp: 4.142931628499899 } as const;
        for (const [name, value] of Object.entries(want) as [keyof typeof others, number][]) {
          const got = [...x[name](0).dataSync()];
          expect([name, got[at]]).toEqual([name, value]);
          got.forEach((found, i) => {
            if (i !== at) expect(Math.abs(found - others[name])).toBeLessThan(1e-6);
          });
        }
      }
    }
  });
});
