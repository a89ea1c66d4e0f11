import { random } from 'tapegrad';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';

/*
 * The float64 functions against integers of 260 bits: the error in units in the last place of the exact result, wherever that is an ordinary number;
 * and against Math where it is infinite, NaN, a zero or the argument itself.
 */

/** Bits behind the binary point of the integers that stand for numbers here. */
const BITS = 260n;
const UNIT = 1n << BITS;
const times = (x: bigint, y: bigint): bigint => (x * y) / UNIT;
const over = (x: bigint, y: bigint): bigint => (x * UNIT) / y;

/** A float64 of 2^-67 and more, exactly. */
const fixed = (value: number): bigint => BigInt(value * 2 ** 120) << (BITS - 120n);

/** e^x - 1: the series for small x, and e^x - 1 = (e^(x/2) - 1)(e^(x/2) + 1) for others. */
function expm1(x: bigint): bigint {
  let small = x;
  let halvings = 0;
  for (; small > UNIT / 64n || small < -UNIT / 64n; halvings++) small /= 2n;
  let sum = 0n;
  let term = UNIT;
  for (let k = 1n; term !== 0n; k++) {
    term = times(term, small) / k;
    sum += term;
  }
  for (; halvings > 0; halvings--) sum = times(sum, sum + 2n * UNIT);
  return sum;
}

/** log m for m from 1/2 to 2, as 2 artanh((m - 1) / (m + 1)). */
function logNearOne(m: bigint): bigint {
  const s = over(m - UNIT, m + UNIT);
  const square = times(s, s);
  let sum = 0n;
  for (let k = 1n, power = s; power !== 0n; k += 2n, power = times(power, square)) sum += power / k;
  return 2n * sum;
}
const LN2 = logNearOne(2n * UNIT);

/** A number as mantissa * 2^exponent. */
interface Scaled {
  readonly mantissa: bigint;
  readonly exponent: number;
}
const plain = (mantissa: bigint): Scaled => ({ mantissa, exponent: 0 });

function exp(x: number): Scaled {
  const exponent = Math.round(x / Math.LN2);
  return { mantissa: expm1(fixed(x) - BigInt(exponent) * LN2) + UNIT, exponent };
}

function log(x: number): Scaled {
  const exponent = Math.floor(Math.log2(x));
  const mantissa = x / 2 ** Math.trunc(exponent / 2) / 2 ** (exponent - Math.trunc(exponent / 2));
  return plain(logNearOne(fixed(mantissa)) + BigInt(exponent) * LN2);
}

/** log of 1 + x, which need not be a float64. */
function log1p(x: number): Scaled {
  let sum = UNIT + fixed(x);
  let exponent = 0n;
  for (; sum > 2n * UNIT; exponent++) sum /= 2n;
  for (; sum < UNIT / 2n; exponent--) sum *= 2n;
  return plain(logNearOne(sum) + exponent * LN2);
}

function tanh(x: number): Scaled {
  const t = expm1(2n * fixed(x));
  return plain(over(t, t + 2n * UNIT));
}

/** Half-way numbers too: `sigmoid` and `softplus` are made of exp and log1p. */
function sigmoid(x: number): Scaled {
  const { mantissa, exponent } = exp(-Math.abs(x));
  const e = exponent >= 0 ? mantissa << BigInt(exponent) : mantissa >> BigInt(-exponent);
  return x < 0 ? { mantissa: over(mantissa, UNIT + e), exponent } : plain(over(UNIT, UNIT + e));
}

/** arctan(1 / n) */
function arctanOfInverse(n: bigint): bigint {
  let sum = 0n;
  for (let k = 1n, power = UNIT / n; power !== 0n; k += 2n, power /= -n * n) sum += power / k;
  return sum;
}
/** Machin's formula, of pi / 2. */
const QUARTER = 8n * arctanOfInverse(5n) - 2n * arctanOfInverse(239n);

/** sin(x + quarters pi / 2), by the series of what is left of x without quarter turns. */
function sine(x: number, quarters: bigint): Scaled {
  const whole = fixed(x);
  const turns = (2n * whole + (whole < 0n ? -QUARTER : QUARTER)) / (2n * QUARTER);
  const r = whole - turns * QUARTER;
  const quadrant = (((turns + quarters) % 4n) + 4n) % 4n;
  const isOdd = quadrant % 2n === 1n;
  let sum = 0n;
  for (let k = isOdd ? 0n : 1n, term = isOdd ? UNIT : r; term !== 0n; k += 2n) {
    sum += term;
    term = -times(times(term, r), r) / ((k + 1n) * (k + 2n));
  }
  return plain(quadrant > 1n ? -sum : sum);
}

function power(x: number, y: number): Scaled {
  const exponent = times(fixed(y), log(x).mantissa);
  const twos = exponent / LN2;
  return { mantissa: expm1(exponent - twos * LN2) + UNIT, exponent: Number(twos) };
}

/** How many units in the last place of the exact value `got` is away from it. */
function ulps(got: number, { mantissa, exponent }: Scaled): number {
  const size = (mantissa < 0n ? -mantissa : mantissa).toString(2).length - 1 - Number(BITS) + exponent;
  const unit = Math.max(size - 52, -1074);
  const shift = BigInt(exponent - unit + 40) - BITS; // to units, with 40 bits behind the point
  const exact = shift >= 0n ? mantissa << shift : mantissa >> -shift;
  const error = (BigInt(got / 2 ** unit) << 40n) - exact;
  return Math.abs(Number(error)) / 2 ** 40;
}

const rng = random(3);
const uniform = (): number => (rng.integer(0, 2 ** 30) + rng.integer(0, 2 ** 22) / 2 ** 22) / 2 ** 30;
const between = (low: number, high: number, count = 1500): number[] =>
  Array.from({ length: count }, () => low + (high - low) * uniform());
const powers = (low: number, high: number, count = 1500): number[] =>
  Array.from({ length: count }, () => (1 + uniform()) * 2 ** rng.integer(low, high));
const both = (values: readonly number[]): number[] => [...values, ...values.map((value) => -value)];

let arena: Allocator;
beforeEach(() => {
  arena = new Allocator();
});
afterEach(() => arena.close());

function compute(name: string, x: readonly number[]): Float64Array {
  const bytes = x.length * 8;
  const [from, out] = [arena.allocate(bytes), arena.allocate(bytes)];
  heap().f64.set(x, from / 8);
  heap().functions[`${name}F64`]!(from, out, x.length);
  return heap().f64.slice(out / 8, out / 8 + x.length);
}

/** Within and beyond what is reduced two at a time, and next to quarter turns, where few digits are left. */
const angles = (): number[] =>
  both([
    ...powers(-60, 40),
    ...between(0, 7),
    ...between(0, 1e6),
    ...between(0, 2e6, 200),
    ...Array.from({ length: 500 }, (_, i) => (i * i * Math.PI) / 2),
  ]);

test.each([
  ['exp', 1, exp, [...both(powers(-50, 9)), ...between(-745, 709.7), -708.1, -707.9, 707.9, 708.1, -745.1, 709.78]],
  [
    'expm1',
    1,
    (x: number) => plain(expm1(fixed(x))),
    [...both(powers(-60, 5)), ...between(-40, 40), ...between(-2, 2)],
  ],
  ['log', 1, log, [...powers(-1022, 1023), ...between(0.5, 2), ...between(0.99, 1.01), 1e-310, 5e-324, 1.7e308]],
  ['log1p', 1, log1p, [...powers(-60, 60), ...between(-0.999, 1), ...powers(-60, -2).map((x) => -x), 1e-3, -1e-3]],
  ['tanh', 1.7, tanh, [...both(powers(-60, 5)), ...between(-3, 3), ...between(-25, 25)]],
  ['sigmoid', 2, sigmoid, [...both(powers(-60, 9)), ...between(-40, 40), ...between(-740, 40)]],
  ['sin', 1.2, (x: number) => sine(x, 0n), angles()],
  ['cos', 1.2, (x: number) => sine(x, 1n), angles()],
] as const)('%s is accurate to %d ulp', (name, limit, exact, values) => {
  const ordinary = values.filter((x) => Math.abs(x) < 710 || !/^(exp|tanh|sigmoid)/.test(name));
  const got = compute(name, ordinary);
  let [worst, at] = [0, 0];
  ordinary.forEach((x, i) => {
    const error = ulps(got[i]!, exact(x));
    if (!(error <= worst)) [worst, at] = [error, x];
  });
  expect({ within: worst <= limit, worst, at }).toMatchObject({ within: true });
});

function powersOf(x: readonly number[], y: readonly number[]): Float64Array {
  const bytes = x.length * 8;
  const [from, by, out] = [arena.allocate(bytes), arena.allocate(bytes), arena.allocate(bytes)];
  heap().f64.set(x, from / 8);
  heap().f64.set(y, by / 8);
  heap().functions.powF64!(from, by, out, 1, x.length, 0, 0, 1, 1);
  return heap().f64.slice(out / 8, out / 8 + x.length);
}

test('pow is accurate to 1 ulp', () => {
  const pairs = [
    ...between(1e-3, 30, 1000).map((x) => [x, 60 * uniform() - 30]),
    ...powers(-1022, 1023, 1000).map((x) => [x, 1.9 * uniform() - 0.95]),
    ...between(0.999, 1.001, 1000).map((x) => [x, 1e5 * (2 * uniform() - 1)]),
    ...between(1.2, 1.25, 500).map((x) => [x, 100 * uniform()]), // beside the bounds between the two bases of the logarithm
    ...between(1.7, 1.75, 500).map((x) => [x, 100 * uniform()]),
    ...between(2, 3, 500).map((x) => [x, ((-900 * Math.log(2)) / Math.log(x)) * (1 + 0.19 * uniform())]), // down to where results are subnormal
    ...[0.5, 2, 3, 10, 1e-310, 5e-324].flatMap((x) => [-1, 0.5, 1, 2, 3].map((y) => [x, y])),
  ].filter(([x, y]) => Math.abs(y! * Math.log(x!)) < 744 && y! * Math.log(x!) < 709.7) as [number, number][];
  const got = powersOf(
    pairs.map(([x]) => x),
    pairs.map(([, y]) => y),
  );
  let [worst, at] = [0, pairs[0]!];
  pairs.forEach(([x, y], i) => {
    const error = ulps(got[i]!, power(x, y));
    if (!(error <= worst)) [worst, at] = [error, [x, y]];
  });
  expect({ within: worst <= 1, worst, at }).toMatchObject({ within: true });
});

test('pow of and to anything special is what IEEE 754 says, whatever lies beside it', () => {
  const special = [NaN, Infinity, 0, 1, 1 + 2 ** -52, 0.5, 2, 3, 2.5, 5e-324, 1e-310, 1.7e308, 2 ** 53, 2 ** 53 - 1];
  const pairs = both(special).flatMap((x) => both(special).map((y) => [x, y] as const));
  const [xs, ys] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)];
  const got = powersOf(xs, ys);
  expect([...powersOf([1.5, ...xs], [7, ...ys])].slice(1)).toEqual([...got]);
  pairs.forEach(([x, y], i) => {
    const want = x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
    if (Number.isFinite(want) && want !== 0)
      expect({ x, y, near: Math.abs(got[i]! / want - 1) < 3e-16 || Math.abs(got[i]! - want) <= 5e-324 }).toEqual({
        x,
        y,
        near: true,
      });
    else expect({ x, y, got: got[i] }).toEqual({ x, y, got: want });
  });
});

test('the angle that is closest to quarter turns of all float64 keeps its digits', () => {
  // J.-M. Muller, Elementary Functions: cos(6381956970095103 * 2^797) = -4.68716592425462761112...e-19
  const hardest = 6381956970095103 * 2 ** 797;
  const [cosine, opposite, sine] = [...compute('cos', [hardest, -hardest]), ...compute('sin', [hardest])];
  for (const found of [cosine!, opposite!]) expect(Math.abs(found / -4.687165924254628e-19 - 1)).toBeLessThan(3e-16);
  expect(Math.abs(sine!)).toBe(1);
});

test.each(['exp', 'expm1', 'log', 'log1p', 'tanh', 'sin', 'cos'] as const)(
  '%s at the edges is what Math says',
  (name) => {
    const edges = [NaN, Infinity, -Infinity, 0, -0, 1.7e308, -1.7e308, 709.79, 710, 1e6, -745.2, -746, -1e6, -1, -2];
    const itself = both([5e-324, 1e-310, 2 ** -1022, 1e-300, 1e-17]);
    for (const x of [...edges, ...(name === 'exp' || name === 'log' ? [] : itself)]) {
      const want = Math[name](x);
      if (want !== 0 && Number.isFinite(want) && Math.abs(want) !== 1 && want !== x) continue;
      // Alone, and beside an ordinary number: lanes do not see each other.
      for (const got of [compute(name, [x])[0], compute(name, [x, 0.5])[0], compute(name, [0.5, x])[1]])
        expect({ x, got }).toEqual({ x, got: want });
    }
  },
);

test('a lane is the same whatever lies beside it', () => {
  for (const name of ['exp', 'expm1', 'log', 'log1p', 'tanh', 'sigmoid', 'softplus', 'silu', 'sin', 'cos', 'tan']) {
    const x = [...both(powers(-10, 10, 40)), 800, -800, NaN, 0, 5e-324];
    const alone = x.map((value) => compute(name, [value])[0]);
    expect([...compute(name, x)]).toEqual(alone);
    expect([...compute(name, [1, ...x])].slice(1)).toEqual(alone);
  }
});
