import {
  cos,
  cosh,
  elu,
  erf,
  exp,
  expm1,
  gelu,
  hardSwish,
  leakyRelu,
  log,
  log1p,
  relu,
  sigmoid,
  silu,
  sin,
  acos,
  asin,
  atan,
  sinh,
  tan,
  tensor,
  softplus,
  step,
  tanh,
} from 'tapegrad';
import { erf as erfOracle, erfc } from '../reference.js';
import { binaryInfo, bool, exactList, int, type OpInfo, unaryInfo } from './info.js';

const sigmoidOf = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const leakyReluOf = (x: number, slope: number): number => (x > 0 ? x : slope === 0 && x < 0 ? 0 : x * slope);
/** Far to the left gelu and silu are 0, of either sign. */
const FEW = [NaN, Infinity, -Infinity, 0, 1e-40, 3e38, 1, -1];

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
    exact: [
      exactList('int32', () => exp(int([0])), 'float32', [1]),
      exactList('bool', () => exp(bool(false)), 'float32', [1]),
    ],
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
  tan: unaryInfo(tan, Math.tan, {
    domain: [-1.2, 1.2],
    ulps: 4,
    edges: [
      [[1e-5], Math.tan],
      [[1.5], Math.tan],
      [[-100], Math.tan],
      [[0.78], Math.tan],
    ],
  }),
  atan: unaryInfo(atan, Math.atan, {
    ulps: 4,
    edges: [
      [[1e-5], Math.atan],
      [[-0.4375], Math.atan],
      [[0.6875], Math.atan],
      [[1.1875], Math.atan],
      [[-2.4375], Math.atan],
      [[1e10], Math.atan],
      [[1e30], Math.atan],
    ],
  }),
  asin: unaryInfo(asin, Math.asin, {
    domain: [-0.9, 0.9],
    ulps: 4,
    edges: [
      [[1e-5], Math.asin],
      [[-1], Math.asin],
      [[1], Math.asin],
      [[0.99999], Math.asin],
      [[-0.5], Math.asin],
    ],
  }),
  acos: unaryInfo(acos, Math.acos, {
    domain: [-0.9, 0.9],
    ulps: 4,
    edges: [
      [[1e-5], Math.acos],
      [[-1], Math.acos],
      [[1], Math.acos],
      [[0.99999], Math.acos],
      [[-0.99999], Math.acos],
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
    exact: [exactList('int32', () => relu(int([3, -5])), 'int32', [3, 0])],
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
  leakyRelu: binaryInfo(leakyRelu, leakyReluOf, {
    domains: [
      [-3, 3],
      [0.05, 1.5],
    ],
    edges: [
      [[NaN, 0.1], NaN],
      [[Infinity, 0.1], Infinity],
      [[-Infinity, 0.1], -Infinity],
      [[-Infinity, 0], 0],
      [[0, 0.1], 0],
      [[-0, 0.1], -0],
      [[3e38, 0], 3e38],
    ],
    exact: [
      exactList('int32', () => leakyRelu(int([3, -4]), 0.5), 'float32', [3, -2]),
      exactList('slope 0.01 by default', () => leakyRelu(tensor([-100, 100])), 'float32', [-1, 100]),
    ],
  }),
  elu: binaryInfo(elu, (x, alpha) => (x > 0 ? x : alpha * Math.expm1(x)), {
    domains: [
      [-3, 3],
      [0.5, 2],
    ],
    ulps: 3,
    edges: [
      [[NaN, 1], NaN],
      [[Infinity, 1], Infinity],
      [[-Infinity, 2], -2],
      [[-1e-7, 1], (x) => Math.expm1(x)],
      [[0, 1], 0],
      [[-0, 1], -0],
      [[3e38, 1], 3e38],
    ],
    exact: [exactList('alpha 1 by default', () => elu(tensor([-Infinity, 5])), 'float32', [-1, 5])],
  }),
  hardSwish: unaryInfo(hardSwish, (x) => (x <= -3 ? 0 : x >= 3 ? x : (x * (x + 3)) / 6), {
    domain: [-5, 5],
    ulps: 2,
    edges: [
      [[-3], 0],
      [[3], 3],
      [[-2.9999998], (x) => (x * (x + 3)) / 6],
    ],
    exact: [exactList('int32', () => hardSwish(int([0, -3, 6, 1])), 'float32', [0, 0, 6, 4 / 6])],
  }),
  softplus: unaryInfo(softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), { ulps: 3 }),
} satisfies Record<string, OpInfo>;
