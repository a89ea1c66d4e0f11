// Reductions over the middle axis of x[outer, axis, inner] into out[outer, inner], and running sums along it. Sums run in float64 and are rounded once.
import { expNegative, log } from "./math";
import { fromPairs, highPair, loadPart, loadUpTo, lowPair, minLane, storePart, storeUpTo } from "./lanes";
import { maxRun, sumExp } from "./runs";
import { reduceSum } from "./sums";

/** Sum; 0 over an empty axis. */
export function sum(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  reduceSum(x, out, outer, axis, inner, false);
}

/** The smallest of n floats side by side; NaN when one of them is. */
@inline function minRun(x: usize, n: i32): f32 {
  let m0 = f32x4.splat(Infinity), m1 = m0, broken = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= n; i += 8, x += 32) {
    const a = v128.load(x), b = v128.load(x, 16);
    broken = v128.or(broken, v128.or(f32x4.ne(a, a), f32x4.ne(b, b)));
    m0 = f32x4.pmin(m0, a);
    m1 = f32x4.pmin(m1, b);
  }
  for (; i < n; i += 4, x += 16) {
    const a = loadUpTo(x, n - i);
    broken = v128.or(broken, f32x4.ne(a, a));
    m0 = f32x4.pmin(m0, a);
  }
  return v128.any_true(broken) ? NaN : minLane(f32x4.pmin(m0, m1));
}

/** Lanewise extreme of `axis` rows of up to four columns; NaN where a column holds one. */
@inline function extremeColumns(x: usize, axis: i32, stride: usize, count: i32, largest: bool): v128 {
  let best = f32x4.splat(largest ? -Infinity : Infinity);
  for (let i = 0; i < axis; i++, x += stride) {
    const lanes = loadUpTo(x, count);
    best = largest ? f32x4.max(best, lanes) : f32x4.min(best, lanes);
  }
  return best;
}

@inline function extremeOf(a: v128, b: v128, largest: bool): v128 {
  return largest ? f32x4.max(a, b) : f32x4.min(a, b);
}

/** From this many columns on rows are read from end to end, and the results wait in the cache: this many of them at a time. */
const WIDE: i32 = 16;
const COLUMNS: i32 = 2048;

/** The extremes of n columns of `axis` rows, four rows at a time. */
@inline function extremeRows(x: usize, out: usize, axis: i32, stride: usize, n: i32, largest: bool): void {
  const end = out + (<usize>n << 2);
  const none = f32x4.splat(largest ? -Infinity : Infinity);
  for (let to = out, left = n; left > 0; left -= 4, to += 16) storeUpTo(to, none, left);
  let i = 0;
  for (; i + 4 <= axis; i += 4, x += 4 * stride) {
    let from = x, to = out;
    for (; to + 16 <= end; to += 16, from += 16) {
      const upper = extremeOf(v128.load(from), v128.load(from + stride), largest);
      const lower = extremeOf(v128.load(from + 2 * stride), v128.load(from + 3 * stride), largest);
      v128.store(to, extremeOf(v128.load(to), extremeOf(upper, lower, largest), largest));
    }
    if (to < end) storePart(to, extremeOf(loadPart(to, n & 3), extremeColumns(from, 4, stride, n & 3, largest), largest), n & 3);
  }
  for (; i < axis; i++, x += stride) {
    let from = x, to = out;
    for (; to + 16 <= end; to += 16, from += 16) v128.store(to, extremeOf(v128.load(to), v128.load(from), largest));
    if (to < end) storePart(to, extremeOf(loadPart(to, n & 3), loadPart(from, n & 3), largest), n & 3);
  }
}

@inline function reduceExtreme(x: usize, out: usize, outer: i32, axis: i32, inner: i32, largest: bool): void {
  const stride = <usize>inner << 2;
  for (let o = 0; o < outer; o++, x += <usize>axis * stride) {
    if (inner == 1) {
      store<f32>(out, largest ? maxRun(x, axis) : minRun(x, axis));
      out += 4;
      continue;
    }
    if (inner >= WIDE) {
      for (let c = 0; c < inner; c += COLUMNS) {
        const at = <usize>c << 2;
        extremeRows(x + at, out + at, axis, stride, min(COLUMNS, inner - c), largest);
      }
      out += stride;
      continue;
    }
    let column = x;
    for (let left = inner; left > 0; left -= 4, column += 16) {
      storeUpTo(out, extremeColumns(column, axis, stride, left, largest), left);
      out += <usize>min(left, 4) << 2;
    }
  }
}

// `max` and `min` are AssemblyScript's own inside this file.
export { maximumOf as max, minimumOf as min };

/** Largest; NaN when one element is. */
function maximumOf(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  reduceExtreme(x, out, outer, axis, inner, true);
}

/** Smallest; NaN when one element is. */
function minimumOf(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  reduceExtreme(x, out, outer, axis, inner, false);
}

/** The first place of `value` (or of NaN, when that is the value) among n floats side by side. */
@inline function indexOf(x: usize, n: i32, value: f32): i32 {
  const wanted = f32x4.splat(value), findNaN = value != value;
  for (let i = 0; i < n; i += 4, x += 16) {
    const lanes = loadUpTo(x, n - i);
    const bits = i32x4.bitmask(findNaN ? f32x4.ne(lanes, lanes) : f32x4.eq(lanes, wanted));
    if (bits) return i + ctz(bits);
  }
  return 0;
}

@inline function argExtreme(x: usize, out: usize, outer: i32, axis: i32, inner: i32, largest: bool): void {
  const stride = <usize>inner << 2;
  for (let o = 0; o < outer; o++, x += <usize>axis * stride) {
    if (inner == 1) {
      store<i32>(out, indexOf(x, axis, largest ? maxRun(x, axis) : minRun(x, axis)));
      out += 4;
      continue;
    }
    let column = x;
    for (let left = inner; left > 0; left -= 4, column += 16) {
      let best = loadUpTo(column, left), index = i32x4.splat(0);
      let from = column + stride;
      for (let i = 1; i < axis; i++, from += stride) {
        const lanes = loadUpTo(from, left);
        const beats = largest ? f32x4.gt(lanes, best) : f32x4.lt(lanes, best);
        const firstNaN = v128.andnot(f32x4.ne(lanes, lanes), f32x4.ne(best, best));
        // A comparison with NaN is false, so a NaN once taken stays.
        const better = v128.or(beats, firstNaN);
        best = v128.bitselect(lanes, best, better);
        index = v128.bitselect(i32x4.splat(i), index, better);
      }
      storeUpTo(out, index, left);
      out += <usize>min(left, 4) << 2;
    }
  }
}

/** Index (int32) of the first largest element; of the first NaN when there is one. The axis is not empty. */
export function argmax(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  argExtreme(x, out, outer, axis, inner, true);
}

/** Index (int32) of the first smallest element; of the first NaN when there is one. The axis is not empty. */
export function argmin(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  argExtreme(x, out, outer, axis, inner, false);
}

/** log of the sum of exponentials: -Infinity where all elements are, Infinity where one is. */
export function logSumExp(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  const stride = <usize>inner << 2;
  for (let o = 0; o < outer; o++, x += <usize>axis * stride) {
    if (inner == 1) {
      const shift = maxRun(x, axis);
      const finite = abs(shift) < Infinity;
      store<f32>(out, finite ? <f32>(<f64>shift + NativeMath.log(sumExp(x, axis, shift))) : shift);
      out += 4;
      continue;
    }
    let column = x;
    for (let left = inner; left > 0; left -= 4, column += 16) {
      const shift = extremeColumns(column, axis, stride, left, true);
      let low = f64x2.splat(0), high = f64x2.splat(0);
      let from = column;
      for (let i = 0; i < axis; i++, from += stride) {
        const lanes = expNegative(f32x4.sub(loadUpTo(from, left), shift));
        low = f64x2.add(low, lowPair(lanes));
        high = f64x2.add(high, highPair(lanes));
      }
      const total = f32x4.add(shift, log(fromPairs(low, high)));
      const finite = f32x4.lt(f32x4.abs(shift), f32x4.splat(Infinity));
      storeUpTo(out, v128.bitselect(total, shift, finite), left);
      out += <usize>min(left, 4) << 2;
    }
  }
}

/** Running sums along the middle axis, in float64, each rounded once: from the first element on, or with `reverse` from the last one back. */
export function cumsum(x: usize, out: usize, outer: i32, axis: i32, inner: i32, reverse: bool): void {
  const row = <isize>inner << 2, block = <usize>axis * <usize>row;
  const start = reverse ? block - <usize>row : 0, step = reverse ? -row : row;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) {
      let sum: f64 = 0;
      let from = x + start, to = out + start;
      for (let i = 0; i < axis; i++, from += step, to += step) {
        sum += <f64>load<f32>(from);
        store<f32>(to, <f32>sum);
      }
      continue;
    }
    for (let c = 0; c < inner; c += 4) {
      const at = start + (<usize>c << 2);
      let low = f64x2.splat(0), high = f64x2.splat(0);
      let from = x + at, to = out + at;
      for (let i = 0; i < axis; i++, from += step, to += step) {
        const lanes = loadUpTo(from, inner - c);
        low = f64x2.add(low, lowPair(lanes));
        high = f64x2.add(high, highPair(lanes));
        storeUpTo(to, fromPairs(low, high), inner - c);
      }
    }
  }
}
