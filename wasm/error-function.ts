// The error function and the normal distribution on four float32 lanes: see math.ts.
import { fromPairs, highPair, lowPair } from "./lanes";
import { exp2Pair, isBeyond, mulAdd, mulAdd64, num, num64, withSignOf } from "./math";

/** erfc(t) for float64 lanes t >= 0: e^(-t^2) times a polynomial in (t - 3) / (t + 3). */
@inline function erfcPair(t: v128): v128 {
  const bounded = f64x2.pmin(t, num64(11));
  const q = f64x2.div(f64x2.sub(bounded, num64(3)), f64x2.add(bounded, num64(3)));
  let p = mulAdd64(q, num64(4.9038745010891387e-06), num64(6.6300730809695419e-05));
  p = mulAdd64(q, p, num64(3.0890666142489521e-05));
  p = mulAdd64(q, p, num64(-0.00060235738268646149));
  p = mulAdd64(q, p, num64(0.00071243279419714212));
  p = mulAdd64(q, p, num64(0.00427103772202936));
  p = mulAdd64(q, p, num64(-0.024393254522924956));
  p = mulAdd64(q, p, num64(0.071665588831748325));
  p = mulAdd64(q, p, num64(-0.15011587884258171));
  p = mulAdd64(q, p, num64(0.24560381210650437));
  p = mulAdd64(q, p, num64(-0.32623356143396665));
  p = mulAdd64(q, p, num64(0.17900115112314147));
  return f64x2.mul(p, exp2Pair(f64x2.mul(f64x2.mul(bounded, bounded), num64(-1.4426950408889634))));
}

/** The complementary error function, with full relative accuracy in its right tail. */
@inline export function erfc(x: v128): v128 {
  const a = f32x4.abs(x);
  const low = lowPair(x), high = highPair(x);
  const lowTail = erfcPair(lowPair(a)), highTail = erfcPair(highPair(a));
  return fromPairs(
    v128.bitselect(f64x2.sub(num64(2), lowTail), lowTail, f64x2.lt(low, num64(0))),
    v128.bitselect(f64x2.sub(num64(2), highTail), highTail, f64x2.lt(high, num64(0))),
  );
}

/** The error function. */
@inline export function erf(x: v128): v128 {
  const a = f32x4.abs(x);
  const square = f32x4.mul(a, a);
  let p = mulAdd(square, num(7.8538919738985573e-05), num(-0.00080102036603556693));
  p = mulAdd(square, p, num(0.0051883289529473155));
  p = mulAdd(square, p, num(-0.026853812705284297));
  p = mulAdd(square, p, num(0.1128358517143502));
  p = mulAdd(square, p, num(-0.37612625827145962));
  p = mulAdd(square, p, num(0.12837916572778049));
  const small = mulAdd(a, p, a);
  const large = fromPairs(f64x2.sub(num64(1), erfcPair(lowPair(a))), f64x2.sub(num64(1), erfcPair(highPair(a))));
  return withSignOf(v128.bitselect(small, large, f32x4.lt(a, num(1))), x);
}

/** P(X <= x) where a lane is so far out that e^(-x^2 / 2) is denormal, infinite or NaN: such lanes in float64, the others as they are given. */
function normalCdfFar(x: v128, near: v128): v128 {
  const root = num64(0.7071067811865476), half = num64(0.5), one = num64(1), zero = num64(0);
  const low = lowPair(x), high = highPair(x);
  const lowTail = f64x2.mul(half, erfcPair(f64x2.mul(f64x2.abs(low), root)));
  const highTail = f64x2.mul(half, erfcPair(f64x2.mul(f64x2.abs(high), root)));
  const far = fromPairs(
    v128.bitselect(lowTail, f64x2.sub(one, lowTail), f64x2.lt(low, zero)),
    v128.bitselect(highTail, f64x2.sub(one, highTail), f64x2.lt(high, zero)),
  );
  return v128.bitselect(near, far, f32x4.lt(f32x4.abs(x), num(13)));
}

/** Twice ln 2 in two parts, as in math.ts. */
const TWICE_LN2_HIGH: f32 = 1.3862762451171875;
const TWICE_LN2_LOW: f32 = 1.811600122891832e-5;
/** Adding 1.5 * 2^23 rounds to an integer and leaves that in the low bits. */
const ROUND: f32 = 12582912;

/** P(X <= x) for |x| below 13: below 0 it is e^(-x^2 / 2) times a polynomial in (|x| - 3) / (|x| + 3), with full relative accuracy. */
@inline function normalCdfNear(x: v128): v128 {
  const a = f32x4.abs(x);
  // a^2 in two parts, the first of which is exact: an exponential magnifies what is lost of its argument.
  const head = v128.and(a, i32x4.splat(-4096)), rest = f32x4.mul(f32x4.sub(a, head), f32x4.add(a, head));
  const rounded = mulAdd(f32x4.mul(a, a), num(0.7213475204444817), num(ROUND)), n = f32x4.sub(rounded, num(ROUND));
  // e^(r / 2) for r = 2 n ln 2 - a^2.
  const less = f32x4.sub(f32x4.mul(n, num(TWICE_LN2_HIGH)), f32x4.mul(head, head));
  const r = f32x4.sub(mulAdd(n, num(TWICE_LN2_LOW), less), rest);
  let p = mulAdd(r, num(2.158303868782241e-5), num(2.615443372633308e-4));
  p = mulAdd(r, p, num(2.604278502985835e-3));
  p = mulAdd(r, p, num(0.020833143964409828));
  p = mulAdd(r, p, num(0.1249999850988388));
  p = mulAdd(r, p, num(0.5));
  const power = i32x4.sub(mulAdd(r, p, num(1)), i32x4.shl(rounded, 23));
  const q = f32x4.div(f32x4.sub(a, num(3)), f32x4.add(a, num(3)));
  let ratio = mulAdd(q, num(5.415101986727677e-5), num(1.1603761231526732e-4));
  ratio = mulAdd(q, ratio, num(-3.3991143573075533e-4));
  ratio = mulAdd(q, ratio, num(-9.841830469667912e-4));
  ratio = mulAdd(q, ratio, num(2.904702676460147e-3));
  ratio = mulAdd(q, ratio, num(6.132183130830526e-3));
  ratio = mulAdd(q, ratio, num(-0.046213313937187195));
  ratio = mulAdd(q, ratio, num(0.12322501838207245));
  ratio = mulAdd(q, ratio, num(-0.20640261471271515));
  ratio = mulAdd(q, ratio, num(0.12151394784450531));
  const tail = f32x4.mul(power, ratio);
  return v128.bitselect(tail, f32x4.sub(num(1), tail), f32x4.lt(x, num(0)));
}

/** P(X <= x) for a standard normal X, to 6 ulp down to where it is denormal. */
@inline export function normalCdf(x: v128): v128 {
  const value = normalCdfNear(x);
  return isBeyond(x, 0x414fffff) ? normalCdfFar(x, value) : value; // from 13 on
}
