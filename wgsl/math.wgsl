// Functions that WGSL lacks, or of which it promises too little: it lets compilers assume that there is no NaN and no infinity, reorder sums, and
// be off by 2^-11 in a sine. Special values are therefore told by their bits, and the functions are made of + - * / here, good to a few units in the
// last place. The polynomials are those of wasm/math.ts. Included by the families that need them, and by elementwise kernels.

// 0, set by every kernel from what is 0 when it runs: compilers do not know.
var<private> nothing: u32;

// v itself, which a compiler does not see: what follows is computed from v as it was rounded. Compilers would make x of (a + x) - a.
fn opaque(v: f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) ^ nothing); }

fn infinity() -> f32 { return bitcast<f32>(0x7f800000u ^ nothing); }
fn notANumber() -> f32 { return bitcast<f32>(0x7fc00000u ^ nothing); }

fn magnitudeOf(v: f32) -> u32 { return bitcast<u32>(v) & 0x7fffffffu; }
fn isNaN(v: f32) -> bool { return magnitudeOf(v) > 0x7f800000u; }
fn isFinite(v: f32) -> bool { return magnitudeOf(v) < 0x7f800000u; }
fn isNegative(v: f32) -> bool { return bitcast<u32>(v) >> 31u != 0u; }

// Comparisons of floats, false where either is NaN.
fn areNumbers(a: f32, b: f32) -> bool { return max(magnitudeOf(a), magnitudeOf(b)) <= 0x7f800000u; }
fn isLess(a: f32, b: f32) -> bool { return areNumbers(a, b) && a < b; }
fn isAtMost(a: f32, b: f32) -> bool { return areNumbers(a, b) && a <= b; }
fn isEqual(a: f32, b: f32) -> bool { return areNumbers(a, b) && a == b; }

// The larger or the smaller; NaN when either is.
fn larger(a: f32, b: f32) -> f32 { return select(b, a, isLess(b, a) || isNaN(a)); }
fn smaller(a: f32, b: f32) -> f32 { return select(b, a, isLess(a, b) || isNaN(a)); }

// `magnitude`, which has no sign yet, with the sign of `x`.
fn withSignOf(magnitude: f32, x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(magnitude) | (bitcast<u32>(x) & 0x80000000u)); }

// 2^n for n from -126 to 127.
fn powerOfTwo(n: i32) -> f32 { return bitcast<f32>(u32(n + 127) << 23u); }

// a / b, which WGSL promises only for |b| up to 2^126.
fn quotient(a: f32, b: f32) -> f32 {
  if (magnitudeOf(b) < 0x7e800000u) { return a / b; }
  return (a * 0.0625f) / (b * 0.0625f);
}

// v * 2^n for n from -252 to 254.
fn scaleBy(v: f32, n: i32) -> f32 {
  let half = n >> 1u;
  return (v * powerOfTwo(half)) * powerOfTwo(n - half);
}

const LN2_HIGH = 0.693138122558593750f;   // few enough bits that small multiples of it are exact
const LN2_LOW = 9.0580006144e-6f;
const LOG2_E = 1.4426950408889634f;

// x less n times ln 2.
fn lessMultiple(x: f32, n: f32) -> f32 { return (x - n * LN2_HIGH) - n * LN2_LOW; }

// e^r - 1 and e^r for |r| up to half of ln 2.
fn expNearZeroLessOne(r: f32) -> f32 {
  let p = (((r * 0.0013813144502443002f + 0.008369418835548913f) * r + 0.041668456787439606f) * r + 0.16666514791398621f) * r + 0.49999993050724445f;
  return r * r * p + r;
}

fn expNearZero(r: f32) -> f32 { return 1.0f + expNearZeroLessOne(r); }

fn exponential(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let bounded = clamp(x, -105.0f, 89.0f);
  let n = round(bounded * LOG2_E);
  return scaleBy(expNearZero(lessMultiple(bounded, n)), i32(n));
}

// The same for x <= 0 that is not NaN; 0 where the result is below the normal floats.
fn expNotPositive(x: f32) -> f32 {
  let n = round(max(x, -88.0f) * LOG2_E);
  let result = expNearZero(lessMultiple(max(x, -88.0f), n)) * powerOfTwo(max(i32(n), -127));
  return select(0.0f, result, x > -87.0f);
}

// e^x - 1, without cancellation near 0.
fn expMinusOne(x: f32) -> f32 {
  if (isNaN(x) || magnitudeOf(x) < 0x33000000u) { return x; }   // below 2^-25
  let bounded = clamp(x, -30.0f, 89.0f);
  let n = round(bounded * LOG2_E);
  let r = lessMultiple(bounded, n);
  let p = ((((r * 0.00019915585800282497f + 0.0013942046934396139f) * r + 0.0083332706927636158f) * r + 0.041666342112608411f) * r
      + 0.16666666825950252f) * r + 0.50000000492412278f;
  // (2^n q + 2^n - 1) with 2^(n-1), which is still finite where n is 128.
  let half = powerOfTwo(i32(n) - 1);
  return withSignOf(abs(2.0f * (half * (r * r * p + r) + (half - 0.5f))), x);
}

// log x for normal, positive, finite x; `shift` is added to the exponent.
fn logNormal(x: f32, shift: f32) -> f32 {
  let bits = bitcast<i32>(x);
  let exponent = (bits - 0x3f3504f3i) >> 23u;
  let f = bitcast<f32>(bits - (exponent << 23u)) - 1.0f;
  let n = f32(exponent) + shift;
  let s = f * f;
  var p = ((f * 0.06746640329263115f - 0.11675651772477336f) * f + 0.11888162322930496f) * f - 0.12405588930491934f;
  p = (((p * f + 0.14219552354932657f) * f - 0.16667995853246587f) * f + 0.20002118659062901f) * f - 0.25000009599412693f;
  p = p * f + 0.33333312604058607f;
  return n * LN2_HIGH + (f + ((s * f * p + n * LN2_LOW) - s * 0.5f));
}

fn logarithm(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (bits - 0x00800000u < 0x7f000000u) { return logNormal(x, 0.0f); }   // positive, normal, finite
  if (isNaN(x) || bits == 0x7f800000u) { return x; }
  if ((bits & 0x7fffffffu) == 0u) { return -infinity(); }
  if (isNegative(x)) { return notANumber(); }
  return logNormal(x * 8388608.0f, -23.0f);
}

// log(1 + x), without cancellation near 0.
fn logOnePlus(x: f32) -> f32 {
  let sum = opaque(1.0f + x);
  // What rounding 1 + x lost (Knuth's two-sum); d log(u) = du / u.
  let part = opaque(sum - 1.0f);
  let lost = (1.0f - opaque(sum - part)) + (x - part);
  var result = logarithm(sum);
  if (bitcast<u32>(sum) - 1u < 0x7f7fffffu) { result += lost / sum; }   // positive and finite
  return select(result, withSignOf(abs(result), x), isAtMost(-1.0f, x));
}

// The root that WGSL has may be off by a few units: one step of Newton's method, with what the square of it leaves.
fn squareRoot(x: f32) -> f32 {
  if (isNegative(x) && magnitudeOf(x) > 0u) { return notANumber(); }
  return sqrt(x);
}

fn hyperbolicTangent(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let a = abs(x);
  if (a < 0.625f) {
    let s = a * a;
    let p = ((((s * 0.002139616826717085f - 0.0081738550370588185f) * s + 0.021699318071495204f) * s - 0.053946519600455704f) * s
        + 0.13333204162815074f) * s - 0.3333333075797435f;
    return withSignOf(s * a * p + a, x);
  }
  return withSignOf(1.0f - 2.0f / (exponential(min(a + a, 80.0f)) + 1.0f), x);
}

// Below tan(pi / 8) the polynomial of Cephes' atanf (S. L. Moshier), above it by the addition theorem about 1 and infinity.
fn arcTangent(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let a = abs(x);
  var r = a;
  var offset = 0.0f;
  if (a > 2.414213562373095f) {
    r = -1.0f / a;
    offset = 1.5707963267948966f;
  } else if (a > 0.4142135623730951f) {
    r = (a - 1.0f) / (a + 1.0f);
    offset = 0.7853981633974483f;
  }
  let s = r * r;
  let p = ((s * 0.0805374449538f - 0.138776856032f) * s + 0.199777106478f) * s - 0.333329491539f;
  return withSignOf(offset + (s * r * p + r), x);
}

// ---- sine and cosine

// An angle less its quarter turns, and how many those were.
struct Turned { rest: f32, quarters: u32 }

// The high word of the product of two words.
fn highProduct(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let rest = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (rest >> 16u);
}

// The bits of 2 / pi behind the point, most significant first, with a word of zeros before them.
const TWO_OVER_PI = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);

// For finite |x| >= 1/2: the method of Payne and Hanek (1983), in integers. x is a whole number of 24 bits times a power of two. Of its product with
// 2 / pi whole turns do not matter, so the bits of 2 / pi that make nothing else are left out.
fn lessQuarters(x: f32) -> Turned {
  let bits = magnitudeOf(x);
  let whole = (bits & 0x7fffffu) | 0x800000u;
  // The first of the 96 bits that are taken is the one whose product with the last digit of x is worth 2.
  let start = (bits >> 23u) - 120u;
  let word = start / 32u;
  let shift = start % 32u;
  var taken = array<u32, 3>();
  var words = TWO_OVER_PI;
  for (var i = 0u; i < 3u; i++) {
    let at = min(word + i, 7u);
    let next = min(word + i + 1u, 7u);
    taken[i] = select((words[at] << shift) | (words[next] >> (32u - shift)), words[at], shift == 0u);
  }
  // The upper 64 of the product's last 96 bits, the quarters on top.
  let low = taken[1] * whole + highProduct(taken[2], whole);
  let carry = select(0u, 1u, low < taken[1] * whole);
  let high = taken[0] * whole + highProduct(taken[1], whole) + carry;
  var quarters = high >> 30u;
  var top = (high << 2u) | (low >> 30u);
  var bottom = low << 2u;
  // To the nearest quarter, so that the rest lies within half a one.
  let isUpper = top >> 31u != 0u;
  if (isUpper) {
    quarters += 1u;
    bottom = ~bottom;
    top = ~top;
  }
  let zeros = countLeadingZeros(top);
  let digits = select(top, select((top << zeros) | (bottom >> (32u - zeros)), bottom, zeros == 32u), zeros > 0u);
  var rest = f32(digits) * powerOfTwo(-32 - i32(zeros)) * 1.5707963267948966f;
  if (isUpper) { rest = -rest; }
  if (isNegative(x)) {
    rest = -rest;
    quarters = 0u - quarters;
  }
  return Turned(rest, quarters);
}

// sin(x + quarters * pi/2).
fn sineShifted(x: f32, quarters: u32) -> f32 {
  if (!isFinite(x)) { return notANumber(); }
  var turned = Turned(x, 0u);
  if (abs(x) > 0.78539816f) { turned = lessQuarters(x); }
  let r = turned.rest;
  let turns = turned.quarters + quarters;
  let s = r * r;
  var result: f32;
  if ((turns & 1u) == 0u) {
    let p = ((s * 2.7173675873967861e-06f - 0.00019839232770355798f) * s + 0.0083333290565140387f) * s - 0.16666666638645755f;
    result = withSignOf(abs(s * r * p + r), r);
  } else {
    let p = (s * 2.4425681579162149e-05f - 0.0013887251485104354f) * s + 0.041666644367781225f;
    result = (1.0f - s * 0.5f) + s * s * p;
  }
  return select(result, -result, (turns & 2u) != 0u);
}

fn sine(x: f32) -> f32 { return sineShifted(x, 0u); }
fn cosine(x: f32) -> f32 { return sineShifted(x, 1u); }

// ---- powers

// The upper 12 of a float's 24 digits: products of two such are exact.
fn upperHalf(v: f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) & 0xfffff000u); }

// log2 of a normal, positive, finite float, in two parts.
fn log2Parts(x: f32) -> vec2f {
  let bits = bitcast<i32>(x);
  let exponent = (bits - 0x3f3504f3i) >> 23u;
  let f = bitcast<f32>(bits - (exponent << 23u)) - 1.0f;
  // log2(1 + f) = 2 / ln 2 * atanh(s) for s = f / (2 + f), which is wanted to more digits than a float has.
  let d = opaque(2.0f + f);
  let dLow = f - opaque(d - 2.0f);
  let s = upperHalf(f / d);
  let dUpper = upperHalf(d);
  let sLow = (((f - s * dUpper) - s * (d - dUpper)) - s * dLow) / d;
  let square = (s + sLow) * (s + sLow);
  let p = ((((square * 0.283339571626465f + 0.31987623202433779f) * square + 0.41220993591581467f) * square + 0.57707793598523627f) * square
      + 0.96179669413380386f) * square;
  let upper = s * 2.884765625f;
  let low = (s * 0.000624456777926774f + sLow * 2.8853900817779268f) + (s + sLow) * p;
  let n = f32(exponent);
  let sum = opaque(n + upper);
  let rest = (upper - opaque(sum - n)) + low;
  let high = opaque(sum + rest);
  return vec2f(high, rest - opaque(high - sum));
}

// |x|^y for normal, finite, positive x, and finite y.
fn powerOfNormal(x: f32, y: f32) -> f32 {
  let log = log2Parts(x);
  let bounded = clamp(y, -8589934592.0f, 8589934592.0f);   // 2^33: beyond it all is 0, 1 or infinite
  let yUpper = upperHalf(bounded);
  let logUpper = upperHalf(log.x);
  let exact = yUpper * logUpper;
  let rest = (bounded - yUpper) * logUpper + bounded * ((log.x - logUpper) + log.y);
  let n = round(clamp(exact + rest, -250.0f, 250.0f));
  let r = clamp((exact - n) + rest, -1.0f, 1.0f);
  return scaleBy(expNearZero(r * 0.69314718f), i32(n));
}

// IEEE 754's power: pow(x, 0) and pow(1, y) are 1 for any x and y, NaN included.
fn power(x: f32, y: f32) -> f32 {
  if (magnitudeOf(y) == 0u || bitcast<u32>(x) == 0x3f800000u) { return 1.0f; }
  if (isNaN(x) || isNaN(y)) { return notANumber(); }
  let a = abs(x);
  let size = magnitudeOf(y);
  if (size == 0x7f800000u) {
    if (magnitudeOf(x) == 0x3f800000u) { return 1.0f; }
    return select(0.0f, infinity(), (magnitudeOf(x) > 0x3f800000u) != isNegative(y));
  }
  // From 2^24 on all floats are even.
  let isWhole = size >= 0x4b800000u || floor(y) == y;
  let isOdd = isWhole && size < 0x4b800000u && floor(y * 0.5f) != y * 0.5f;
  var result: f32;
  if (magnitudeOf(x) == 0u || magnitudeOf(x) == 0x7f800000u) {
    result = select(0.0f, infinity(), (magnitudeOf(x) == 0u) == isNegative(y));
  } else {
    if (isNegative(x) && !isWhole) { return notANumber(); }
    result = powerOfNormal(a, y);
  }
  return select(result, -result, isNegative(x) && isOdd);
}

// What is left of x after whole multiples of y, exact and with the sign of x: the division of the digits, eight at a time.
fn remainder(x: f32, y: f32) -> f32 {
  let top = magnitudeOf(x);
  let by = magnitudeOf(y);
  if (top >= 0x7f800000u || by > 0x7f800000u || by == 0u) { return notANumber(); }
  if (top < by) { return x; }
  let bottom = max(i32(by >> 23u), 1);
  let divisor = (by & 0x7fffffu) | select(0u, 0x800000u, by >> 23u != 0u);
  var rest = ((top & 0x7fffffu) | select(0u, 0x800000u, top >> 23u != 0u)) % divisor;
  for (var left = max(i32(top >> 23u), 1) - bottom; left > 0 && rest > 0u; left -= 8) { rest = (rest << u32(min(left, 8))) % divisor; }
  return withSignOf(scaleBy(f32(rest), bottom - 150), x);
}

fn wholeRemainder(x: i32, y: i32) -> i32 {
  if (y == 0 || y == -1) { return 0; }
  return x % y;
}

fn wholePower(x: i32, y: i32) -> i32 {
  if (y < 0) { return select(select(0, select(1, -1, (y & 1) != 0), x == -1), 1, x == 1); }
  var result = 1;
  var square = x;
  for (var n = u32(y); n > 0u; n >>= 1u) {
    if ((n & 1u) != 0u) { result *= square; }
    square *= square;
  }
  return result;
}

// ---- the error function

// erfc for x >= 1.25. The rational approximations are W. J. Cody's (1969), with the coefficients of FreeBSD's msun s_erf.c.
fn erfcTail(x: f32) -> f32 {
  if (x > 10.5f) { return 0.0f; }
  let s = 1.0f / (x * x);
  var top: f32;
  var bottom: f32;
  if (x < 2.857142925f) {
    top = -9.8649440e-03f + s * (-6.9385856e-01f + s * (-1.0558626e+01f + s * (-6.2375332e+01f
        + s * (-1.6239667e+02f + s * (-1.8460509e+02f + s * (-8.1287437e+01f + s * -9.8143291e+00f))))));
    bottom = 1.0f + s * (1.9651272e+01f + s * (1.3765776e+02f + s * (4.3456586e+02f + s * (6.4538727e+02f
        + s * (4.2900815e+02f + s * (1.0863500e+02f + s * (6.5702496e+00f + s * -6.0424416e-02f)))))));
  } else {
    top = -9.8649431e-03f + s * (-7.9928326e-01f + s * (-1.7757954e+01f + s * (-1.6063638e+02f + s * (-6.3756646e+02f + s * (-1.0250950e+03f + s * -4.8351919e+02f)))));
    bottom = 1.0f + s * (3.0338060e+01f + s * (3.2579251e+02f + s * (1.5367296e+03f + s * (3.1998581e+03f + s * (2.5530502e+03f + s * (4.7452853e+02f + s * -2.2440952e+01f))))));
  }
  // x * x loses digits that the exponential would magnify: the square of a shortened x is exact, and the rest is added apart.
  let head = upperHalf(x);
  return exponential(-head * head - 0.5625f) * exponential((head - x) * (head + x) + top / bottom) / x;
}

// erf(x) - x for |x| < 0.84375.
fn erfNearZero(x: f32) -> f32 {
  let s = x * x;
  let top = 1.2837917e-01f + s * (-3.2504210e-01f + s * (-2.8481750e-02f + s * (-5.7702702e-03f + s * -2.3763017e-05f)));
  let bottom = 1.0f + s * (3.9791721e-01f + s * (6.5022250e-02f + s * (5.0813062e-03f + s * (1.3249473e-04f + s * -3.9602282e-06f))));
  return x * (top / bottom);
}

// erf(a) - ERF_ONE for a from 0.84375 to 1.25.
fn erfNearOne(a: f32) -> f32 {
  let s = a - 1.0f;
  let top = -2.3621186e-03f + s * (4.1485611e-01f + s * (-3.7220788e-01f + s * (3.1834662e-01f + s * (-1.1089469e-01f + s * (3.5478305e-02f + s * -2.1663755e-03f)))));
  let bottom = 1.0f + s * (1.0642088e-01f + s * (5.4039794e-01f + s * (7.1828655e-02f + s * (1.2617122e-01f + s * (1.3637084e-02f + s * 1.1984500e-02f)))));
  return top / bottom;
}

const ERF_ONE = 8.45062911e-01f;

fn errorFunction(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let a = abs(x);
  if (a < 0.84375f) { return x + erfNearZero(x); }
  if (a < 1.25f) { return withSignOf(ERF_ONE + erfNearOne(a), x); }
  return withSignOf(1.0f - erfcTail(a), x);
}

// 1 - erf(x), with full relative accuracy where it is small.
fn complementaryErrorFunction(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let a = abs(x);
  if (a < 0.84375f) {
    if (x < 0.25f) { return 1.0f - (x + erfNearZero(x)); }
    return 0.5f - (x - 0.5f + erfNearZero(x));
  }
  if (a < 1.25f) { return select((1.0f - ERF_ONE) - erfNearOne(a), 1.0f + (ERF_ONE + erfNearOne(a)), x < 0.0f); }
  return select(erfcTail(a), 2.0f - erfcTail(a), x < 0.0f);
}

// P(X <= x) for a standard normal X.
fn normalDistribution(x: f32) -> f32 {
  return 0.5f * complementaryErrorFunction(x * -0.70710678f);
}
