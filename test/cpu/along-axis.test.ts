import { type DType, grad, gradCheck, random, setThreads, tensor, type Tensor } from 'tapegrad';
import { warmThreads } from '../../src/backends/cpu/pool.js';

/*
 * Reductions, softmax and running sums of float32, float64 and int32 against plain loops over numbers; sums against exact ones. The shapes go around the
 * vector width, the unrolled loops and the columns that the kernels take at a time (64 to 512).
 */

type View = readonly [outer: number, axis: number, inner: number];
const VIEWS: readonly View[] = [
  [1, 1, 1],
  [3, 2, 1],
  [1, 5, 1],
  [5, 7, 1],
  [2, 37, 1],
  [1, 1031, 1],
  [1, 3, 2],
  [3, 4, 3],
  [2, 9, 5],
  [1, 6, 17],
  [2, 33, 66],
  [1, 5, 517],
  [1, 10, 1029],
  [1, 1025, 3],
];
const DTYPES = ['float32', 'float64', 'int32'] as const;
const FLOATS = ['float32', 'float64'] as const;
const rng = random(71);

/** Numbers of all magnitudes and both signs, many of which cancel. */
function spreadOut(dtype: DType, count: number): number[] {
  const uniform = rng.uniform([3 * count], { low: 0, high: 1, dtype: 'float64' }).dataSync();
  const range = dtype === 'float64' ? 60 : 20;
  return Array.from({ length: count }, (_, i) => {
    if (dtype === 'int32') return Math.floor((uniform[3 * i]! - 0.5) * 2 ** 32);
    if (i > 0 && i % 5 === 0) return -plain[i - 1]!;
    const value = (uniform[3 * i]! - 0.5) * 2 ** Math.floor((uniform[3 * i + 1]! - 0.5) * 2 * range);
    return (plain[i] = dtype === 'float32' ? Math.fround(value) : value);
  });
}
const plain: number[] = [];

const make = (dtype: DType, shape: readonly number[], values: readonly number[]): Tensor =>
  tensor(dtype === 'float64' ? Float64Array.from(values) : dtype === 'int32' ? Int32Array.from(values) : [...values], {
    shape,
    dtype,
  });

/** The elements along the axis at each [outer, inner], in the order of the result. */
function lines(values: readonly number[], [outer, axis, inner]: View): number[][] {
  return Array.from({ length: outer * inner }, (_, at) => {
    const start = Math.floor(at / inner) * axis * inner + (at % inner);
    return Array.from({ length: axis }, (__, j) => values[start + j * inner]!);
  });
}

/** A float64 as a whole multiple of 2^-1074. */
function whole(value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const exponent = (raw >> 52n) & 0x7ffn;
  const fraction = (raw & 0xfffffffffffffn) | (exponent > 0n ? 1n << 52n : 0n);
  return (raw >> 63n ? -1n : 1n) * (fraction << (exponent > 0n ? exponent - 1n : 0n));
}

/** What is nearest to a whole multiple of 2^-1074, from its leading 64 bits. */
function nearest(sum: bigint): number {
  const size = sum < 0n ? -sum : sum;
  const shift = Math.max(size.toString(2).length - 64, 0);
  const sticky = size & ((1n << BigInt(shift)) - 1n) ? 1n : 0n;
  const leading = Number(((size >> BigInt(shift)) << 1n) | sticky) / 2;
  const value = leading * 2 ** Math.max(shift - 1074, -1074) * 2 ** Math.min(shift - 1074 + 1074, 0);
  return (sum < 0n ? -1 : 1) * (shift - 1074 >= -1022 ? leading * 2 ** (shift - 1074) : value);
}

const exactSum = (elements: readonly number[]): number => nearest(elements.reduce((sum, x) => sum + whole(x), 0n));

/** The product of numbers whose product is neither tiny nor huge. */
function exactProduct(elements: readonly number[]): number {
  const product = elements.reduce((result, x) => result * whole(x), 1n);
  const size = product < 0n ? -product : product;
  const shift = Math.max(size.toString(16).length * 4 - 100, 0);
  const leading = Number(size >> BigInt(shift));
  return (product < 0n ? -1 : 1) * leading * 2 ** (shift - 1074 * elements.length);
}

const wrapped = (elements: readonly number[]): number => elements.reduce((sum, x) => (sum + x) | 0, 0);

const eps = (dtype: DType): number => (dtype === 'float64' ? 2 ** -53 : 2 ** -24);

/** As near as a sum that is kept with twice the digits and rounded once must be. */
function expectSum(got: number, elements: readonly number[], dtype: DType): void {
  if (dtype === 'int32') {
    expect(got).toBe(wrapped(elements));
    return;
  }
  const want = exactSum(elements);
  const size = elements.reduce((sum, x) => sum + Math.abs(x), 0);
  const lost = dtype === 'float64' ? elements.length ** 2 * 2 ** -104 * size : elements.length * 2 ** -52 * size;
  expect(Math.abs(got - want)).toBeLessThanOrEqual(
    eps(dtype) * (dtype === 'float64' ? 2 : 1.01) * Math.abs(want) + lost,
  );
}

function eachResult(
  dtype: DType,
  run: (x: Tensor) => Tensor,
  check: (got: number, elements: number[], got2: Tensor) => void,
  valuesOf = (count: number): number[] => spreadOut(dtype, count),
): void {
  for (const view of VIEWS) {
    const values = valuesOf(view[0] * view[1] * view[2]);
    const result = run(make(dtype, view, values));
    const data = result.dataSync();
    expect(data).toHaveLength(view[0] * view[2]);
    lines(values, view).forEach((elements, i) => {
      check(data[i]!, elements, result);
    });
  }
}

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
  ])('softmax of %s, alone and beside others', (_name, column, want) => {
    for (const width of [1, 2, 3, 5, 130]) {
      for (const at of [0, width - 1]) {
        const values = column.flatMap((x, j) => Array.from({ length: width }, (__, i) => (i === at ? x : j)));
        const y = make(dtype, [3, width], values).softmax(0);
        expect([...y.slice([], at).dataSync()]).toEqual(want);
        for (let other = 0; other < width; other++)
          if (other !== at) expect(Math.abs(y.slice(2, other).itemSync() - 0.6652409557748219)).toBeLessThan(1e-7);
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

test('prod of numbers at the ends of the range', () => {
  const { MIN_VALUE, MAX_VALUE } = Number;
  const cases: [number[], number][] = [
    [[MIN_VALUE, 2 ** 1000, 2 ** 74], 1],
    [[2 ** 1000, MIN_VALUE, 2 ** 74, -3 * MIN_VALUE, 2 ** 1000, 2 ** 74], -3],
    [[MAX_VALUE, MAX_VALUE, 0.5, 1 / MAX_VALUE, 2], MAX_VALUE * (1 / MAX_VALUE) * MAX_VALUE],
    [[MIN_VALUE, 1.5], 2 * MIN_VALUE],
    [[2 ** -600, 2 ** -500], 0],
    [[2 ** -530, -(2 ** -530)], -(2 ** -1060)],
    [[2 ** 600, -(2 ** 600)], -Infinity],
    [[0, Infinity], NaN],
    [[0, -2], -0],
    [[-Infinity, MIN_VALUE], -Infinity],
    [[NaN, 0], NaN],
    [[1, NaN], NaN],
  ];
  for (const [factors, want] of cases) {
    for (const padding of [0, 3, 64, 509]) {
      const elements = [...factors, ...new Array<number>(padding).fill(1)];
      for (const width of [1, 2, 3, 130]) {
        for (const at of [0, width - 1]) {
          const values = elements.flatMap((x) => Array.from({ length: width }, (_, i) => (i === at ? x : 1)));
          const got = [...make('float64', [elements.length, width], values).prod(0).dataSync()];
          const near = Number.isFinite(want) && want !== 0 && Math.abs(got[at]! / want - 1) < 1e-14 ? want : got[at];
          expect([factors, padding, width, near]).toEqual([factors, padding, width, want]);
          expect(got.every((x, i) => i === at || x === 1)).toBe(true);
        }
      }
    }
  }
  const single = tensor([1e-45, 3e38, 1e-45, 3e38, 3e38, -1e-45, 2]);
  expect(Math.abs(single.prod().itemSync() / exactProduct([...single.dataSync()]) - 1)).toBeLessThan(2 ** -24);
});

test('derivatives of prod are products of the others, whatever is among them', () => {
  for (const dtype of FLOATS) {
    const x = make(dtype, [2, 5, 2], [1, 2, 3, 0, 5, 6, 7, 8, 9, 1, 0, 2, 3, 0, 5, 6, 0, 8, 9, 0]);
    const gradient = grad((t: Tensor) =>
      t
        .prod(1)
        .mul([
          [1, -2],
          [3, 4],
        ])
        .sum(),
    )(x);
    expect(gradient.dtype).toBe(dtype);
    const weights = [1, -2, 3, 4];
    const got = lines([...gradient.dataSync()], [2, 5, 2]);
    lines([...x.dataSync()], [2, 5, 2]).forEach((elements, i) => {
      const want = elements.map(
        (_, j) => weights[i]! * elements.reduce((product, y, k) => (k === j ? product : product * y), 1),
      );
      expect(got[i]!.map((value) => value + 0)).toEqual(want.map((value) => value + 0));
    });
    expect(grad((t: Tensor) => t.prod(0).sum())(make(dtype, [0, 3], [])).shape).toEqual([0, 3]);
    gradCheck(
      (t: Tensor) => t.prod([0, 2]).square().sum(),
      [
        make(
          'float64',
          [2, 3, 3],
          Array.from({ length: 18 }, (_, i) => (i === 4 ? 0 : Math.sin(i + 1))),
        ),
      ],
      { order: 2 },
    );
  }
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
