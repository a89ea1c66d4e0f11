// Powers on two float64 lanes, to 1 ulp: see math64.ts. The logarithm, in two numbers, and the exponential are fdlibm's (Sun Microsystems, 1993).

/** 1.5 * 2^52: adding it rounds a float64 to an integer and leaves that integer in the low bits. */
const ROUND: f64 = 6755399441055744;
const ONE_BITS: i64 = 0x3ff0000000000000;
const MANTISSA: i64 = 0xfffffffffffff;
/** The bits of 2^52: or-ed to those of a whole number below it, they make that number plus 2^52. */
const WHOLE_BITS: i64 = 0x4330000000000000;

@inline function num(value: f64): v128 {
  return f64x2.splat(value);
}

/** a * b + c */
@inline function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f64x2.add(f64x2.mul(a, b), c);
}

/** The upper 21 bits of the mantissa: products of two such are exact. */
@inline function head(x: v128): v128 {
  return v128.and(x, i64x2.splat(-4294967296));
}

/** 2^n for whole lanes from -1022 to 1023. */
@inline function powerOfTwo(n: v128): v128 {
  return i64x2.shl(i64x2.add(f64x2.add(n, num(ROUND)), i64x2.splat(1023)), 52);
}

/** |x|^y for normal x and finite y; the exponent of x is off by `shift`. */
function magnitude(x: v128, y: v128, shift: v128): v128 {
  // x = 2^n m, for m from 0.87 to 1.73, less or more than 1.22: then the logarithm is that of 1.5 and of m / 1.5.
  const a = f64x2.abs(x), tail = v128.and(a, i64x2.splat(MANTISSA)), m0 = v128.or(tail, i64x2.splat(ONE_BITS));
  const upper = f64x2.ge(m0, num(1.7320508075688772)), m = v128.bitselect(f64x2.mul(m0, num(0.5)), m0, upper);
  const about = f64x2.gt(m, num(1.224744871391589)), base = f64x2.add(num(1), v128.and(about, num(0.5)));
  const exponent = f64x2.sub(v128.or(i64x2.shr_u(a, 52), i64x2.splat(WHOLE_BITS)), num(4503599627370496 + 1023));
  const n = f64x2.add(f64x2.add(exponent, v128.and(upper, num(1))), shift);
  // s = (m - base) / (m + base) in two parts.
  const difference = f64x2.sub(m, base), inverse = f64x2.div(num(1), f64x2.add(m, base)), s = f64x2.mul(difference, inverse), sHead = head(s);
  const sumHead = head(f64x2.add(m, base)), sumTail = f64x2.sub(m, f64x2.sub(sumHead, base));
  const sTail = f64x2.mul(inverse, f64x2.sub(f64x2.sub(difference, f64x2.mul(sHead, sumHead)), f64x2.mul(sHead, sumTail)));
  const square = f64x2.mul(s, s);
  let p = mulAdd(square, num(0.206975017800338417784), num(0.230660745775561754067));
  p = mulAdd(square, p, num(0.272728123808534006489));
  p = mulAdd(square, p, num(0.333333329818377432918));
  p = mulAdd(square, p, num(0.428571428578550184252));
  p = mulAdd(square, p, num(0.599999999999994648725));
  // The logarithm to the base 2 in two parts: 2 / (3 ln 2) times s (3 + s^2 + ...), of `base`, and n.
  const rest = mulAdd(f64x2.mul(square, square), p, f64x2.mul(sTail, f64x2.add(sHead, s))), headSquare = f64x2.mul(sHead, sHead);
  const three = head(f64x2.add(f64x2.add(num(3), headSquare), rest)), less = f64x2.sub(rest, f64x2.sub(f64x2.sub(three, num(3)), headSquare));
  const u = f64x2.mul(sHead, three), v = f64x2.add(f64x2.mul(sTail, three), f64x2.mul(less, s));
  const product = head(f64x2.add(u, v)), productTail = f64x2.sub(v, f64x2.sub(product, u));
  const zHead = f64x2.mul(num(0.961796700954437255859), product);
  const zTail = f64x2.add(mulAdd(num(-7.02846165095275826516e-9), product, f64x2.mul(productTail, num(0.961796693925975554329))), v128.and(about, num(1.35003920212974897128e-8)));
  const ofBase = v128.and(about, num(0.584962487220764160156));
  const log = head(f64x2.add(f64x2.add(f64x2.add(zHead, zTail), ofBase), n));
  const logTail = f64x2.sub(zTail, f64x2.sub(f64x2.sub(f64x2.sub(log, n), ofBase), zHead));
  // y times that, and 2 to its power.
  const yHead = head(y), low = mulAdd(f64x2.sub(y, yHead), log, f64x2.mul(y, logTail)), high = f64x2.mul(yHead, log);
  const power = f64x2.add(low, high), bounded = f64x2.pmax(f64x2.pmin(power, num(1100)), num(-1100)), whole = f64x2.nearest(bounded);
  const part = f64x2.sub(high, whole), t = head(f64x2.add(low, part));
  const tHead = f64x2.mul(t, num(0.693147182464599609375));
  const tTail = mulAdd(f64x2.sub(low, f64x2.sub(t, part)), num(0.693147180559945286227), f64x2.mul(t, num(-1.90465429995776804525e-9)));
  const z = f64x2.add(tHead, tTail), lost = f64x2.sub(tTail, f64x2.sub(z, tHead)), zSquare = f64x2.mul(z, z);
  let q = mulAdd(zSquare, num(4.13813679705723846039e-8), num(-1.6533902205465251539e-6));
  q = mulAdd(zSquare, q, num(6.61375632143793436117e-5));
  q = mulAdd(zSquare, q, num(-2.77777777770155933842e-3));
  q = mulAdd(zSquare, q, num(0.166666666666666019037));
  const d = f64x2.sub(z, f64x2.mul(zSquare, q));
  const r = f64x2.sub(f64x2.div(f64x2.mul(z, d), f64x2.sub(d, num(2))), mulAdd(z, lost, lost));
  const value = f64x2.sub(num(1), f64x2.sub(r, z));
  // 2^whole in two factors: the result may be beyond the range, or subnormal.
  const half = f64x2.floor(f64x2.mul(whole, num(0.5)));
  const inside = f64x2.mul(f64x2.mul(value, powerOfTwo(half)), powerOfTwo(f64x2.sub(whole, half)));
  const end = v128.and(f64x2.gt(power, num(0)), num(Infinity));
  return v128.bitselect(inside, end, f64x2.lt(f64x2.abs(power), num(1100)));
}

/** With the sign of x for odd powers; a negative x to a power that is no integer is NaN. */
@inline function signed(value: v128, x: v128, y: v128): v128 {
  const half = f64x2.mul(y, num(0.5)), whole = f64x2.eq(f64x2.floor(y), y), odd = v128.and(whole, f64x2.ne(f64x2.floor(half), half));
  return v128.or(v128.or(value, v128.and(odd, v128.and(x, num(-0.0)))), v128.andnot(f64x2.lt(x, num(0)), whole));
}

/** x^y for operands of any kind, as IEEE 754 has it: 1 to any power and anything to the power 0 is 1. */
function powSpecial(x: v128, y: v128): v128 {
  const a = f64x2.abs(x), zero = num(0), one = num(1), infinity = num(Infinity);
  const subnormal = f64x2.lt(a, num(f64.MIN_NORMAL_VALUE)), scaled = v128.bitselect(f64x2.mul(x, num(18014398509481984)), x, subnormal);
  const value = signed(magnitude(scaled, y, v128.and(subnormal, num(-54))), x, y);
  // Of 0, of infinity, and to an infinite power: 0 or infinity, with a sign for odd powers.
  const half = f64x2.mul(y, num(0.5)), odd = v128.and(f64x2.eq(f64x2.floor(y), y), f64x2.ne(f64x2.floor(half), half));
  const endless = f64x2.eq(f64x2.abs(y), infinity), grows = v128.not(v128.xor(f64x2.gt(a, one), f64x2.gt(y, zero)));
  const end = v128.or(v128.and(infinity, grows), v128.and(odd, v128.and(x, num(-0.0))));
  let result = v128.bitselect(end, value, v128.or(endless, v128.or(f64x2.eq(a, zero), f64x2.eq(a, infinity))));
  result = v128.bitselect(num(NaN), result, v128.or(f64x2.ne(x, x), f64x2.ne(y, y)));
  return v128.bitselect(one, result, v128.or(f64x2.eq(y, zero), v128.or(f64x2.eq(x, one), v128.and(endless, f64x2.eq(a, one)))));
}

/** x^y */
@inline export function pow(x: v128, y: v128): v128 {
  const a = f64x2.abs(x), infinity = num(Infinity);
  const normal = v128.and(v128.and(f64x2.lt(a, infinity), f64x2.lt(f64x2.abs(y), infinity)), f64x2.ge(a, num(f64.MIN_NORMAL_VALUE)));
  const value = signed(magnitude(x, y, num(0)), x, y);
  return i64x2.all_true(normal) ? value : v128.bitselect(value, powSpecial(x, y), normal);
}
