// Sine and cosine on two float64 lanes, to 1 ulp (angles beyond a million as Math has them): see math64.ts. The reduction by parts of pi / 2, and the polynomials, are fdlibm's (Sun Microsystems, 1993).

/** 1.5 * 2^52: adding it rounds a float64 to an integer and leaves that integer in the low bits. */
const ROUND: f64 = 6755399441055744;
/** pi / 2 in three parts; the first two have 33 bits, so that multiples of them up to 2^20 are exact. */
const FIRST: f64 = 1.57079632673412561417;
const SECOND: f64 = 6.0771005063039659766e-11;
const THIRD: f64 = 2.02226624879595063154e-21;
const TURNS: f64 = 0.636619772367581382433;
/** Angles up to here have fewer quarter turns than that. */
const MODERATE: f64 = 1e6;
/** What is left of an angle less its quarter turns has all of its digits unless it is as small as this. */
const SURE: f64 = 1e-9;

@inline function num(value: f64): v128 {
  return f64x2.splat(value);
}

/** a * b + c */
@inline function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f64x2.add(f64x2.mul(a, b), c);
}

/** sin(r + low) for |r| up to pi / 4. */
@inline function sinNear(r: v128, low: v128, square: v128): v128 {
  let p = mulAdd(square, num(1.58969099521155010221e-10), num(-2.50507602534068634195e-8));
  p = mulAdd(square, p, num(2.75573137070700676789e-6));
  p = mulAdd(square, p, num(-1.98412698298579493134e-4));
  p = mulAdd(square, p, num(8.33333333332248946124e-3));
  const cube = f64x2.mul(square, r);
  const rest = f64x2.sub(f64x2.mul(square, f64x2.sub(f64x2.mul(num(0.5), low), f64x2.mul(cube, p))), low);
  return f64x2.sub(r, f64x2.sub(rest, f64x2.mul(cube, num(-0.166666666666666324348))));
}

/** cos(r + low) for |r| up to pi / 4. */
@inline function cosNear(r: v128, low: v128, square: v128): v128 {
  let p = mulAdd(square, num(-1.13596475577881948265e-11), num(2.0875723212981748279e-9));
  p = mulAdd(square, p, num(-2.75573143513906633035e-7));
  p = mulAdd(square, p, num(2.48015872894767294178e-5));
  p = mulAdd(square, p, num(-1.38888888888741095749e-3));
  p = mulAdd(square, p, num(0.0416666666666666019037));
  const half = f64x2.mul(num(0.5), square), one = f64x2.sub(num(1), half);
  const lost = f64x2.sub(f64x2.sub(num(1), one), half);
  return f64x2.add(one, f64x2.add(lost, f64x2.sub(f64x2.mul(square, f64x2.mul(square, p)), f64x2.mul(r, low))));
}

// The engine's own: they take off as many quarter turns as there are, to the last digit of what is left.
@external("env", "sin") declare function engineSin(x: f64): f64;
@external("env", "cos") declare function engineCos(x: f64): f64;

/** Angles of any size, infinities and NaN, lane by lane. */
function far(x: v128, quarters: i64): v128 {
  const first = f64x2.extract_lane(x, 0), second = f64x2.extract_lane(x, 1);
  return f64x2.replace_lane(num(quarters ? engineCos(first) : engineSin(first)), 1, quarters ? engineCos(second) : engineSin(second));
}

/** sin(x + quarters * pi / 2). */
@inline function sinShifted(x: v128, quarters: i64): v128 {
  const turns = mulAdd(x, num(TURNS), num(ROUND)), n = f64x2.sub(turns, num(ROUND));
  const near = f64x2.sub(x, f64x2.mul(n, num(FIRST))), further = f64x2.mul(n, num(SECOND)), reduced = f64x2.sub(near, further);
  const rest = f64x2.sub(f64x2.mul(n, num(THIRD)), f64x2.sub(f64x2.sub(near, reduced), further));
  const r = f64x2.sub(reduced, rest), low = f64x2.sub(f64x2.sub(reduced, r), rest), square = f64x2.mul(r, r);
  const quadrant = i64x2.add(turns, i64x2.splat(quarters)), odd = i64x2.neg(v128.and(quadrant, i64x2.splat(1)));
  const value = v128.bitselect(cosNear(r, low, square), sinNear(r, low, square), odd);
  const signed = v128.xor(value, v128.and(i64x2.shl(quadrant, 62), num(-0.0)));
  const sure = v128.or(f64x2.gt(f64x2.abs(r), num(SURE)), f64x2.eq(n, num(0))), fits = v128.and(sure, f64x2.lt(f64x2.abs(x), num(MODERATE)));
  return i64x2.all_true(fits) ? signed : v128.bitselect(signed, far(x, quarters), fits);
}

/** Sine of an angle in radians. */
@inline export function sin(x: v128): v128 {
  return sinShifted(x, 0);
}

/** Cosine of an angle in radians. */
@inline export function cos(x: v128): v128 {
  return sinShifted(x, 1);
}
