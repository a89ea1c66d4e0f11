// The vjp of softmax along the middle axis of y[outer, axis, inner], its result: out = g y - y sum(g y), of float32 and float64. A product with 0 is 0,
// whatever the other factor: what has no probability has no part in the derivative.
import { sumDoubleRows, sumDoubles, sumRows, sumRun } from "./sums";
import { bytes, lanes, product, storeVector, vectorAt } from "./vectors";

/** Columns at a time, as in sums.ts. */
const COLUMNS: i32 = 512;

/** out = g y for n elements. */
function weigh<T>(g: usize, y: usize, out: usize, n: i32): void {
  for (; n >= 2 * lanes<T>(); n -= 2 * lanes<T>(), g += 32, y += 32, out += 32) {
    v128.store(out, product<T>(v128.load(g), v128.load(y)));
    v128.store(out, product<T>(v128.load(g, 16), v128.load(y, 16)), 16);
  }
  for (; n > 0; n -= lanes<T>(), g += 16, y += 16, out += 16) storeVector<T>(out, product<T>(vectorAt<T>(g, n), vectorAt<T>(y, n)), n);
}

/** out -= y sum for n elements of a row. */
function takeShare<T>(y: usize, out: usize, n: i32, sum: T): void {
  const sums = v128.splat<T>(sum);
  for (; n >= 2 * lanes<T>(); n -= 2 * lanes<T>(), y += 32, out += 32) {
    v128.store(out, v128.sub<T>(v128.load(out), product<T>(v128.load(y), sums)));
    v128.store(out, v128.sub<T>(v128.load(out, 16), product<T>(v128.load(y, 16), sums)), 16);
  }
  for (; n > 0; n -= lanes<T>(), y += 16, out += 16) storeVector<T>(out, v128.sub<T>(vectorAt<T>(out, n), product<T>(vectorAt<T>(y, n), sums)), n);
}

/** n columns of `axis` rows. */
function vjpOfColumns<T>(g: usize, y: usize, out: usize, sums: usize, axis: i32, stride: usize, n: i32): void {
  let to = out;
  for (let i = 0, left = g, right = y; i < axis; i++, left += stride, right += stride, to += stride) weigh<T>(left, right, to, n);
  if (sizeof<T>() == 8) sumDoubleRows(out, sums, axis, stride, n);
  else {
    sumRows(out, sums, axis, stride, n);
    for (let i = 0; i < n; i++) store<f32>(sums + bytes<f32>(i), <f32>load<f64>(sums + bytes<f64>(i)));
  }
  for (let i = 0; i < axis; i++, y += stride, out += stride) {
    for (let at: usize = 0, left = n; left > 0; at += 16, left -= lanes<T>())
      storeVector<T>(out + at, v128.sub<T>(vectorAt<T>(out + at, left), product<T>(vectorAt<T>(y + at, left), vectorAt<T>(sums + at, left))), left);
  }
}

@inline function vjp<T>(g: usize, y: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = bytes<T>(inner), block = <usize>axis * stride;
  for (; outer > 0; outer--, g += block, y += block, out += block) {
    if (inner == 1) {
      weigh<T>(g, y, out, axis);
      takeShare<T>(y, out, axis, <T>(sizeof<T>() == 8 ? sumDoubles(out, axis) : sumRun(out, axis)));
    } else for (let c = 0; c < columns; c += COLUMNS) vjpOfColumns<T>(g + bytes<T>(c), y + bytes<T>(c), out + bytes<T>(c), scratch, axis, stride, min(COLUMNS, columns - c));
  }
}

export function softmaxVjp(g: usize, y: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  vjp<f32>(g, y, out, scratch, outer, axis, inner, columns);
}

export function softmaxVjpF64(g: usize, y: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  vjp<f64>(g, y, out, scratch, outer, axis, inner, columns);
}
