import {
  abs,
  add,
  clip,
  cos,
  cosh,
  div,
  DTypeError,
  equal,
  erf,
  exp,
  expm1,
  floor,
  gelu,
  greater,
  greaterEqual,
  isFinite,
  isNaN,
  less,
  lessEqual,
  log,
  log1p,
  logicalAnd,
  logicalNot,
  logicalOr,
  maximum,
  minimum,
  mul,
  neg,
  notEqual,
  pow,
  reciprocal,
  relu,
  rsqrt,
  ShapeError,
  sigmoid,
  sign,
  silu,
  sin,
  sinh,
  softplus,
  sqrt,
  square,
  step,
  sub,
  tanh,
  tensor,
  ValueError,
  where,
} from 'tapegrad';
import { erf as erfOracle, erfc, mapped, spread, values } from '../reference.js';
import { binaryInfo, type Exact, type OpInfo, unaryInfo } from './info.js';

const int = (data: number[], shape?: number[]): ReturnType<typeof tensor> =>
  tensor(data, { dtype: 'int32', ...(shape && { shape }) });
const bool = (...data: boolean[]): ReturnType<typeof tensor> => tensor(data);
const exact = (name: string, run: Exact['run'], dtype: Exact['dtype'], numbers: readonly number[]): Exact => ({
  name,
  run,
  dtype,
  shape: [numbers.length],
  values: numbers,
});

/** IEEE 754's power, which ECMAScript changed for a base of 1 or -1. */
const power = (a: number, b: number): number =>
  a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b);
const sigmoidOf = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
/** Far to the left gelu and silu are 0, of either sign. */
const FEW = [NaN, Infinity, -Infinity, 0, 1e-40, 3e38, 1, -1];
const NAN_PAIRS = [
  [[NaN, 1], NaN],
  [[1, NaN], NaN],
  [[NaN, NaN], NaN],
] as const;

/** Comparisons answer false beside NaN, but for "not equal". */
const comparison = (run: Parameters<typeof binaryInfo>[0], f: (a: number, b: number) => boolean): OpInfo =>
  binaryInfo(run, (a, b) => Number(f(a, b)), {
    result: 'bool',
    differentiable: false,
    edges: [
      [NaN, NaN],
      [NaN, 1],
      [1, NaN],
      [0, -0],
      [Infinity, Infinity],
      [-Infinity, Infinity],
      [1e-40, 0],
      [2, 2],
      [3, 2],
      [2, 3],
    ].map(([a, b]) => [[a!, b!], Number(f(Math.fround(a!), Math.fround(b!)))] as const),
    exact: [
      exact(
        'int32 beside a fraction',
        () => run(int([1, 2, 3]), tensor(1.5)),
        'bool',
        [f(1, 1.5), f(2, 1.5), f(3, 1.5)].map(Number),
      ),
      exact(
        'bool',
        () => run(bool(true, false, true), bool(true, true, false)),
        'bool',
        [f(1, 1), f(0, 1), f(1, 0)].map(Number),
      ),
      exact(
        'large int32',
        () => run(int([2147483647, -2147483648]), int([2147483646, -2147483648])),
        'bool',
        [f(2147483647, 2147483646), f(-1, -1)].map(Number),
      ),
    ],
  });

export const arithmeticInfo = {
  add: binaryInfo(add, (a, b) => a + b, {
    edges: [
      ...NAN_PAIRS,
      [[Infinity, -Infinity], NaN],
      [[3e38, 3e38], (a, b) => a + b],
      [[-0, -0], -0],
      [[1e-40, 1e-40], (a, b) => a + b],
    ],
    exact: [
      exact('int32', () => add(int([1, -5]), int([2, 3])), 'int32', [3, -2]),
      exact('int32 wraps around', () => add(int([2147483647]), 1), 'int32', [-2147483648]),
      exact('int32 and a fraction', () => add(int([1, 2]), 0.5), 'float32', [1.5, 2.5]),
      exact('bool counts', () => add(bool(true, true), bool(true, false)), 'int32', [2, 1]),
      exact('bool and a whole number', () => add(bool(true, false), 2), 'int32', [3, 2]),
      exact('int32 and float64', () => add(int([1]), tensor(new Float64Array([0.1]))), 'float64', [1.1]),
      exact('a number on the left', () => add(2, int([1])), 'int32', [3]),
      exact('a list is weak', () => add(tensor(new Float64Array([1, 2])), [0.1, 0.2]), 'float64', [1.1, 2.2]),
    ],
    errors: [
      {
        run: () => add(tensor([1, 2]), tensor([1, 2, 3])),
        error: ShapeError,
        message: '[add] shapes [2] and [3] do not broadcast',
      },
      {
        run: () => add(tensor([[1], [2]]), tensor([[[1, 2, 3]], [[1, 2, 3]]]).reshape([3, 2])),
        error: ShapeError,
        message: '[add] shapes [2, 1] and [3, 2] do not broadcast',
      },
    ],
  }),
  sub: binaryInfo(sub, (a, b) => a - b, {
    edges: [...NAN_PAIRS, [[Infinity, Infinity], NaN], [[0, 0], 0], [[-0, 0], -0]],
    exact: [
      exact('int32', () => sub(int([1, -5]), int([2, 3])), 'int32', [-1, -8]),
      exact('bool', () => sub(bool(false), bool(true)), 'int32', [-1]),
      exact('number first', () => sub(1, int([3])), 'int32', [-2]),
    ],
  }),
  mul: binaryInfo(mul, (a, b) => a * b, {
    edges: [
      ...NAN_PAIRS,
      [[0, Infinity], NaN],
      [[-0, 5], -0],
      [[1e30, 1e30], (a, b) => a * b],
      [[1e-30, 1e-15], (a, b) => a * b],
    ],
    exact: [
      exact('int32', () => mul(int([3, -5]), int([2, 3])), 'int32', [6, -15]),
      exact('int32 wraps around exactly', () => mul(int([2147483647]), int([2147483647])), 'int32', [1]),
    ],
  }),
  div: binaryInfo(div, (a, b) => a / b, {
    domains: [
      [-3, 3],
      [0.5, 3],
    ],
    edges: [
      ...NAN_PAIRS,
      [[1, 0], Infinity],
      [[1, -0], -Infinity],
      [[0, 0], NaN],
      [[-1, Infinity], -0],
      [[Infinity, Infinity], NaN],
    ],
    exact: [
      exact('int32 divides as float32', () => div(int([1, -7]), int([2, 2])), 'float32', [0.5, -3.5]),
      exact('int32 by 0', () => div(int([1, 0]), 0), 'float32', [Infinity, NaN]),
    ],
  }),
  pow: binaryInfo(pow, power, {
    domain: [0.3, 2],
    ulps: 2,
    ulps64: 4,
    edges: [
      [[NaN, 0], 1],
      [[1, NaN], 1],
      [[1, Infinity], 1],
      [[-1, Infinity], 1],
      [[-1, -Infinity], 1],
      [[NaN, 1], NaN],
      [[0, 0], 1],
      [[0, -1], Infinity],
      [[-0, -1], -Infinity],
      [[-0, -2], Infinity],
      [[0, 2.5], 0],
      [[-0, 3], -0],
      [[-2, 3], -8],
      [[-2, 2], 4],
      [[-2, 0.5], NaN],
      [[2, Infinity], Infinity],
      [[0.5, Infinity], 0],
      [[0.5, -Infinity], Infinity],
      [[Infinity, -1], 0],
      [[-Infinity, 3], -Infinity],
      [[-Infinity, 2], Infinity],
      [[2, 127], 2 ** 127],
      [[2, -149], 2 ** -149],
      [[10, 40], (a, b) => Math.pow(a, b)],
    ],
    exact: [
      exact('int32', () => pow(int([2, -3]), 3), 'int32', [8, -27]),
      exact('int32 to a fraction', () => pow(int([4]), -0.5), 'float32', [0.5]),
    ],
    errors: [
      {
        run: () => pow(int([2]), -1),
        error: ValueError,
        message: '[pow] int32 to the power of -1: the results would be fractions; cast to float32 first',
      },
      { run: () => pow(tensor([true]), -2), error: ValueError, message: '[pow] bool to the power of -2' },
    ],
  }),
  maximum: binaryInfo(maximum, Math.max, {
    edges: [...NAN_PAIRS, [[Infinity, -Infinity], Infinity], [[-Infinity, -3e38], (_, b) => b]],
    exact: [exact('int32', () => maximum(int([3, -5]), int([2, 3])), 'int32', [3, 3])],
  }),
  minimum: binaryInfo(minimum, Math.min, {
    edges: [...NAN_PAIRS, [[Infinity, -Infinity], -Infinity], [[Infinity, 3e38], (_, b) => b]],
    exact: [exact('int32', () => minimum(int([3, -5]), int([2, 3])), 'int32', [2, -5])],
  }),
  neg: unaryInfo(neg, (x) => -x, {
    exact: [
      exact('int32', () => neg(int([3, -5])), 'int32', [-3, 5]),
      exact('bool', () => neg(bool(true, false)), 'int32', [-1, 0]),
    ],
  }),
  abs: unaryInfo(abs, Math.abs, { exact: [exact('int32', () => abs(int([3, -5])), 'int32', [3, 5])] }),
  sign: unaryInfo(sign, Math.sign, {
    differentiable: false,
    exact: [exact('int32', () => sign(int([3, 0, -5])), 'int32', [1, 0, -1])],
  }),
  floor: unaryInfo(floor, Math.floor, {
    differentiable: false,
    edges: [
      [[2.5], 2],
      [[-2.5], -3],
      [[1e10], (x) => x],
    ],
    exact: [exact('int32', () => floor(int([3, -5])), 'int32', [3, -5])],
  }),
  square: unaryInfo(square, (x) => x * x, {
    exact: [
      exact('int32', () => square(int([3, -5])), 'int32', [9, 25]),
      exact('int32 wraps around exactly', () => square(int([2147483647])), 'int32', [1]),
    ],
  }),
  sqrt: unaryInfo(sqrt, Math.sqrt, {
    domain: [0.1, 4],
    exact: [exact('int32 becomes float32', () => sqrt(int([4, 9])), 'float32', [2, 3])],
  }),
  rsqrt: unaryInfo(rsqrt, (x) => 1 / Math.sqrt(x), { domain: [0.1, 4], ulps: 1.5 }),
  reciprocal: unaryInfo(reciprocal, (x) => 1 / x, {
    domain: [0.3, 3],
    exact: [exact('int32', () => reciprocal(int([4])), 'float32', [0.25])],
  }),
  clip: {
    samples: [
      {
        name: '[5] by numbers',
        inputs: [spread([5], -3, 3)],
        run: (x) => clip(x, -1, 1),
        want: mapped((x) => Math.min(Math.max(x, -1), 1)),
      },
      {
        name: '[1027], low only',
        inputs: [spread([1027], -3, 3)],
        run: (x) => clip(x, 0.5),
        want: mapped((x) => Math.max(x, 0.5)),
        forwardOnly: true,
      },
      {
        name: '[2,3], high only',
        inputs: [spread([2, 3], -3, 3)],
        run: (x) => clip(x, undefined, 0.5),
        want: mapped((x) => Math.min(x, 0.5)),
      },
      {
        name: 'bounds that broadcast',
        inputs: [spread([4, 3], -3, 3), spread([3], -2, 0, 1), spread([4, 1], 0.05, 2, 2)],
        run: (x, low, high) => clip(x, low, high),
        want: mapped((x, low, high) => Math.min(Math.max(x, low), high)),
      },
      {
        name: 'the upper bound wins',
        inputs: [values([3], [-2, 0.5, 3])],
        run: (x) => clip(x, 1, -1),
        want: mapped(() => -1),
      },
    ],
    apply: clip,
    edges: [
      [[NaN, 0, 1], NaN],
      [[Infinity, 0, 1], 1],
      [[-Infinity, 0, 1], 0],
      [[5, -Infinity, Infinity], 5],
    ],
    exact: [
      exact('int32', () => clip(int([-5, 0, 5]), -2, 2), 'int32', [-2, 0, 2]),
      exact('int32, high only', () => clip(int([-2147483648, 0, 5]), undefined, 2), 'int32', [-2147483648, 0, 2]),
      exact('int32, low only', () => clip(int([-5, 0, 2147483647]), -2), 'int32', [-2, 0, 2147483647]),
    ],
  },
  where: {
    samples: [
      {
        name: 'a list of truths',
        inputs: [spread([3], -3, 3), spread([3], -3, 3, 1)],
        run: (a, b) => where([true, false, true], a, b),
        want: (a, b) => values([3], [a.data[0]!, b.data[1]!, a.data[2]!]),
      },
      {
        name: 'by comparison, broadcasting',
        inputs: [spread([4, 1], -3, 3), spread([3], -3, 3, 1)],
        run: (a, b) => where(greater(a, 0), a, b),
        want: mapped((a, b) => (a > 0 ? a : b)),
      },
      {
        name: '[1027] and numbers',
        inputs: [spread([1027], -3, 3)],
        run: (x) => where(less(x, 0), x, 7),
        want: mapped((x) => (x < 0 ? x : 7)),
        forwardOnly: true,
      },
      {
        name: 'infinity not chosen',
        inputs: [spread([4], 0.5, 2)],
        run: (x) => where(greater(x, 0), x, Infinity),
        want: mapped((x) => x),
      },
    ],
    exact: [
      exact('int32', () => where(bool(true, false), int([1, 2]), 7), 'int32', [1, 7]),
      exact('bool', () => where(bool(true, false), bool(false, true), bool(true, false)), 'bool', [0, 0]),
      exact('an int32 condition', () => where(int([0, 2]), 1, 2), 'float32', [2, 1]),
    ],
  },
} satisfies Record<string, OpInfo>;

export const transcendentalInfo = {
  exp: unaryInfo(exp, Math.exp, {
    ulps: 2,
    edges: [
      [[89], Math.exp],
      [[-100], Math.exp],
      [[-104], Math.exp],
      [[710], Math.exp],
      [[-746], Math.exp],
    ],
    exact: [exact('int32', () => exp(int([0])), 'float32', [1]), exact('bool', () => exp(bool(false)), 'float32', [1])],
  }),
  expm1: unaryInfo(expm1, Math.expm1, {
    ulps: 2,
    edges: [
      [[1e-7], Math.expm1],
      [[-1e-7], Math.expm1],
      [[89], Math.expm1],
      [[-50], Math.expm1],
    ],
  }),
  log: unaryInfo(log, Math.log, {
    domain: [0.1, 4],
    ulps: 2,
    edges: [
      [[0.99999994], Math.log],
      [[1.0000001], Math.log],
    ],
  }),
  log1p: unaryInfo(log1p, Math.log1p, {
    domain: [-0.8, 3],
    ulps: 2,
    edges: [
      [[-1], -Infinity],
      [[-2], NaN],
      [[1e-7], Math.log1p],
      [[-0.9999999], Math.log1p],
    ],
  }),
  sin: unaryInfo(sin, Math.sin, {
    ulps: 2,
    edges: [
      [[100], Math.sin],
      [[3.1415927], Math.sin],
      [[1e5], Math.sin],
    ],
  }),
  cos: unaryInfo(cos, Math.cos, {
    ulps: 2,
    edges: [
      [[100], Math.cos],
      [[1.5707964], Math.cos],
      [[1e5], Math.cos],
    ],
  }),
  sinh: unaryInfo(sinh, Math.sinh, {
    ulps: 4,
    edges: [
      [[1e-5], Math.sinh],
      [[-0.1], Math.sinh],
      [[89.2], Math.sinh],
      [[-100], Math.sinh],
    ],
  }),
  cosh: unaryInfo(cosh, Math.cosh, {
    ulps: 4,
    edges: [
      [[89.2], Math.cosh],
      [[-100], Math.cosh],
    ],
  }),
  tanh: unaryInfo(tanh, Math.tanh, {
    ulps: 2,
    edges: [
      [[20], 1],
      [[-20], -1],
      [[1e-5], Math.tanh],
    ],
  }),
  erf: unaryInfo(erf, erfOracle, {
    ulps: 2,
    ulps64: 40,
    edges: [
      [[6], 1],
      [[-6], -1],
      [[0.84375], erfOracle],
      [[1.25], erfOracle],
      [[2.9], erfOracle],
    ],
  }),
} satisfies Record<string, OpInfo>;

export const activationInfo = {
  relu: unaryInfo(relu, (x) => Math.max(x, 0), {
    special: [NaN, Infinity, -Infinity, 1e-40, 3e38],
    exact: [exact('int32', () => relu(int([3, -5])), 'int32', [3, 0])],
  }),
  step: unaryInfo(step, (x) => (x > 0 ? 1 : x <= 0 ? 0 : NaN), { differentiable: false }),
  sigmoid: unaryInfo(sigmoid, sigmoidOf, {
    ulps: 3,
    edges: [
      [[-Infinity], 0],
      [[Infinity], 1],
      [[-87], sigmoidOf],
      [[-100], sigmoidOf],
    ],
  }),
  silu: unaryInfo(silu, (x) => (x === -Infinity ? 0 : x * sigmoidOf(x)), {
    ulps: 4,
    edges: [
      [[-20], (x) => x * sigmoidOf(x)],
      [[100], 100],
    ],
    special: FEW,
  }),
  // The tail of erfc magnifies the rounding of its argument z by 2 z^2.
  gelu: unaryInfo(gelu, (x) => (x === -Infinity ? 0 : 0.5 * x * erfc(-x / Math.SQRT2)), {
    ulps: 30,
    ulps64: 4000,
    edges: [
      [[-5], (x) => 0.5 * x * erfc(-x / Math.SQRT2)],
      [[10], 10],
    ],
    special: FEW,
  }),
  softplus: unaryInfo(softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), { ulps: 3 }),
} satisfies Record<string, OpInfo>;

export const comparisonInfo = {
  equal: comparison(equal, (a, b) => a === b),
  notEqual: comparison(notEqual, (a, b) => a !== b),
  less: comparison(less, (a, b) => a < b),
  lessEqual: comparison(lessEqual, (a, b) => a <= b),
  greater: comparison(greater, (a, b) => a > b),
  greaterEqual: comparison(greaterEqual, (a, b) => a >= b),
  isNaN: unaryInfo(isNaN, (x) => Number(Number.isNaN(x)), {
    result: 'bool',
    differentiable: false,
    exact: [exact('int32', () => isNaN(int([0])), 'bool', [0])],
  }),
  isFinite: unaryInfo(isFinite, (x) => Number(Number.isFinite(x)), {
    result: 'bool',
    differentiable: false,
    exact: [exact('int32', () => isFinite(int([7])), 'bool', [1])],
  }),
  logicalAnd: logic(logicalAnd, (a, b) => a && b),
  logicalOr: logic(logicalOr, (a, b) => a || b),
  logicalNot: {
    samples: [
      {
        name: 'of a comparison',
        inputs: [spread([9], -3, 3)],
        run: (x) => logicalNot(greater(x, 0)),
        want: mapped((x) => Number(!(x > 0))),
      },
    ],
    result: 'bool',
    differentiable: false,
    exact: [exact('int32', () => logicalNot(int([0, 3])), 'bool', [1, 0])],
    errors: [
      {
        run: () => logicalNot(tensor([1.5])),
        error: DTypeError,
        message: '[logicalNot] operand 0 is float32; it must be bool or int32 (compare it: x.notEqual(0))',
      },
    ],
  },
} satisfies Record<string, OpInfo>;

function logic(run: typeof logicalAnd, f: (a: boolean, b: boolean) => boolean): OpInfo {
  const positive = mapped((a, b) => Number(f(a > 0, b > 0)));
  return {
    samples: [
      {
        name: 'broadcasting',
        inputs: [spread([3, 1], -3, 3), spread([5], -3, 3, 1)],
        run: (a, b) => run(greater(a, 0), greater(b, 0)),
        want: positive,
      },
      {
        name: '[1027]',
        inputs: [spread([1027], -3, 3), spread([1027], -3, 3, 1)],
        run: (a, b) => run(greater(a, 0), greater(b, 0)),
        want: positive,
      },
    ],
    result: 'bool',
    differentiable: false,
    exact: [
      exact(
        'bool',
        () => run(bool(true, true, false, false), bool(true, false, true, false)),
        'bool',
        [f(true, true), f(true, false), f(false, true), f(false, false)].map(Number),
      ),
      exact('int32', () => run(int([2, 0]), bool(true, true)), 'bool', [f(true, true), f(false, true)].map(Number)),
    ],
    errors: [
      {
        run: () => run(bool(true), tensor([0.5])),
        error: DTypeError,
        message: 'operand 1 is float32; it must be bool or int32',
      },
    ],
  };
}
