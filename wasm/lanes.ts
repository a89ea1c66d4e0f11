// Reading and writing partial vectors, and truth values kept as bytes, for the elementwise kernels of every element type (scripts/elements.mjs).

/** The first `count` (1 to 3) floats at an address; the other lanes repeat the first. */
@inline export function loadPart(address: usize, count: i32): v128 {
  let lanes = v128.load32_splat(address);
  if (count > 1) lanes = v128.load_lane<f32>(address, lanes, 1, 4);
  if (count > 2) lanes = v128.load_lane<f32>(address, lanes, 2, 8);
  return lanes;
}

/** Stores the first `count` (1 to 3) lanes. */
@inline export function storePart(address: usize, lanes: v128, count: i32): void {
  v128.store_lane<f32>(address, lanes, 0);
  if (count > 1) v128.store_lane<f32>(address, lanes, 1, 4);
  if (count > 2) v128.store_lane<f32>(address, lanes, 2, 8);
}

// What is left at the end of a run is read and stored by functions that are called: once a run, and in hundreds of places.

export function loadWords(address: usize, count: i32): v128 {
  return loadPart(address, count);
}

export function storeWords(address: usize, lanes: v128, count: i32): void {
  storePart(address, lanes, count);
}

/** Four truth values (bytes) as 0.0 or 1.0. */
@inline export function loadTruth(address: usize): v128 {
  return f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(address))));
}

/** The first `count` (1 to 3) truth values as 0.0 or 1.0; the other lanes are 0. */
export function loadTruthPart(address: usize, count: i32): v128 {
  let bytes = <u32>load<u8>(address);
  if (count > 1) bytes |= <u32>load<u8>(address, 1) << 8;
  if (count > 2) bytes |= <u32>load<u8>(address, 2) << 16;
  return f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(i32x4.splat(bytes))));
}

/** A truth value (byte) in all lanes, as 0.0 or 1.0. */
@inline export function splatTruth(address: usize): v128 {
  return f32x4.splat(<f32>load<u8>(address));
}

/** Stores sixteen lane masks as bytes, 0 or 1. */
@inline export function storeTruth16(address: usize, a: v128, b: v128, c: v128, d: v128): void {
  const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  v128.store(address, v128.and(bytes, i8x16.splat(1)));
}

/** Stores the first `count` (1 to 4) lane masks as bytes, 0 or 1. */
export function storeTruthPart(address: usize, mask: v128, count: i32): void {
  const bits = i32x4.bitmask(mask);
  for (let i = 0; i < count; i++) store<u8>(address + i, (bits >> i) & 1);
}

/** Four truth values (bytes) as the integers 0 or 1. */
@inline export function loadTruthI32(address: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(address)));
}

/** The first `count` (1 to 3) truth values as 0 or 1; the other lanes are 0. */
export function loadTruthPartI32(address: usize, count: i32): v128 {
  return i32x4.trunc_sat_f32x4_s(loadTruthPart(address, count));
}

/** A truth value (byte) in all lanes, as 0 or 1. */
@inline export function splatTruthI32(address: usize): v128 {
  return i32x4.splat(load<u8>(address));
}

/** Two truth values (bytes) as 0.0 or 1.0. */
@inline export function loadTruthF64(address: usize): v128 {
  return f64x2.convert_low_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load16_splat(address))));
}

/** The one truth value that is left, as 0.0 or 1.0. */
@inline export function loadTruthPartF64(address: usize, _count: i32): v128 {
  return splatTruthF64(address);
}

/** A truth value (byte) in both lanes, as 0.0 or 1.0. */
@inline export function splatTruthF64(address: usize): v128 {
  return f64x2.splat(<f64>load<u8>(address));
}

/** Stores eight masks of float64 lanes as bytes, 0 or 1. */
@inline export function storeTruth8(address: usize, a: v128, b: v128, c: v128, d: v128): void {
  const words = i16x8.narrow_i32x4_s(v128.shuffle<i32>(a, b, 0, 2, 4, 6), v128.shuffle<i32>(c, d, 0, 2, 4, 6));
  v128.store64_lane(address, v128.and(i8x16.narrow_i16x8_s(words, words), i8x16.splat(1)), 0);
}

/** Stores one or two masks of float64 lanes as bytes, 0 or 1. */
export function storeTruthPartF64(address: usize, mask: v128, count: i32): void {
  const bits = i64x2.bitmask(mask);
  store<u8>(address, bits & 1);
  if (count > 1) store<u8>(address, bits >> 1, 1);
}

/** The first `count` (1 to 15) bytes at an address; the other lanes are 0. */
export function loadBytes(address: usize, count: i32): v128 {
  let low: u64 = 0, high: u64 = 0;
  for (let i = 0; i < count; i++) {
    const byte = <u64>load<u8>(address + i);
    if (i < 8) low |= byte << (8 * i);
    else high |= byte << (8 * (i - 8));
  }
  return i64x2.replace_lane(i64x2.splat(low), 1, high);
}

/** Stores the first `count` (1 to 15) bytes. */
export function storeBytes(address: usize, lanes: v128, count: i32): void {
  let part = i64x2.extract_lane(lanes, 0);
  for (let i = 0; i < count; i++) {
    if (i == 8) part = i64x2.extract_lane(lanes, 1);
    store<u8>(address + i, part);
    part >>= 8;
  }
}

/** Stores 64 masks of bytes as 0 or 1. */
@inline export function storeTruth64(address: usize, a: v128, b: v128, c: v128, d: v128): void {
  const one = i8x16.splat(1);
  v128.store(address, v128.and(a, one));
  v128.store(address, v128.and(b, one), 16);
  v128.store(address, v128.and(c, one), 32);
  v128.store(address, v128.and(d, one), 48);
}

/** Stores the first `count` (1 to 16) masks of bytes as 0 or 1. */
export function storeTruthBytes(address: usize, mask: v128, count: i32): void {
  const bytes = v128.and(mask, i8x16.splat(1));
  if (count == 16) v128.store(address, bytes);
  else storeBytes(address, bytes, count);
}

/** The largest lane; NaN when any lane is. */
@inline export function maxLane(lanes: v128): f32 {
  const pair = f32x4.max(lanes, v128.shuffle<f32>(lanes, lanes, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.max(pair, v128.shuffle<f32>(pair, pair, 1, 0, 3, 2)), 0);
}

/** The lanes 0 and 1, as float64. */
@inline export function lowPair(lanes: v128): v128 {
  return f64x2.promote_low_f32x4(lanes);
}

/** The lanes 2 and 3, as float64. */
@inline export function highPair(lanes: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(lanes, lanes, 2, 3, 2, 3));
}

/** Two pairs of float64, rounded to four float32 lanes. */
@inline export function fromPairs(low: v128, high: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}

/** The sum of both float64 lanes. */
@inline export function sumPair(pair: v128): f64 {
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

/** The first `count` floats at an address, at most 4; lanes beyond repeat the first. */
@inline export function loadUpTo(address: usize, count: i32): v128 {
  return count >= 4 ? v128.load(address) : loadPart(address, count);
}

/** Stores the first `count` lanes, at most 4. */
@inline export function storeUpTo(address: usize, lanes: v128, count: i32): void {
  if (count >= 4) v128.store(address, lanes);
  else storePart(address, lanes, count);
}

/** Transposes the 4 x 4 floats whose rows are r0 .. r3 and stores the columns `step` bytes apart. */
@inline export function transposeStore(r0: v128, r1: v128, r2: v128, r3: v128, to: usize, step: usize): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
  v128.store(to + step, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7));
  v128.store(to + 2 * step, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5));
  v128.store(to + 3 * step, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7));
}
