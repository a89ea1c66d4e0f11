import { primitives } from '../autograd/primitives.js';
import { ValueError } from '../errors.js';
import type { TensorLike } from '../tensor/create.js';
import { isFloat } from '../tensor/dtype.js';
import { Tensor } from '../tensor/tensor.js';
import { binary, over, ternary, unary } from './formulas.js';

export { formulas } from './formulas.js';

/**
 * Elementwise ops, one formula each: the computation (every device's kernel is made from it) beside its derivative. Operands broadcast by
 * NumPy's rules; the dtypes are those of docs/dtypes.md. Derivatives are written in ops, so they can be differentiated again.
 */

// The chain rule

/**
 * x * y, and 0 where either is 0, whatever the other holds: a cotangent times a slope. What does not reach the result (a branch not taken,
 * an element masked out) has the derivative 0 also beside an infinite slope, where IEEE arithmetic makes 0 * Infinity NaN; and a function
 * that is constant has it also under an infinite cotangent. A NaN slope that a cotangent reaches stays NaN.
 */
export const mulNoNaN = binary('mulNoNaN', {
  code: 'x == 0 || y == 0 ? 0 : x * y',
  vjp: [(g, _a, b) => mulNoNaN(g, b), (g, a) => mulNoNaN(g, a)],
});
/** x / y, and 0 where x is 0 or y infinite, whatever the other holds: a cotangent over the reciprocal of a slope. See `mulNoNaN`. */
export const divNoNaN = binary('divNoNaN', {
  code: 'x == 0 || !isfinite(y) && !isnan(y) ? 0 : x / y',
  result: 'float',
  vjp: [(g, _a, b) => divNoNaN(g, b), (g, _a, b, y) => neg(mulNoNaN(g, divNoNaN(y, b)))],
});

// Arithmetic

/** a + b */
export const add = binary('add', { code: 'x + y', vjp: [(g) => g, (g) => g] });
/** @internal a + b over the memory of a: see `over`. */
export const addOver = (a: Tensor, b: Tensor): Tensor => over('add', a, b);
/** a - b */
export const sub = binary('sub', { code: 'x - y', vjp: [(g) => g, (g) => neg(g)] });
/** a * b */
export const mul = binary('mul', { code: 'x * y', vjp: [(g, _a, b) => mulNoNaN(g, b), (g, a) => mulNoNaN(g, a)] });
/** a * b * c: factors whose product by themselves may leave the range. */
export const mulMul = ternary('mulMul', {
  code: 'x * y * z',
  vjp: [(g, _a, b, c) => mulMul(g, b, c), (g, a, _b, c) => mulNoNaN(g, mul(a, c)), (g, a, b) => mulNoNaN(g, mul(a, b))],
});
/** a / b. Integers divide as float32. */
export const div = binary('div', {
  code: 'x / y',
  result: 'float',
  vjp: [(g, _a, b) => divNoNaN(g, b), (g, _a, b, y) => neg(mulNoNaN(g, divNoNaN(y, b)))],
});
/** The whole number that a multiple of b is left of a by, towards -Infinity. Its derivative is 0. */
const floorQuotient = binary('floorQuotient', {
  code: `floor((x - rem(x, y)) / y + 0.5) - (rem(x, y) < 0 && y > 0 || rem(x, y) > 0 && y < 0 ? 1 : 0)`,
  result: 'float',
});
/**
 * a modulo b: what is left of a after whole multiples of b, exact and with the sign of b, as Python's %, NumPy's `mod` and torch's `remainder` (JavaScript's %
 * has the sign of a): mod(-1, 3) is 2. By 0 it is NaN, for integers 0 as in NumPy.
 */
export const mod = binary('mod', {
  code: 'rem(x, y) < 0 && y > 0 || rem(x, y) > 0 && y < 0 ? rem(x, y) + y : rem(x, y)',
  vjp: [(g) => g, (g, a, b) => neg(mulNoNaN(g, floorQuotient(a, b)))],
});
const powOp = binary('pow', {
  code: 'pow(x, y)',
  vjp: [
    (g, a, b) => mulNoNaN(g, mulNoNaN(b, powOp(a, sub(b, 1)))),
    (g, a, b, y) => mulNoNaN(g, mulNoNaN(y, log(where(logicalAnd(equal(a, 0), equal(b, 0)), 1, a)))),
  ],
});
/**
 * a to the power of b. The derivatives at a = 0 are the limits from the right, but that of 0^b by b at b = 0 is 0; pow(x, 0) is 1
 * everywhere. The derivative by the exponent of a negative base is NaN: powers of it exist for whole exponents only.
 * @throws {ValueError} for integers to a negative whole power, as in NumPy: the results would be fractions.
 */
export function pow(a: TensorLike, b: TensorLike): Tensor {
  const negative = isWhole(a) && isWhole(b) && (a instanceof Tensor || b instanceof Tensor) ? negativeIn(b) : null;
  if (negative !== null)
    throw new ValueError(
      'pow',
      `${a instanceof Tensor ? a.dtype : 'int32'} to the power of ${negative}: the results would be fractions; cast to float32 first`,
    );
  return powOp(a, b);
}
const isWhole = (value: TensorLike): boolean => {
  if (typeof value === 'number') return Number.isInteger(value);
  return value instanceof Tensor
    ? !isFloat(value.dtype)
    : /^(Big)?(Int|Uint)/.test(Object.prototype.toString.call(value).slice(8));
};
/** A negative number among whole ones; null where there is none, or where looking would mean waiting for a device. */
function negativeIn(value: TensorLike): number | bigint | null {
  if (typeof value === 'number') return value < 0 ? value : null;
  const looked =
    value instanceof Tensor ? (value.buffer.host ?? (value.device.readSync ? value.rawDataSync('view') : [])) : value;
  return (Array.prototype.find.call(looked, (one: number | bigint) => one < 0) as number | bigint | undefined) ?? null;
}
/** The larger of a and b; NaN where either is. Equal operands share the derivative. */
export const maximum = binary('maximum', {
  code: 'max(x, y)',
  vjp: [(g, a, b) => mulNoNaN(g, preference(a, b)), (g, a, b) => mulNoNaN(g, preference(b, a))],
});
/** The smaller of a and b; NaN where either is. Equal operands share the derivative. */
export const minimum = binary('minimum', {
  code: 'min(x, y)',
  vjp: [(g, a, b) => mulNoNaN(g, preference(b, a)), (g, a, b) => mulNoNaN(g, preference(a, b))],
});
/** 1 where a > b, 0 where a < b, 1/2 where they are equal, NaN where either is. */
const preference = binary('preference', { code: 'x > y ? 1 : x < y ? 0 : x == y ? 0.5 : x + y', result: 'float' });

/** -x */
export const neg = unary('neg', { code: '-x', vjp: (g) => neg(g) });
/** The absolute value; its derivative at 0 is 0. */
export const abs = unary('abs', { code: 'abs(x)', vjp: (g, x) => mulNoNaN(g, sign(x)) });
/** -1, 0 or 1 (a zero keeps its sign, NaN stays). Its derivative is 0. */
export const sign = unary('sign', { code: 'x > 0 ? 1 : x < 0 ? -1 : x' });
/** The largest whole number not above x. Its derivative is 0. */
export const floor = unary('floor', { code: 'floor(x)' });
/** The smallest whole number not below x. Its derivative is 0. */
export const ceil = unary('ceil', { code: '-floor(-x)' });
const roundOp = unary('round', {
  code: `x == 0 ? x : (x < 0 ? -1 : 1) * (abs(x) - floor(abs(x)) == 0.5
    ? 2 * floor(0.5 * abs(x) + 0.5)
    : floor(abs(x)) + (abs(x) - floor(abs(x)) > 0.5 ? 1 : 0))`,
});
/** The nearest whole number, of two equally near ones the even one, as in NumPy and torch: round(2.5) is 2. Its derivative is 0. */
export const round = (x: TensorLike): Tensor => (x instanceof Tensor && !isFloat(x.dtype) ? floor(x) : roundOp(x));
/** x * x */
export const square = unary('square', { code: 'x * x', vjp: (g, x) => mulNoNaN(g, mul(x, 2)) });
/** The square root. */
export const sqrt = unary('sqrt', {
  code: 'sqrt(x)',
  result: 'float',
  vjp: (g, _x, y) => divNoNaN(g, mul(y, 2)),
});
/** x over the norm y of a vector that it is part of: the norm's derivative, 0 for a vector of zeros. */
export const overNorm = binary('overNorm', {
  code: 'x == 0 ? 0 : x == y ? 1 : x == -y ? -1 : x / y',
  result: 'float',
  vjp: [(g, _x, y) => divNoNaN(g, y), (g, _x, y, slope) => neg(mulNoNaN(g, divNoNaN(slope, y)))],
});
/** 1 / sqrt(x) */
export const rsqrt = unary('rsqrt', {
  code: '1 / sqrt(x)',
  result: 'float',
  vjp: (g, x, y) => mulNoNaN(g, mul(div(y, x), -0.5)),
});
/** 1 / x */
export const reciprocal = unary('reciprocal', {
  code: '1 / x',
  result: 'float',
  vjp: (g, _x, y) => neg(mulNoNaN(g, square(y))),
});

// Exponentials, logarithms and trigonometry

/** e to the power of x. */
export const exp = unary('exp', { code: 'exp(x)', result: 'float', vjp: (g, _x, y) => mulNoNaN(g, y) });
/** exp(x - y) for x <= y, the log of a sum that e^x is a part of: the part's share. Of a sum of Infinity it is 1 or 0, of a sum of 0 it is 0. */
export const expOfDifference = binary('expOfDifference', {
  code: 'x == y ? (isfinite(x) || x > 0 ? 1 : 0) : exp(x - y)',
  result: 'float',
  vjp: [(g, _x, _y, share) => mulNoNaN(g, share), (g, _x, _y, share) => neg(mulNoNaN(g, share))],
});
/** exp(x) - 1, without cancellation near 0. */
export const expm1 = unary('expm1', { code: 'expm1(x)', result: 'float', vjp: (g, x) => mulNoNaN(g, exp(x)) });
/** The natural logarithm. */
export const log = unary('log', { code: 'log(x)', result: 'float', vjp: (g, x) => divNoNaN(g, x) });
/** log(1 + x), without cancellation near 0. */
export const log1p = unary('log1p', {
  code: 'log1p(x)',
  result: 'float',
  vjp: (g, x) => divNoNaN(g, add(x, 1)),
});
/** The sine of x in radians. */
export const sin = unary('sin', { code: 'sin(x)', result: 'float', vjp: (g, x) => mulNoNaN(g, cos(x)) });
/** The cosine of x in radians. */
export const cos = unary('cos', { code: 'cos(x)', result: 'float', vjp: (g, x) => neg(mulNoNaN(g, sin(x))) });
/** The tangent of x in radians. */
export const tan = unary('tan', {
  code: 'sin(x) / cos(x)',
  result: 'float',
  vjp: (g, _x, y) => mulNoNaN(g, add(square(y), 1)),
});
/** The arc tangent in radians, in (-pi / 2, pi / 2). */
export const atan = unary('atan', {
  code: 'atan(x)',
  result: 'float',
  vjp: (g, x) => divNoNaN(g, add(square(x), 1)),
});
/** The arc sine in radians, in [-pi / 2, pi / 2]; NaN outside [-1, 1]. */
export const asin = unary('asin', {
  code: 'atan(x / sqrt((1 - x) * (1 + x)))',
  result: 'float',
  vjp: (g, x) => divNoNaN(g, sqrt(mul(sub(1, x), add(x, 1)))),
});
/** The arc cosine in radians, in [0, pi]; NaN outside [-1, 1]. */
export const acos = unary('acos', {
  code: '2 * atan(sqrt((1 - x) / (1 + x)))',
  result: 'float',
  vjp: (g, x) => neg(divNoNaN(g, sqrt(mul(sub(1, x), add(x, 1))))),
});
/** The hyperbolic sine. */
export const sinh = unary('sinh', {
  code: `x == 0 ? x : abs(x) > 80
    ? (x < 0 ? -0.5 : 0.5) * exp(0.5 * abs(x)) * exp(0.5 * abs(x))
    : (x < 0 ? -0.5 : 0.5) * (expm1(abs(x)) + expm1(abs(x)) / (expm1(abs(x)) + 1))`,
  result: 'float',
  vjp: (g, x) => mulNoNaN(g, cosh(x)),
});
/** The hyperbolic cosine. */
export const cosh = unary('cosh', {
  code: '0.5 * exp(0.5 * abs(x)) * exp(0.5 * abs(x)) + 0.5 / (exp(0.5 * abs(x)) * exp(0.5 * abs(x)))',
  result: 'float',
  vjp: (g, x) => mulNoNaN(g, sinh(x)),
});
/** The hyperbolic tangent. */
export const tanh = unary('tanh', {
  code: 'tanh(x)',
  result: 'float',
  vjp: (g, _x, y) => mulNoNaN(g, sub(1, square(y))),
});
/** The error function. */
export const erf = unary('erf', {
  code: 'erf(x)',
  result: 'float',
  vjp: (g, x) => mulNoNaN(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
});

// Activations

/** max(x, 0); its derivative at 0 is 0. */
export const relu = unary('relu', { code: 'max(x, 0)', vjp: (g, x) => reluVjp(g, x) });
/** mulNoNaN(x, step(y)) in one pass. */
const reluVjp = binary('reluVjp', { code: 'x == 0 || y <= 0 ? 0 : y > 0 ? x : y', vjp: [(g, _a, b) => reluVjp(g, b)] });
/** 1 where x > 0, else 0 (NaN stays). Its derivative is 0. */
export const step = unary('step', { code: 'x <= 0 ? 0 : x > 0 ? 1 : x' });
/** 1 / (1 + exp(-x)). Only exponentials of negative numbers, so that neither end overflows. */
export const sigmoid = unary('sigmoid', {
  code: '(x < 0 ? exp(-abs(x)) : 1) / (1 + exp(-abs(x)))',
  result: 'float',
  vjp: (g, _x, y) => mulNoNaN(g, mul(y, sub(1, y))),
});
/** x * sigmoid(x), also called swish. Far to the left it is 0 in either precision, and -Infinity * 0 must not become NaN. */
export const silu = unary('silu', {
  code: 'x < -1000 ? 0 : x * (x < 0 ? exp(-abs(x)) : 1) / (1 + exp(-abs(x)))',
  result: 'float',
  vjp: (g, x, y) => mulNoNaN(g, add(sigmoid(x), mulNoNaN(y, sigmoid(neg(x))))),
});
/** x * P(X <= x) for a standard normal X, the exact form: Hendrycks and Gimpel, arXiv:1606.08415. */
export const gelu = unary('gelu', {
  code: 'x < -1000 ? 0 : x * normalCdf(x)',
  result: 'float',
  vjp: (g, x) => geluVjp(g, x),
});
/** P(X <= y) and y times the density. Beyond 40 the density is 0 in either precision, and infinity times it must not become NaN. */
const GELU_SLOPE = '(abs(y) > 40 ? normalCdf(y) : normalCdf(y) + 0.3989422804014327 * y * exp(-0.5 * y * y))';
/** mulNoNaN(x, the slope of gelu at y) in one pass. */
const geluVjp = binary('geluVjp', {
  code: `x == 0 || ${GELU_SLOPE} == 0 ? 0 : x * ${GELU_SLOPE}`,
  result: 'float',
  vjp: [
    (g, _a, b) => geluVjp(g, b),
    (g, a, b) => mulNoNaN(g, mulNoNaN(a, mulNoNaN(normalDensity(b), sub(2, square(b))))),
  ],
});
const normalDensity = (x: Tensor): Tensor => mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
/** log(1 + exp(x)), without overflow. */
export const softplus = unary('softplus', {
  code: 'max(x, 0) + log1p(exp(-abs(x)))',
  result: 'float',
  vjp: (g, x) => mulNoNaN(g, sigmoid(x)),
});

/**
 * x where it is above 0, else `slope` x, 0.01 x by default; a tensor of slopes broadcasts, and has a derivative (PReLU: He et al.,
 * arXiv:1502.01852). The derivative at 0 is the slope.
 */
export const leakyRelu = (x: TensorLike, slope: TensorLike = 0.01): Tensor => leakyReluOp(x, slope);
const leakyReluOp = binary('leakyRelu', {
  code: 'x > 0 ? x : y == 0 && x < 0 ? 0 : x * y',
  result: 'float',
  vjp: [(g, x, slope) => mulNoNaN(g, aboveOr(x, slope)), (g, x) => mulNoNaN(g, mulNoNaN(sub(1, step(x)), x))],
});
/** x where it is above 0, else alpha (exp(x) - 1), alpha 1 by default: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289. */
export const elu = (x: TensorLike, alpha: TensorLike = 1): Tensor => eluOp(x, alpha);
const eluOp = binary('elu', {
  code: 'x > 0 ? x : y * expm1(x)',
  result: 'float',
  vjp: [
    (g, x, alpha) => mulNoNaN(g, aboveOr(x, mul(alpha, exp(x)))),
    (g, x) => mulNoNaN(g, mulNoNaN(sub(1, step(x)), expm1(x))),
  ],
});
/** 1 where x is above 0, else a slope; NaN where x is. */
const aboveOr = (x: Tensor, slope: Tensor): Tensor => add(step(x), mulNoNaN(sub(1, step(x)), slope));
/** x * clip(x + 3, 0, 6) / 6, a silu without exponentials: Howard et al., arXiv:1905.02244. */
export const hardSwish = unary('hardSwish', {
  code: 'x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6',
  result: 'float',
  vjp: (g, x) => mulNoNaN(g, hardSwishSlope(x)),
});
const hardSwishSlope = unary('hardSwishSlope', {
  code: 'x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5',
  vjp: (g, x) => mulNoNaN(g, div(within(x, -3, 3), 3)),
});

// Comparisons and logic: bool results, no derivatives

export const equal = binary('equal', { code: 'x == y', result: 'bool', fractions: 'differ' });
export const notEqual = binary('notEqual', { code: 'x != y', result: 'bool', fractions: 'differ' });
export const less = binary('less', { code: 'x < y', result: 'bool', fractions: 'up' });
export const lessEqual = binary('lessEqual', { code: 'x <= y', result: 'bool', fractions: 'down' });
export const greater = binary('greater', { code: 'x > y', result: 'bool', fractions: 'down' });
export const greaterEqual = binary('greaterEqual', { code: 'x >= y', result: 'bool', fractions: 'up' });
/** Comparisons for derivatives: 1 where x equals y, NaN where either is, else 0. */
export const areEqual = binary('areEqual', { code: 'x == y ? 1 : x < y || x > y ? 0 : x + y' });
export const isNaN = unary('isNaN', { code: 'isnan(x)', result: 'bool' });
export const isFinite = unary('isFinite', { code: 'isfinite(x)', result: 'bool' });
export const logicalAnd = binary('logicalAnd', {
  code: 'x != 0 && y != 0',
  result: 'bool',
  operands: ['bool', 'bool'],
});
export const logicalOr = binary('logicalOr', { code: 'x != 0 || y != 0', result: 'bool', operands: ['bool', 'bool'] });
export const logicalNot = unary('logicalNot', { code: 'x == 0', result: 'bool', operands: ['bool'] });

// Selection

/** a where the condition holds, else b. The one not chosen gets a cotangent of exactly 0, whatever it holds. */
export const where = ternary('where', {
  code: 'x != 0 ? y : z',
  operands: ['bool', 'number', 'number'],
  vjp: [null, (g, condition) => where(condition, g, 0), (g, condition) => where(condition, 0, g)],
});

/** 1 where low <= x <= high, NaN where x is, else 0. */
const within = ternary('within', { code: 'x < y ? 0 : x > z ? 0 : x == x ? 1 : x' });
const clipOp = ternary('clip', {
  code: 'min(max(x, y), z)',
  vjp: [
    (g, x, low, high) => mulNoNaN(g, within(x, low, high)),
    (g, x, low, high) => where(logicalAnd(less(x, low), lessEqual(low, high)), g, 0),
    (g, x, low, high) => where(greater(maximum(x, low), high), g, 0),
  ],
});

/** x limited to [low, high]; either end may be left out. At the ends the derivative is that of x. NaN stays. */
export function clip(x: TensorLike, low: TensorLike = -Infinity, high: TensorLike = Infinity): Tensor {
  if (!(x instanceof Tensor) || isFloat(x.dtype)) return clipOp(x, low, high);
  // Ends beyond int32 limit no integer, and must not make floats of them.
  const below = typeof low === 'number' && low < LEAST_INT ? LEAST_INT : low;
  return clipOp(x, below, typeof high === 'number' && high > LARGEST_INT ? LARGEST_INT : high);
}
const LEAST_INT = -(2 ** 31);
const LARGEST_INT = 2 ** 31 - 1;

primitives.add = add;
