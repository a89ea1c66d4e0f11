// Vectors of float32, float64 or int32 elements (f32, f64, i32): what the kernels along an axis are written in, once for all of them. Their exported
// functions end in F64 and I32 where the elements are not float32.
import { loadWords, storeWords } from "./lanes";

/** Elements a vector. */
@inline export function lanes<T>(): i32 {
  return 16 / <i32>sizeof<T>();
}

/** Bytes of n elements. */
@inline export function bytes<T>(n: i32): usize {
  return <usize>n * sizeof<T>();
}

/** The vector at an address, or the first `count` elements there; lanes beyond repeat the first. */
@inline export function vectorAt<T>(address: usize, count: i32): v128 {
  if (count >= lanes<T>()) return v128.load(address);
  return sizeof<T>() == 8 ? v128.load64_splat(address) : loadWords(address, count);
}

/** Stores a vector, or its first `count` elements. */
@inline export function storeVector<T>(address: usize, vector: v128, count: i32): void {
  if (count >= lanes<T>()) v128.store(address, vector);
  else if (sizeof<T>() == 8) v128.store64_lane(address, vector, 0);
  else storeWords(address, vector, count);
}

/** Two float32 at an address as float64. */
@inline export function pairAt(address: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(address));
}

/** a b, and 0 where either is 0, whatever the other holds. */
@inline export function product<T>(a: v128, b: v128): v128 {
  const zero = i32x4.splat(0);
  return v128.andnot(v128.mul<T>(a, b), v128.or(v128.eq<T>(a, zero), v128.eq<T>(b, zero)));
}
