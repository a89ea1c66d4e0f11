// Softmax and its logarithm over the middle axis of x[outer, axis, inner]. Exponentials are of differences to the maximum; their sum runs in
// float64.
import { expNegative, log } from "./math";
import { fromPairs, highPair, loadPart, loadUpTo, lowPair, storePart, storeUpTo, sumPair } from "./lanes";
import { maxRun, sumExp } from "./runs";

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

function logSoftmaxRow(x: usize, out: usize, n: i32): void {
  const shift = maxRun(x, n);
  // Two subtractions: where one element dominates, log of the sum is tiny beside the shift and must not be rounded with it.
  const shifts = f32x4.splat(shift), rest = f32x4.splat(<f32>NativeMath.log(sumExp(x, n, shift)));
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16, out += 16) v128.store(out, f32x4.sub(f32x4.sub(v128.load(x), shifts), rest));
  if (i < n) storePart(out, f32x4.sub(f32x4.sub(loadPart(x, n - i), shifts), rest), n - i);
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
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) logSoftmaxRow(x, out, axis);
    else for (let c = 0; c < inner; c += 4) softmaxColumns(x + (<usize>c << 2), out + (<usize>c << 2), axis, stride, inner - c, true);
  }
}
