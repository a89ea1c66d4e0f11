// Softmax and its logarithm over the middle axis of x[outer, axis, inner]. Exponentials are of differences to the maximum; their sum runs in
// float64.
import { expNegative, log } from "./math";
import { fromPairs, highPair, loadPart, loadUpTo, lowPair, storePart, storeUpTo } from "./lanes";
import { maxRun, sumExp } from "./runs";

function softmaxRow(x: usize, out: usize, n: i32): void {
  const shift = maxRun(x, n);
  const shifts = f32x4.splat(shift), scale = f32x4.splat(<f32>(1 / sumExp(x, n, shift)));
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16, out += 16) v128.store(out, f32x4.mul(expNegative(f32x4.sub(v128.load(x), shifts)), scale));
  if (i < n) storePart(out, f32x4.mul(expNegative(f32x4.sub(loadPart(x, n - i), shifts)), scale), n - i);
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
@inline function columns(x: usize, out: usize, axis: i32, stride: usize, count: i32, logarithm: bool): void {
  let shift = f32x4.splat(-Infinity);
  let from = x;
  for (let i = 0; i < axis; i++, from += stride) shift = f32x4.max(shift, loadUpTo(from, count));
  let low = f64x2.splat(0), high = f64x2.splat(0);
  from = x;
  for (let i = 0; i < axis; i++, from += stride) {
    const lanes = expNegative(f32x4.sub(loadUpTo(from, count), shift));
    low = f64x2.add(low, lowPair(lanes));
    high = f64x2.add(high, highPair(lanes));
  }
  const total = fromPairs(low, high);
  const last = logarithm ? log(total) : f32x4.div(f32x4.splat(1), total);
  from = x;
  for (let i = 0; i < axis; i++, from += stride, out += stride) {
    const shifted = f32x4.sub(loadUpTo(from, count), shift);
    storeUpTo(out, logarithm ? f32x4.sub(shifted, last) : f32x4.mul(expNegative(shifted), last), count);
  }
}

/** e^x over the sum of e^x along the axis. A row with no finite maximum has no softmax: NaN. */
export function softmax(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  const stride = <usize>inner << 2, block = <usize>axis * stride;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) softmaxRow(x, out, axis);
    else for (let c = 0; c < inner; c += 4) columns(x + (<usize>c << 2), out + (<usize>c << 2), axis, stride, inner - c, false);
  }
}

/** x less the log of the sum of e^x along the axis. */
export function logSoftmax(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  const stride = <usize>inner << 2, block = <usize>axis * stride;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) logSoftmaxRow(x, out, axis);
    else for (let c = 0; c < inner; c += 4) columns(x + (<usize>c << 2), out + (<usize>c << 2), axis, stride, inner - c, true);
  }
}
