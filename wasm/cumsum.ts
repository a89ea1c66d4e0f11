// Running sums along the middle axis of x[outer, axis, inner], in float64, each rounded once.
import { fromPairs, highPair, loadUpTo, lowPair, storeUpTo } from "./lanes";

/** Running sums from the first element on, or with `reverse` from the last one back. */
export function cumsum(x: usize, out: usize, outer: i32, axis: i32, inner: i32, reverse: bool): void {
  const row = <isize>inner << 2, block = <usize>axis * <usize>row;
  const start = reverse ? block - <usize>row : 0, step = reverse ? -row : row;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    if (inner == 1) {
      let sum: f64 = 0;
      let from = x + start, to = out + start;
      for (let i = 0; i < axis; i++, from += step, to += step) {
        sum += <f64>load<f32>(from);
        store<f32>(to, <f32>sum);
      }
      continue;
    }
    for (let c = 0; c < inner; c += 4) {
      const at = start + (<usize>c << 2);
      let low = f64x2.splat(0), high = f64x2.splat(0);
      let from = x + at, to = out + at;
      for (let i = 0; i < axis; i++, from += step, to += step) {
        const lanes = loadUpTo(from, inner - c);
        low = f64x2.add(low, lowPair(lanes));
        high = f64x2.add(high, highPair(lanes));
        storeUpTo(to, fromPairs(low, high), inner - c);
      }
    }
  }
}
