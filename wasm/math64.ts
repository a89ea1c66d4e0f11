// Elementary functions on two float64 lanes, accurate to about 1 ulp over the whole range, with the special cases of IEEE 754. A lane's result does not
// depend on its neighbours. log is reduced as fdlibm's is (Sun Microsystems, 1993), with its coefficients.

/** 1.5 * 2^52: adding it rounds a float64 to an integer and leaves that integer in the low bits. */
const ROUND: f64 = 6755399441055744;
/** ln 2 in two parts; the first has 32 bits, so that multiples of it up to 2^21 are exact. */
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;
const LOG2_E: f64 = 1.4426950408889634;
const SQRT_HALF_BITS: i64 = 0x3fe6a09e667f3bcd;
const ONE_BITS: i64 = 0x3ff0000000000000;
/** The bits of 2^52: or-ed to those of a whole number below it, they make that number plus 2^52. */
const WHOLE_BITS: i64 = 0x4330000000000000;

@inline function num(value: f64): v128 {
  return f64x2.splat(value);
}

/** a * b + c */
@inline function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f64x2.add(f64x2.mul(a, b), c);
}

@inline function bits(value: i64): v128 {
  return i64x2.splat(value);
}

/** `magnitude`, which has no sign yet, with the sign of `x`. */
@inline function withSignOf(magnitude: v128, x: v128): v128 {
  return v128.or(magnitude, v128.and(x, num(-0.0)));
}

/** (e^r - 1 - r - r^2 / 2) / r^3 for |r| up to half of ln 2: interpolated at Chebyshev's points; e^r comes to 7e-19. */
@inline function expTail(r: v128): v128 {
  let p = mulAdd(r, num(2.091123100592285e-9), num(2.5100377619606372e-8));
  p = mulAdd(r, p, num(2.75572829813734e-7));
  p = mulAdd(r, p, num(2.7557268476553695e-6));
  p = mulAdd(r, p, num(2.4801587317136892e-5));
  p = mulAdd(r, p, num(1.9841269863042963e-4));
  p = mulAdd(r, p, num(1.3888888888886554e-3));
  p = mulAdd(r, p, num(8.333333333330063e-3));
  p = mulAdd(r, p, num(0.041666666666666664));
  return mulAdd(r, p, num(0.16666666666666669));
}

/** e^(x - n ln 2) for the whole number n that is nearest to x / ln 2. */
@inline function expReduced(x: v128, n: v128): v128 {
  const high = f64x2.sub(x, f64x2.mul(n, num(LN2_HIGH))), low = f64x2.mul(n, num(LN2_LOW));
  const r = f64x2.sub(high, low), square = f64x2.mul(r, r);
  return f64x2.add(num(1), f64x2.add(high, f64x2.sub(f64x2.mul(square, mulAdd(r, expTail(r), num(0.5))), low)));
}

/** 2^n for whole lanes from -1022 to 1023. */
@inline function powerOfTwo(n: v128): v128 {
  return i64x2.shl(i64x2.add(f64x2.add(n, num(ROUND)), i64x2.splat(1023)), 52);
}

/** e^x where a lane may overflow, be denormal or NaN: 2^n in two factors. */
function expSpecial(x: v128): v128 {
  const bounded = f64x2.pmax(f64x2.pmin(x, num(710)), num(-746));
  const n = f64x2.nearest(f64x2.mul(bounded, num(LOG2_E))), half = f64x2.floor(f64x2.mul(n, num(0.5)));
  const p = expReduced(bounded, n);
  return f64x2.mul(f64x2.mul(p, powerOfTwo(half)), powerOfTwo(f64x2.sub(n, half)));
}

/** e^x, to 1 ulp. */
@inline export function exp(x: v128): v128 {
  // Before the branch: constants that a loop may do without would be made again in every step.
  const rounded = mulAdd(x, num(LOG2_E), num(ROUND));
  const value = i64x2.add(expReduced(x, f64x2.sub(rounded, num(ROUND))), i64x2.shl(rounded, 52));
  return i64x2.all_true(f64x2.lt(f64x2.abs(x), num(708))) ? value : expSpecial(x);
}

/** e^x - 1, without cancellation near 0. */
@inline export function expm1(x: v128): v128 {
  const bounded = f64x2.pmax(f64x2.pmin(x, num(710)), num(-40));
  const rounded = mulAdd(bounded, num(LOG2_E), num(ROUND)), n = f64x2.sub(rounded, num(ROUND));
  const high = f64x2.sub(bounded, f64x2.mul(n, num(LN2_HIGH))), low = f64x2.mul(n, num(LN2_LOW));
  const r = f64x2.sub(high, low), reduced = f64x2.sub(f64x2.sub(high, r), low);
  // 2^n (1 - 2^-n + r + the small rest), in which the rest takes up what rounding both sums and r has lost (Dekker's two-sum).
  const inverse = powerOfTwo(f64x2.pmax(f64x2.neg(n), num(-64)));
  const one = f64x2.sub(num(1), inverse), lostFirst = f64x2.sub(f64x2.sub(num(1), one), inverse);
  const sum = f64x2.add(one, r), lost = f64x2.add(lostFirst, f64x2.add(f64x2.sub(one, sum), r));
  const square = f64x2.mul(r, r);
  const rest = mulAdd(square, num(0.5), mulAdd(f64x2.mul(square, r), expTail(r), reduced));
  // With 2^(n-1), which is still finite where n is 1024.
  const value = f64x2.mul(f64x2.add(sum, f64x2.add(lost, rest)), powerOfTwo(f64x2.sub(n, num(1))));
  return v128.bitselect(x, f64x2.add(value, value), f64x2.lt(f64x2.abs(x), num(5e-17)));
}

/** log x for normal, positive, finite lanes, and something small beside it; `shift` is added to the exponent. */
@inline function logNormal(x: v128, beside: v128, shift: v128): v128 {
  const offset = i64x2.add(x, bits(ONE_BITS - SQRT_HALF_BITS));
  const n = f64x2.add(f64x2.sub(v128.or(i64x2.shr_u(offset, 52), bits(WHOLE_BITS)), num(4503599627370496 + 1023)), shift);
  const m = i64x2.sub(i64x2.add(x, bits(ONE_BITS)), v128.and(offset, bits(0x7ff0000000000000)));
  const f = f64x2.sub(m, num(1));
  const s = f64x2.div(f, f64x2.add(num(2), f));
  const square = f64x2.mul(s, s);
  let p = mulAdd(square, num(1.479819860511658591e-01), num(1.531383769920937332e-01));
  p = mulAdd(square, p, num(1.818357216161805012e-01));
  p = mulAdd(square, p, num(2.222219843214978396e-01));
  p = mulAdd(square, p, num(2.857142874366239149e-01));
  p = mulAdd(square, p, num(3.999999999940941908e-01));
  p = mulAdd(square, p, num(6.666666666666735130e-01));
  const half = f64x2.mul(num(0.5), f64x2.mul(f, f));
  const rest = mulAdd(s, mulAdd(square, p, half), mulAdd(n, num(LN2_LOW), beside));
  return f64x2.sub(f64x2.mul(n, num(LN2_HIGH)), f64x2.sub(f64x2.sub(half, rest), f));
}

/** log x where a lane may be 0, negative, subnormal, infinite or NaN. */
function logSpecial(x: v128, beside: v128): v128 {
  const subnormal = f64x2.lt(x, num(f64.MIN_NORMAL_VALUE));
  const scaled = v128.bitselect(f64x2.mul(x, num(18014398509481984)), x, subnormal);
  let result = logNormal(scaled, beside, v128.and(subnormal, num(-54)));
  result = v128.bitselect(x, result, f64x2.eq(x, num(Infinity)));
  result = v128.bitselect(num(-Infinity), result, f64x2.eq(x, num(0)));
  return v128.bitselect(result, num(NaN), f64x2.ge(x, num(0)));
}

@inline function logBeside(x: v128, beside: v128): v128 {
  const normal = v128.and(f64x2.ge(x, num(f64.MIN_NORMAL_VALUE)), f64x2.lt(x, num(Infinity)));
  const value = logNormal(x, beside, num(0)); // before the branch, as in exp
  return i64x2.all_true(normal) ? value : logSpecial(x, beside);
}

/** Natural logarithm. */
@inline export function log(x: v128): v128 {
  return logBeside(x, num(0));
}

/** log(1 + x), without cancellation near 0. */
@inline export function log1p(x: v128): v128 {
  const sum = f64x2.add(num(1), x);
  // What rounding 1 + x to `sum` lost, exactly (Knuth's two-sum); d log(u) = du / u.
  const part = f64x2.sub(sum, num(1));
  const lost = f64x2.add(f64x2.sub(num(1), f64x2.sub(sum, part)), f64x2.sub(x, part));
  const usable = v128.and(f64x2.gt(sum, num(0)), f64x2.lt(sum, num(Infinity)));
  const result = logBeside(sum, v128.and(f64x2.div(lost, sum), usable));
  return withSignOf(result, v128.and(x, f64x2.ge(x, num(-1))));
}

/** Hyperbolic tangent. */
@inline export function tanh(x: v128): v128 {
  const a = f64x2.pmin(f64x2.abs(x), num(22));
  const t = expm1(f64x2.add(a, a));
  return withSignOf(f64x2.div(t, f64x2.add(t, num(2))), x);
}

/** Mask of the lanes that are NaN. */
@inline export function isnan(x: v128): v128 {
  return f64x2.ne(x, x);
}

/** Mask of the lanes that are neither NaN nor infinite. */
@inline export function isfinite(x: v128): v128 {
  return f64x2.lt(f64x2.abs(x), f64x2.splat(Infinity));
}
