// Sums and means along the middle axis of x[outer, axis, inner], in float64, rounded once: what the kernels of both are made of.
import { fromPairs, highPair, loadUpTo, lowPair, storeUpTo } from "./lanes";
import { sumRun } from "./runs";

/** Two pairs of sums as floats: as they are, or over `count`. */
@inline function finished(low: v128, high: v128, count: i32, mean: bool): v128 {
  if (!mean) return fromPairs(low, high);
  const by = f64x2.splat(<f64>count);
  return fromPairs(f64x2.div(low, by), f64x2.div(high, by));
}

/** Sums or means of 16 neighbouring columns, `axis` rows of `stride` bytes. */
@inline function reduceColumns16(x: usize, out: usize, axis: i32, stride: usize, mean: bool): void {
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0), s2 = f64x2.splat(0), s3 = f64x2.splat(0);
  let s4 = f64x2.splat(0), s5 = f64x2.splat(0), s6 = f64x2.splat(0), s7 = f64x2.splat(0);
  for (let i = 0; i < axis; i++, x += stride) {
    const a = v128.load(x), b = v128.load(x, 16), c = v128.load(x, 32), d = v128.load(x, 48);
    s0 = f64x2.add(s0, lowPair(a));
    s1 = f64x2.add(s1, highPair(a));
    s2 = f64x2.add(s2, lowPair(b));
    s3 = f64x2.add(s3, highPair(b));
    s4 = f64x2.add(s4, lowPair(c));
    s5 = f64x2.add(s5, highPair(c));
    s6 = f64x2.add(s6, lowPair(d));
    s7 = f64x2.add(s7, highPair(d));
  }
  v128.store(out, finished(s0, s1, axis, mean));
  v128.store(out, finished(s2, s3, axis, mean), 16);
  v128.store(out, finished(s4, s5, axis, mean), 32);
  v128.store(out, finished(s6, s7, axis, mean), 48);
}

@inline export function reduceSum(x: usize, out: usize, outer: i32, axis: i32, inner: i32, mean: bool): void {
  const stride = <usize>inner << 2, block = <usize>axis * stride;
  for (let o = 0; o < outer; o++, x += block) {
    if (inner == 1) {
      const total = sumRun(x, axis);
      store<f32>(out, <f32>(mean ? total / <f64>axis : total));
      out += 4;
      continue;
    }
    let column = x, left = inner;
    for (; left >= 16; left -= 16, column += 64, out += 64) reduceColumns16(column, out, axis, stride, mean);
    for (; left > 0; left -= 4, column += 16) {
      let low = f64x2.splat(0), high = f64x2.splat(0);
      let from = column;
      for (let i = 0; i < axis; i++, from += stride) {
        const lanes = loadUpTo(from, left);
        low = f64x2.add(low, lowPair(lanes));
        high = f64x2.add(high, highPair(lanes));
      }
      storeUpTo(out, finished(low, high, axis, mean), left);
      out += <usize>min(left, 4) << 2;
    }
  }
}
