// Layer normalisation (Ba, Kiros and Hinton, 2016) over the last axis of x[rows, n].
import { highPair, lowPair, loadPart, storePart, sumPair } from "./lanes";
import { sumRun } from "./reduce";

/** The sum of (x - mean)^2 over n floats. */
@inline function sumSquaredDistance(x: usize, n: i32, mean: f64): f64 {
  const means = f64x2.splat(mean);
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16) {
    const lanes = v128.load(x);
    const low = f64x2.sub(lowPair(lanes), means), high = f64x2.sub(highPair(lanes), means);
    s0 = f64x2.add(s0, f64x2.mul(low, low));
    s1 = f64x2.add(s1, f64x2.mul(high, high));
  }
  let sum = sumPair(f64x2.add(s0, s1));
  for (; i < n; i++, x += 4) {
    const distance = <f64>load<f32>(x) - mean;
    sum += distance * distance;
  }
  return sum;
}

/**
 * y = (x - mean) * rstd * weight + bias, with each row's mean and reciprocal standard deviation 1 / sqrt(variance + epsilon), the variance
 * over n. weight and bias hold n floats; an address of 0 leaves them out. mean and rstd receive one float a row.
 */
export function layerNorm(x: usize, weight: usize, bias: usize, y: usize, mean: usize, rstd: usize, rows: i32, n: i32, epsilon: f32): void {
  for (let row = 0; row < rows; row++, mean += 4, rstd += 4) {
    const center = sumRun(x, n) / <f64>n;
    const scale = 1 / Math.sqrt(sumSquaredDistance(x, n, center) / <f64>n + <f64>epsilon);
    store<f32>(mean, <f32>center);
    store<f32>(rstd, <f32>scale);
    const centers = f32x4.splat(<f32>center), scales = f32x4.splat(<f32>scale);
    for (let i = 0; i < n; i += 4, x += 16, y += 16) {
      const left = n - i;
      const at = <usize>i << 2;
      let value = f32x4.mul(f32x4.sub(left >= 4 ? v128.load(x) : loadPart(x, left), centers), scales);
      if (weight) value = f32x4.mul(value, left >= 4 ? v128.load(weight + at) : loadPart(weight + at, left));
      if (bias) value = f32x4.add(value, left >= 4 ? v128.load(bias + at) : loadPart(bias + at, left));
      if (left >= 4) v128.store(y, value);
      else storePart(y, value, left);
    }
    const excess = <usize>((4 - (n & 3)) & 3) << 2;
    x -= excess;
    y -= excess;
  }
}
