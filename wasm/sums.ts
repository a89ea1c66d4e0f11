// Sums and means along the middle axis of x[outer, axis, inner]. float32 is summed in float64 and rounded once; of float64 the rounding errors are summed as
// well (Knuth's two-sum), so that a sum is right to its last digit however much cancels; int32 wraps around.
// The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { sumPair } from "./lanes";
import { bytes, pairAt, storeVector, vectorAt } from "./vectors";

/** Long rows are summed in parts of this many elements, which threads may share: what a sum is does not depend on who has added what. */
export const PART: i32 = 1 << 16;

/** Columns at a time: their sums wait in the scratch memory while rows are read from end to end. */
const COLUMNS: i32 = 512;

/** What has been lost in rounding a + b to `sum`, lane by lane. */
@inline export function lostOf(a: v128, b: v128, sum: v128): v128 {
  const part = f64x2.sub(sum, a);
  return f64x2.add(f64x2.sub(a, f64x2.sub(sum, part)), f64x2.sub(b, part));
}

@inline export function lostIn(a: f64, b: f64, sum: f64): f64 {
  const part = sum - a;
  return (a - (sum - part)) + (b - part);
}

/** A sum with what it has lost; beyond float64, where that is not a number, without. */
@inline export function whole(sum: f64, lost: f64): f64 {
  return abs(lost) < Infinity ? sum + lost : sum;
}

// float32

function sumPart(x: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 16; n -= 16, x += 64) {
    s0 = f64x2.add(s0, f64x2.add(pairAt(x), pairAt(x + 32)));
    s1 = f64x2.add(s1, f64x2.add(pairAt(x + 8), pairAt(x + 40)));
    s2 = f64x2.add(s2, f64x2.add(pairAt(x + 16), pairAt(x + 48)));
    s3 = f64x2.add(s3, f64x2.add(pairAt(x + 24), pairAt(x + 56)));
  }
  let sum = sumPair(f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3)));
  for (; n > 0; n--, x += 4) sum += <f64>load<f32>(x);
  return sum;
}

/** The sum of n floats that lie side by side. */
export function sumRun(x: usize, n: i32): f64 {
  let sum = sumPart(x, min(n, PART));
  for (n -= PART; n > 0; n -= PART) sum += sumPart(x += <usize>PART << 2, min(n, PART));
  return sum;
}

/** The sums of the parts of a long row that begin at x, one after another, as float64. */
export function sumParts(x: usize, parts: usize, n: i32): void {
  for (; n > 0; n -= PART, x += <usize>PART << 2, parts += 8) store<f64>(parts, sumPart(x, min(n, PART)));
}

/** The sum of what `sumParts` has left: of a row that is not shared, over `divisor`. */
export function sumOfParts(parts: usize, out: usize, count: i32, divisor: f64): void {
  let sum = load<f64>(parts);
  for (let i = 1; i < count; i++) sum += load<f64>(parts + bytes<f64>(i));
  store<f32>(out, <f32>(sum / divisor));
}

/** Columns of float32 at a time: as many sums as for float64, which has two numbers a column. */
const FLOATS: i32 = 2 * COLUMNS;

/** The sums of two columns in 8 rows. */
@inline function pairOfRows(x: usize, stride: usize): v128 {
  const next = x + 4 * stride;
  return f64x2.add(
    f64x2.add(f64x2.add(pairAt(x), pairAt(x + stride)), f64x2.add(pairAt(x + 2 * stride), pairAt(x + 3 * stride))),
    f64x2.add(f64x2.add(pairAt(next), pairAt(next + stride)), f64x2.add(pairAt(next + 2 * stride), pairAt(next + 3 * stride))),
  );
}

/** Adds `rows` rows (1 or 8) of n columns to their sums. */
@inline export function addFloats(x: usize, sums: usize, stride: usize, n: i32, rows: i32): void {
  for (; n >= 2; n -= 2, x += 8, sums += 16) v128.store(sums, f64x2.add(v128.load(sums), rows == 8 ? pairOfRows(x, stride) : pairAt(x)));
  if (n > 0) for (let i = 0; i < rows; i++, x += stride) store<f64>(sums, load<f64>(sums) + <f64>load<f32>(x));
}

/** The sums of n columns of `axis` rows, as float64. */
export function sumRows(x: usize, sums: usize, axis: i32, stride: usize, n: i32): void {
  memory.fill(sums, 0, bytes<f64>(n));
  let i = 0;
  for (; i + 8 <= axis; i += 8, x += 8 * stride) addFloats(x, sums, stride, n, 8);
  for (; i < axis; i++, x += stride) addFloats(x, sums, stride, n, 1);
}

/** Sums or means of float32. */
@inline export function sumFloats(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32, mean: bool): void {
  const stride = bytes<f32>(inner), divisor = mean ? <f64>axis : 1;
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) store<f32>(out, <f32>(sumRun(x, axis) / divisor));
    else for (let c = 0; c < columns; c += FLOATS) {
      const n = min(FLOATS, columns - c);
      sumRows(x + bytes<f32>(c), scratch, axis, stride, n);
      for (let i = 0; i < n; i++) store<f32>(out + bytes<f32>(c + i), <f32>(load<f64>(scratch + bytes<f64>(i)) / divisor));
    }
  }
}

// float64

/** The sum of n float64 `step` bytes apart, each over `divisor`, one after another. */
function sumSequence(x: usize, n: i32, step: usize, divisor: f64, start: f64, lost: f64): f64 {
  for (; n > 0; n--, x += step) {
    const value = load<f64>(x) / divisor, next = start + value;
    lost += lostIn(start, value, next);
    start = next;
  }
  return whole(start, lost);
}

/** The sum of n float64 that lie side by side. */
export function sumDoubles(x: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0, l0 = s0, l1 = s0, l2 = s0, l3 = s0;
  let from = x, left = n;
  for (; left >= 8; left -= 8, from += 64) {
    const a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48);
    const t0 = f64x2.add(s0, a), t1 = f64x2.add(s1, b), t2 = f64x2.add(s2, c), t3 = f64x2.add(s3, d);
    l0 = f64x2.add(l0, lostOf(s0, a, t0));
    l1 = f64x2.add(l1, lostOf(s1, b, t1));
    l2 = f64x2.add(l2, lostOf(s2, c, t2));
    l3 = f64x2.add(l3, lostOf(s3, d, t3));
    s0 = t0; s1 = t1; s2 = t2; s3 = t3;
  }
  const s01 = f64x2.add(s0, s1), s23 = f64x2.add(s2, s3), s = f64x2.add(s01, s23);
  const losses = f64x2.add(f64x2.add(lostOf(s0, s1, s01), lostOf(s2, s3, s23)), lostOf(s01, s23, s));
  l0 = f64x2.add(f64x2.add(f64x2.add(l0, l1), f64x2.add(l2, l3)), losses);
  const first = f64x2.extract_lane(s, 0), second = f64x2.extract_lane(s, 1), sum = first + second;
  const result = sumSequence(from, left, 8, 1, sum, sumPair(l0) + lostIn(first, second, sum));
  // Out of range in this order is not out of range in the given one.
  return abs(result) < Infinity ? result : sumSequence(x, n, 8, 1, 0, 0);
}

/** The sums of n columns of `axis` rows; what they have lost comes behind them in the scratch memory. */
export function sumDoubleRows(x: usize, sums: usize, axis: i32, stride: usize, n: i32): void {
  const losses = sums + bytes<f64>(COLUMNS), start = x;
  memory.fill(sums, 0, bytes<f64>(n + 1));
  memory.fill(losses, 0, bytes<f64>(n + 1));
  let i = 0;
  for (; i + 2 <= axis; i += 2, x += 2 * stride) {
    for (let at: usize = 0, left = n; left > 0; at += 16, left -= 2) {
      const before = v128.load(sums + at), a = vectorAt<f64>(x + at, left), b = vectorAt<f64>(x + stride + at, left);
      const both = f64x2.add(a, b), next = f64x2.add(before, both);
      v128.store(losses + at, f64x2.add(v128.load(losses + at), f64x2.add(lostOf(a, b, both), lostOf(before, both, next))));
      v128.store(sums + at, next);
    }
  }
  if (i < axis) {
    for (let at: usize = 0, left = n; left > 0; at += 16, left -= 2) {
      const before = v128.load(sums + at), a = vectorAt<f64>(x + at, left), next = f64x2.add(before, a);
      v128.store(losses + at, f64x2.add(v128.load(losses + at), lostOf(before, a, next)));
      v128.store(sums + at, next);
    }
  }
  for (let i = 0; i < n; i++) {
    const at = sums + bytes<f64>(i);
    const sum = whole(load<f64>(at), load<f64>(at + bytes<f64>(COLUMNS)));
    store<f64>(at, abs(sum) < Infinity ? sum : sumSequence(start + bytes<f64>(i), axis, stride, 1, 0, 0));
  }
}

/** Sums of float64. */
export function sumDoublesAlong(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = bytes<f64>(inner);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) store<f64>(out, sumDoubles(x, axis));
    else for (let c = 0; c < columns; c += COLUMNS) {
      const n = min(COLUMNS, columns - c);
      sumDoubleRows(x + bytes<f64>(c), scratch, axis, stride, n);
      memory.copy(out + bytes<f64>(c), scratch, bytes<f64>(n));
    }
  }
}

/** Means of float64; divided first where the sum leaves the range. */
export function meanDoublesAlong(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  sumDoublesAlong(x, out, scratch, outer, axis, inner, columns);
  const stride = bytes<f64>(inner), divisor = <f64>axis;
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    for (let c = 0; c < columns; c++) {
      const at = out + bytes<f64>(c), sum = load<f64>(at);
      store<f64>(at, abs(sum) < Infinity ? sum / divisor : sumSequence(x + bytes<f64>(c), axis, stride, divisor, 0, 0));
    }
  }
}

// int32

function sumIntegers(x: usize, n: i32): i32 {
  let s0 = i32x4.splat(0), s1 = s0;
  for (; n >= 8; n -= 8, x += 32) {
    s0 = i32x4.add(s0, v128.load(x));
    s1 = i32x4.add(s1, v128.load(x, 16));
  }
  s0 = i32x4.add(s0, s1);
  s0 = i32x4.add(s0, v128.shuffle<i32>(s0, s0, 2, 3, 0, 1));
  let sum = i32x4.extract_lane(s0, 0) + i32x4.extract_lane(s0, 1);
  for (; n > 0; n--, x += 4) sum += load<i32>(x);
  return sum;
}

function sumIntegerRows(x: usize, out: usize, axis: i32, stride: usize, n: i32): void {
  memory.fill(out, 0, bytes<i32>(n));
  for (let i = 0; i < axis; i++, x += stride) {
    for (let at: usize = 0, left = n; left > 0; at += 16, left -= 4)
      storeVector<i32>(out + at, i32x4.add(vectorAt<i32>(out + at, left), vectorAt<i32>(x + at, left)), left);
  }
}

/** Sums of int32. */
@inline export function sumIntegersAlong(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = bytes<i32>(inner);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) store<i32>(out, sumIntegers(x, axis));
    else for (let c = 0; c < columns; c += COLUMNS)
      sumIntegerRows(x + bytes<i32>(c), out + bytes<i32>(c), axis, stride, min(COLUMNS, columns - c));
  }
}
