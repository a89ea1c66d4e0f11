// Elementary functions on two float64 lanes, with the special cases of IEEE 754.

/** 1.5 * 2^52: adding it rounds a float64 to an integer and leaves that integer in the low bits. */
const ROUND: f64 = 6755399441055744;
/** ln 2 in two parts; the first has 32 bits, so that multiples of it up to 2^21 are exact. */
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;
const LOG2_E: f64 = 1.4426950408889634;

@inline function num(value: f64): v128 {
  return f64x2.splat(value);
}

/** a * b + c */
@inline function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f64x2.add(f64x2.mul(a, b), c);
}

/** e^r for |r| up to half of ln 2: a minimax fit of (e^r - 1 - r) / r^2, to 1.3e-17. */
@inline function expNearZero(r: v128): v128 {
  let p = mulAdd(r, num(2.510038549551032e-8), num(2.7620088445409746e-7));
  p = mulAdd(r, p, num(2.7557268459997064e-6));
  p = mulAdd(r, p, num(2.4801521295954376e-5));
  p = mulAdd(r, p, num(1.9841269863053618e-4));
  p = mulAdd(r, p, num(1.3888888917213717e-3));
  p = mulAdd(r, p, num(8.333333333330062e-3));
  p = mulAdd(r, p, num(0.04166666666662413));
  p = mulAdd(r, p, num(0.16666666666666669));
  p = mulAdd(r, p, num(0.5));
  return f64x2.add(num(1), mulAdd(f64x2.mul(r, r), p, r));
}

@inline function lessMultiple(x: v128, n: v128): v128 {
  return f64x2.sub(f64x2.sub(x, f64x2.mul(n, num(LN2_HIGH))), f64x2.mul(n, num(LN2_LOW)));
}

/** 2^n for whole lanes from -1022 to 1023. */
@inline function powerOfTwo(n: v128): v128 {
  return i64x2.shl(i64x2.add(f64x2.add(n, num(ROUND)), i64x2.splat(1023)), 52);
}

/** e^x where a lane may overflow, be denormal or NaN: 2^n in two factors. */
function expSpecial(x: v128): v128 {
  const bounded = f64x2.pmax(f64x2.pmin(x, num(710)), num(-746));
  const n = f64x2.nearest(f64x2.mul(bounded, num(LOG2_E))), half = f64x2.floor(f64x2.mul(n, num(0.5)));
  const p = expNearZero(lessMultiple(bounded, n));
  return f64x2.mul(f64x2.mul(p, powerOfTwo(half)), powerOfTwo(f64x2.sub(n, half)));
}

/** e^x, to 1 ulp. */
@inline export function exp(x: v128): v128 {
  if (!i64x2.all_true(f64x2.lt(f64x2.abs(x), num(708)))) return expSpecial(x);
  const rounded = mulAdd(x, num(LOG2_E), num(ROUND));
  const p = expNearZero(lessMultiple(x, f64x2.sub(rounded, num(ROUND))));
  return i64x2.add(p, i64x2.shl(rounded, 52));
}

/** Mask of the lanes that are NaN. */
@inline export function isnan(x: v128): v128 {
  return f64x2.ne(x, x);
}

/** Mask of the lanes that are neither NaN nor infinite. */
@inline export function isfinite(x: v128): v128 {
  return f64x2.lt(f64x2.abs(x), f64x2.splat(Infinity));
}
