// The error function on four float32 lanes: see math.ts.
import { fromPairs, highPair, lowPair } from "./lanes";
import { exp2Pair, mulAdd, mulAdd64, num, num64, withSignOf } from "./math";

/** erfc(t) for float64 lanes t >= 0: e^(-t^2) times a polynomial in (t - 3) / (t + 3). */
@inline export function erfcPair(t: v128): v128 {
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
