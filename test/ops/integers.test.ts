import { concat, pow, tensor, type Tensor, ValueError, where } from 'tapegrad';

const int = (...data: number[]): Tensor => tensor(data, { dtype: 'int32' });
const MOST = 2147483647;
const LEAST = -2147483648;
const wrapped = (value: bigint): number => Number(BigInt.asIntN(32, value));
const numbers = (t: Tensor): number[] => Array.from(t.dataSync());

/** Integers at both ends, near powers of two and arbitrary ones. */
const SAMPLES = [
  0,
  1,
  -1,
  2,
  -2,
  3,
  7,
  -13,
  46340,
  46341,
  65536,
  16777217,
  123456789,
  -987654321,
  MOST,
  MOST - 1,
  LEAST,
  LEAST + 1,
];

describe('int32 wraps around like two complement integers', () => {
  const pairs = SAMPLES.flatMap((a) => SAMPLES.map((b) => [a, b] as const));
  const [left, right] = [int(...pairs.map(([a]) => a)), int(...pairs.map(([, b]) => b))];

  test.each([
    ['add', (a: bigint, b: bigint) => a + b],
    ['sub', (a: bigint, b: bigint) => a - b],
    ['mul', (a: bigint, b: bigint) => a * b],
    ['maximum', (a: bigint, b: bigint) => (a > b ? a : b)],
    ['minimum', (a: bigint, b: bigint) => (a < b ? a : b)],
  ] as const)('%s', (name, f) => {
    const got = left[name](right);
    expect(got.dtype).toBe('int32');
    expect(numbers(got)).toEqual(pairs.map(([a, b]) => wrapped(f(BigInt(a), BigInt(b)))));
  });

  test.each([
    ['neg', (a: bigint) => -a],
    ['abs', (a: bigint) => (a < 0n ? -a : a)],
    ['square', (a: bigint) => a * a],
  ] as const)('%s', (name, f) => {
    expect(numbers(int(...SAMPLES)[name]())).toEqual(SAMPLES.map((a) => wrapped(f(BigInt(a)))));
  });

  test('pow', () => {
    for (const exponent of [0, 1, 2, 3, 5, 31, 32, 33, 41, 1000, MOST]) {
      const want = SAMPLES.map((a) => {
        let [result, square] = [1n, BigInt(a)];
        for (let n = exponent; n > 0; n = Math.floor(n / 2)) {
          if (n % 2 === 1) result = BigInt.asIntN(32, result * square);
          square = BigInt.asIntN(32, square * square);
        }
        return Number(result);
      });
      expect(numbers(int(...SAMPLES).pow(exponent))).toEqual(want);
      expect(numbers(int(...SAMPLES).pow(int(exponent)))).toEqual(want);
      expect(numbers(pow(7, int(exponent)))).toEqual([want[SAMPLES.indexOf(7)]]);
    }
  });

  test('sum, cumsum, prod and matmul, however many there are', () => {
    const many = Array.from({ length: 70000 }, (_, i) => SAMPLES[i % SAMPLES.length]! | 1);
    const total = wrapped(many.reduce((sum, value) => sum + BigInt(value), 0n));
    const product = many.reduce((result, value) => Math.imul(result, value), 1);
    const x = int(...many.slice(0, 50000));
    const y = int(...many.slice(50000));
    const whole = concat([x, y]);
    expect(whole.sum().itemSync()).toBe(total);
    expect(whole.cumsum().slice(-1).itemSync()).toBe(total);
    expect(whole.cumsum(0, { reverse: true }).slice(0).itemSync()).toBe(total);
    expect(whole.prod().itemSync()).toBe(product);
    const squares = wrapped(many.reduce((sum, value) => sum + BigInt(value) ** 2n, 0n));
    expect(whole.matmul(whole).itemSync()).toBe(squares);
  });

  test('sums beyond what a float64 counts', () => {
    const x = tensor([MOST]).cast('float64');
    expect(x.itemSync()).toBe(2147483648); // float32 rounds it
    const big = int(MOST).broadcastTo([2 ** 22 + 3]);
    expect(big.sum().itemSync()).toBe(wrapped(BigInt(MOST) * BigInt(2 ** 22 + 3)));
  });

  test('the mean of integers is exact before it is rounded', () => {
    expect(int(16777217, 16777219).mean().itemSync()).toBe(16777218);
    expect(int(MOST, MOST).variance().itemSync()).toBe(0);
    expect(
      int(MOST, MOST - 2)
        .variance()
        .itemSync(),
    ).toBe(1);
  });
});

describe('integers to negative powers are refused', () => {
  test.each([
    ['a number', () => int(2).pow(-1), '[pow] int32 to the power of -1'],
    ['a large number', () => int(2).pow(-3e9), '[pow] int32 to the power of -3000000000'],
    ['a tensor', () => int(2, 10).pow(int(1, -2)), '[pow] int32 to the power of -2'],
    ['a base that is a number', () => pow(2, int(-1)), '[pow] int32 to the power of -1'],
    ['a base of 1', () => int(1).pow(int(-1)), '[pow] int32 to the power of -1'],
    ['a typed array', () => int(2).pow(new Int32Array([-1])), '[pow] int32 to the power of -1'],
    ['big integers', () => int(2).pow(new BigInt64Array([-1n])), '[pow] int32 to the power of -1'],
    ['bool', () => tensor([true]).pow(-1), '[pow] bool to the power of -1'],
    ['bool to int32', () => tensor([true]).pow(int(-1)), '[pow] bool to the power of -1'],
  ])('%s', (_name, run, message) => {
    expect(run).toThrow(ValueError);
    expect(run).toThrow(message);
  });

  test('floats on either side have their powers', () => {
    expect(numbers(int(2).pow(tensor([-1])))).toEqual([0.5]);
    expect(numbers(tensor([2]).pow(int(-1)))).toEqual([0.5]);
    expect(numbers(int(4).pow(-0.5))).toEqual([0.5]);
    expect(pow(2, -1).itemSync()).toBe(0.5);
  });
});

describe('comparisons of integers with any number', () => {
  const OPS = {
    equal: (a: number, b: number) => a === b,
    notEqual: (a: number, b: number) => a !== b,
    less: (a: number, b: number) => a < b,
    lessEqual: (a: number, b: number) => a <= b,
    greater: (a: number, b: number) => a > b,
    greaterEqual: (a: number, b: number) => a >= b,
  } as const;
  const VALUES = [
    0,
    -0,
    0.5,
    -0.5,
    2.5,
    16777216,
    16777216.5,
    16777217.5,
    3e9,
    -3e9,
    2147483648,
    2147483647.5,
    -2147483648.5,
    -2147483649,
    MOST,
    LEAST,
    1e300,
    Infinity,
    -Infinity,
    NaN,
    123456789.25,
  ];
  test.each(Object.keys(OPS) as (keyof typeof OPS)[])('%s', (name) => {
    const x = int(...SAMPLES);
    const mirrored = {
      less: 'greater',
      lessEqual: 'greaterEqual',
      greater: 'less',
      greaterEqual: 'lessEqual',
    } as const;
    for (const value of VALUES) {
      const want = SAMPLES.map((a) => Number(OPS[name](a, value)));
      expect([value, numbers(x[name](value))]).toEqual([value, want]);
      expect([value, numbers(x[name]([value]))]).toEqual([value, want]);
      expect([value, numbers(x[name](tensor([value], { dtype: 'float64' })))]).toEqual([value, want]);
      // The number on the left.
      const swapped = name === 'equal' || name === 'notEqual' ? name : mirrored[name];
      const left = tensor(value, { dtype: 'float64' })[swapped](x);
      expect([value, numbers(left)]).toEqual([value, want]);
    }
    expect(numbers(x[name](tensor([16777216])))).toEqual(SAMPLES.map((a) => Number(OPS[name](a, 16777216))));
  });

  test('numbers on the left of the functions', async () => {
    const { greater, lessEqual, equal } = await import('tapegrad');
    expect(numbers(greater(2.5, int(2, 3)))).toEqual([1, 0]);
    expect(numbers(lessEqual(2.5, int(2, 3)))).toEqual([0, 1]);
    expect(numbers(greater(3e9, int(MOST, LEAST)))).toEqual([1, 1]);
    expect(numbers(equal(-3e9, int(MOST, LEAST)))).toEqual([0, 0]);
    expect(numbers(tensor([true, false]).greater(0.5))).toEqual([1, 0]);
  });
});

describe('numbers beyond int32 beside integers', () => {
  test('never wrap', () => {
    expect([int(5).add(3e9).dtype, int(5).add(3e9).itemSync()]).toEqual(['float32', 3000000000]);
    expect(where([true], 3e9, int(1)).itemSync()).toBe(3000000000);
    expect(int(1).maximum(3e9).itemSync()).toBe(3000000000);
    expect(() => int(1).pad([[1, 1]], { value: 3e9 })).toThrow('[pad] value 3000000000');
    expect(() => int(1).pad([[1, 1]], { value: 0.5 })).toThrow('[pad] value 0.5');
    expect(() => tensor(3e9, { dtype: 'int32' })).toThrow(ValueError);
  });

  test('ends of clip beyond int32 limit nothing', () => {
    const clipped = int(MOST, 16777217, LEAST).clip(-3e9, 3e9);
    expect([clipped.dtype, numbers(clipped)]).toEqual(['int32', [MOST, 16777217, LEAST]]);
    expect(int(MOST, -4).clip(0, Infinity).arraySync()).toEqual([MOST, 0]);
    expect(int(MOST, -4).clip(-Infinity, 7).arraySync()).toEqual([7, -4]);
    expect(int(MOST, -4).clip().dtype).toBe('int32');
  });
});
