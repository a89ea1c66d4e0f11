// Reductions over the middle axis of x[outer, axis, inner] into out[outer, inner], and running sums along it, of float32 and, by names that end in F64
// and I32, of float64 and int32. The kernels work on `columns` of the inner elements, from those on that x and out point to.
import { logSumsAlong } from "./exponentials";
import { extremesAlong } from "./extremes";
import { positionsAlong } from "./positions";
import { integerProductsAlong, productsAlong } from "./products";
import { runningFloats, runningSums } from "./running";
import { sumDoublesAlong, sumFloats, sumIntegersAlong } from "./sums";

/** Sum; 0 over an empty axis. */
export function sum(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  sumFloats(x, out, scratch, outer, axis, inner, columns, false);
}

export function sumF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  sumDoublesAlong(x, out, scratch, outer, axis, inner, columns);
}

export function sumI32(x: usize, out: usize, _scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  sumIntegersAlong(x, out, outer, axis, inner, columns);
}

/** Product; 1 over an empty axis. */
export function prod(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  productsAlong<f32>(x, out, scratch, outer, axis, inner, columns);
}

export function prodF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  productsAlong<f64>(x, out, scratch, outer, axis, inner, columns);
}

export function prodI32(x: usize, out: usize, _scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  integerProductsAlong(x, out, outer, axis, inner, columns);
}

// `max` and `min` are AssemblyScript's own inside this file.
export { largestF32 as max, smallestF32 as min };

/** Largest; NaN when one element is. */
function largestF32(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  extremesAlong<f32>(x, out, outer, axis, inner, columns, true);
}

export function maxF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  extremesAlong<f64>(x, out, outer, axis, inner, columns, true);
}

export function maxI32(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  extremesAlong<i32>(x, out, outer, axis, inner, columns, true);
}

/** Smallest; NaN when one element is. */
function smallestF32(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  extremesAlong<f32>(x, out, outer, axis, inner, columns, false);
}

export function minF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  extremesAlong<f64>(x, out, outer, axis, inner, columns, false);
}

export function minI32(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  extremesAlong<i32>(x, out, outer, axis, inner, columns, false);
}

/** Index (int32) of the first largest element; of the first NaN when there is one. The axis is not empty. */
export function argmax(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  positionsAlong<f32>(x, out, scratch, outer, axis, inner, columns, true);
}

export function argmaxF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  positionsAlong<f64>(x, out, scratch, outer, axis, inner, columns, true);
}

export function argmaxI32(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  positionsAlong<i32>(x, out, scratch, outer, axis, inner, columns, true);
}

/** The same of the smallest. */
export function argmin(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  positionsAlong<f32>(x, out, scratch, outer, axis, inner, columns, false);
}

export function argminF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  positionsAlong<f64>(x, out, scratch, outer, axis, inner, columns, false);
}

export function argminI32(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  positionsAlong<i32>(x, out, scratch, outer, axis, inner, columns, false);
}

/** log of the sum of exponentials: -Infinity where all elements are, Infinity where one is. */
export function logSumExp(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  logSumsAlong<f32>(x, out, scratch, outer, axis, inner, columns);
}

export function logSumExpF64(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  logSumsAlong<f64>(x, out, scratch, outer, axis, inner, columns);
}

/** Running sums, each rounded once: from the first element on, or with `reverse` from the last one back. */
export function cumsum(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  runningFloats(x, out, outer, axis, inner, columns, reverse);
}

export function cumsumF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  runningSums<f64>(x, out, outer, axis, inner, columns, reverse);
}

export function cumsumI32(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, reverse: bool): void {
  runningSums<i32>(x, out, outer, axis, inner, columns, reverse);
}
