// Work on n elements that lie side by side, shared by the kernels.
import { sumPair } from "./lanes";
import { pairAt } from "./vectors";

/** Bytes from which on the engine's own copying, which is a call out of here, is the quicker one. */
const MANY_BYTES: i32 = 2048;

/** Copies that many bytes. */
export function copyBytes(from: usize, to: usize, bytes: i32): void {
  if (bytes >= MANY_BYTES) return memory.copy(to, from, bytes);
  for (; bytes >= 64; bytes -= 64, from += 64, to += 64) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    v128.store(to, v128.load(from, 32), 32);
    v128.store(to, v128.load(from, 48), 48);
  }
  for (; bytes >= 16; bytes -= 16, from += 16, to += 16) v128.store(to, v128.load(from));
  for (; bytes >= 4; bytes -= 4, from += 4, to += 4) store<i32>(to, load<i32>(from));
  for (; bytes > 0; bytes--, from++, to++) store<u8>(to, load<u8>(from));
}

/** Copies n elements of 4 bytes that lie side by side. */
@inline export function copyRun(from: usize, to: usize, n: i32): void {
  copyBytes(from, to, n << 2);
}

/** Fills that many bytes with an element of 1, 2, 4 or 8, which `pattern` repeats. */
export function fillBytes(out: usize, bytes: i32, pattern: u64): void {
  const lanes = i64x2.splat(pattern);
  for (; bytes >= 16; bytes -= 16, out += 16) v128.store(out, lanes);
  for (; bytes > 0; bytes--, out++) {
    store<u8>(out, pattern);
    pattern = rotr(pattern, 8);
  }
}

/** Sets n floats that lie side by side. */
export function fillRun(out: usize, n: i32, value: f32): void {
  const lanes = f32x4.splat(value);
  for (; n >= 4; n -= 4, out += 16) v128.store(out, lanes);
  for (; n > 0; n--, out += 4) store<f32>(out, value);
}

/** Adds n floats that lie side by side to others. */
export function addRun(from: usize, to: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, from += 16, to += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  for (; i < n; i++, from += 4, to += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}

/** The same in float64. */
export function addRunF64(from: usize, to: usize, n: i32): void {
  for (; n >= 2; n -= 2, from += 16, to += 16) v128.store(to, f64x2.add(v128.load(to), v128.load(from)));
  if (n > 0) store<f64>(to, load<f64>(to) + load<f64>(from));
}

/** Squares of the distances of two float64 from a center. */
@inline function squareOf(pair: v128, centers: v128): v128 {
  const distances = f64x2.sub(pair, centers);
  return f64x2.mul(distances, distances);
}

/** The sum of (x - center)^2 over n floats. */
export function sumSquaredDistances(x: usize, n: i32, center: f64): f64 {
  const centers = f64x2.splat(center);
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 8; n -= 8, x += 32) {
    s0 = f64x2.add(s0, squareOf(pairAt(x), centers));
    s1 = f64x2.add(s1, squareOf(pairAt(x + 8), centers));
    s2 = f64x2.add(s2, squareOf(pairAt(x + 16), centers));
    s3 = f64x2.add(s3, squareOf(pairAt(x + 24), centers));
  }
  let sum = sumPair(f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3)));
  for (; n > 0; n--, x += 4) {
    const distance = <f64>load<f32>(x) - center;
    sum += distance * distance;
  }
  return sum;
}
