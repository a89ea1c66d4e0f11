// Layer normalisation (Ba, Kiros and Hinton, 2016) of the rows of x[rows, width], and its vjp. Statistics run in float64.
import { fromPairs, highPair, loadUpTo, lowPair, storeUpTo, sumPair } from "./lanes";
import { sumSquaredDistances } from "./runs";
import { sumRun } from "./sums";

/** The sum of a * b over n floats. */
function sumProducts(a: usize, b: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, a += 16, b += 16) {
    const x = v128.load(a), y = v128.load(b);
    s0 = f64x2.add(s0, f64x2.mul(lowPair(x), lowPair(y)));
    s1 = f64x2.add(s1, f64x2.mul(highPair(x), highPair(y)));
  }
  let sum = sumPair(f64x2.add(s0, s1));
  for (; i < n; i++, a += 4, b += 4) sum += <f64>load<f32>(a) * <f64>load<f32>(b);
  return sum;
}

/** out = (x - mean) * rstd, row by row; rstd[rows] receives 1 / sqrt(variance + eps), the variance over the width. */
export function layerNorm(x: usize, out: usize, rstd: usize, rows: i32, width: i32, eps: f64): void {
  const row = <usize>width << 2;
  for (let r = 0; r < rows; r++, x += row, out += row, rstd += 4) {
    const center = sumRun(x, width) / <f64>width;
    const scale = 1 / Math.sqrt(sumSquaredDistances(x, width, center) / <f64>width + eps);
    store<f32>(rstd, <f32>scale);
    const centers = f64x2.splat(center), scales = f64x2.splat(scale);
    for (let i = 0; i < width; i += 4) {
      const at = <usize>i << 2;
      const lanes = loadUpTo(x + at, width - i);
      // The difference is formed in float64: a large mean must not cost the digits of a small deviation.
      const low = f64x2.mul(f64x2.sub(lowPair(lanes), centers), scales), high = f64x2.mul(f64x2.sub(highPair(lanes), centers), scales);
      storeUpTo(out + at, fromPairs(low, high), width - i);
    }
  }
}

/** out = rstd * (g - mean(g) - y * mean(g * y)), row by row, y being the result of `layerNorm`. */
export function layerNormVjp(g: usize, y: usize, rstd: usize, out: usize, rows: i32, width: i32): void {
  const row = <usize>width << 2;
  for (let r = 0; r < rows; r++, g += row, y += row, out += row, rstd += 4) {
    const mean = f32x4.splat(<f32>(sumRun(g, width) / <f64>width)), slope = f32x4.splat(<f32>(sumProducts(g, y, width) / <f64>width));
    const scale = v128.load32_splat(rstd);
    for (let i = 0; i < width; i += 4) {
      const at = <usize>i << 2;
      const rest = f32x4.sub(f32x4.sub(loadUpTo(g + at, width - i), mean), f32x4.mul(loadUpTo(y + at, width - i), slope));
      storeUpTo(out + at, f32x4.mul(scale, rest), width - i);
    }
  }
}
