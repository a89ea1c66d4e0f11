import {
  abs,
  add,
  ceil,
  clip,
  div,
  floor,
  greater,
  less,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  pow,
  reciprocal,
  round,
  rsqrt,
  ShapeError,
  sign,
  sqrt,
  square,
  sub,
  tensor,
  ValueError,
  where,
} from 'tapegrad';
import { mapped, spread, values } from '../reference.js';
import { binaryInfo, bool, exactList, int, type OpInfo, unaryInfo } from './info.js';

/** IEEE 754's power, which ECMAScript changed for a base of 1 or -1. */
const power = (a: number, b: number): number =>
  a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b);
/** The nearest whole number, of two the even one. */
function nearest(x: number): number {
  if (x < 0) return -nearest(-x);
  const below = Math.floor(x);
  const part = x - below;
  if (!Number.isFinite(x) || part === 0) return x;
  return part < 0.5 || (part === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** What is left of a after whole multiples of b, with the sign of b. */
function modulo(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

const NAN_PAIRS = [
  [[NaN, 1], NaN],
  [[1, NaN], NaN],
  [[NaN, NaN], NaN],
] as const;

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
      exactList('int32', () => add(int([1, -5]), int([2, 3])), 'int32', [3, -2]),
      exactList('int32 wraps around', () => add(int([2147483647]), 1), 'int32', [-2147483648]),
      exactList('int32 and a fraction', () => add(int([1, 2]), 0.5), 'float32', [1.5, 2.5]),
      exactList('bool counts', () => add(bool(true, true), bool(true, false)), 'int32', [2, 1]),
      exactList('bool and a whole number', () => add(bool(true, false), 2), 'int32', [3, 2]),
      exactList('int32 and float64', () => add(int([1]), tensor(new Float64Array([0.1]))), 'float64', [1.1]),
      exactList('a number on the left', () => add(2, int([1])), 'int32', [3]),
      exactList('a list is weak', () => add(tensor(new Float64Array([1, 2])), [0.1, 0.2]), 'float64', [1.1, 2.2]),
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
      exactList('int32', () => sub(int([1, -5]), int([2, 3])), 'int32', [-1, -8]),
      exactList('bool', () => sub(bool(false), bool(true)), 'int32', [-1]),
      exactList('number first', () => sub(1, int([3])), 'int32', [-2]),
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
      exactList('int32', () => mul(int([3, -5]), int([2, 3])), 'int32', [6, -15]),
      exactList('int32 wraps around exactly', () => mul(int([2147483647]), int([2147483647])), 'int32', [1]),
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
      exactList('int32 divides as float32', () => div(int([1, -7]), int([2, 2])), 'float32', [0.5, -3.5]),
      exactList('int32 by 0', () => div(int([1, 0]), 0), 'float32', [Infinity, NaN]),
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
      exactList('int32', () => pow(int([2, -3]), 3), 'int32', [8, -27]),
      exactList('int32 to a fraction', () => pow(int([4]), -0.5), 'float32', [0.5]),
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
    exact: [exactList('int32', () => maximum(int([3, -5]), int([2, 3])), 'int32', [3, 3])],
  }),
  minimum: binaryInfo(minimum, Math.min, {
    edges: [...NAN_PAIRS, [[Infinity, -Infinity], -Infinity], [[Infinity, 3e38], (_, b) => b]],
    exact: [exactList('int32', () => minimum(int([3, -5]), int([2, 3])), 'int32', [2, -5])],
  }),
  neg: unaryInfo(neg, (x) => -x, {
    exact: [
      exactList('int32', () => neg(int([3, -5])), 'int32', [-3, 5]),
      exactList('bool', () => neg(bool(true, false)), 'int32', [-1, 0]),
    ],
  }),
  abs: unaryInfo(abs, Math.abs, { exact: [exactList('int32', () => abs(int([3, -5])), 'int32', [3, 5])] }),
  sign: unaryInfo(sign, Math.sign, {
    differentiable: false,
    exact: [exactList('int32', () => sign(int([3, 0, -5])), 'int32', [1, 0, -1])],
  }),
  ceil: unaryInfo(ceil, Math.ceil, {
    differentiable: false,
    edges: [
      [[2.5], 3],
      [[-2.5], -2],
      [[-0.5], -0],
      [[1e10], (x) => x],
    ],
    exact: [
      exactList('int32', () => ceil(int([3, -5, -2147483648])), 'int32', [3, -5, -2147483648]),
      exactList('bool', () => ceil(bool(true, false)), 'int32', [1, 0]),
    ],
  }),
  round: unaryInfo(round, nearest, {
    differentiable: false,
    edges: [
      ...[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, -0.49999997, 0.49999999999999994, 8388607.5, 8388609].map(
        (x) => [[x], nearest] as const,
      ),
      [[4503599627370497], nearest],
      [[1e10], (x) => x],
    ],
    exact: [
      exactList('ties', () => round(tensor([0.5, 1.5, 2.5, 3.5, -0.5, -1.5])), 'float32', [0, 2, 2, 4, -0, -2]),
      exactList('int32', () => round(int([3, -5, 2147483647])), 'int32', [3, -5, 2147483647]),
      exactList('bool', () => round(bool(true, false)), 'int32', [1, 0]),
    ],
  }),
  mod: binaryInfo(mod, modulo, {
    domains: [
      [-3, 3],
      [0.7, 1.9],
    ],
    edges: [
      ...NAN_PAIRS,
      ...(
        [
          [5, 3],
          [-5, 3],
          [5, -3],
          [-5, -3],
          [-1e-10, 3],
          [1e10, 3],
          [-1e30, 7],
          [3e38, 1.1e-38],
          [16777215, 0.1],
          [6, 0.1],
          [-6, -0.1],
          [1, 0.3333333432674408],
          [3, 1e-40],
          [1e-40, 3e-41],
          [5, Infinity],
          [-5, Infinity],
          [5, -Infinity],
        ] as const
      ).map(([a, b]) => [[a, b], modulo] as const),
      [[5, 0], NaN],
      [[Infinity, 2], NaN],
      [[-Infinity, Infinity], NaN],
      [[0, 2], 0],
      [[4, 2], 0],
    ],
    exact: [
      exactList(
        'the sign is that of the divisor',
        () => mod(tensor([5, -5, 5, -5]), tensor([3, 3, -3, -3])),
        'float32',
        [2, 1, -1, -2],
      ),
      exactList('int32', () => mod(int([5, -5, 5, -5, 7]), int([3, 3, -3, -3, 0])), 'int32', [2, 1, -1, -2, 0]),
      exactList(
        'the ends of int32',
        () => mod(int([-2147483648, -2147483648, 2147483647]), int([-1, 2147483647, -2147483648])),
        'int32',
        [0, 2147483646, -1],
      ),
      exactList('int32 and a fraction', () => mod(int([5]), 1.5), 'float32', [0.5]),
      exactList('bool', () => mod(bool(true), bool(true)), 'int32', [0]),
    ],
  }),
  floor: unaryInfo(floor, Math.floor, {
    differentiable: false,
    edges: [
      [[2.5], 2],
      [[-2.5], -3],
      [[1e10], (x) => x],
    ],
    exact: [exactList('int32', () => floor(int([3, -5])), 'int32', [3, -5])],
  }),
  square: unaryInfo(square, (x) => x * x, {
    exact: [
      exactList('int32', () => square(int([3, -5])), 'int32', [9, 25]),
      exactList('int32 wraps around exactly', () => square(int([2147483647])), 'int32', [1]),
    ],
  }),
  sqrt: unaryInfo(sqrt, Math.sqrt, {
    domain: [0.1, 4],
    exact: [exactList('int32 becomes float32', () => sqrt(int([4, 9])), 'float32', [2, 3])],
  }),
  rsqrt: unaryInfo(rsqrt, (x) => 1 / Math.sqrt(x), { domain: [0.1, 4], ulps: 1.5 }),
  reciprocal: unaryInfo(reciprocal, (x) => 1 / x, {
    domain: [0.3, 3],
    exact: [exactList('int32', () => reciprocal(int([4])), 'float32', [0.25])],
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
      exactList('int32', () => clip(int([-5, 0, 5]), -2, 2), 'int32', [-2, 0, 2]),
      exactList('int32, high only', () => clip(int([-2147483648, 0, 5]), undefined, 2), 'int32', [-2147483648, 0, 2]),
      exactList('int32, low only', () => clip(int([-5, 0, 2147483647]), -2), 'int32', [-2, 0, 2147483647]),
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
      exactList('int32', () => where(bool(true, false), int([1, 2]), 7), 'int32', [1, 7]),
      exactList('bool', () => where(bool(true, false), bool(false, true), bool(true, false)), 'bool', [0, 0]),
      exactList('an int32 condition', () => where(int([0, 2]), 1, 2), 'float32', [2, 1]),
    ],
  },
} satisfies Record<string, OpInfo>;
