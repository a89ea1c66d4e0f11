// Mean, deviations from it, variance and Euclidean norm along the middle axis of x[outer, axis, inner]. All of it runs in float64: neither a
// large mean nor the square of a large number costs digits.
// The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { fromPairs, highPair, loadUpTo, lowPair, storeUpTo } from "./lanes";
import { sumSquaredDistances } from "./runs";
import { meanDoublesAlong, sumFloats, sumRun } from "./sums";

/** The means of up to four columns: the first two. */
@inline function meanLow(x: usize, axis: i32, stride: usize, count: i32): v128 {
  let sum = f64x2.splat(0);
  for (let i = 0; i < axis; i++, x += stride) sum = f64x2.add(sum, lowPair(loadUpTo(x, count)));
  return f64x2.div(sum, f64x2.splat(<f64>axis));
}

/** The other two. */
@inline function meanHigh(x: usize, axis: i32, stride: usize, count: i32): v128 {
  let sum = f64x2.splat(0);
  for (let i = 0; i < axis; i++, x += stride) sum = f64x2.add(sum, highPair(loadUpTo(x, count)));
  return f64x2.div(sum, f64x2.splat(<f64>axis));
}

/** Mean; NaN over an empty axis. */
export function mean(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  sumFloats(x, out, scratch, outer, axis, inner, columns, true);
}

export function meanF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  meanDoublesAlong(x, out, scratch, outer, axis, inner, columns);
}

/** x less its mean. */
export function center(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = <usize>inner << 2, block = <usize>axis * stride;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) {
      const means = f64x2.splat(sumRun(x, axis) / <f64>axis);
      for (let i = 0; i < axis; i += 4) {
        const at = <usize>i << 2, lanes = loadUpTo(x + at, axis - i);
        storeUpTo(out + at, fromPairs(f64x2.sub(lowPair(lanes), means), f64x2.sub(highPair(lanes), means)), axis - i);
      }
      continue;
    }
    for (let c = 0; c < columns; c += 4) {
      const column = x + (<usize>c << 2), left = columns - c;
      const low = meanLow(column, axis, stride, left), high = meanHigh(column, axis, stride, left);
      let from = column, to = out + (<usize>c << 2);
      for (let i = 0; i < axis; i++, from += stride, to += stride) {
        const lanes = loadUpTo(from, left);
        storeUpTo(to, fromPairs(f64x2.sub(lowPair(lanes), low), f64x2.sub(highPair(lanes), high)), left);
      }
    }
  }
}

/** The sums of squared distances of up to four columns from `low` and `high`, over `divisor`; their roots times `scale` for norms. */
@inline function squaresOfColumns(x: usize, out: usize, axis: i32, stride: usize, count: i32, low: v128, high: v128, divisor: f64, root: bool, scale: f64): void {
  let sumLow = f64x2.splat(0), sumHigh = sumLow;
  for (let i = 0; i < axis; i++, x += stride) {
    const lanes = loadUpTo(x, count);
    const a = f64x2.sub(lowPair(lanes), low), b = f64x2.sub(highPair(lanes), high);
    sumLow = f64x2.add(sumLow, f64x2.mul(a, a));
    sumHigh = f64x2.add(sumHigh, f64x2.mul(b, b));
  }
  const by = f64x2.splat(divisor), scales = f64x2.splat(scale);
  storeUpTo(out, root ? fromPairs(f64x2.mul(f64x2.sqrt(sumLow), scales), f64x2.mul(f64x2.sqrt(sumHigh), scales))
                      : fromPairs(f64x2.div(sumLow, by), f64x2.div(sumHigh, by)), count);
}

/** The sum of squared distances from the mean, over the count less `correction`. */
export function variance(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, correction: f64): void {
  const stride = <usize>inner << 2, divisor = <f64>axis - correction;
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) {
      store<f32>(out, <f32>(sumSquaredDistances(x, axis, sumRun(x, axis) / <f64>axis) / divisor));
      continue;
    }
    for (let c = 0; c < columns; c += 4) {
      const column = x + (<usize>c << 2), left = columns - c;
      const low = meanLow(column, axis, stride, left), high = meanHigh(column, axis, stride, left);
      squaresOfColumns(column, out + (<usize>c << 2), axis, stride, left, low, high, divisor, false, 1);
    }
  }
}

/** The square root of the sum of squares, times `scale`. */
export function norm(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, scale: f64): void {
  const stride = <usize>inner << 2, zero = f64x2.splat(0);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) {
      store<f32>(out, <f32>(Math.sqrt(sumSquaredDistances(x, axis, 0)) * scale));
      continue;
    }
    for (let c = 0; c < columns; c += 4)
      squaresOfColumns(x + (<usize>c << 2), out + (<usize>c << 2), axis, stride, columns - c, zero, zero, 1, true, scale);
  }
}
