// Layer normalisation (Ba, Kiros and Hinton, 2016) of the rows of x[rows, width], and its vjp. Statistics run in float64.
import { fromPairs, highPair, loadPart, lowPair, storePart, sumPair } from "./lanes";
import { sumSquaredDistances } from "./runs";
import { sumRun } from "./sums";
import { pairAt } from "./vectors";

/** The sum of a * b over n floats. */
function sumProducts(a: usize, b: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 8; n -= 8, a += 32, b += 32) {
    s0 = f64x2.add(s0, f64x2.mul(pairAt(a), pairAt(b)));
    s1 = f64x2.add(s1, f64x2.mul(pairAt(a + 8), pairAt(b + 8)));
    s2 = f64x2.add(s2, f64x2.mul(pairAt(a + 16), pairAt(b + 16)));
    s3 = f64x2.add(s3, f64x2.mul(pairAt(a + 24), pairAt(b + 24)));
  }
  let sum = sumPair(f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3)));
  for (; n > 0; n--, a += 4, b += 4) sum += <f64>load<f32>(a) * <f64>load<f32>(b);
  return sum;
}

/** (x - mean) * rstd. The difference is formed in float64: a large mean must not cost the digits of a small deviation. */
@inline function normal(low: v128, high: v128, centers: v128, scales: v128): v128 {
  return fromPairs(f64x2.mul(f64x2.sub(low, centers), scales), f64x2.mul(f64x2.sub(high, centers), scales));
}

/** out = (x - mean) * rstd, row by row; rstd[rows] receives 1 / sqrt(variance + eps), the variance over the width. */
export function layerNorm(x: usize, out: usize, rstd: usize, rows: i32, width: i32, eps: f64): void {
  for (; rows > 0; rows--, rstd += 4) {
    const center = sumRun(x, width) / <f64>width;
    const scale = 1 / Math.sqrt(sumSquaredDistances(x, width, center) / <f64>width + eps);
    store<f32>(rstd, <f32>scale);
    const centers = f64x2.splat(center), scales = f64x2.splat(scale);
    let left = width;
    for (; left >= 4; left -= 4, x += 16, out += 16) v128.store(out, normal(pairAt(x), pairAt(x + 8), centers, scales));
    if (left > 0) {
      const rest = loadPart(x, left);
      storePart(out, normal(lowPair(rest), highPair(rest), centers, scales), left);
      x += <usize>left << 2; out += <usize>left << 2;
    }
  }
}

/** rstd * (g - mean(g) - y * mean(g * y)) */
@inline function passedOn(g: v128, y: v128, mean: v128, slope: v128, scale: v128): v128 {
  return f32x4.mul(scale, f32x4.sub(f32x4.sub(g, mean), f32x4.mul(y, slope)));
}

/** out = rstd * (g - mean(g) - y * mean(g * y)), row by row, y being the result of `layerNorm`. */
export function layerNormVjp(g: usize, y: usize, rstd: usize, out: usize, rows: i32, width: i32): void {
  for (; rows > 0; rows--, rstd += 4) {
    const mean = f32x4.splat(<f32>(sumRun(g, width) / <f64>width)), slope = f32x4.splat(<f32>(sumProducts(g, y, width) / <f64>width));
    const scale = v128.load32_splat(rstd);
    let left = width;
    for (; left >= 4; left -= 4, g += 16, y += 16, out += 16) v128.store(out, passedOn(v128.load(g), v128.load(y), mean, slope, scale));
    if (left > 0) {
      storePart(out, passedOn(loadPart(g, left), loadPart(y, left), mean, slope, scale), left);
      const rest = <usize>left << 2;
      g += rest; y += rest; out += rest;
    }
  }
}
