import { random, tensor, type Tensor, zeros } from 'tapegrad';
import { floats, type Place } from './arguments.junk.js';

export const x: Place = [floats, 'tensor'];
export const data: Place = [floats, 'data'];
export const options: Place = [{}, 'options'];
export const axis: Place = [0, 'axis'];
const axes: Place = [0, 'axes'];
export const rng: Place = [random(1), 'random'];
const image = zeros([1, 4, 4, 2]);
export const truth = tensor([[true], [false]]);
export const square = (t: Tensor): Tensor => t.square().sum();

/** The functions of src/ops and src/tensor. Where there is a method of the name, its row follows: the first place is `this`. */
export const functions: Readonly<Record<string, readonly Place[]>> = {
  ...Object.fromEntries(
    [
      'abs',
      'cos',
      'erf',
      'exp',
      'expm1',
      'ceil',
      'round',
      'floor',
      'gelu',
      'isFinite',
      'isNaN',
      'log',
      'log1p',
      'neg',
      'reciprocal',
      'relu',
      'rsqrt',
    ]
      .concat(['sigmoid', 'sinh', 'cosh', 'sign', 'silu', 'sin', 'softplus', 'sqrt', 'square', 'step', 'tanh'])
      .concat(['tan', 'asin', 'acos', 'atan', 'hardSwish'])
      .map((name) => [name, [data]]),
  ),
  ...Object.fromEntries(
    [
      'add',
      'sub',
      'mul',
      'div',
      'pow',
      'mod',
      'maximum',
      'minimum',
      'equal',
      'notEqual',
      'less',
      'lessEqual',
      'greater',
      'greaterEqual',
    ].map((name) => [name, [data, data]]),
  ),
  leakyRelu: [data, [0.1, 'data', 'undefined']],
  elu: [data, [1, 'data', 'undefined']],
  logicalNot: [[truth, 'data']],
  logicalAnd: [
    [truth, 'data'],
    [truth, 'data'],
  ],
  logicalOr: [
    [truth, 'data'],
    [truth, 'data'],
  ],
  where: [[truth, 'data'], data, data],
  clip: [data, [-1, 'data', 'undefined'], [1, 'data', 'undefined']],
  ...Object.fromEntries(
    ['sum', 'mean', 'max', 'min', 'prod', 'logSumExp', 'variance', 'std', 'norm', 'any', 'all'].map((name) => [
      name,
      [x, axes, options],
    ]),
  ),
  argmax: [x, axis, options],
  argmin: [x, axis, options],
  cumsum: [x, axis, options],
  cumprod: [x, axis, options],
  logCumSumExp: [x, axis, options],
  sort: [x, axis, options],
  argsort: [x, axis, options],
  topk: [x, [2, 'size'], axis, options],
  repeat: [x, [2, 'size', 'no'], axis],
  tile: [x, [2, 'size', 'list']],
  roll: [x, [1, 'size', 'negative', 'huge'], axes],
  tril: [x, [0, 'size', 'negative', 'huge', 'undefined']],
  triu: [x, [0, 'size', 'negative', 'huge', 'undefined']],
  einsum: [['ij', 'order'], x],
  rfft: [x, axis, options],
  irfft: [[zeros([3, 2]), 'tensor'], axis, options],
  softmax: [x, axis],
  glu: [
    [zeros([2, 4]), 'tensor'],
    [0, 'axis'],
  ],
  logSoftmax: [x, axis],
  reshape: [x, [[3, 2], 'shape']],
  broadcastTo: [x, [[2, 2, 3], 'shape']],
  flatten: [x, [0, 'axis'], [1, 'axis']],
  squeeze: [
    [zeros([1, 2]), 'tensor'],
    [0, 'axes'],
  ],
  expandDims: [x, [0, 'order', 'negative']],
  transpose: [x, axis, [1, 'axis']],
  permute: [x, [[1, 0], 'order', 'negatives']],
  slice: [x, [[0, 1], 'range'], [1, 'range']],
  split: [x, [1, 'size'], axis],
  pad: [
    x,
    [
      [
        [1, 1],
        [0, 0],
      ],
      'order',
      'nested',
    ],
    options,
  ],
  flip: [x, axes],
  clone: [x],
  concat: [[[floats, floats], 'tensors'], axis],
  stack: [[[floats, floats], 'tensors'], axis],
  take: [x, [[0, 1], 'indices'], axis],
  gather: [x, [[[0, 1, 2]], 'indices'], [0, 'order', 'negative']],
  scatterAdd: [x, [[[0, 1, 0]], 'indices'], [zeros([1, 3]), 'tensor'], [0, 'order', 'negative']],
  oneHot: [[tensor([0, 1], { dtype: 'int32' }), 'indices', 'nested'], [3, 'size'], options],
  embedding: [x, [[0, 1], 'indices']],
  matmul: [x, [zeros([3, 2]), 'tensor']],
  linear: [x, [zeros([5, 3]), 'tensor']],
  conv1d: [[zeros([1, 5, 2]), 'tensor'], [zeros([3, 3, 2]), 'tensor'], options],
  conv2d: [[image, 'tensor'], [zeros([3, 3, 3, 2]), 'tensor'], options],
  convTranspose1d: [[zeros([1, 5, 2]), 'tensor'], [zeros([3, 3, 2]), 'tensor'], options],
  convTranspose2d: [[image, 'tensor'], [zeros([3, 3, 3, 2]), 'tensor'], options],
  interpolate: [x, [{ scale: 2 }, 'order']],
  maxPool1d: [[zeros([1, 5, 2]), 'tensor'], [2, 'size'], options],
  avgPool1d: [[zeros([1, 5, 2]), 'tensor'], [2, 'size'], options],
  adaptiveAvgPool1d: [
    [zeros([1, 5, 2]), 'tensor'],
    [2, 'size'],
  ],
  adaptiveAvgPool2d: [
    [image, 'tensor'],
    [2, 'size'],
  ],
  globalAvgPool: [[image, 'tensor'], options],
  globalMaxPool: [[image, 'tensor'], options],
  maxPool2d: [[image, 'tensor'], [2, 'size'], options],
  avgPool2d: [[image, 'tensor'], [2, 'size'], options],
  unfold: [[image, 'tensor'], [2, 'size'], options],
  layerNorm: [x, options],
  rmsNorm: [x, options],
  rotaryPositions: [[zeros([3, 4]), 'tensor'], options],
  attention: [x, x, x, options],
  groupNorm: [x, [3, 'size'], options],
  dropout: [x, [0.5, 'size', 'fraction'], rng],
  cast: [x, ['float64', 'dtype']],
};
