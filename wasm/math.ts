// Elementary functions on four float32 lanes, accurate to 2 ulp over the whole range, with the special cases of IEEE 754 (NaN, infinities,
// signed zeros, denormals). A lane's result does not depend on its neighbours. The polynomials are minimax fits over the reduced ranges.
// Where float32 alone would lose digits (pow, the range reduction of sin and cos) the work is done on pairs of float64.
import { fromPairs, highPair, lowPair } from "./lanes";

const SIGN: i32 = i32.MIN_VALUE;
/** Adding 1.5 * 2^23 rounds a float32 to an integer and leaves that integer in the low bits. */
const ROUND: f32 = 12582912;
const ROUND_BITS: i32 = 0x4b400000;
/** The same for float64: 1.5 * 2^52. */
const ROUND64: f64 = 6755399441055744;

/** ln 2 in two parts; the first has few enough bits that small multiples of it are exact. */
const LN2_HIGH: f32 = 0.693138122558593750;
const LN2_LOW: f32 = 9.0580006144e-6;
const LOG2_E: f32 = 1.4426950408889634;
const SQRT_HALF_BITS: i32 = 0x3f3504f3;

@inline export function num(value: f32): v128 {
  return f32x4.splat(value);
}

@inline export function num64(value: f64): v128 {
  return f64x2.splat(value);
}

// Bounds are set with pmin and pmax, which keep a NaN in their first operand and are one instruction where min and max are eight.

/** a * b + c */
@inline export function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, b), c);
}

@inline export function mulAdd64(a: v128, b: v128, c: v128): v128 {
  return f64x2.add(f64x2.mul(a, b), c);
}

/** 2^n for integer lanes from -126 to 127. */
@inline function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** `magnitude`, which has no sign yet, with the sign of `x`. */
@inline export function withSignOf(magnitude: v128, x: v128): v128 {
  return v128.or(magnitude, v128.and(x, i32x4.splat(SIGN)));
}

/** x / ln 2, rounded to an integer in the low bits. */
@inline function roundedLog2(x: v128): v128 {
  return mulAdd(x, num(LOG2_E), num(ROUND));
}

/** x less its multiple of ln 2. */
@inline function lessMultiple(x: v128, rounded: v128): v128 {
  const n = f32x4.sub(rounded, num(ROUND));
  return f32x4.sub(f32x4.sub(x, f32x4.mul(n, num(LN2_HIGH))), f32x4.mul(n, num(LN2_LOW)));
}

/** e^r for |r| up to half of ln 2. */
@inline function expNearZero(r: v128): v128 {
  let p = mulAdd(r, num(0.0013813144502443002), num(0.008369418835548913));
  p = mulAdd(r, p, num(0.041668456787439606));
  p = mulAdd(r, p, num(0.16666514791398621));
  p = mulAdd(r, p, num(0.49999993050724445));
  return f32x4.add(num(1), mulAdd(f32x4.mul(r, r), p, r));
}

/** e^x where it may be infinite, denormal or NaN: 2^n in two factors, since n reaches 128 and -151, beyond what one float32 exponent holds. */
function expSpecial(x: v128): v128 {
  const bounded = f32x4.pmax(f32x4.pmin(x, num(89)), num(-105));
  const rounded = roundedLog2(bounded);
  const p = expNearZero(lessMultiple(bounded, rounded));
  const integer = i32x4.sub(rounded, i32x4.splat(ROUND_BITS));
  const half = i32x4.shr_s(integer, 1);
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(integer, half)));
}

/** Whether the magnitude of a lane is above the one with these bits, or NaN. */
@inline export function isBeyond(x: v128, magnitude: i32): bool {
  return v128.any_true(i32x4.gt_s(v128.and(x, i32x4.splat(i32.MAX_VALUE)), i32x4.splat(magnitude)));
}

/** e^x for |x| below 87. */
@inline export function expModerate(x: v128): v128 {
  const rounded = roundedLog2(x);
  return i32x4.add(expNearZero(lessMultiple(x, rounded)), i32x4.shl(rounded, 23));
}

/** e^x. */
@inline export function exp(x: v128): v128 {
  const value = expModerate(x); // before the branch: constants that a loop may do without would be made again in every step
  return isBeyond(x, 0x42adffff) ? expSpecial(x) : value; // from 87 on
}

/** e^x for x <= 0, flushed to 0 below -87: one factor less than `exp`, for softmax. */
@inline export function expNegative(x: v128): v128 {
  const bounded = f32x4.pmax(x, num(-87));
  const rounded = roundedLog2(bounded);
  const p = expNearZero(lessMultiple(bounded, rounded));
  const scaled = f32x4.mul(p, powerOfTwo(i32x4.sub(rounded, i32x4.splat(ROUND_BITS))));
  return v128.andnot(scaled, f32x4.lt(x, num(-87)));
}

/** e^x - 1, without cancellation near 0. */
@inline export function expm1(x: v128): v128 {
  const bounded = f32x4.pmax(f32x4.pmin(x, num(89)), num(-30));
  const rounded = roundedLog2(bounded);
  const r = lessMultiple(bounded, rounded);
  let p = mulAdd(r, num(0.00019915585800282497), num(0.0013942046934396139));
  p = mulAdd(r, p, num(0.0083332706927636158));
  p = mulAdd(r, p, num(0.041666342112608411));
  p = mulAdd(r, p, num(0.16666666825950252));
  p = mulAdd(r, p, num(0.50000000492412278));
  p = mulAdd(f32x4.mul(r, r), p, r);
  // (2^n p + 2^n - 1) with 2^(n-1), which is still finite where n is 128.
  const half = powerOfTwo(i32x4.sub(rounded, i32x4.splat(ROUND_BITS + 1)));
  const result = f32x4.mul(num(2), mulAdd(half, p, f32x4.sub(half, num(0.5))));
  return withSignOf(result, x);
}

/** log x for normal, positive, finite lanes; `shift` is added to the exponent. */
@inline function logNormal(x: v128, shift: v128): v128 {
  const offset = i32x4.sub(x, i32x4.splat(SQRT_HALF_BITS));
  const exponent = i32x4.shr_s(offset, 23);
  const f = f32x4.sub(i32x4.sub(x, i32x4.shl(exponent, 23)), num(1));
  const n = f32x4.add(f32x4.convert_i32x4_s(exponent), shift);
  const square = f32x4.mul(f, f);
  let p = mulAdd(f, num(0.06746640329263115), num(-0.11675651772477336));
  p = mulAdd(f, p, num(0.11888162322930496));
  p = mulAdd(f, p, num(-0.12405588930491934));
  p = mulAdd(f, p, num(0.14219552354932657));
  p = mulAdd(f, p, num(-0.16667995853246587));
  p = mulAdd(f, p, num(0.20002118659062901));
  p = mulAdd(f, p, num(-0.25000009599412693));
  p = mulAdd(f, p, num(0.33333312604058607));
  p = mulAdd(f32x4.mul(square, f), p, f32x4.mul(n, num(LN2_LOW)));
  p = f32x4.sub(p, f32x4.mul(square, num(0.5)));
  return mulAdd(n, num(LN2_HIGH), f32x4.add(f, p));
}

/** log x where a lane may be 0, negative, denormal, infinite or NaN. */
function logSpecial(x: v128): v128 {
  const denormal = f32x4.lt(x, num(f32.MIN_NORMAL_VALUE));
  const scaled = v128.bitselect(f32x4.mul(x, num(8388608)), x, denormal);
  let result = logNormal(scaled, v128.and(denormal, num(-23)));
  result = v128.bitselect(x, result, f32x4.eq(x, num(Infinity)));
  result = v128.bitselect(num(-Infinity), result, f32x4.eq(x, num(0)));
  return v128.bitselect(result, num(NaN), f32x4.ge(x, num(0)));
}

/** Natural logarithm. */
@inline export function log(x: v128): v128 {
  const normal = v128.and(f32x4.ge(x, num(f32.MIN_NORMAL_VALUE)), f32x4.lt(x, num(Infinity)));
  const value = logNormal(x, num(0)); // before the branch, as in exp
  return i32x4.all_true(normal) ? value : logSpecial(x);
}

/** log(1 + x), without cancellation near 0. */
@inline export function log1p(x: v128): v128 {
  const sum = f32x4.add(num(1), x);
  // What rounding 1 + x to `sum` lost, exactly (Knuth's two-sum); d log(u) = du / u.
  const part = f32x4.sub(sum, num(1));
  const lost = f32x4.add(f32x4.sub(num(1), f32x4.sub(sum, part)), f32x4.sub(x, part));
  const usable = v128.and(f32x4.gt(sum, num(0)), f32x4.lt(sum, num(Infinity)));
  const result = f32x4.add(log(sum), v128.and(f32x4.div(lost, sum), usable));
  return withSignOf(result, v128.and(x, f32x4.ge(x, num(-1))));
}

/** Hyperbolic tangent. */
@inline export function tanh(x: v128): v128 {
  const a = f32x4.abs(x);
  const square = f32x4.mul(a, a);
  let p = mulAdd(square, num(0.002139616826717085), num(-0.0081738550370588185));
  p = mulAdd(square, p, num(0.021699318071495204));
  p = mulAdd(square, p, num(-0.053946519600455704));
  p = mulAdd(square, p, num(0.13333204162815074));
  p = mulAdd(square, p, num(-0.3333333075797435));
  const small = mulAdd(f32x4.mul(square, a), p, a);
  const large = f32x4.sub(num(1), f32x4.div(num(2), f32x4.add(exp(f32x4.add(a, a)), num(1))));
  return withSignOf(v128.bitselect(small, large, f32x4.lt(a, num(0.625))), x);
}

/** Arc tangent: below tan(pi / 8) the polynomial of Cephes' atanf (S. L. Moshier), above it by the addition theorem about 1 and infinity. */
@inline export function atan(x: v128): v128 {
  const a = f32x4.abs(x);
  const nearOne = f32x4.gt(a, num(0.4142135623730951));
  const far = f32x4.gt(a, num(2.414213562373095));
  const aboutOne = f32x4.div(f32x4.sub(a, num(1)), f32x4.add(a, num(1)));
  const r = v128.bitselect(f32x4.div(num(-1), a), v128.bitselect(aboutOne, a, nearOne), far);
  const offset = v128.bitselect(
    num(1.5707963267948966),
    v128.bitselect(num(0.7853981633974483), num(0), nearOne),
    far,
  );
  const square = f32x4.mul(r, r);
  let p = mulAdd(square, num(0.0805374449538), num(-0.138776856032));
  p = mulAdd(square, p, num(0.199777106478));
  p = mulAdd(square, p, num(-0.333329491539));
  return withSignOf(f32x4.add(offset, mulAdd(f32x4.mul(square, r), p, r)), x);
}

/** 2^x for float64 lanes from -1000 to 1000, to 4e-11. */
@inline export function exp2Pair(x: v128): v128 {
  const rounded = f64x2.add(x, num64(ROUND64));
  const r = f64x2.sub(x, f64x2.sub(rounded, num64(ROUND64)));
  let p = mulAdd64(r, num64(1.5200898646630422e-05), num64(0.00015470606360991595));
  p = mulAdd64(r, p, num64(0.0013333937346091038));
  p = mulAdd64(r, p, num64(0.0096180231472757036));
  p = mulAdd64(r, p, num64(0.055504103219480655));
  p = mulAdd64(r, p, num64(0.24022651228758338));
  p = mulAdd64(r, p, num64(0.6931471807423657));
  p = mulAdd64(r, p, num64(0.9999999999585496));
  return i64x2.add(p, i64x2.shl(rounded, 52));
}

/** How many quarter turns lie in an angle, as an integer in the low bits of a float64. */
@inline function quarterTurns(x: v128): v128 {
  return mulAdd64(x, num64(0.6366197723675814), num64(ROUND64));
}

/** The angle less its quarter turns. pi/2 is split so that up to 2^28 multiples of its first part are exact. */
@inline function lessTurns(x: v128, turns: v128): v128 {
  const n = f64x2.sub(turns, num64(ROUND64));
  return f64x2.sub(f64x2.sub(x, f64x2.mul(n, num64(1.57079631090164184570))), f64x2.mul(n, num64(1.58932547735281966916e-8)));
}

/** sin(x + quarters * pi/2) for lanes below 2^28. */
@inline function sinShifted(x: v128, quarters: i32): v128 {
  const low = lowPair(x), high = highPair(x);
  const lowTurns = quarterTurns(low), highTurns = quarterTurns(high);
  const r = fromPairs(lessTurns(low, lowTurns), lessTurns(high, highTurns));
  const turns = i32x4.add(v128.shuffle<i32>(lowTurns, highTurns, 0, 2, 4, 6), i32x4.splat(quarters));
  const a = f32x4.abs(r);
  const square = f32x4.mul(a, a);
  let s = mulAdd(square, num(2.7173675873967861e-06), num(-0.00019839232770355798));
  s = mulAdd(square, s, num(0.0083333290565140387));
  s = mulAdd(square, s, num(-0.16666666638645755));
  s = mulAdd(f32x4.mul(square, a), s, a);
  let c = mulAdd(square, num(2.4425681579162149e-05), num(-0.0013887251485104354));
  c = mulAdd(square, c, num(0.041666644367781225));
  c = f32x4.add(f32x4.sub(num(1), f32x4.mul(square, num(0.5))), f32x4.mul(f32x4.mul(square, square), c));
  const odd = i32x4.shr_s(i32x4.shl(turns, 31), 31);
  const sign = v128.xor(v128.andnot(r, odd), i32x4.shl(turns, 30));
  return v128.xor(v128.bitselect(c, s, odd), v128.and(sign, i32x4.splat(SIGN)));
}

function sinLane(x: f32): f32 {
  return <f32>NativeMath.sin(x);
}

function cosLane(x: f32): f32 {
  return <f32>NativeMath.cos(x);
}

function sinHuge(x: v128): v128 {
  let result = f32x4.splat(sinLane(f32x4.extract_lane(x, 0)));
  result = f32x4.replace_lane(result, 1, sinLane(f32x4.extract_lane(x, 1)));
  result = f32x4.replace_lane(result, 2, sinLane(f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(result, 3, sinLane(f32x4.extract_lane(x, 3)));
}

function cosHuge(x: v128): v128 {
  let result = f32x4.splat(cosLane(f32x4.extract_lane(x, 0)));
  result = f32x4.replace_lane(result, 1, cosLane(f32x4.extract_lane(x, 1)));
  result = f32x4.replace_lane(result, 2, cosLane(f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(result, 3, cosLane(f32x4.extract_lane(x, 3)));
}

/** The angles that float64 reduces exactly enough; others, infinities and NaN included, go through float64 code lane by lane. */
@inline function moderate(x: v128): v128 {
  return f32x4.lt(f32x4.abs(x), num(2.5e8));
}

/** Sine of an angle in radians. */
@inline export function sin(x: v128): v128 {
  const mask = moderate(x), value = sinShifted(x, 0);
  return i32x4.all_true(mask) ? value : v128.bitselect(value, sinHuge(x), mask);
}

/** Cosine of an angle in radians. */
@inline export function cos(x: v128): v128 {
  const mask = moderate(x), value = sinShifted(x, 1);
  return i32x4.all_true(mask) ? value : v128.bitselect(value, cosHuge(x), mask);
}

/** 2^(y (n + log2 m)) for m from sqrt(1/2) to sqrt(2), in float64. */
@inline function powPair(m: v128, n: v128, y: v128): v128 {
  const s = f64x2.div(f64x2.sub(m, num64(1)), f64x2.add(m, num64(1)));
  const square = f64x2.mul(s, s);
  let p = mulAdd64(square, num64(0.283339571626465), num64(0.31987623202433779));
  p = mulAdd64(square, p, num64(0.41220993591581467));
  p = mulAdd64(square, p, num64(0.57707793598523627));
  p = mulAdd64(square, p, num64(0.96179669413380386));
  p = mulAdd64(square, p, num64(2.8853900817778397));
  const exponent = f64x2.mul(y, mulAdd64(s, p, n));
  return exp2Pair(f64x2.pmax(f64x2.pmin(exponent, num64(200)), num64(-200)));
}

/** x^y for finite lanes, x not 0 and not denormal; where it is `scaled`, x is 2^-24 of what stands there in the lanes with that mask. */
@inline function powNormal(x: v128, y: v128, scaled: bool, mask: v128): v128 {
  const a = f32x4.abs(x);
  let n = i32x4.shr_s(i32x4.sub(a, i32x4.splat(SQRT_HALF_BITS)), 23);
  const m = i32x4.sub(a, i32x4.shl(n, 23));
  if (scaled) n = i32x4.sub(n, v128.and(mask, i32x4.splat(24)));
  const upper = v128.shuffle<i32>(n, n, 2, 3, 2, 3);
  const magnitude = fromPairs(
    powPair(lowPair(m), f64x2.convert_low_i32x4_s(n), lowPair(y)),
    powPair(highPair(m), f64x2.convert_low_i32x4_s(upper), highPair(y)),
  );
  const half = f32x4.mul(y, num(0.5));
  const odd = f32x4.ne(f32x4.floor(half), half);
  const signed = v128.or(magnitude, v128.and(odd, v128.and(x, i32x4.splat(SIGN))));
  const broken = v128.and(f32x4.lt(x, num(0)), f32x4.ne(f32x4.floor(y), y));
  return v128.bitselect(num(NaN), signed, broken);
}

/** x^y for operands of any kind. ECMAScript makes 1 to an infinite or NaN power NaN; here it is 1, as IEEE 754 has it. */
function powSpecial(x: v128, y: v128): v128 {
  const a = f32x4.abs(x), zero = num(0), one = num(1), infinity = num(Infinity);
  const denormal = f32x4.lt(a, num(f32.MIN_NORMAL_VALUE)), endless = f32x4.eq(f32x4.abs(y), infinity);
  const value = powNormal(v128.bitselect(f32x4.mul(x, num(16777216)), x, denormal), y, true, denormal);
  // Of 0, of infinity, and to an infinite power: 0 or infinity, with a sign for odd powers.
  const half = f32x4.mul(y, num(0.5)), odd = v128.and(f32x4.eq(f32x4.floor(y), y), f32x4.ne(f32x4.floor(half), half));
  const grows = v128.not(v128.xor(f32x4.gt(a, one), f32x4.gt(y, zero)));
  const end = v128.or(v128.and(infinity, grows), v128.and(odd, v128.and(x, i32x4.splat(SIGN))));
  let result = v128.bitselect(end, value, v128.or(endless, v128.or(f32x4.eq(a, zero), f32x4.eq(a, infinity))));
  result = v128.bitselect(num(NaN), result, v128.or(isnan(x), isnan(y)));
  return v128.bitselect(one, result, v128.or(f32x4.eq(y, zero), v128.or(f32x4.eq(x, one), v128.and(endless, f32x4.eq(a, one)))));
}

/** x^y; a negative x to a power that is no integer is NaN. */
@inline export function pow(x: v128, y: v128): v128 {
  const a = f32x4.abs(x);
  const finite = v128.and(f32x4.lt(a, num(Infinity)), f32x4.lt(f32x4.abs(y), num(Infinity)));
  const normal = v128.and(finite, f32x4.ge(a, num(f32.MIN_NORMAL_VALUE)));
  const value = powNormal(x, y, false, x);
  return i32x4.all_true(normal) ? value : v128.bitselect(value, powSpecial(x, y), normal);
}

/** x less q y, where q is the whole part of x / y, below 2^28: exact. */
@inline function remPair(x: v128, y: v128, q: v128): v128 {
  const rest = f64x2.sub(x, f64x2.mul(q, y));
  // A quotient just below a whole number has been rounded up to it.
  const over = f64x2.lt(f64x2.mul(rest, x), num64(0)), sign = num64(-0.0);
  return f64x2.add(rest, v128.and(over, v128.bitselect(x, y, sign)));
}

@inline function quotientPair(x: v128, y: v128): v128 {
  return f64x2.trunc(f64x2.div(x, y));
}

function remSpecial(x: v128, y: v128): v128 {
  let result = f32x4.splat(f32x4.extract_lane(x, 0) % f32x4.extract_lane(y, 0));
  result = f32x4.replace_lane(result, 1, f32x4.extract_lane(x, 1) % f32x4.extract_lane(y, 1));
  result = f32x4.replace_lane(result, 2, f32x4.extract_lane(x, 2) % f32x4.extract_lane(y, 2));
  return f32x4.replace_lane(result, 3, f32x4.extract_lane(x, 3) % f32x4.extract_lane(y, 3));
}

/** What is left of x after whole multiples of y: exact, with the sign of x. Large quotients, infinities and NaN go lane by lane. */
@inline export function rem(x: v128, y: v128): v128 {
  const low = quotientPair(lowPair(x), lowPair(y)), high = quotientPair(highPair(x), highPair(y));
  const small = f32x4.lt(f32x4.abs(fromPairs(low, high)), num(268435456));
  const normal = v128.and(small, f32x4.lt(f32x4.abs(y), num(Infinity)));
  const value = fromPairs(remPair(lowPair(x), lowPair(y), low), remPair(highPair(x), highPair(y), high));
  const signed = v128.bitselect(x, value, i32x4.splat(SIGN));
  return i32x4.all_true(normal) ? signed : v128.bitselect(signed, remSpecial(x, y), normal);
}

/** Mask of the lanes that are NaN. */
@inline export function isnan(x: v128): v128 {
  return f32x4.ne(x, x);
}

/** Mask of the lanes that are neither NaN nor infinite. */
@inline export function isfinite(x: v128): v128 {
  return f32x4.lt(f32x4.abs(x), num(Infinity));
}
