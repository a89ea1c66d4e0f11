// Running sums along the middle axis of x[outer, axis, inner], summed as `sum` does: from the first element on, or with `reverse` from the last one back.
// The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { fromPairs, highPair, loadUpTo, lowPair, storeUpTo } from "./lanes";
import { lostIn, whole } from "./sums";
import { bytes } from "./vectors";

/** The sums of n elements `step` bytes apart. */
@inline function cumulate<T>(x: usize, out: usize, n: i32, step: isize): void {
  if (isInteger<T>()) {
    let sum: T = 0;
    for (; n > 0; n--, x += step, out += step) store<T>(out, (sum += load<T>(x)));
    return;
  }
  let sum: f64 = 0, lost: f64 = 0;
  for (; n > 0; n--, x += step, out += step) {
    const value = <f64>load<T>(x), next = sum + value;
    if (sizeof<T>() == 8) lost += lostIn(sum, value, next);
    store<T>(out, <T>(sizeof<T>() == 8 ? whole(next, lost) : next));
    sum = next;
  }
}

/** Running sums of each column. */
@inline export function runningSums<T>(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  const row = <isize>bytes<T>(inner), block = <usize>axis * <usize>row;
  const start = reverse ? block - <usize>row : 0, step = reverse ? -row : row;
  for (let o = 0; o < outer; o++, x += block, out += block)
    for (let c = 0; c < columns; c++) cumulate<T>(x + start + bytes<T>(c), out + start + bytes<T>(c), axis, step);
}

/** Running sums of float32. */
export function runningFloats(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  if (inner == 1) return runningSums<f32>(x, out, outer, axis, inner, columns, reverse);
  const row = <isize>inner << 2, block = <usize>axis * <usize>row;
  const start = reverse ? block - <usize>row : 0, step = reverse ? -row : row;
  for (let o = 0; o < outer; o++, x += block, out += block) {
    for (let c = 0; c < columns; c += 4) {
      const at = start + (<usize>c << 2);
      let low = f64x2.splat(0), high = f64x2.splat(0);
      let from = x + at, to = out + at;
      for (let i = 0; i < axis; i++, from += step, to += step) {
        const lanes = loadUpTo(from, columns - c);
        low = f64x2.add(low, lowPair(lanes));
        high = f64x2.add(high, highPair(lanes));
        storeUpTo(to, fromPairs(low, high), columns - c);
      }
    }
  }
}
