// Work on n elements that lie side by side, shared by the kernels.
import { expNegative } from "./math";
import { highPair, loadPart, loadUpTo, lowPair, maxLane, sumPair } from "./lanes";

/** Copies that many bytes. */
export function copyBytes(from: usize, to: usize, bytes: i32): void {
  for (; bytes >= 64; bytes -= 64, from += 64, to += 64) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    v128.store(to, v128.load(from, 32), 32);
    v128.store(to, v128.load(from, 48), 48);
  }
  for (; bytes >= 16; bytes -= 16, from += 16, to += 16) v128.store(to, v128.load(from));
  for (; bytes >= 4; bytes -= 4, from += 4, to += 4) store<i32>(to, load<i32>(from));
  for (; bytes > 0; bytes--, from++, to++) store<u8>(to, load<u8>(from));
}

/** Copies n elements of 4 bytes that lie side by side. */
@inline export function copyRun(from: usize, to: usize, n: i32): void {
  copyBytes(from, to, n << 2);
}

/** Fills that many bytes with an element of 1, 2, 4 or 8, which `pattern` repeats. */
export function fillBytes(out: usize, bytes: i32, pattern: u64): void {
  const lanes = i64x2.splat(pattern);
  for (; bytes >= 16; bytes -= 16, out += 16) v128.store(out, lanes);
  for (; bytes > 0; bytes--, out++) {
    store<u8>(out, pattern);
    pattern = rotr(pattern, 8);
  }
}

/** Sets n floats that lie side by side. */
export function fillRun(out: usize, n: i32, value: f32): void {
  const lanes = f32x4.splat(value);
  for (; n >= 4; n -= 4, out += 16) v128.store(out, lanes);
  for (; n > 0; n--, out += 4) store<f32>(out, value);
}

/** Adds n floats that lie side by side to others. */
export function addRun(from: usize, to: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, from += 16, to += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  for (; i < n; i++, from += 4, to += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}

/** The same in float64. */
export function addRunF64(from: usize, to: usize, n: i32): void {
  for (; n >= 2; n -= 2, from += 16, to += 16) v128.store(to, f64x2.add(v128.load(to), v128.load(from)));
  if (n > 0) store<f64>(to, load<f64>(to) + load<f64>(from));
}

/** The sum of n floats that lie side by side. */
export function sumRun(x: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0), s2 = f64x2.splat(0), s3 = f64x2.splat(0);
  let i = 0;
  for (; i + 8 <= n; i += 8, x += 32) {
    const a = v128.load(x), b = v128.load(x, 16);
    s0 = f64x2.add(s0, lowPair(a));
    s1 = f64x2.add(s1, highPair(a));
    s2 = f64x2.add(s2, lowPair(b));
    s3 = f64x2.add(s3, highPair(b));
  }
  let sum = sumPair(f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3)));
  for (; i < n; i++, x += 4) sum += <f64>load<f32>(x);
  return sum;
}

/** The sum of (x - center)^2 over n floats. */
export function sumSquaredDistances(x: usize, n: i32, center: f64): f64 {
  const centers = f64x2.splat(center);
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16) {
    const lanes = v128.load(x);
    const low = f64x2.sub(lowPair(lanes), centers), high = f64x2.sub(highPair(lanes), centers);
    s0 = f64x2.add(s0, f64x2.mul(low, low));
    s1 = f64x2.add(s1, f64x2.mul(high, high));
  }
  let sum = sumPair(f64x2.add(s0, s1));
  for (; i < n; i++, x += 4) {
    const distance = <f64>load<f32>(x) - center;
    sum += distance * distance;
  }
  return sum;
}

/** The largest of n floats side by side; NaN when one of them is. */
@inline export function maxRun(x: usize, n: i32): f32 {
  let m0 = f32x4.splat(-Infinity), m1 = m0, broken = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= n; i += 8, x += 32) {
    const a = v128.load(x), b = v128.load(x, 16);
    broken = v128.or(broken, v128.or(f32x4.ne(a, a), f32x4.ne(b, b)));
    m0 = f32x4.pmax(m0, a);
    m1 = f32x4.pmax(m1, b);
  }
  for (; i < n; i += 4, x += 16) {
    const a = loadUpTo(x, n - i);
    broken = v128.or(broken, f32x4.ne(a, a));
    m0 = f32x4.pmax(m0, a);
  }
  return v128.any_true(broken) ? NaN : maxLane(f32x4.pmax(m0, m1));
}

/** The sum of e^(x - shift) over n floats side by side, none above `shift`. */
@inline export function sumExp(x: usize, n: i32, shift: f32): f64 {
  const shifts = f32x4.splat(shift);
  let low = f64x2.splat(0), high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16) {
    const lanes = expNegative(f32x4.sub(v128.load(x), shifts));
    low = f64x2.add(low, lowPair(lanes));
    high = f64x2.add(high, highPair(lanes));
  }
  let sum = sumPair(f64x2.add(low, high));
  if (i < n) {
    const lanes = expNegative(f32x4.sub(loadPart(x, n - i), shifts));
    sum += <f64>f32x4.extract_lane(lanes, 0);
    if (i + 1 < n) sum += <f64>f32x4.extract_lane(lanes, 1);
    if (i + 2 < n) sum += <f64>f32x4.extract_lane(lanes, 2);
  }
  return sum;
}
