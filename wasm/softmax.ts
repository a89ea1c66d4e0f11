// Softmax and its logarithm over the middle axis of x[outer, axis, inner], of float32 and float64.
// The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { columnsAtOnce, exponentialsOfRows, exponentialsOfRun, finishSums, sumsIn } from "./exponentials";
import { largestOfRun } from "./extremes";
import { highPair, loadPart, loadUpTo, lowPair, storePart, sumPair } from "./lanes";
import { expNegative, log1p } from "./math";
import { bytes, lanes, storeVector, vectorAt } from "./vectors";

@inline function softmaxRows<T>(x: usize, out: usize, scratch: usize, axis: i32, stride: usize, n: i32, logarithm: bool): void {
  const sums = sumsIn(scratch);
  exponentialsOfRows<T>(x, logarithm ? 0 : out, scratch, axis, stride, n);
  finishSums<T>(scratch, n, !logarithm);
  for (let i = 0; i < axis; i++, x += stride, out += stride) {
    for (let at: usize = 0, left = n; left > 0; at += 16, left -= lanes<T>()) {
      const last = v128.load(sums + at);
      const value = logarithm ? v128.sub<T>(v128.sub<T>(vectorAt<T>(x + at, left), v128.load(scratch + at)), last) : v128.mul<T>(vectorAt<T>(out + at, left), last);
      storeVector<T>(out + at, value, left);
    }
  }
}

@inline function columnsOf<T>(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32, logarithm: bool): void {
  const stride = bytes<T>(inner), block = <usize>axis * stride, width = columnsAtOnce(axis);
  for (let o = 0; o < outer; o++, x += block, out += block)
    for (let c = 0; c < columns; c += width)
      softmaxRows<T>(x + bytes<T>(c), out + bytes<T>(c), scratch, axis, stride, min(width, columns - c), logarithm);
}

// Along rows.

@inline function scaleRun<T>(out: usize, n: i32, scale: T): void {
  const scales = v128.splat<T>(scale);
  for (; n > 0; n -= lanes<T>(), out += 16) storeVector<T>(out, v128.mul<T>(vectorAt<T>(out, n), scales), n);
}

@inline function softmaxRun<T>(x: usize, out: usize, n: i32): void {
  scaleRun<T>(out, n, <T>(1 / exponentialsOfRun<T>(x, out, n, largestOfRun<T>(x, n))));
}

/** e^x over the sum of e^x along the axis. A row with no finite maximum has no softmax: NaN. */
export function softmax(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const block = bytes<f32>(axis);
  if (inner != 1) columnsOf<f32>(x, out, scratch, outer, axis, inner, columns, false);
  else for (; outer > 0; outer--, x += block, out += block) softmaxRun<f32>(x, out, axis);
}

export function softmaxF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const block = bytes<f64>(axis);
  if (inner != 1) columnsOf<f64>(x, out, scratch, outer, axis, inner, columns, false);
  else for (; outer > 0; outer--, x += block, out += block) softmaxRun<f64>(x, out, axis);
}

/**
 * The sum of e^(x - shift) over a row, less 1, where `shift` is the greatest x: its own exponential is left out of the sum instead of being
 * taken off, so that where it dominates the rest keeps its digits.
 */
@inline function restOfRow(x: usize, n: i32, shift: f32): f32 {
  const shifts = f32x4.splat(shift), end = x + (<usize>(n & ~7) << 2);
  let low = f64x2.splat(0), high = low, greatest = i32x4.splat(0);
  if (x < end) do { // not while: the constants of e^x stay out of the loop only where it is sure to run
    const a = v128.load(x), b = v128.load(x, 16), sameA = f32x4.eq(a, shifts), sameB = f32x4.eq(b, shifts);
    const others = f32x4.add(v128.andnot(expNegative(f32x4.sub(a, shifts)), sameA), v128.andnot(expNegative(f32x4.sub(b, shifts)), sameB));
    low = f64x2.add(low, lowPair(others)); high = f64x2.add(high, highPair(others));
    greatest = i32x4.sub(i32x4.sub(greatest, sameA), sameB);
    x += 32;
  } while (x < end);
  for (let left = n & 7; left > 0; left -= 4, x += 16) {
    const inside = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(left)), lanes = loadUpTo(x, left), same = v128.and(f32x4.eq(lanes, shifts), inside);
    const others = v128.andnot(v128.and(expNegative(f32x4.sub(lanes, shifts)), inside), same);
    low = f64x2.add(low, lowPair(others)); high = f64x2.add(high, highPair(others));
    greatest = i32x4.sub(greatest, same);
  }
  const counts = f64x2.add(f64x2.convert_low_i32x4_s(greatest), f64x2.convert_low_i32x4_s(v128.shuffle<i32>(greatest, greatest, 2, 3, 2, 3)));
  return <f32>(sumPair(f64x2.add(low, high)) + (sumPair(counts) - 1)) + (shift - shift); // NaN where the row has no finite maximum
}

/** The greatest element of a row, NaN left out: it shows in the sum of the exponentials. */
@inline function greatestOfRow(x: usize, n: i32): f32 {
  const end = x + (<usize>(n & ~3) << 2);
  let most = f32x4.splat(-Infinity);
  for (; x < end; x += 16) most = f32x4.pmax(most, v128.load(x));
  if (n & 3) most = f32x4.pmax(most, loadPart(x, n & 3));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2)), 0);
}

/** Four rows, `step` bytes apart: they share the logarithm. Two subtractions, because log of the sum may be tiny beside the shift. */
function logSoftmaxRows(x: usize, out: usize, n: i32, step: usize): void {
  const whole = <usize>(n & ~3) << 2, left = n & 3;
  let shifts = f32x4.splat(0), rests = f32x4.splat(0);
  for (let row = 0; row < 4; row++) {
    const at = x + <usize>row * step, shift = greatestOfRow(at, n);
    shifts = v128.shuffle<f32>(shifts, f32x4.splat(shift), 1, 2, 3, 4);
    rests = v128.shuffle<f32>(rests, f32x4.splat(restOfRow(at, n, shift)), 1, 2, 3, 4);
  }
  let logs = log1p(rests);
  for (let row = 0; row < 4; row++, x += step, out += step) {
    const shift = v128.shuffle<f32>(shifts, shifts, 0, 0, 0, 0), rest = v128.shuffle<f32>(logs, logs, 0, 0, 0, 0);
    for (let i: usize = 0; i < whole; i += 16) v128.store(out + i, f32x4.sub(f32x4.sub(v128.load(x + i), shift), rest));
    if (left > 0) storePart(out + whole, f32x4.sub(f32x4.sub(loadPart(x + whole, left), shift), rest), left);
    shifts = v128.shuffle<f32>(shifts, shifts, 1, 2, 3, 0);
    logs = v128.shuffle<f32>(logs, logs, 1, 2, 3, 0);
  }
}

/** x less the log of the sum of e^x along the axis. */
export function logSoftmax(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  if (inner != 1) return columnsOf<f32>(x, out, scratch, outer, axis, inner, columns, true);
  const block = bytes<f32>(axis);
  let o = 0;
  for (; o + 4 <= outer; o += 4, x += 4 * block, out += 4 * block) logSoftmaxRows(x, out, axis, block);
  for (; o < outer; o++, x += block, out += block) logSoftmaxRows(x, out, axis, 0);
}

export function logSoftmaxF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  if (inner != 1) return columnsOf<f64>(x, out, scratch, outer, axis, inner, columns, true);
  for (; outer > 0; outer--) {
    const top = largestOfRun<f64>(x, axis), last = f64x2.splat(NativeMath.log(exponentialsOfRun<f64>(x, 0, axis, top))), shift = f64x2.splat(top);
    for (let left = axis; left > 0; left -= 2) {
      storeVector<f64>(out, f64x2.sub(f64x2.sub(vectorAt<f64>(x, left), shift), last), left);
      x += bytes<f64>(min(left, 2));
      out += bytes<f64>(min(left, 2));
    }
  }
}
