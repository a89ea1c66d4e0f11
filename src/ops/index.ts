// Every op, in families. Importing this registers them and attaches the methods.
export { attention, type AttentionOptions } from './attention.js';
export { broadcastTo, type ReduceOptions, sum } from './broadcast.js';
export { cast } from './cast.js';
export * from './conv/index.js';
export { dropout } from './dropout.js';
export {
  abs,
  add,
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
  mul,
  neg,
  notEqual,
  pow,
  reciprocal,
  relu,
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
  reshape,
  slice,
  type SliceRange,
  split,
  squeeze,
  stack,
  transpose,
} from './movement/index.js';
export { mean, norm, type NormOptions, variance, type VarianceOptions } from './moments.js';
export { groupNorm, layerNorm, rmsNorm } from './norm.js';
export { rotaryPositions, type RotaryOptions } from './positions.js';
export { argmax, argmin, cumsum, logSumExp, max, min, prod } from './reduce.js';
export { logSoftmax, softmax } from './softmax.js';
import './methods.js';
