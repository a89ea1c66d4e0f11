// Where the extremes lie along the middle axis of x[outer, axis, inner], as int32: the first of equals; of NaN, which is more extreme than
// anything, the first. The axis is not empty. The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { largestOfRun, smallestOfRun } from "./extremes";
import { bytes, lanes, vectorAt } from "./vectors";

/** The first place of `value` (or of NaN, when that is the value) among n elements side by side. */
@inline function placeOf<T>(x: usize, n: i32, value: T): i32 {
  const step = lanes<T>(), wanted = v128.splat<T>(value), findNaN = isFloat<T>() && value != value;
  let i = 0;
  if (!findNaN) {
    for (; i + 4 * step <= n; i += 4 * step, x += 64) {
      const upper = v128.or(v128.eq<T>(v128.load(x), wanted), v128.eq<T>(v128.load(x, 16), wanted));
      if (v128.any_true(v128.or(upper, v128.or(v128.eq<T>(v128.load(x, 32), wanted), v128.eq<T>(v128.load(x, 48), wanted))))) break;
    }
  }
  for (; i < n; i += step, x += 16) {
    const vector = vectorAt<T>(x, n - i);
    const found = findNaN ? v128.ne<T>(vector, vector) : v128.eq<T>(vector, wanted);
    const bits = sizeof<T>() == 8 ? i64x2.bitmask(found) : i32x4.bitmask(found);
    if (bits) return i + ctz(bits);
  }
  return 0;
}

/** Columns at a time: the best of each and its place, in lanes as wide as the elements, wait in the scratch memory. */
const COLUMNS: i32 = 512;

@inline function placesOfColumns<T>(x: usize, out: usize, scratch: usize, axis: i32, stride: usize, n: i32, largest: bool): void {
  const places = scratch + bytes<T>(COLUMNS), size = ((bytes<T>(n) + 15) & ~15);
  for (let at: usize = 0, left = n; at < size; at += 16, left -= lanes<T>()) {
    v128.store(scratch + at, vectorAt<T>(x + at, left));
    v128.store(places + at, i32x4.splat(0));
  }
  for (let i = 1; i < axis; i++) {
    x += stride;
    const here = sizeof<T>() == 8 ? i64x2.splat(i) : i32x4.splat(i);
    for (let at: usize = 0, left = n; at < size; at += 16, left -= lanes<T>()) {
      const next = vectorAt<T>(x + at, left), best = v128.load(scratch + at);
      let better: v128;
      // A comparison with NaN is false: what is not at most the best is more, or NaN; and NaN once taken stays.
      if (isFloat<T>()) better = v128.andnot(v128.eq<T>(best, best), largest ? v128.le<T>(next, best) : v128.ge<T>(next, best));
      else better = largest ? v128.gt<T>(next, best) : v128.lt<T>(next, best);
      v128.store(scratch + at, v128.bitselect(next, best, better));
      v128.store(places + at, v128.bitselect(here, v128.load(places + at), better));
    }
  }
  for (let i = 0; i < n; i++) store<i32>(out + bytes<i32>(i), load<i32>(places + bytes<T>(i)));
}

/** The places of the extremes along the middle axis. */
@inline export function positionsAlong<T>(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32, largest: bool): void {
  const stride = bytes<T>(inner);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += bytes<i32>(inner)) {
    if (inner == 1) store<i32>(out, placeOf<T>(x, axis, largest ? largestOfRun<T>(x, axis) : smallestOfRun<T>(x, axis)));
    else for (let c = 0; c < columns; c += COLUMNS)
      placesOfColumns<T>(x + bytes<T>(c), out + bytes<i32>(c), scratch, axis, stride, min(COLUMNS, columns - c), largest);
  }
}
