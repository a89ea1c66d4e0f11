// Exponentials along the middle axis of x[outer, axis, inner], of float32 and float64, and the logarithms of their sums: what softmax is made of.
// Exponentials are of differences to the maximum; their sum runs in float64.
import { largestOfRows, largestOfRun } from "./extremes";
import { fromPairs, highPair, lowPair, sumPair } from "./lanes";
import { expNegative, log1p } from "./math";
import { exp as exp64, log as log64 } from "./math64";
import { bytes, lanes, storeVector, vectorAt } from "./vectors";

/** e^x for x <= 0. */
@inline function expOf<T>(x: v128): v128 {
  return sizeof<T>() == 8 ? exp64(x) : expNegative(x);
}

/** e^(x - shift) of n elements side by side, none above `shift`; they go to `out`, unless that is 0. @returns their sum */
export function exponentialsOfRun<T>(x: usize, out: usize, n: i32, shift: T): f64 {
  const keeps = out != 0;
  const shifts = v128.splat<T>(shift), end = x + bytes<T>(n & ~(lanes<T>() - 1)), left = n & (lanes<T>() - 1);
  let low = f64x2.splat(0), high = low;
  if (x < end) do { // not while: the constants of e^x stay out of the loop only where it is sure to run
    const vector = expOf<T>(v128.sub<T>(v128.load(x), shifts));
    low = f64x2.add(low, sizeof<T>() == 8 ? vector : lowPair(vector));
    if (sizeof<T>() == 4) high = f64x2.add(high, highPair(vector));
    if (keeps) {
      v128.store(out, vector);
      out += 16;
    }
    x += 16;
  } while (x < end);
  let sum = sumPair(f64x2.add(low, high));
  if (left > 0) {
    const vector = expOf<T>(v128.sub<T>(vectorAt<T>(x, left), shifts));
    sum += <f64>v128.extract_lane<T>(vector, 0);
    if (sizeof<T>() == 4 && left > 1) sum += <f64>v128.extract_lane<T>(vector, 1);
    if (sizeof<T>() == 4 && left > 2) sum += <f64>v128.extract_lane<T>(vector, 2);
    if (keeps) storeVector<T>(out, vector, left);
  }
  return sum;
}

// Down the columns: what is known of some of them waits in the scratch memory while rows are read from end to end, as many as the cache holds
// between one pass over them and the next.

const COLUMNS: i32 = 512;
const CACHED: i32 = 1 << 16;

@inline export function columnsAtOnce(axis: i32): i32 {
  return max(64, min(COLUMNS, (CACHED / max(axis, 1)) & ~3));
}

/** Where the sums of the exponentials begin in the scratch memory, behind the columns' largest elements. */
@inline export function sumsIn(scratch: usize): usize {
  return scratch + (<usize>COLUMNS << 3);
}

@inline function difference<T>(x: usize, top: v128, left: i32): v128 {
  return expOf<T>(v128.sub<T>(vectorAt<T>(x, left), top));
}

/** The exponentials of n columns in one row or, where `two`, in two of them: to `out`, where `keeps`, and to the sums. */
@inline function exponentialsOfRow<T>(x: usize, out: usize, tops: usize, sums: usize, stride: usize, n: i32, two: bool, keeps: bool): void {
  do { // not while: see above
    const top = v128.load(tops), a = difference<T>(x, top, n), b = two ? difference<T>(x + stride, top, n) : a;
    if (sizeof<T>() == 8) {
      v128.store(sums, f64x2.add(v128.load(sums), two ? f64x2.add(a, b) : a));
    } else {
      v128.store(sums, f64x2.add(v128.load(sums), two ? f64x2.add(lowPair(a), lowPair(b)) : lowPair(a)));
      v128.store(sums, f64x2.add(v128.load(sums, 16), two ? f64x2.add(highPair(a), highPair(b)) : highPair(a)), 16);
    }
    if (keeps) {
      storeVector<T>(out, a, n);
      if (two) storeVector<T>(out + stride, b, n);
      out += 16;
    }
    x += 16;
    tops += 16;
    sums += 128 / sizeof<T>();
    n -= lanes<T>();
  } while (n > 0);
}

/**
 * The exponentials of n columns of `axis` rows less the columns' largest elements, to `out`, unless that is 0; these and the sums go to the scratch
 * memory.
 */
export function exponentialsOfRows<T>(x: usize, out: usize, scratch: usize, axis: i32, stride: usize, n: i32): void {
  const sums = sumsIn(scratch), keeps = out != 0;
  largestOfRows<T>(x, scratch, axis, stride, n);
  memory.fill(sums, 0, bytes<f64>(n));
  let i = 0;
  for (; i + 2 <= axis; i += 2, x += 2 * stride, out += 2 * stride) exponentialsOfRow<T>(x, out, scratch, sums, stride, n, true, keeps);
  if (i < axis) exponentialsOfRow<T>(x, out, scratch, sums, stride, n, false, keeps);
}

/** Makes of the sums, in their place, their inverses where `inverse`, else their logarithms, one element each. */
@inline export function finishSums<T>(scratch: usize, n: i32, inverse: bool): void {
  const sums = sumsIn(scratch);
  for (let i = 0; i < n; i += lanes<T>()) {
    const from = sums + bytes<f64>(i), to = sums + bytes<T>(i), one = f64x2.splat(1);
    const low = v128.load(from), high = sizeof<T>() == 8 ? low : v128.load(from, 16);
    if (sizeof<T>() == 8) v128.store(to, inverse ? f64x2.div(one, low) : log64(low));
    else if (inverse) v128.store(to, fromPairs(f64x2.div(one, low), f64x2.div(one, high)));
    // The largest element gives 1 to the sum: without it the rest keeps its digits.
    else v128.store(to, log1p(fromPairs(f64x2.sub(low, one), f64x2.sub(high, one))));
  }
}

/** The logarithm of the sum of the exponentials along the middle axis. */
@inline export function logSumsAlong<T>(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = bytes<T>(inner), width = columnsAtOnce(axis), sums = sumsIn(scratch);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) {
      const top = largestOfRun<T>(x, axis);
      store<T>(out, abs<T>(top) < <T>Infinity ? <T>(<f64>top + NativeMath.log(exponentialsOfRun<T>(x, 0, axis, top))) : top);
      continue;
    }
    for (let c = 0; c < columns; c += width) {
      const n = min(width, columns - c);
      exponentialsOfRows<T>(x + bytes<T>(c), 0, scratch, axis, stride, n);
      finishSums<T>(scratch, n, false);
      for (let at: usize = 0, left = n; left > 0; at += 16, left -= lanes<T>()) {
        const top = v128.load(scratch + at), isFinite = v128.lt<T>(v128.abs<T>(top), v128.splat<T>(<T>Infinity));
        storeVector<T>(out + bytes<T>(c) + at, v128.bitselect(v128.add<T>(top, v128.load(sums + at)), top, isFinite), left);
      }
    }
  }
}
