// Element by element into another type. f16 and bf16 are bits in two bytes, bool a byte 0 or 1. Roundings are to the nearest, ties to even, in one step
// from the source; to integers the fraction is cut off, what is beyond them is their nearest end, and NaN is 0.
import { fromPairs, highPair, loadBytes, lowPair, storeBytes } from "./lanes";

// Types of AssemblyScript stand for those that it lacks.
type F16 = u16;
type BF16 = i16;
type Bool = u8;

@inline function isF16<T>(): bool {
  return sizeof<T>() == 2 && !isSigned<T>();
}

/** Four float16 as float32: their exponents are brought to those of float32 by a multiplication, which makes normal numbers of subnormal ones. */
@inline function fromHalf(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fff));
  const scaled = f32x4.mul(i32x4.shl(magnitude, 13), i32x4.splat(0x77800000));
  const infinite = v128.and(i32x4.gt_s(magnitude, i32x4.splat(0x7bff)), i32x4.splat(0x7f800000));
  return v128.or(v128.or(scaled, infinite), i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16));
}

/** x with a mantissa of `dropped` bits less, rounded; the bits to go are still there. */
@inline function roundedBits(x: v128, dropped: i32): v128 {
  const odd = v128.and(i32x4.shr_u(x, dropped), i32x4.splat(1));
  return i32x4.add(x, i32x4.add(odd, i32x4.splat((1 << (dropped - 1)) - 1)));
}

/** Four float32 as float16, in the low halves of the lanes. */
@inline function toHalf(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(i32.MAX_VALUE));
  const normal = i32x4.shr_u(i32x4.sub(roundedBits(magnitude, 13), i32x4.splat(112 << 23)), 13);
  // 0.5 has the last bit where float16's subnormal numbers have it.
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), f32x4.splat(0.5));
  let half = v128.bitselect(subnormal, normal, f32x4.lt(magnitude, f32x4.splat(6.103515625e-5)));
  half = v128.bitselect(i32x4.splat(0x7c00), half, f32x4.ge(magnitude, f32x4.splat(65520)));
  half = v128.bitselect(i32x4.splat(0x7e00), half, f32x4.ne(x, x));
  return v128.or(half, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
}

/** Four float32 as bfloat16, in the low halves of the lanes. */
@inline function toBrain(x: v128): v128 {
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000));
  return v128.bitselect(v128.or(sign, i32x4.splat(0x7fc0)), i32x4.shr_u(roundedBits(x, 16), 16), f32x4.ne(x, x));
}

/** The masks of two pairs of float64 lanes as one of four. */
@inline function joinMasks(low: v128, high: v128): v128 {
  return v128.shuffle<i32>(low, high, 0, 2, 4, 6);
}

/** Two pairs of float64 as float32 rounded to odd: what has been cut off shows in the last bit, so that a shorter type can still be rounded to rightly. */
@inline function toOdd(low: v128, high: v128): v128 {
  const near = fromPairs(low, high), nearLow = lowPair(near), nearHigh = highPair(near);
  const above = joinMasks(f64x2.gt(f64x2.abs(nearLow), f64x2.abs(low)), f64x2.gt(f64x2.abs(nearHigh), f64x2.abs(high)));
  const inexact = joinMasks(f64x2.ne(nearLow, low), f64x2.ne(nearHigh, high));
  return v128.or(i32x4.add(near, above), v128.and(inexact, i32x4.splat(1)));
}

/** The first `count` (1 to 4) elements at an address, of at most 4 bytes each. */
@inline function bits<S>(x: usize, count: i32): v128 {
  if (count == 4) return sizeof<S>() == 4 ? v128.load(x) : sizeof<S>() == 2 ? v128.load64_zero(x) : v128.load32_zero(x);
  return loadBytes(x, count * <i32>sizeof<S>());
}

/** Four elements as float32, exactly but for int32. */
@inline function lanesOf<S>(x: usize, count: i32): v128 {
  const read = bits<S>(x, count);
  if (isFloat<S>()) return read;
  if (sizeof<S>() == 4) return f32x4.convert_i32x4_s(read);
  if (sizeof<S>() == 1) return f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(read)));
  const wide = i32x4.extend_low_i16x8_u(read);
  return isF16<S>() ? fromHalf(wide) : i32x4.shl(wide, 16);
}

/** The elements 0 and 1, or 2 and 3, as float64. */
@inline function pairOf<S>(x: usize, count: i32, upper: bool): v128 {
  if (sizeof<S>() == 8) {
    const at = x + (upper ? 16 : 0), left = upper ? count - 2 : count;
    return left >= 2 ? v128.load(at) : left == 1 ? v128.load64_zero(at) : i64x2.splat(0);
  }
  if (sizeof<S>() == 4 && !isFloat<S>()) {
    const read = bits<S>(x, count);
    return f64x2.convert_low_i32x4_s(upper ? v128.shuffle<i32>(read, read, 2, 3, 2, 3) : read);
  }
  const lanes = lanesOf<S>(x, count);
  return upper ? highPair(lanes) : lowPair(lanes);
}

@inline function storeLanes<T>(out: usize, lanes: v128, count: i32): void {
  if (count < 4) return storeBytes(out, lanes, count * <i32>sizeof<T>());
  if (sizeof<T>() == 4) v128.store(out, lanes);
  else if (sizeof<T>() == 2) v128.store64_lane(out, lanes, 0);
  else v128.store32_lane(out, lanes, 0);
}

/** Stores four 0 or -1 as bool. */
@inline function storeMask(out: usize, mask: v128, count: i32): void {
  const words = i16x8.narrow_i32x4_s(mask, mask);
  storeLanes<Bool>(out, v128.and(i8x16.narrow_i16x8_s(words, words), i8x16.splat(1)), count);
}

@inline function storeHalves<T>(out: usize, x: v128, count: i32): void {
  const halves = isF16<T>() ? toHalf(x) : toBrain(x);
  storeLanes<T>(out, i16x8.narrow_i32x4_u(halves, halves), count);
}

@inline function storePair(out: usize, pair: v128, count: i32): void {
  if (count >= 2) v128.store(out, pair);
  else if (count == 1) v128.store64_lane(out, pair, 0);
}

/** Up to four elements. float32 would not hold all int32, nor round float64 once. */
@inline function castFour<S, T>(x: usize, out: usize, count: i32): void {
  if (sizeof<T>() == 8) {
    storePair(out, pairOf<S>(x, count, false), count);
    storePair(out + 16, pairOf<S>(x, count, true), count - 2);
  } else if (sizeof<S>() == 8 || (sizeof<S>() == 4 && !isFloat<S>() && sizeof<T>() == 2)) {
    const low = pairOf<S>(x, count, false), high = pairOf<S>(x, count, true);
    if (isFloat<T>()) storeLanes<T>(out, fromPairs(low, high), count);
    else if (sizeof<T>() == 4) storeLanes<T>(out, v128.shuffle<i32>(i32x4.trunc_sat_f64x2_s_zero(low), i32x4.trunc_sat_f64x2_s_zero(high), 0, 1, 4, 5), count);
    else if (sizeof<T>() == 1) storeMask(out, joinMasks(f64x2.ne(low, f64x2.splat(0)), f64x2.ne(high, f64x2.splat(0))), count);
    else storeHalves<T>(out, toOdd(low, high), count);
  } else {
    const lanes = lanesOf<S>(x, count);
    if (isFloat<T>()) storeLanes<T>(out, lanes, count);
    else if (sizeof<T>() == 4) storeLanes<T>(out, i32x4.trunc_sat_f32x4_s(lanes), count);
    else if (sizeof<T>() == 1) storeMask(out, f32x4.ne(lanes, f32x4.splat(0)), count);
    else storeHalves<T>(out, lanes, count);
  }
}

@inline function cast<S, T>(x: usize, out: usize, n: i32): void {
  for (; n > 0; n -= 4, x += 4 * sizeof<S>(), out += 4 * sizeof<T>()) castFour<S, T>(x, out, min(n, 4));
}

// Halves come from and go to what float32 holds exactly by way of that (src/backends/cpu/kernels/copy.ts).

export function castF32ToF64(x: usize, out: usize, n: i32): void { cast<f32, f64>(x, out, n); }
export function castF32ToI32(x: usize, out: usize, n: i32): void { cast<f32, i32>(x, out, n); }
export function castF32ToU8(x: usize, out: usize, n: i32): void { cast<f32, Bool>(x, out, n); }
export function castF32ToF16(x: usize, out: usize, n: i32): void { cast<f32, F16>(x, out, n); }
export function castF32ToBF16(x: usize, out: usize, n: i32): void { cast<f32, BF16>(x, out, n); }
export function castF64ToF32(x: usize, out: usize, n: i32): void { cast<f64, f32>(x, out, n); }
export function castF64ToI32(x: usize, out: usize, n: i32): void { cast<f64, i32>(x, out, n); }
export function castF64ToU8(x: usize, out: usize, n: i32): void { cast<f64, Bool>(x, out, n); }
export function castF64ToF16(x: usize, out: usize, n: i32): void { cast<f64, F16>(x, out, n); }
export function castF64ToBF16(x: usize, out: usize, n: i32): void { cast<f64, BF16>(x, out, n); }
export function castI32ToF32(x: usize, out: usize, n: i32): void { cast<i32, f32>(x, out, n); }
export function castI32ToF64(x: usize, out: usize, n: i32): void { cast<i32, f64>(x, out, n); }
export function castI32ToU8(x: usize, out: usize, n: i32): void { cast<i32, Bool>(x, out, n); }
export function castI32ToF16(x: usize, out: usize, n: i32): void { cast<i32, F16>(x, out, n); }
export function castI32ToBF16(x: usize, out: usize, n: i32): void { cast<i32, BF16>(x, out, n); }
export function castU8ToF32(x: usize, out: usize, n: i32): void { cast<Bool, f32>(x, out, n); }
export function castU8ToF64(x: usize, out: usize, n: i32): void { cast<Bool, f64>(x, out, n); }
export function castU8ToI32(x: usize, out: usize, n: i32): void { cast<Bool, i32>(x, out, n); }
export function castF16ToF32(x: usize, out: usize, n: i32): void { cast<F16, f32>(x, out, n); }
export function castBF16ToF32(x: usize, out: usize, n: i32): void { cast<BF16, f32>(x, out, n); }
