// Scans along the middle axis of x[outer, axis, inner], where each result is made of the one before it: a linear recurrence, and the largest so far. Their ops
// compute in float64 where the device has it, or in int32. Four lines at a time, because one alone waits for its own last result.
// The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { bytes } from "./vectors";

@inline function next<T>(x: usize, factor: usize, last: T, adds: bool): T {
  const value = load<T>(x);
  return adds ? value + load<T>(factor) * last : max<T>(last, value); // of which NaN is the largest, and stays
}

/** Four lines of n elements, `gap` bytes apart, their elements `step`. A recurrence where there are factors. */
@inline function lines<T>(x: usize, factor: usize, out: usize, gap: usize, step: isize, n: i32, adds: bool): void {
  let a = load<T>(x), b = load<T>(x + gap), c = load<T>(x + 2 * gap), d = load<T>(x + 3 * gap);
  while (true) {
    store<T>(out, a);
    store<T>(out + gap, b);
    store<T>(out + 2 * gap, c);
    store<T>(out + 3 * gap, d);
    if (--n == 0) return;
    x += step;
    factor += step;
    out += step;
    a = next<T>(x, factor, a, adds);
    b = next<T>(x + gap, factor + gap, b, adds);
    c = next<T>(x + 2 * gap, factor + 2 * gap, c, adds);
    d = next<T>(x + 3 * gap, factor + 3 * gap, d, adds);
  }
}

function recurrences<T>(x: usize, factor: usize, out: usize, gap: usize, step: isize, n: i32): void {
  lines<T>(x, factor, out, gap, step, n, true);
}

function largests<T>(x: usize, out: usize, gap: usize, step: isize, n: i32): void {
  lines<T>(x, x, out, gap, step, n, false);
}

/** `count` lines side by side, or `gap` bytes apart: in fours, what is left one by one. */
@inline function scanLines<T>(x: usize, factor: usize, out: usize, gap: usize, step: isize, n: i32, count: i32, adds: bool): void {
  while (count > 0) {
    const together = count >= 4 ? 4 : 1, apart = together == 4 ? gap : 0, further = <usize>together * gap;
    if (adds) recurrences<T>(x, factor, out, apart, step, n);
    else largests<T>(x, out, apart, step, n);
    x += further;
    factor += further;
    out += further;
    count -= together;
  }
}

@inline function scan<T>(x: usize, factor: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool, adds: bool): void {
  if (axis == 0) return;
  const row = bytes<T>(inner), block = <usize>axis * row, start = reverse ? block - row : 0, step = reverse ? -<isize>row : <isize>row;
  x += start;
  factor += start;
  out += start;
  if (inner == 1) return scanLines<T>(x, factor, out, block, step, axis, outer, adds);
  for (; outer > 0; outer--, x += block, factor += block, out += block) scanLines<T>(x, factor, out, sizeof<T>(), step, axis, columns, adds);
}

/** out[0] = x[0], out[j] = x[j] + factor[j] out[j - 1]; backwards where `reverse`. */
export function recurrence(x: usize, factor: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  scan<f32>(x, factor, out, outer, axis, inner, columns, reverse, true);
}

export function recurrenceF64(x: usize, factor: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  scan<f64>(x, factor, out, outer, axis, inner, columns, reverse, true);
}

export function recurrenceI32(x: usize, factor: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  scan<i32>(x, factor, out, outer, axis, inner, columns, reverse, true);
}

/** The largest so far; NaN once there is one. */
export function cummax(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  scan<f32>(x, x, out, outer, axis, inner, columns, false, false);
}

export function cummaxF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  scan<f64>(x, x, out, outer, axis, inner, columns, false, false);
}
