/**
 * The highest rung of the ladder (see route.ts): exponentials of logits in float32, four at a time, once for both passes. Against those of precise.ts
 * that buys a factor of 1.4 to 1.7 for loss and gradient.
 *
 * Emissions of CTC: e^x of logits in blocks of four frames, transposed so that one vector holds one class of four consecutive frames, and the
 * way back from such a block to four rows of a gradient. (Blocks of log-probabilities: see log-probs.ts.)
 *
 * A block is `classes + 5` vectors: the classes, the emission that stands for "impossible", the frame's normaliser (the sum of e^x), what
 * float32 leaves of that sum, the greatest emission, and what emissions are relative to (see `originsOf`).
 */

import { fromPairs, highPair, lowPair, maxLane } from '../lanes';

/**
 * How far below its shift an input counts as impossible in the forward pass and as exactly this in the backward pass. What lies farther above
 * it would wrap its exponent around: such a frame is evaluated again.
 */
@inline export const REACH: f32 = 80.0;
@inline const LN2: f32 = 0.6931471805599453;
@inline const LN2_64: f64 = 0.69314718055994530942;
@inline const LOG2_E: f32 = 1.44269504088896341;
/** 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum. And the bias of float32's exponent. */
@inline export const ROUNDER: f32 = 12582912.0 + 127.0;
@inline const LN2_HIGH: f32 = 0.693359375;
@inline const LN2_LOW: f32 = -2.12194440e-4;
/** Frames whose normaliser is below this, or an emission above that, are evaluated again, relative to their greatest value. */
@inline const NORMALISER_LOW: f32 = 9.5367431640625e-7;
@inline const EMISSION_HIGH: f32 = 16384.0;
/**
 * Beyond this the distance of two inputs, as far as it matters, is exact in float32, and up to this the reduction of inputs rounds by no more than
 * that of small ones.
 */
@inline const EXACT_DISTANCES: f32 = 1024.0;

/** Vectors of a block beside its classes. */
@inline const BLOCK_EXTRA: i32 = 5;

@inline export function splat(x: f32): v128 { return f32x4.splat(x); }

/** Bytes of one block of four frames. */
@inline export function blockBytes(classes: i32): usize { return <usize>(classes + BLOCK_EXTRA) << 4; }

/** Bytes of all blocks of one sequence. */
@inline export function sequenceBlockBytes(frames: i32, classes: i32): usize {
  return (<usize>((frames + 3) >> 2) * blockBytes(classes) + 63) & ~63;
}

/**
 * e^x * 2^-shift for x >= -80, where `rounder` is ROUNDER - shift. Cody-Waite reduction keeps the relative error at 1e-7 for |x| < 1500,
 * because the shift happens in the exponent and never rounds x. The polynomial is the minimax one of degree 6 on half a binade with the lowest two
 * terms held at 1 + x, so that e^0 is exactly 1: 3.2e-9 off at most, which logits that hardly vary do not average out. NaN gives NaN.
 */
@inline export function exp4(x: v128, rounder: v128): v128 {
  const rounded = f32x4.add(f32x4.mul(x, splat(LOG2_E)), rounder);
  const n = f32x4.sub(rounded, rounder);
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, splat(LN2_HIGH))), f32x4.mul(n, splat(LN2_LOW)));
  const rr = f32x4.mul(r, r);
  const high = f32x4.add(f32x4.mul(r, splat(0.008368715643882751)), splat(0.04166829213500023));
  const low = f32x4.add(f32x4.mul(r, splat(0.1666652113199234)), splat(0.4999999403953552));
  let p = f32x4.add(f32x4.mul(rr, splat(0.0013818698935210705)), high);
  p = f32x4.add(f32x4.mul(p, rr), low);
  p = f32x4.add(f32x4.add(f32x4.mul(p, rr), r), splat(1.0));
  return f32x4.mul(p, i32x4.shl(rounded, 23));
}

/** What stands for "impossible" in a block: no emission of logits is below it, and no log-probability at or below it counts. */
@inline export function floorOf(block: usize, classes: i32): v128 { return v128.load(block + (<usize>classes << 4)); }

/**
 * What a block's emissions are relative to, in each frame, as the bits of an int32: 2 to that, where it is small; else the number e^x with these
 * bits for x, which is then one beyond EXACT_DISTANCES.
 */
@inline function originAt(end: usize): usize { return end + 64; }
/** Integers that are below this in size are exponents. The bits of a float32 beyond EXACT_DISTANCES, of either sign, are not. */
@inline const GREATEST_EXPONENT: i32 = 1 << 16;

@inline function originOf(end: usize, frame: i32): f64 {
  const bits = load<i32>(originAt(end) + (<usize>frame << 2));
  return abs(bits) < GREATEST_EXPONENT ? <f64>bits * LN2_64 : <f64>reinterpret<f32>(bits);
}

/** The inputs whose exponentials are 1 in a block, in two frames. */
@inline export function originsOf(block: usize, classes: i32, frame: i32): v128 {
  const end = block + (<usize>classes << 4);
  return f64x2.replace_lane(f64x2.splat(originOf(end, frame)), 1, originOf(end, frame + 1));
}

@inline export function evenPairs(a: v128, b: v128): v128 { return v128.shuffle<f32>(a, b, 0, 4, 1, 5); }
@inline export function oddPairs(a: v128, b: v128): v128 { return v128.shuffle<f32>(a, b, 2, 6, 3, 7); }
@inline export function lowHalves(a: v128, b: v128): v128 { return v128.shuffle<f32>(a, b, 0, 1, 4, 5); }
@inline export function highHalves(a: v128, b: v128): v128 { return v128.shuffle<f32>(a, b, 2, 3, 6, 7); }

/** One class of four rows as a vector, for the classes left over by the 4 x 4 transposes. */
@inline export function column(x0: usize, x1: usize, x2: usize, x3: usize, at: usize): v128 {
  let x = splat(load<f32>(x0 + at));
  x = f32x4.replace_lane(x, 1, load<f32>(x1 + at));
  x = f32x4.replace_lane(x, 2, load<f32>(x2 + at));
  return f32x4.replace_lane(x, 3, load<f32>(x3 + at));
}

/**
 * Fills the block at `block` from four rows of inputs (addresses x0 to x3), times 2^-shift; the shift is the one at `shiftAt` (float32) as
 * long as that keeps the normalisers in range, and follows them when not.
 * Returns false where a value is NaN or infinite in a way that only the log-domain tier can name, or too large to shift.
 */
export function fillBlock(block: usize, x0: usize, x1: usize, x2: usize, x3: usize, classes: i32, shiftAt: usize): bool {
  const end = block + (<usize>classes << 4), quads = block + (<usize>(classes & ~3) << 4), shift = load<f32>(shiftAt);
  const rounder = splat(ROUNDER - shift), lowest = splat(shift * LN2 - REACH), highest = splat(shift * LN2 + REACH);
  let low = f64x2.splat(0), high = low, greatest = lowest, e = block, at: usize = 0;
  if (e < quads) do {
    const a = v128.load(x0 + at), b = v128.load(x1 + at), c = v128.load(x2 + at), d = v128.load(x3 + at);
    const ab = evenPairs(a, b), AB = oddPairs(a, b), cd = evenPairs(c, d), CD = oddPairs(c, d);
    const t0 = f32x4.pmax(lowHalves(ab, cd), lowest), t1 = f32x4.pmax(highHalves(ab, cd), lowest);
    const t2 = f32x4.pmax(lowHalves(AB, CD), lowest), t3 = f32x4.pmax(highHalves(AB, CD), lowest);
    greatest = f32x4.pmax(greatest, f32x4.pmax(f32x4.pmax(t0, t1), f32x4.pmax(t2, t3)));
    const e0 = exp4(t0, rounder), e1 = exp4(t1, rounder), e2 = exp4(t2, rounder), e3 = exp4(t3, rounder);
    v128.store(e, e0); v128.store(e, e1, 16); v128.store(e, e2, 32); v128.store(e, e3, 48);
    // Beyond four classes sums are float64: the rounding of many that are alike would have one direction.
    const four = f32x4.add(f32x4.add(e0, e1), f32x4.add(e2, e3));
    low = f64x2.add(low, lowPair(four)); high = f64x2.add(high, highPair(four));
    e += 64; at += 16;
  } while (e < quads);
  for (; e < end; e += 16, at += 4) {
    const x = f32x4.pmax(column(x0, x1, x2, x3, at), lowest), e0 = exp4(x, rounder);
    greatest = f32x4.pmax(greatest, x);
    v128.store(e, e0);
    low = f64x2.add(low, lowPair(e0)); high = f64x2.add(high, highPair(e0));
  }
  const sum = fromPairs(low, high), most = exp4(greatest, rounder);
  v128.store(end, exp4(lowest, rounder));
  v128.store(end, most, 48);
  v128.store(originAt(end), i32x4.splat(<i32>shift));
  // What is above the highest has wrapped around; NaN is in no range.
  const inRange = v128.and(v128.and(f32x4.gt(sum, splat(NORMALISER_LOW)), f32x4.lt(most, splat(EMISSION_HIGH))), f32x4.le(greatest, highest));
  if (!i32x4.all_true(inRange)) return fillShifted(block, x0, x1, x2, x3, classes, shiftAt);
  v128.store(end, sum, 16);
  v128.store(end, fromPairs(f64x2.sub(low, lowPair(sum)), f64x2.sub(high, highPair(sum))), 32);
  if (v128.any_true(f32x4.lt(sum, f32x4.add(most, most)))) refineNormaliser(block, end);
  return true;
}

/**
 * Adds up a block's emissions in float64, and stores the sum as two float32. Where one class has most of a frame, its gradient is a small
 * difference of numbers next to 1, to which float32 would leave few digits.
 */
function refineNormaliser(block: usize, end: usize): void {
  let low = f64x2.splat(0), high = f64x2.splat(0), e = block;
  do {
    const x = v128.load(e);
    low = f64x2.add(low, lowPair(x)); high = f64x2.add(high, highPair(x));
    e += 16;
  } while (e < end);
  const sum = fromPairs(low, high);
  v128.store(end, sum, 16);
  v128.store(end, fromPairs(f64x2.sub(low, lowPair(sum)), f64x2.sub(high, highPair(sum))), 32);
}

/**
 * The block again, each frame relative to the power of two next to its greatest value, or, where that is far from 0, to the value itself. Rare:
 * large, tiny, infinite or NaN inputs.
 */
function fillShifted(block: usize, x0: usize, x1: usize, x2: usize, x3: usize, classes: i32, shiftAt: usize): bool {
  let greatest = splat(-Infinity), nan = splat(0);
  for (let c = 0; c < classes; c++) {
    const x = column(x0, x1, x2, x3, <usize>c << 2);
    greatest = f32x4.max(greatest, x);
    nan = v128.or(nan, f32x4.ne(x, x));
  }
  if (v128.any_true(nan)) return false;
  const size = f32x4.abs(greatest);
  if (!i32x4.all_true(f32x4.lt(size, splat(Infinity)))) return false;
  const base = v128.and(greatest, f32x4.gt(size, splat(EXACT_DISTANCES))), top = f32x4.sub(greatest, base);
  const shifts = f32x4.nearest(f32x4.mul(top, splat(LOG2_E))), rounder = f32x4.sub(splat(ROUNDER), shifts);
  const floor = exp4(splat(-REACH), splat(ROUNDER)), lowest = f32x4.sub(top, splat(REACH));
  store<f32>(shiftAt, maxLane(shifts));
  let e = block;
  for (let c = 0; c < classes; c++, e += 16) {
    const x = f32x4.sub(column(x0, x1, x2, x3, <usize>c << 2), base);
    const possible = f32x4.gt(x, lowest);
    const value = v128.bitselect(exp4(v128.bitselect(x, top, possible), rounder), floor, possible);
    v128.store(e, f32x4.pmax(value, floor));
  }
  v128.store(e, floor);
  v128.store(e, exp4(top, rounder), 48);
  v128.store(originAt(e), v128.bitselect(i32x4.trunc_sat_f32x4_s(shifts), base, f32x4.eq(base, splat(0))));
  refineNormaliser(block, e);
  return true;
}

/**
 * Writes a block of a gradient to four rows, times `cotangent`. Blocks of logits still hold the floor of their emissions; all have a factor
 * for each frame. The cotangent is a multiplication of its own, so that it may as well be applied later, to the same bits.
 */
export function writeRows(
  block: usize, g0: usize, g1: usize, g2: usize, g3: usize, classes: i32, logits: bool, cotangent: f32,
): void {
  const floor = logits ? floorOf(block, classes) : splat(0), scale = v128.load(block + (<usize>(classes + 1) << 4)), factor = splat(cotangent);
  const quads = block + (<usize>(classes & ~3) << 4), end = block + (<usize>classes << 4);
  let e = block, at: usize = 0;
  if (e < quads) do {
    const a = gradientOf(v128.load(e), floor, scale, factor), b = gradientOf(v128.load(e, 16), floor, scale, factor);
    const c = gradientOf(v128.load(e, 32), floor, scale, factor), d = gradientOf(v128.load(e, 48), floor, scale, factor);
    const ab = evenPairs(a, b), AB = oddPairs(a, b), cd = evenPairs(c, d), CD = oddPairs(c, d);
    v128.store(g0 + at, lowHalves(ab, cd)); v128.store(g1 + at, highHalves(ab, cd));
    v128.store(g2 + at, lowHalves(AB, CD)); v128.store(g3 + at, highHalves(AB, CD));
    e += 64; at += 16;
  } while (e < quads);
  for (; e < end; e += 16, at += 4) {
    const a = gradientOf(v128.load(e), floor, scale, factor);
    store<f32>(g0 + at, f32x4.extract_lane(a, 0)); store<f32>(g1 + at, f32x4.extract_lane(a, 1));
    store<f32>(g2 + at, f32x4.extract_lane(a, 2)); store<f32>(g3 + at, f32x4.extract_lane(a, 3));
  }
}

/** Zeroes a row of a gradient. */
export function clearRow(at: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(at + i, i64x2.splat(0));
  for (; i < bytes; i += 4) store<u32>(at + i, 0);
}

/** A gradient times a cotangent. What is 0 stays +0, also beside an infinite or negative cotangent: no path depends on it. */
@inline export function scaled(gradient: v128, cotangent: v128): v128 {
  return v128.andnot(f32x4.mul(gradient, cotangent), f32x4.eq(gradient, f32x4.splat(0)));
}

@inline function gradientOf(value: v128, floor: v128, scale: v128, cotangent: v128): v128 {
  return scaled(f32x4.mul(f32x4.sub(value, floor), scale), cotangent);
}
