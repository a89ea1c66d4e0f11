// Running extremes and recurrences along the middle axis of x[outer, axis, inner]; running sums are in reduce.ts. A recurrence runs in float64, each result
// rounded once.
import { loadUpTo, storeUpTo } from "./lanes";

/** The largest so far; NaN from the first one on. */
export function cummax(x: usize, out: usize, outer: i32, axis: i32, inner: i32): void {
  const row = <usize>inner << 2;
  for (let o = 0; o < outer; o++, x += <usize>axis * row, out += <usize>axis * row) {
    for (let c = 0; c < inner; c += 4) {
      let most = f32x4.splat(-Infinity), from = x + (<usize>c << 2), to = out + (<usize>c << 2);
      for (let i = 0; i < axis; i++, from += row, to += row) {
        most = f32x4.max(most, loadUpTo(from, inner - c));
        storeUpTo(to, most, inner - c);
      }
    }
  }
}

/** out[j] = x[j] + factor[j] out[j - 1], where the first has none before it: from the first element on, or with `reverse` from the last one back. */
export function recurrence(x: usize, factor: usize, out: usize, outer: i32, axis: i32, inner: i32, reverse: bool): void {
  const row = <isize>inner << 2, block = <usize>axis * <usize>row;
  const start = reverse ? block - <usize>row : 0, step = reverse ? -row : row;
  for (let o = 0; o < outer; o++, x += block, factor += block, out += block) {
    for (let c = 0; c < inner; c += 2) {
      const two = c + 1 < inner, second: usize = two ? 4 : 0;
      let from = x + start + (<usize>c << 2), by = factor + start + (<usize>c << 2), to = out + start + (<usize>c << 2);
      let last = f64x2.splat(0);
      for (let i = 0; i < axis; i++, from += step, by += step, to += step) {
        const value = pairAt(from, second);
        last = i == 0 ? value : f64x2.add(value, f64x2.mul(pairAt(by, second), last));
        const floats = f32x4.demote_f64x2_zero(last);
        v128.store_lane<f32>(to, floats, 0);
        if (two) v128.store_lane<f32>(to, floats, 1, 4);
      }
    }
  }
}

/** Two floats, `second` bytes apart, as float64. */
@inline function pairAt(at: usize, second: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load_lane<f32>(at + second, v128.load32_zero(at), 1));
}
