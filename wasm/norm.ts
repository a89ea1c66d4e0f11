// Layer normalisation (Ba, Kiros and Hinton, 2016) of the rows of x[rows, width], plain, or scaled and shifted by a weight and a bias [width], and the
// vjps. Statistics run in float64.
import { fromPairs, highPair, loadPart, lowPair, storePart, sumPair } from "./lanes";
import { addRunF64, sumSquaredDistances } from "./runs";
import { addFloats, sumRun } from "./sums";
import { bytes, pairAt, product } from "./vectors";

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

/** A row's y = (x - mean) * rstd and, where `affine`, out = y * weight + bias; gives rstd, 1 / sqrt(variance + eps), the variance over the width. */
@inline function normRow(x: usize, y: usize, width: i32, eps: f64, affine: bool, weight: usize, bias: usize, out: usize): f32 {
  const center = sumRun(x, width) / <f64>width;
  const scale = 1 / Math.sqrt(sumSquaredDistances(x, width, center) / <f64>width + eps);
  const centers = f64x2.splat(center), scales = f64x2.splat(scale), rest = width & 3, whole = bytes<f32>(width - rest);
  for (let at: usize = 0; at < whole; at += 16) {
    const value = normal(pairAt(x + at), pairAt(x + at + 8), centers, scales);
    v128.store(y + at, value);
    if (affine) v128.store(out + at, f32x4.add(f32x4.mul(value, v128.load(weight + at)), v128.load(bias + at)));
  }
  if (rest > 0) {
    const part = loadPart(x + whole, rest), value = normal(lowPair(part), highPair(part), centers, scales);
    storePart(y + whole, value, rest);
    if (affine) storePart(out + whole, f32x4.add(f32x4.mul(value, loadPart(weight + whole, rest)), loadPart(bias + whole, rest)), rest);
  }
  return <f32>scale;
}

/** out = (x - mean) * rstd, row by row; rstd[rows] receives 1 / sqrt(variance + eps). */
export function layerNorm(x: usize, out: usize, rstd: usize, rows: i32, width: i32, eps: f64): void {
  const row = bytes<f32>(width);
  for (; rows > 0; rows--, rstd += 4, x += row, out += row) store<f32>(rstd, normRow(x, out, width, eps, false, 0, 0, 0));
}

/** The same in y, and out = y * weight + bias. */
export function affineNorm(x: usize, weight: usize, bias: usize, out: usize, y: usize, rstd: usize, rows: i32, width: i32, eps: f64): void {
  const row = bytes<f32>(width);
  for (; rows > 0; rows--, rstd += 4, x += row, y += row, out += row) store<f32>(rstd, normRow(x, y, width, eps, true, weight, bias, out));
}

/** rstd * (g - mean(g) - y * mean(g * y)) */
@inline function passedOn(g: v128, y: v128, mean: v128, slope: v128, scale: v128): v128 {
  return f32x4.mul(scale, f32x4.sub(f32x4.sub(g, mean), f32x4.mul(y, slope)));
}

/** out = rstd * (g - mean(g) - y * mean(g * y)), y being a row that has been normalised. */
function passOn(g: usize, y: usize, rstd: usize, out: usize, width: i32): void {
  const mean = f32x4.splat(<f32>(sumRun(g, width) / <f64>width)), slope = f32x4.splat(<f32>(sumProducts(g, y, width) / <f64>width));
  const scale = v128.load32_splat(rstd);
  let left = width;
  for (; left >= 4; left -= 4, g += 16, y += 16, out += 16) v128.store(out, passedOn(v128.load(g), v128.load(y), mean, slope, scale));
  if (left > 0) storePart(out, passedOn(loadPart(g, left), loadPart(y, left), mean, slope, scale), left);
}

/** The same row by row, from what `layerNorm` gave. */
export function layerNormVjp(g: usize, y: usize, rstd: usize, out: usize, rows: i32, width: i32): void {
  const row = bytes<f32>(width);
  for (; rows > 0; rows--, rstd += 4, g += row, y += row, out += row) passOn(g, y, rstd, out, width);
}

/** Rows whose shares of the weight's and the bias's cotangents are added up by themselves, whichever thread has them. */
const BLOCK: i32 = 256;
/** Rows that are added to sums at a time. */
const TOGETHER: i32 = 8;

/** Bytes of scratch memory for `affineNormVjp`: the products of g and y of some rows. */
export function affineNormScratch(width: i32): usize {
  return <usize>TOGETHER * bytes<f32>(width);
}

/** out = g * weight, products = g * y; 0 where a factor is. */
function weighRow(g: usize, y: usize, weight: usize, out: usize, products: usize, width: i32): void {
  for (; width >= 4; width -= 4, g += 16, y += 16, weight += 16, out += 16, products += 16) {
    const given = v128.load(g);
    v128.store(products, product<f32>(given, v128.load(y)));
    v128.store(out, product<f32>(given, v128.load(weight)));
  }
  if (width > 0) {
    const given = loadPart(g, width);
    storePart(products, product<f32>(given, loadPart(y, width)), width);
    storePart(out, product<f32>(given, loadPart(weight, width)), width);
  }
}

/**
 * From the cotangent g of `affineNorm`'s result and the y that it gave: out is that of x, `sums` receives those of weight and bias, as the float64 sums
 * [2, width] of each block of rows.
 */
export function affineNormVjp(g: usize, y: usize, rstd: usize, weight: usize, out: usize, sums: usize, products: usize, rows: i32, width: i32): void {
  const row = bytes<f32>(width), total = bytes<f64>(width);
  for (; rows > 0; rows -= BLOCK, sums += 2 * total) {
    memory.fill(sums, 0, 2 * total);
    for (let left = min(rows, BLOCK); left > 0;) {
      const some = left >= TOGETHER ? TOGETHER : 1, cotangents = g;
      for (let i = 0; i < some; i++, g += row, y += row, rstd += 4, out += row) {
        weighRow(g, y, weight, out, products + <usize>i * row, width);
        passOn(out, y, rstd, out, width);
      }
      if (some == TOGETHER) {
        addFloats(products, sums, row, width, 8);
        addFloats(cotangents, sums + total, row, width, 8);
      } else {
        addFloats(products, sums, row, width, 1);
        addFloats(cotangents, sums + total, row, width, 1);
      }
      left -= some;
    }
  }
}

/** The sum of `count` blocks' sums, the first of which are overwritten, as float32. */
export function affineNormSums(sums: usize, byWeight: usize, byBias: usize, count: i32, width: i32): void {
  const total = bytes<f64>(width);
  for (let i = 1, block = sums + 2 * total; i < count; i++, block += 2 * total) addRunF64(block, sums, 2 * width);
  for (let i = 0; i < width; i++) {
    const at = sums + bytes<f64>(i);
    store<f32>(byWeight + bytes<f32>(i), count > 0 ? <f32>load<f64>(at) : 0);
    store<f32>(byBias + bytes<f32>(i), count > 0 ? <f32>load<f64>(at + total) : 0);
  }
}
