// Every op, in families. Importing this registers them and attaches the methods.
export { attention, type AttentionOptions } from './attention.js';
export { broadcastTo, type ReduceOptions, sum } from './broadcast.js';
export { cast } from './cast.js';
export * from './conv/index.js';
export { dropout } from './dropout.js';
export {
  abs,
  add,
  ceil,
  clip,
  cos,
  cosh,
  div,
  elu,
  equal,
  erf,
  exp,
  expm1,
  floor,
  gelu,
  greater,
  greaterEqual,
  hardSwish,
  isFinite,
  isNaN,
  leakyRelu,
  less,
  lessEqual,
  log,
  log1p,
  logicalAnd,
  logicalNot,
  logicalOr,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  notEqual,
  pow,
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  sinh,
  tan,
  asin,
  acos,
  atan,
  softplus,
  sqrt,
  square,
  step,
  sub,
  tanh,
  where,
} from './elementwise.js';
export { einsum } from './einsum.js';
export { type FftOptions, irfft, rfft } from './fft.js';
export { embedding, gather, oneHot, scatterAdd, take } from './gather.js';
export { glu } from './glu.js';
export { interpolate, type InterpolateOptions } from './interpolate.js';
export {
  bceWithLogits,
  type BceOptions,
  crossEntropy,
  type CrossEntropyOptions,
  huber,
  type HuberOptions,
  klDiv,
  type KlDivOptions,
  type LossOptions,
  mse,
  type Reduction,
} from './losses/index.js';
export { linear, matmul } from './matmul.js';
export {
  clone,
  concat,
  expandDims,
  flatten,
  flip,
  pad,
  permute,
  repeat,
  reshape,
  roll,
  slice,
  type SliceRange,
  split,
  squeeze,
  stack,
  tile,
  transpose,
} from './movement/index.js';
export { mean, norm, type NormOptions, std, variance, type VarianceOptions } from './moments.js';
export { groupNorm, layerNorm, rmsNorm } from './norm.js';
export { rotaryPositions, type RotaryOptions } from './positions.js';
export { all, any, argmax, argmin, logSumExp, max, min, prod } from './reduce.js';
export { cumprod, cumsum, logCumSumExp, type ScanOptions } from './scan.js';
export { logSoftmax, softmax } from './softmax.js';
export { argsort, sort, type SortOptions, topk, type Topk, type TopkOptions } from './sort.js';
export { tril, triu } from './triangle.js';
export type { CategoricalOptions, ChoiceOptions } from './sampling.js';
import './methods.js';
import './sampling.js';
