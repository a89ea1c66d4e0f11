import { DTypeError, Random, random, ShapeError, ValueError } from 'tapegrad';

const of = (seed: number): Random => random(seed);

const FIXED = {
  next: [0.6917589799176889, 0.017813338997607953, 0.7465970971354624],
  integers: [77, 72, 94, 82, 16, 90],
  permutation: [1, 6, 3, 2, 5, 0, 4, 7],
  normal: [1.5245930104471097, -1.1095177821116118],
  uniform: [[1.767035961151123], [-0.9287466406822205]],
};

test('the generator is xoroshiro128+ (24, 16, 37), by its definition in 64-bit integers', () => {
  const source = of(9);
  const [high0, low0, high1, low1] = source.state.map((word) => BigInt(word >>> 0)) as [bigint, bigint, bigint, bigint];
  const rotate = (x: bigint, by: bigint): bigint => BigInt.asUintN(64, (x << by) | (x >> (64n - by)));
  let s0 = (high0 << 32n) | low0;
  let s1 = (high1 << 32n) | low1;
  const draw = (): bigint => {
    const result = BigInt.asUintN(32, s0 + s1);
    s1 ^= s0;
    s0 = BigInt.asUintN(64, rotate(s0, 24n) ^ s1 ^ (s1 << 16n));
    s1 = rotate(s1, 37n);
    return result;
  };
  for (let i = 0; i < 100; i++) {
    const [high, low] = [draw() >> 5n, draw() >> 6n];
    expect(source.next()).toBe(Number(high * 2n ** 26n + low) / 2 ** 53);
  }
});

test('the same seed gives the same numbers on every machine', () => {
  const source = of(42);
  expect(Array.from({ length: 3 }, () => source.next())).toEqual(FIXED.next);
  expect(of(42).integers([6], 0, 100).arraySync()).toEqual(FIXED.integers);
  expect(of(42).permutation(8).arraySync()).toEqual(FIXED.permutation);
  expect(of(42).normal([2], { dtype: 'float64' }).arraySync()).toEqual(
    FIXED.normal.map((value) => expect.closeTo(value, 12) as number),
  ); // Math.log and Math.cos may differ in the last digit
  expect(of(42).uniform([2, 1], { low: -1, high: 3 }).arraySync()).toEqual(FIXED.uniform);
});

test('near seeds give unrelated numbers from the first one on', () => {
  const first = Array.from({ length: 200 }, (_, seed) => of(seed).next());
  expect(new Set(first).size).toBe(200);
  expect(Math.abs(first.reduce((a, b) => a + b, 0) / 200 - 0.5)).toBeLessThan(0.08);
  const steps = first.slice(1).map((value, i) => value - first[i]!);
  expect(steps.filter((value) => value > 0).length).toBeGreaterThan(70);
  expect(steps.filter((value) => value > 0).length).toBeLessThan(130);
  expect(Math.max(...Array.from({ length: 200 }, (_, seed) => Math.abs(of(seed).gaussian())))).toBeLessThan(4.5);
});

test('a state goes on where the source stopped, and is not changed by it', () => {
  const source = of(7);
  source.normal([5]);
  const { state } = source;
  const copy = [...state];
  const ahead = [source.next(), source.gaussian(), source.integer(0, 1000)];
  expect(state).toEqual(copy);
  const resumed = Random.fromState(JSON.parse(JSON.stringify(state)) as number[]);
  expect([resumed.next(), resumed.gaussian(), resumed.integer(0, 1000)]).toEqual(ahead);
  expect(resumed.state).toEqual(source.state);
});

test('bad seeds and states are refused', () => {
  for (const seed of [0.5, NaN, 2 ** 32, -(2 ** 32)])
    expect(() => random(seed)).toThrow(`[random] seed ${seed}; it must be a whole number below 2^32`);
  for (const state of [[], [1, 2, 3], [1, 2, 3, 0.5], [0, 0, 0, 0], [1, 2, 3, 2 ** 40]])
    expect(() => Random.fromState(state)).toThrow('[random] a state is four 32-bit integers, not all of them 0');
});

test('uniform numbers fill their range evenly and never reach its upper end', () => {
  const data = of(1).uniform([100_000], { low: 2, high: 4 }).dataSync();
  const bins = new Array<number>(20).fill(0);
  for (const value of data) bins[Math.floor((value - 2) * 10)]!++;
  expect(bins.reduce((sum, count) => sum + (count - 5000) ** 2 / 5000, 0)).toBeLessThan(45); // chi-squared, 19 degrees: p = 0.001 at 43.8
  expect(data.every((value) => value >= 2 && value < 4)).toBe(true);
  const source = of(0);
  source.next = () => 1 - 2 ** -53; // rounds up to 1 in float32
  expect(source.uniform([1]).itemSync()).toBeLessThan(1);
  expect(source.uniform([1], { low: 5, high: 5 }).itemSync()).toBe(5);
});

test('normal numbers have the moments and tails of the normal distribution', () => {
  const data = Array.from(of(2).normal([100_000], { dtype: 'float64' }).dataSync());
  const moment = (n: number): number => data.reduce((sum, x) => sum + x ** n, 0) / data.length;
  expect(Math.abs(moment(1))).toBeLessThan(0.01);
  expect(Math.abs(moment(2) - 1)).toBeLessThan(0.02);
  expect(Math.abs(moment(3))).toBeLessThan(0.04);
  expect(Math.abs(moment(4) - 3)).toBeLessThan(0.12);
  for (const [limit, share] of [
    [1, 0.3173],
    [2, 0.0455],
    [3, 0.0027],
  ] as const)
    expect(Math.abs(data.filter((x) => Math.abs(x) > limit).length / data.length - share)).toBeLessThan(0.006);
  const scaled = of(2).normal([1000], { mean: 10, std: 0.1 }).dataSync();
  expect(Math.abs(Array.from(scaled).reduce((a, b) => a + b, 0) / 1000 - 10)).toBeLessThan(0.02);
});

test('integers: every one of the range, equally often; ends and large spans', () => {
  const counts = new Map<number, number>();
  for (const value of of(3).integers([30_000], -2, 4).dataSync()) counts.set(value, (counts.get(value) ?? 0) + 1);
  expect([...counts.keys()].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3]);
  for (const count of counts.values()) expect(Math.abs(count - 5000)).toBeLessThan(250);
  expect(of(3).integers([3], 7, 8).arraySync()).toEqual([7, 7, 7]);
  const whole = of(3)
    .integers([1000], -(2 ** 31), 2 ** 31)
    .dataSync();
  expect(Math.min(...whole)).toBeLessThan(-2e9);
  expect(Math.max(...whole)).toBeGreaterThan(2e9);
  for (const [low, high] of [
    [1, 1],
    [2, 1],
    [0.5, 2],
    [0, NaN],
  ] as const) {
    expect(() => of(0).integer(low, high)).toThrow(ValueError);
    expect(() => of(0).integers([1], low, high)).toThrow(ValueError);
  }
  expect(() => of(0).integers([2], 0, 2 ** 32)).toThrow(
    '[integers] numbers in [0, 4294967296): int32 holds whole numbers in [-2^31, 2^31)',
  );
});

test('permutations hold every number once, every order equally often', () => {
  expect(Array.from(of(4).permutation(1000).dataSync()).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 1000 }, (_, i) => i),
  );
  const source = of(5);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const order = source.permutation(3).dataSync().join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(130);
  expect(source.permutation(0).shape).toEqual([0]);
  expect(source.permutation(1).arraySync()).toEqual([0]);
});

test('bad shapes, types and ranges are refused', () => {
  const source = of(0);
  for (const make of [
    () => source.normal([-1]),
    () => source.uniform([0.5]),
    () => source.integers([-1], 0, 2),
    () => source.permutation(-1),
    () => source.permutation(1.5),
  ])
    expect(make).toThrow(ShapeError);
  expect(() => source.normal([1], { dtype: 'int32' })).toThrow(DTypeError);
  expect(() => source.uniform([1], { dtype: 'float16' })).toThrow(
    '[uniform] these numbers come as float32 or float64, not float16; cast them',
  );
  expect(() => source.uniform([1], { low: 1, high: 0 })).toThrow(
    '[uniform] numbers in [1, 0): the bounds must be finite, the upper one not smaller',
  );
  expect(() => source.uniform([1], { high: Infinity })).toThrow(ValueError);
});
