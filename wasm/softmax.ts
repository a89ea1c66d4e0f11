// Softmax and its logarithm over the middle axis of x[outer, axis, inner]. Exponentials are of differences to the maximum; their sum runs in
// float64.
import { expNegative, log, log1p } from "./math";
import { fromPairs, highPair, loadPart, loadUpTo, lowPair, storePart, storeUpTo, sumPair } from "./lanes";
import { maxRun } from "./runs";

function softmaxRow(x: usize, out: usize, n: i32): void {
  const shifts = f32x4.splat(maxRun(x, n));
  const whole = n & ~3, end = out + (<usize>whole << 2);
  let low = f64x2.splat(0), high = f64x2.splat(0);
  let to = out;
  for (; to < end; to += 16, x += 16) {
    const lanes = expNegative(f32x4.sub(v128.load(x), shifts));
    low = f64x2.add(low, lowPair(lanes));
    high = f64x2.add(high, highPair(lanes));
    v128.store(to, lanes);
  }
  let sum = sumPair(f64x2.add(low, high));
  if (whole < n) {
    storePart(to, expNegative(f32x4.sub(loadPart(x, n - whole), shifts)), n - whole);
    for (let i = whole; i < n; i++, to += 4) sum += <f64>load<f32>(to);
  }
  const scale = f32x4.splat(<f32>(1 / sum));
  for (to = out; to < end; to += 16) v128.store(to, f32x4.mul(v128.load(to), scale));
  if (whole < n) storePart(to, f32x4.mul(loadPart(to, n - whole), scale), n - whole);
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
  return <f32>(sumPair(f64x2.add(low, high)) + (sumPair(counts) - 1));
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

/** Softmax, or its logarithm, down `axis` rows of up to four columns. */
@inline function softmaxColumns(x: usize, out: usize, axis: i32, stride: usize, count: i32, logarithm: bool): void {
  let shift = f32x4.splat(-Infinity);
  let from = x;
  for (let i = 0; i < axis; i++, from += stride) shift = f32x4.max(shift, loadUpTo(from, count));
  let low = f64x2.splat(0), high = f64x2.splat(0);
  let to = out;
  from = x;
  for (let i = 0; i < axis; i++, from += stride, to += stride) {
    const lanes = expNegative(f32x4.sub(loadUpTo(from, count), shift));
    low = f64x2.add(low, lowPair(lanes));
    high = f64x2.add(high, highPair(lanes));
    if (!logarithm) storeUpTo(to, lanes, count);
  }
  const total = fromPairs(low, high);
  const last = logarithm ? log(total) : f32x4.div(f32x4.splat(1), total);
  from = x;
  for (let i = 0; i < axis; i++, from += stride, out += stride) {
    const value = logarithm ? f32x4.sub(f32x4.sub(loadUpTo(from, count), shift), last) : f32x4.mul(loadUpTo(out, count), last);
    storeUpTo(out, value, count);
  }
}

/** e^x over the sum of e^x along the axis. A row with no finite maximum has no softmax: NaN. */
export function softmax(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  const stride = <usize>inner << 2, block = <usize>axis * stride;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) softmaxRow(x, out, axis);
    else for (let c = 0; c < inner; c += 4) softmaxColumns(x + (<usize>c << 2), out + (<usize>c << 2), axis, stride, inner - c, false);
  }
}

/** x less the log of the sum of e^x along the axis. */
export function logSoftmax(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  const stride = <usize>inner << 2, block = <usize>axis * stride;
  if (inner == 1) {
    let o = 0;
    for (; o + 4 <= outer; o += 4, x += 4 * block, out += 4 * block) logSoftmaxRows(x, out, axis, block);
    for (; o < outer; o++, x += block, out += block) logSoftmaxRows(x, out, axis, 0);
    return;
  }
  for (let o = 0; o < outer; o++, x += block, out += block)
    for (let c = 0; c < inner; c += 4) softmaxColumns(x + (<usize>c << 2), out + (<usize>c << 2), axis, stride, inner - c, true);
}
