// Activations on four float32 lanes, with less work than their formulas show: see math.ts. The tests hold them to the formulas.
import { fromPairs, highPair, lowPair } from "./lanes";
import { erfcPair } from "./error-function";
import { exp, exp2Pair, expModerate, isBeyond, mulAdd, num, num64 } from "./math";

/** 1 / (1 + e^-x) where e^-x leaves float32, or x is NaN: such lanes by e^-|x|, the others as they are given. */
function sigmoidFar(x: v128, near: v128): v128 {
  const a = f32x4.abs(x), e = exp(f32x4.neg(a));
  const far = f32x4.div(v128.bitselect(e, num(1), f32x4.lt(x, num(0))), f32x4.add(num(1), e));
  return v128.bitselect(near, far, f32x4.lt(a, num(87)));
}

/** 1 / (1 + e^-x), to 2 ulp. */
@inline export function sigmoid(x: v128): v128 {
  const value = f32x4.div(num(1), f32x4.add(num(1), expModerate(f32x4.neg(x))));
  return isBeyond(x, 0x42adffff) ? sigmoidFar(x, value) : value; // from 87 on
}

// The normal distribution. For |x| below 13, P(X <= -|x|) is e^(-x^2 / 2), a fraction of two polynomials in what the multiple of ln 2 has left, times Mills's
// ratio, another one in |x| that is right to 5e-9: one division for both.

/** Twice ln 2 in two parts, as in math.ts. */
const TWICE_LN2_HIGH: f32 = 1.3862762451171875;
const TWICE_LN2_LOW: f32 = 1.811600122891832e-5;
/** Adding 1.5 * 2^23 rounds to an integer and leaves that in the low bits. */
const ROUND: f32 = 12582912;
/** The density at 0. */
const DENSITY: f32 = 0.3989422804014327;

/** |x| cut to 12 bits, whose square is exact: an exponential magnifies what is lost of its argument. */
@inline function head(a: v128): v128 {
  return v128.and(a, i32x4.splat(-4096));
}

@inline function rounded(top: v128): v128 {
  return mulAdd(f32x4.mul(top, top), num(0.7213475204444817), num(ROUND));
}

/** 2 n ln 2 - a^2, for the whole number n in the low bits of `integer`. */
@inline function lessMultiple(a: v128, top: v128, integer: v128): v128 {
  const n = f32x4.sub(integer, num(ROUND));
  const less = f32x4.sub(f32x4.mul(n, num(TWICE_LN2_HIGH)), f32x4.mul(top, top));
  return f32x4.sub(mulAdd(n, num(TWICE_LN2_LOW), less), f32x4.mul(f32x4.sub(a, top), f32x4.add(a, top)));
}

/** e^(r / 2) is (even + odd) / (even - odd), Pade's approximation. */
@inline function even(square: v128): v128 {
  return mulAdd(square, num(0.025), num(1));
}

@inline function odd(r: v128, square: v128): v128 {
  return f32x4.mul(r, mulAdd(square, num(1.0416666666666667e-3), num(0.25)));
}

/** Mills's ratio over the square root of 2 pi is top / bottom. */
@inline function ratioTop(a: v128): v128 {
  let p = mulAdd(a, num(0.004037030378051633), num(0.04009827898790661));
  p = mulAdd(a, p, num(0.18164648097849848));
  p = mulAdd(a, p, num(0.4361471223397697));
  return mulAdd(a, p, num(0.5));
}

@inline function ratioBottom(a: v128): v128 {
  let q = mulAdd(a, num(0.010119195656120109), num(0.10051868940691622));
  q = mulAdd(a, q, num(0.465276939262795));
  q = mulAdd(a, q, num(1.1958988927937069));
  q = mulAdd(a, q, num(1.6701791740959258));
  return mulAdd(a, q, num(1));
}

/** P(X <= -a), less `a` times the density there where `slope`, for a from 0 to 13. */
@inline function tail(a: v128, slope: bool): v128 {
  const top = head(a), integer = rounded(top), r = lessMultiple(a, top, integer);
  const square = f32x4.mul(r, r), e = even(square), o = odd(r, square);
  const power = i32x4.sub(f32x4.add(e, o), i32x4.shl(integer, 23));
  const p = ratioTop(a), q = ratioBottom(a);
  const above = slope ? f32x4.sub(p, f32x4.mul(f32x4.mul(a, num(DENSITY)), q)) : p;
  return f32x4.div(f32x4.mul(power, above), f32x4.mul(f32x4.sub(e, o), q));
}

/** The same, of two float64 lanes of any kind. */
@inline function tailPair(a: v128, slope: bool): v128 {
  const half = f64x2.mul(num64(0.5), erfcPair(f64x2.mul(a, num64(0.7071067811865476))));
  if (!slope) return half;
  // Beyond 15 the density is 0 as float32, and infinity times it must not become NaN.
  const bounded = f64x2.pmin(a, num64(15)), density = exp2Pair(f64x2.mul(f64x2.mul(bounded, bounded), num64(-0.7213475204444817)));
  return f64x2.sub(half, f64x2.mul(f64x2.mul(bounded, num64(0.3989422804014327)), density));
}

/** x P(X <= x) where a lane is so far out that the power is denormal, infinite or NaN: such lanes in float64, the others as they are given. */
function geluFar(x: v128, near: v128): v128 {
  const a = f32x4.abs(x), bounded = f32x4.pmax(x, num(-1000)), b = f32x4.abs(bounded);
  const far = fromPairs(f64x2.mul(lowPair(bounded), tailPair(lowPair(b), false)), f64x2.mul(highPair(bounded), tailPair(highPair(b), false)));
  const left = v128.andnot(far, f32x4.lt(x, num(-1000))); // 0, not -0, as the formula has it
  return v128.bitselect(near, v128.bitselect(x, left, f32x4.gt(x, num(0))), f32x4.lt(a, num(13)));
}

/** x P(X <= x) for a standard normal X, to 7 ulp down to where it is denormal. */
@inline export function gelu(x: v128): v128 {
  const a = f32x4.abs(x), value = f32x4.sub(f32x4.pmax(x, num(-0.0)), f32x4.mul(a, tail(a, false)));
  return isBeyond(x, 0x414fffff) ? geluFar(x, value) : value; // from 13 on
}

function geluSlopeFar(x: v128, near: v128): v128 {
  const a = f32x4.abs(x), left = fromPairs(tailPair(lowPair(a), true), tailPair(highPair(a), true));
  const far = v128.bitselect(left, f32x4.sub(num(1), left), f32x4.lt(x, num(0)));
  return v128.bitselect(near, far, f32x4.lt(a, num(13)));
}

/** g times the derivative of `gelu`, P(X <= x) and x times the density; 0 where either is, whatever the other holds. */
@inline export function geluVjp(g: v128, x: v128): v128 {
  const left = tail(f32x4.abs(x), true), value = v128.bitselect(left, f32x4.sub(num(1), left), f32x4.lt(x, num(0)));
  const slope = isBeyond(x, 0x414fffff) ? geluSlopeFar(x, value) : value; // from 13 on
  return v128.andnot(f32x4.mul(g, slope), v128.or(f32x4.eq(g, num(0)), f32x4.eq(slope, num(0))));
}
