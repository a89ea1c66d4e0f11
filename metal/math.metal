// Functions that Metal lacks, or that must agree with the other devices in special cases. Included by the families that need them, and by
// elementwise kernels, which are generated.
#include <metal_stdlib>
using namespace metal;

inline bool isNaN(float v) { return isnan(v); }
inline bool isNaN(int) { return false; }
inline bool isFinite(float v) { return isfinite(v); }
inline bool isFinite(int) { return true; }

// The larger or the smaller; NaN when either is.
inline float larger(float a, float b) { return a > b || isnan(a) ? a : b; }
inline float smaller(float a, float b) { return a < b || isnan(a) ? a : b; }
inline int larger(int a, int b) { return a > b ? a : b; }
inline int smaller(int a, int b) { return a < b ? a : b; }

// exp(x) - 1 and log(1 + x) without cancellation near 0: W. Kahan's quotients, in which the errors of rounding 1 + x cancel.
inline float expMinusOne(float x) {
  const float u = exp(x);
  if (u == 1.0f) return x;
  const float difference = u - 1.0f;
  if (difference == -1.0f || isinf(u)) return difference;
  return difference * (x / log(u));
}

inline float logOnePlus(float x) {
  const float u = 1.0f + x;
  if (u == 1.0f || x == INFINITY) return x;
  return log(u) * (x / (u - 1.0f));
}

// pow(x, 0) and pow(1, y) are 1 for any x and y, NaN included.
inline float power(float x, float y) { return y == 0.0f || x == 1.0f ? 1.0f : pow(x, y); }

// Below tan(pi / 8) the polynomial of Cephes' atanf (S. L. Moshier), above it by the addition theorem about 1 and infinity.
inline float arcTangent(float x) {
  const float a = fabs(x);
  const bool far = a > 2.414213562373095f, nearOne = a > 0.4142135623730951f;
  const float r = far ? -1.0f / a : nearOne ? (a - 1.0f) / (a + 1.0f) : a;
  const float offset = far ? 1.5707963267948966f : nearOne ? 0.7853981633974483f : 0.0f;
  const float s = r * r;
  const float p = ((s * 0.0805374449538f - 0.138776856032f) * s + 0.199777106478f) * s - 0.333329491539f;
  return copysign(offset + (s * r * p + r), x);
}

inline int power(int x, int y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
  uint result = 1, square = uint(x);
  for (uint n = uint(y); n > 0; n >>= 1) {
    if (n & 1) result *= square;
    square *= square;
  }
  return int(result);
}

// 2^n for n from -126 to 127.
inline float powerOfTwo(int n) { return as_type<float>(uint(n + 127) << 23); }

// What is left of x after whole multiples of y, exact and with the sign of x: the division of the digits, eight at a time. (Metal's fmod subtracts a
// rounded product.)
inline float remainderOf(float x, float y) {
  const uint top = as_type<uint>(x) & 0x7fffffffu, by = as_type<uint>(y) & 0x7fffffffu;
  if (top >= 0x7f800000u || by > 0x7f800000u || by == 0u) return NAN;
  if (top < by) return x;
  const int bottom = max(int(by >> 23), 1);
  const uint divisor = (by & 0x7fffffu) | (by >> 23 ? 0x800000u : 0u);
  uint rest = ((top & 0x7fffffu) | (top >> 23 ? 0x800000u : 0u)) % divisor;
  for (int left = max(int(top >> 23), 1) - bottom; left > 0 && rest > 0u; left -= 8) rest = (rest << min(left, 8)) % divisor;
  const int part = (bottom - 150) >> 1;
  return copysign(float(rest) * powerOfTwo(part) * powerOfTwo(bottom - 150 - part), x);
}

inline int remainderOf(int x, int y) { return y == 0 || y == -1 ? 0 : x % y; }

// erfc for x >= 1.25. The rational approximations are W. J. Cody's (1969), with the coefficients of FreeBSD's msun s_erf.c.
inline float erfcTail(float x) {
  if (x > 10.5f) return 0.0f;
  const float s = 1.0f / (x * x);
  float top, bottom;
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
  const float head = as_type<float>(as_type<uint>(x) & 0xfffff000u);
  return exp(-head * head - 0.5625f) * exp((head - x) * (head + x) + top / bottom) / x;
}

// erf(x) - x for |x| < 0.84375.
inline float erfNearZero(float x) {
  const float s = x * x;
  const float top = 1.2837917e-01f + s * (-3.2504210e-01f + s * (-2.8481750e-02f + s * (-5.7702702e-03f + s * -2.3763017e-05f)));
  const float bottom = 1.0f + s * (3.9791721e-01f + s * (6.5022250e-02f + s * (5.0813062e-03f + s * (1.3249473e-04f + s * -3.9602282e-06f))));
  return x * (top / bottom);
}

// erf(a) - 0.8450629... for a from 0.84375 to 1.25.
inline float erfNearOne(float a) {
  const float s = a - 1.0f;
  const float top = -2.3621186e-03f + s * (4.1485611e-01f + s * (-3.7220788e-01f + s * (3.1834662e-01f + s * (-1.1089469e-01f + s * (3.5478305e-02f + s * -2.1663755e-03f)))));
  const float bottom = 1.0f + s * (1.0642088e-01f + s * (5.4039794e-01f + s * (7.1828655e-02f + s * (1.2617122e-01f + s * (1.3637084e-02f + s * 1.1984500e-02f)))));
  return top / bottom;
}

constant float ERF_ONE = 8.45062911e-01f;

inline float errorFunction(float x) {
  const float a = fabs(x);
  if (isnan(x)) return x;
  if (a < 0.84375f) return x + erfNearZero(x);
  const float magnitude = a < 1.25f ? ERF_ONE + erfNearOne(a) : 1.0f - erfcTail(a);
  return x < 0.0f ? -magnitude : magnitude;
}

// 1 - erf(x), with full relative accuracy where it is small.
inline float complementaryErrorFunction(float x) {
  const float a = fabs(x);
  if (isnan(x)) return x;
  if (a < 0.84375f) return x < 0.25f ? 1.0f - (x + erfNearZero(x)) : 0.5f - (x - 0.5f + erfNearZero(x));
  if (a < 1.25f) return x < 0.0f ? 1.0f + (ERF_ONE + erfNearOne(a)) : (1.0f - ERF_ONE) - erfNearOne(a);
  return x < 0.0f ? 2.0f - erfcTail(a) : erfcTail(a);
}

// P(X <= x) for a standard normal X.
inline float normalDistribution(float x) {
  return 0.5f * complementaryErrorFunction(x * -0.70710678f);
}
