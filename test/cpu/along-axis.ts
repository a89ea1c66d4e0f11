import { type DType, random, tensor, type Tensor } from 'tapegrad';

/* What tests of kernels along an axis share: shapes around the vector width, the unrolled loops and the columns that the kernels take at a time (64 to 512), and exact sums. */

export type View = readonly [outer: number, axis: number, inner: number];
export const VIEWS: readonly View[] = [
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
export const DTYPES = ['float32', 'float64', 'int32'] as const;
export const FLOATS = ['float32', 'float64'] as const;
export const rng = random(71);

/** Numbers of all magnitudes and both signs, many of which cancel. */
export function spreadOut(dtype: DType, count: number): number[] {
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

export const make = (dtype: DType, shape: readonly number[], values: readonly number[]): Tensor =>
  tensor(dtype === 'float64' ? Float64Array.from(values) : dtype === 'int32' ? Int32Array.from(values) : [...values], {
    shape,
    dtype,
  });

/** The elements along the axis at each [outer, inner], in the order of the result. */
export function lines(values: readonly number[], [outer, axis, inner]: View): number[][] {
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

export const exactSum = (elements: readonly number[]): number =>
  nearest(elements.reduce((sum, x) => sum + whole(x), 0n));

/** The product of numbers whose product is neither tiny nor huge. */
export function exactProduct(elements: readonly number[]): number {
  const product = elements.reduce((result, x) => result * whole(x), 1n);
  const size = product < 0n ? -product : product;
  const shift = Math.max(size.toString(16).length * 4 - 100, 0);
  const leading = Number(size >> BigInt(shift));
  return (product < 0n ? -1 : 1) * leading * 2 ** (shift - 1074 * elements.length);
}

export const wrapped = (elements: readonly number[]): number => elements.reduce((sum, x) => (sum + x) | 0, 0);

export const eps = (dtype: DType): number => (dtype === 'float64' ? 2 ** -53 : 2 ** -24);

/** As near as a sum that is kept with twice the digits and rounded once must be. */
export function expectSum(got: number, elements: readonly number[], dtype: DType): void {
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

export function eachResult(
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
