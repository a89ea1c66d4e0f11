// Extremes along the middle axis of x[outer, axis, inner], and where they are, of float32, float64 and int32. NaN is more extreme than anything.
// The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { bytes, lanes, storeVector, vectorAt } from "./vectors";

/** Columns at a time: what is known of them waits in the cache while rows are read from end to end. */
const COLUMNS: i32 = 512;

/** What every element is at least, or at most. */
@inline function none<T>(largest: bool): v128 {
  if (isFloat<T>()) return v128.splat<T>(largest ? <T>-Infinity : <T>Infinity);
  return v128.splat<T>(largest ? <T>i32.MIN_VALUE : <T>i32.MAX_VALUE);
}

/** The more extreme of each two, not minding NaN, which is lost or kept. */
@inline function more<T>(a: v128, b: v128, largest: bool): v128 {
  if (isFloat<T>()) return largest ? v128.pmax<T>(a, b) : v128.pmin<T>(a, b);
  return largest ? v128.max<T>(a, b) : v128.min<T>(a, b);
}

/** The most extreme lane; none is NaN. */
@inline function moreLane<T>(vector: v128, largest: bool): T {
  const halves = more<T>(vector, v128.shuffle<i64>(vector, vector, 1, 0), largest);
  if (sizeof<T>() == 8) return v128.extract_lane<T>(halves, 0);
  return v128.extract_lane<T>(more<T>(halves, v128.shuffle<i32>(halves, halves, 1, 0, 3, 2), largest), 0);
}

/** The most extreme of n elements side by side. */
@inline function extremeRun<T>(x: usize, n: i32, largest: bool): T {
  const step = lanes<T>();
  let m0 = none<T>(largest), m1 = m0, m2 = m0, m3 = m0, broken = i32x4.splat(0);
  for (; n >= 4 * step; n -= 4 * step, x += 64) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    if (isFloat<T>()) broken = v128.or(broken, v128.or(v128.or(v128.ne<T>(a, a), v128.ne<T>(b, b)), v128.or(v128.ne<T>(c, c), v128.ne<T>(d, d))));
    m0 = more<T>(m0, a, largest);
    m1 = more<T>(m1, b, largest);
    m2 = more<T>(m2, c, largest);
    m3 = more<T>(m3, d, largest);
  }
  for (; n > 0; n -= step, x += 16) {
    const a = vectorAt<T>(x, n);
    if (isFloat<T>()) broken = v128.or(broken, v128.ne<T>(a, a));
    m0 = more<T>(m0, a, largest);
  }
  if (isFloat<T>() && v128.any_true(broken)) return <T>NaN;
  return moreLane<T>(more<T>(more<T>(m0, m1, largest), more<T>(m2, m3, largest), largest), largest);
}

/** Makes the extremes of n columns so far those of `rows` more (1 or 4). @returns a mask with bits where there was a NaN */
@inline function extremesWith<T>(x: usize, out: usize, stride: usize, n: i32, rows: i32, largest: bool): v128 {
  let broken = i32x4.splat(0);
  for (; n > 0; n -= lanes<T>(), x += 16, out += 16) {
    let best = vectorAt<T>(x, n), odd = v128.ne<T>(best, best);
    if (rows == 4) {
      const b = vectorAt<T>(x + stride, n), c = vectorAt<T>(x + 2 * stride, n), d = vectorAt<T>(x + 3 * stride, n);
      if (isFloat<T>()) odd = v128.or(v128.or(odd, v128.ne<T>(b, b)), v128.or(v128.ne<T>(c, c), v128.ne<T>(d, d)));
      best = more<T>(more<T>(best, b, largest), more<T>(c, d, largest), largest);
    }
    storeVector<T>(out, more<T>(vectorAt<T>(out, n), best, largest), n);
    if (isFloat<T>()) broken = v128.or(broken, odd);
  }
  return broken;
}

/** The extremes of n columns of `axis` rows. */
@inline function extremeRows<T>(x: usize, out: usize, axis: i32, stride: usize, n: i32, largest: bool): void {
  for (let to = out, left = n; left > 0; left -= lanes<T>(), to += 16) storeVector<T>(to, none<T>(largest), left);
  let broken = i32x4.splat(0), i = 0, from = x;
  for (; i + 4 <= axis; i += 4, from += 4 * stride) broken = v128.or(broken, extremesWith<T>(from, out, stride, n, 4, largest));
  for (; i < axis; i++, from += stride) broken = v128.or(broken, extremesWith<T>(from, out, stride, n, 1, largest));
  if (isFloat<T>() && v128.any_true(broken)) spreadNaN<T>(x, out, axis, stride, n);
}

/** Makes the extremes of columns with a NaN NaN. */
function spreadNaN<T>(x: usize, out: usize, axis: i32, stride: usize, n: i32): void {
  for (let i = 0; i < axis; i++, x += stride) {
    for (let c = 0; c < n; c++) if (isNaN<T>(load<T>(x + bytes<T>(c)))) store<T>(out + bytes<T>(c), <T>NaN);
  }
}

/** The largest of n elements side by side; NaN when one is. */
export function largestOfRun<T>(x: usize, n: i32): T {
  return extremeRun<T>(x, n, true);
}

/** The smallest of n elements side by side; NaN when one is. */
export function smallestOfRun<T>(x: usize, n: i32): T {
  return extremeRun<T>(x, n, false);
}

/** The largest of each of n columns, `axis` rows of `stride` bytes. */
export function largestOfRows<T>(x: usize, out: usize, axis: i32, stride: usize, n: i32): void {
  extremeRows<T>(x, out, axis, stride, n, true);
}

function smallestOfRows<T>(x: usize, out: usize, axis: i32, stride: usize, n: i32): void {
  extremeRows<T>(x, out, axis, stride, n, false);
}

/** The extremes along the middle axis. */
@inline export function extremesAlong<T>(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, largest: bool): void {
  const stride = bytes<T>(inner);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) {
      store<T>(out, largest ? largestOfRun<T>(x, axis) : smallestOfRun<T>(x, axis));
      continue;
    }
    for (let c = 0; c < columns; c += COLUMNS) {
      const from = x + bytes<T>(c), to = out + bytes<T>(c), n = min(COLUMNS, columns - c);
      if (largest) largestOfRows<T>(from, to, axis, stride, n);
      else smallestOfRows<T>(from, to, axis, stride, n);
    }
  }
}
