import { primitives } from '../autograd/primitives.js';
import { ValueError } from '../errors.js';
import type { TensorLike } from '../tensor/create.js';
import { isFloat } from '../tensor/dtype.js';
import { Tensor } from '../tensor/tensor.js';
import { binary, ternary, unary } from './rows.js';

export { rows } from './rows.js';

/**
 * Elementwise ops, one row each: the computation (every device's kernel is made from it) beside its derivative. Operands broadcast by
 * NumPy's rules; the dtypes are those of docs/dtypes.md. Derivatives are written in ops, so they can be differentiated again.
 */

// Arithmetic

/** a + b */
export const add = binary('add', { code: 'x + y', vjp: [(g) => g, (g) => g] });
/** a - b */
export const sub = binary('sub', { code: 'x - y', vjp: [(g) => g, (g) => neg(g)] });
/** a * b */
export const mul = binary('mul', { code: 'x * y', vjp: [(g, _a, b) => mul(g, b), (g, a) => mul(g, a)] });
/** a / b. Integers divide as float32. */
export const div = binary('div', {
  code: 'x / y',
  result: 'float',
  domain: [0.5, 3],
  vjp: [(g, _a, b) => div(g, b), (g, _a, b, y) => neg(div(mul(g, y), b))],
});
const powOp = binary('pow', {
  code: 'pow(x, y)',
  domain: [0.3, 2],
  vjp: [
    (g, a, b) => mul(g, mul(b, powOp(a, where(equal(b, 0), 1, sub(b, 1))))),
    (g, a, _b, y) => mul(g, mul(y, log(where(equal(a, 0), 1, a)))),
  ],
});
/**
 * a to the power of b. The derivatives at a = 0 are the limits from the right; pow(x, 0) is 1 everywhere.
 * @throws {ValueError} for integers to a negative whole power, as in NumPy: the results would be fractions.
 */
export function pow(a: TensorLike, b: TensorLike): Tensor {
  const wouldCut = a instanceof Tensor && !isFloat(a.dtype) && typeof b === 'number' && Number.isInteger(b) && b < 0;
  if (wouldCut)
    throw new ValueError(
      'pow',
      `${a.dtype} to the power of ${b}: the results would be fractions; cast to float32 first`,
    );
  return powOp(a, b);
}
/** The larger of a and b; NaN where either is. Equal operands share the derivative. */
export const maximum = binary('maximum', {
  code: 'max(x, y)',
  vjp: [(g, a, b) => mul(g, preference(a, b)), (g, a, b) => mul(g, preference(b, a))],
});
/** The smaller of a and b; NaN where either is. Equal operands share the derivative. */
export const minimum = binary('minimum', {
  code: 'min(x, y)',
  vjp: [(g, a, b) => mul(g, preference(b, a)), (g, a, b) => mul(g, preference(a, b))],
});
/** 1 where a > b, 1/2 where they are equal, else 0. */
const preference = binary('preference', { code: 'x > y ? 1 : x == y ? 0.5 : 0', result: 'float' });

/** -x */
export const neg = unary('neg', { code: '-x', vjp: (g) => neg(g) });
/** The absolute value; its derivative at 0 is 0. */
export const abs = unary('abs', { code: 'abs(x)', vjp: (g, x) => mul(g, sign(x)) });
/** -1, 0 or 1 (a zero keeps its sign, NaN stays). Its derivative is 0. */
export const sign = unary('sign', { code: 'x > 0 ? 1 : x < 0 ? -1 : x' });
/** The largest whole number not above x. Its derivative is 0. */
export const floor = unary('floor', { code: 'floor(x)' });
/** x * x */
export const square = unary('square', { code: 'x * x', vjp: (g, x) => mul(g, mul(x, 2)) });
/** The square root. */
export const sqrt = unary('sqrt', {
  code: 'sqrt(x)',
  result: 'float',
  domain: [0.1, 4],
  vjp: (g, _x, y) => div(g, mul(y, 2)),
});
/** 1 / sqrt(x) */
export const rsqrt = unary('rsqrt', {
  code: '1 / sqrt(x)',
  result: 'float',
  domain: [0.1, 4],
  vjp: (g, x, y) => mul(g, mul(div(y, x), -0.5)),
});
/** 1 / x */
export const reciprocal = unary('reciprocal', {
  code: '1 / x',
  result: 'float',
  domain: [0.3, 3],
  vjp: (g, _x, y) => neg(mul(g, square(y))),
});

// Exponentials, logarithms and trigonometry

/** e to the power of x. */
export const exp = unary('exp', { code: 'exp(x)', result: 'float', vjp: (g, _x, y) => mul(g, y) });
/** exp(x) - 1, without cancellation near 0. */
export const expm1 = unary('expm1', { code: 'expm1(x)', result: 'float', vjp: (g, _x, y) => mul(g, add(y, 1)) });
/** The natural logarithm. */
export const log = unary('log', { code: 'log(x)', result: 'float', domain: [0.1, 4], vjp: (g, x) => div(g, x) });
/** log(1 + x), without cancellation near 0. */
export const log1p = unary('log1p', {
  code: 'log1p(x)',
  result: 'float',
  domain: [-0.8, 3],
  vjp: (g, x) => div(g, add(x, 1)),
});
/** The sine of x in radians. */
export const sin = unary('sin', { code: 'sin(x)', result: 'float', vjp: (g, x) => mul(g, cos(x)) });
/** The cosine of x in radians. */
export const cos = unary('cos', { code: 'cos(x)', result: 'float', vjp: (g, x) => neg(mul(g, sin(x))) });
/** The hyperbolic tangent. */
export const tanh = unary('tanh', { code: 'tanh(x)', result: 'float', vjp: (g, _x, y) => mul(g, sub(1, square(y))) });
/** The error function. */
export const erf = unary('erf', {
  code: 'erf(x)',
  result: 'float',
  vjp: (g, x) => mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
});

// Activations

/** max(x, 0); its derivative at 0 is 0. */
export const relu = unary('relu', { code: 'max(x, 0)', vjp: (g, x) => mul(g, step(x)) });
/** 1 where x > 0, else 0. Its derivative is 0. */
export const step = unary('step', { code: 'x > 0 ? 1 : 0' });
/** 1 / (1 + exp(-x)). Only exponentials of negative numbers, so that neither end overflows. */
export const sigmoid = unary('sigmoid', {
  code: '(x < 0 ? exp(-abs(x)) : 1) / (1 + exp(-abs(x)))',
  result: 'float',
  vjp: (g, _x, y) => mul(g, mul(y, sub(1, y))),
});
/** x * sigmoid(x), also called swish. Far to the left it is 0 in either precision, and -Infinity * 0 must not become NaN. */
export const silu = unary('silu', {
  code: 'x < -1000 ? 0 : x * (x < 0 ? exp(-abs(x)) : 1) / (1 + exp(-abs(x)))',
  result: 'float',
  vjp: (g, x, y) => mul(g, add(sigmoid(x), mul(y, sigmoid(neg(x))))),
});
/** x * P(X <= x) for a standard normal X, the exact form: Hendrycks and Gimpel, arXiv:1606.08415. */
export const gelu = unary('gelu', {
  code: 'x < -1000 ? 0 : 0.5 * x * erfc(x * -0.7071067811865476)',
  result: 'float',
  vjp: (g, x) => mul(g, add(normalCdf(x), mul(x, mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))))),
});
/** P(X <= x) for a standard normal X. */
export const normalCdf = unary('normalCdf', {
  code: '0.5 * erfc(x * -0.7071067811865476)',
  result: 'float',
  vjp: (g, x) => mul(g, mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))),
});
/** log(1 + exp(x)), without overflow. */
export const softplus = unary('softplus', {
  code: 'max(x, 0) + log1p(exp(-abs(x)))',
  result: 'float',
  vjp: (g, x) => mul(g, sigmoid(x)),
});

// Comparisons and logic: bool results, no derivatives

export const equal = binary('equal', { code: 'x == y', result: 'bool' });
export const notEqual = binary('notEqual', { code: 'x != y', result: 'bool' });
export const less = binary('less', { code: 'x < y', result: 'bool' });
export const lessEqual = binary('lessEqual', { code: 'x <= y', result: 'bool' });
export const greater = binary('greater', { code: 'x > y', result: 'bool' });
export const greaterEqual = binary('greaterEqual', { code: 'x >= y', result: 'bool' });
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

const clipOp = ternary('clip', {
  code: 'min(max(x, y), z)',
  vjp: [
    (g, x, low, high) => where(logicalAnd(greaterEqual(x, low), lessEqual(x, high)), g, 0),
    (g, x, low, high) => where(logicalAnd(less(x, low), lessEqual(low, high)), g, 0),
    (g, x, low, high) => where(greater(maximum(x, low), high), g, 0),
  ],
});

/** x limited to [low, high]; either end may be left out. At the ends the derivative is that of x. NaN stays. */
export function clip(x: TensorLike, low?: TensorLike, high?: TensorLike): Tensor {
  const whole = x instanceof Tensor && !isFloat(x.dtype);
  return clipOp(x, low ?? (whole ? -(2 ** 31) : -Infinity), high ?? (whole ? 2 ** 31 - 1 : Infinity));
}

primitives.add = add;
