import { checkArray } from '../tensor/arguments.js';
import type { Backend } from '../backends/backend.js';
import type { TensorLike } from '../tensor/create.js';
import type { DType } from '../tensor/dtype.js';
import type { Random } from '../tensor/random.js';
import type { Shape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import * as broadcast from './broadcast.js';
import { cast } from './cast.js';
import * as conv from './conv/index.js';
import { dropout } from './dropout.js';
import * as elementwise from './elementwise.js';
import { type FftOptions, irfft, rfft } from './fft.js';
import { embedding, gather, oneHot, scatterAdd, take } from './gather.js';
import { glu } from './glu.js';
import { interpolate, type InterpolateOptions } from './interpolate.js';
import { matmul } from './matmul.js';
import * as moments from './moments.js';
import * as movement from './movement/index.js';
import { groupNorm, layerNorm, rmsNorm } from './norm.js';
import * as reduce from './reduce.js';
import * as scan from './scan.js';
import { logSoftmax, softmax } from './softmax.js';
import * as sorting from './sort.js';
import { toDevice } from './to-device.js';
import { tril, triu } from './triangle.js';

type Axes = broadcast.Axes;

/** The ops as methods: `x.add(y)` is `add(x, y)`. */
declare module '../tensor/tensor.js' {
  interface Tensor {
    add(other: TensorLike): Tensor;
    sub(other: TensorLike): Tensor;
    mul(other: TensorLike): Tensor;
    div(other: TensorLike): Tensor;
    pow(exponent: TensorLike): Tensor;
    mod(other: TensorLike): Tensor;
    maximum(other: TensorLike): Tensor;
    minimum(other: TensorLike): Tensor;
    neg(): Tensor;
    abs(): Tensor;
    sign(): Tensor;
    floor(): Tensor;
    ceil(): Tensor;
    round(): Tensor;
    square(): Tensor;
    sqrt(): Tensor;
    rsqrt(): Tensor;
    reciprocal(): Tensor;
    exp(): Tensor;
    expm1(): Tensor;
    log(): Tensor;
    log1p(): Tensor;
    sin(): Tensor;
    cos(): Tensor;
    tan(): Tensor;
    asin(): Tensor;
    acos(): Tensor;
    atan(): Tensor;
    sinh(): Tensor;
    cosh(): Tensor;
    tanh(): Tensor;
    erf(): Tensor;
    relu(): Tensor;
    sigmoid(): Tensor;
    silu(): Tensor;
    gelu(): Tensor;
    softplus(): Tensor;
    leakyRelu(slope?: TensorLike): Tensor;
    elu(alpha?: TensorLike): Tensor;
    hardSwish(): Tensor;
    glu(axis?: number): Tensor;
    interpolate(options: InterpolateOptions): Tensor;
    clip(low?: TensorLike, high?: TensorLike): Tensor;
    equal(other: TensorLike): Tensor;
    notEqual(other: TensorLike): Tensor;
    less(other: TensorLike): Tensor;
    lessEqual(other: TensorLike): Tensor;
    greater(other: TensorLike): Tensor;
    greaterEqual(other: TensorLike): Tensor;
    logicalAnd(other: TensorLike): Tensor;
    logicalOr(other: TensorLike): Tensor;
    logicalNot(): Tensor;
    isNaN(): Tensor;
    isFinite(): Tensor;
    /** `where(condition, this, other)` */
    where(condition: TensorLike, other: TensorLike): Tensor;
    sum(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    mean(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    max(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    min(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    prod(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    variance(axes?: Axes, options?: moments.VarianceOptions): Tensor;
    std(axes?: Axes, options?: moments.VarianceOptions): Tensor;
    norm(axes?: Axes, options?: moments.NormOptions): Tensor;
    any(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    all(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    logSumExp(axes?: Axes, options?: broadcast.ReduceOptions): Tensor;
    argmax(axis?: number, options?: broadcast.ReduceOptions): Tensor;
    argmin(axis?: number, options?: broadcast.ReduceOptions): Tensor;
    cumsum(axis?: number, options?: scan.ScanOptions): Tensor;
    cumprod(axis?: number, options?: scan.ScanOptions): Tensor;
    logCumSumExp(axis?: number, options?: scan.ScanOptions): Tensor;
    sort(axis?: number, options?: sorting.SortOptions): Tensor;
    argsort(axis?: number, options?: sorting.SortOptions): Tensor;
    topk(k: number, axis?: number, options?: sorting.TopkOptions): sorting.Topk;
    rfft(axis?: number, options?: FftOptions): Tensor;
    irfft(axis?: number, options?: FftOptions): Tensor;
    softmax(axis?: number): Tensor;
    logSoftmax(axis?: number): Tensor;
    reshape(shape: Shape): Tensor;
    flatten(start?: number, end?: number): Tensor;
    squeeze(axes?: Axes, ...more: never[]): Tensor;
    expandDims(axis: number): Tensor;
    transpose(a?: number, b?: number, ...more: never[]): Tensor;
    permute(order: readonly number[]): Tensor;
    broadcastTo(shape: Shape): Tensor;
    slice(...ranges: readonly movement.SliceRange[]): Tensor;
    split(parts: number | readonly number[], axis?: number): Tensor[];
    pad(widths: readonly (readonly [before: number, after: number])[], options?: { value?: number | boolean }): Tensor;
    flip(axes?: Axes, ...more: never[]): Tensor;
    repeat(repeats: number | readonly number[], axis?: number): Tensor;
    tile(repeats: number | readonly number[]): Tensor;
    roll(shift: number | readonly number[], axes?: Axes): Tensor;
    tril(diagonal?: number): Tensor;
    triu(diagonal?: number): Tensor;
    /** `concat([this, ...others], axis)` */
    concat(others: readonly Tensor[], axis?: number): Tensor;
    /** `stack([this, ...others], axis)` */
    stack(others: readonly Tensor[], axis?: number): Tensor;
    take(indices: TensorLike, axis?: number): Tensor;
    gather(indices: TensorLike, axis: number): Tensor;
    scatterAdd(indices: TensorLike, updates: Tensor, axis: number): Tensor;
    oneHot(depth: number, options?: { dtype?: DType }): Tensor;
    /** `embedding(this, ids)`: rows of this table. */
    embedding(ids: TensorLike): Tensor;
    matmul(other: Tensor): Tensor;
    conv1d(weight: Tensor, options?: conv.Conv1dOptions): Tensor;
    conv2d(weight: Tensor, options?: conv.Conv2dOptions): Tensor;
    convTranspose1d(weight: Tensor, options?: conv.ConvTranspose1dOptions): Tensor;
    convTranspose2d(weight: Tensor, options?: conv.ConvTranspose2dOptions): Tensor;
    maxPool1d(kernel: number, options?: conv.Window1dOptions): Tensor;
    avgPool1d(kernel: number, options?: conv.Window1dOptions): Tensor;
    adaptiveAvgPool1d(size: number): Tensor;
    adaptiveAvgPool2d(size: conv.Pair): Tensor;
    globalAvgPool(options?: conv.GlobalPoolOptions): Tensor;
    globalMaxPool(options?: conv.GlobalPoolOptions): Tensor;
    maxPool2d(kernel: conv.Pair, options?: conv.WindowOptions): Tensor;
    avgPool2d(kernel: conv.Pair, options?: conv.WindowOptions): Tensor;
    unfold(kernel: conv.Pair, options?: conv.WindowOptions): Tensor;
    layerNorm(options?: { weight?: Tensor; bias?: Tensor; eps?: number }): Tensor;
    rmsNorm(options?: { weight?: Tensor; eps?: number }): Tensor;
    groupNorm(groups: number, options?: { weight?: Tensor; bias?: Tensor; eps?: number }): Tensor;
    dropout(rate: number, random: Random): Tensor;
    cast(dtype: DType): Tensor;
    clone(): Tensor;
    /** The tensor on another device, as `await device(name)` gave it; differentiable. */
    to(device: Backend): Tensor;
  }
}

/** Functions whose first argument becomes `this`. */
const methods = {
  ...pick(elementwise, [
    'add',
    'sub',
    'mul',
    'div',
    'pow',
    'mod',
    'maximum',
    'minimum',
    'neg',
    'abs',
    'sign',
    'floor',
    'ceil',
    'round',
    'square',
    'sqrt',
    'rsqrt',
    'reciprocal',
    'exp',
    'expm1',
    'log',
    'log1p',
    'sin',
    'cos',
    'tan',
    'asin',
    'acos',
    'atan',
    'sinh',
    'cosh',
    'tanh',
    'erf',
    'relu',
    'sigmoid',
    'silu',
    'gelu',
    'softplus',
    'leakyRelu',
    'elu',
    'hardSwish',
    'clip',
    'equal',
    'notEqual',
    'less',
    'lessEqual',
    'greater',
    'greaterEqual',
    'logicalAnd',
    'logicalOr',
    'logicalNot',
    'isNaN',
    'isFinite',
  ]),
  ...pick(reduce, ['max', 'min', 'prod', 'logSumExp', 'any', 'all', 'argmax', 'argmin']),
  ...pick(scan, ['cumsum', 'cumprod', 'logCumSumExp']),
  ...pick(sorting, ['sort', 'argsort', 'topk']),
  ...pick(moments, ['mean', 'variance', 'std', 'norm']),
  ...pick(broadcast, ['sum', 'broadcastTo']),
  ...pick(movement, [
    'reshape',
    'flatten',
    'squeeze',
    'expandDims',
    'transpose',
    'permute',
    'slice',
    'split',
    'pad',
    'flip',
    'repeat',
    'tile',
    'roll',
    'clone',
  ]),
  ...pick(conv, [
    'conv1d',
    'conv2d',
    'convTranspose1d',
    'convTranspose2d',
    'maxPool1d',
    'maxPool2d',
    'avgPool1d',
    'avgPool2d',
    'adaptiveAvgPool1d',
    'adaptiveAvgPool2d',
    'globalAvgPool',
    'globalMaxPool',
    'unfold',
  ]),
  tril,
  triu,
  rfft,
  irfft,
  softmax,
  logSoftmax,
  glu,
  interpolate,
  layerNorm,
  rmsNorm,
  groupNorm,
  dropout,
  take,
  gather,
  scatterAdd,
  oneHot,
  embedding,
  matmul,
  cast,
  to: toDevice,
  concat: (self: Tensor, others: readonly Tensor[], axis?: number) =>
    movement.concat([self, ...listOf('concat', others)], axis),
  stack: (self: Tensor, others: readonly Tensor[], axis?: number) =>
    movement.stack([self, ...listOf('stack', others)], axis),
  where: (self: Tensor, condition: TensorLike, other: TensorLike) => elementwise.where(condition, self, other),
};

function listOf(op: string, others: readonly Tensor[]): readonly Tensor[] {
  checkArray(op, 'what is joined', others);
  return others;
}

function pick<T, K extends keyof T>(source: T, names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(names.map((name) => [name, source[name]])) as Pick<T, K>;
}

for (const [name, fn] of Object.entries(methods) as [string, (self: Tensor, ...rest: unknown[]) => unknown][]) {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...rest: unknown[]) {
      return fn(this, ...rest);
    },
  });
}
