import { checkOptions, checkTensor, checkWhole, describe } from '../tensor/arguments.js';
import { defineMultiOp, defineOp, type OpFunction } from '../autograd/op.js';
import { vjp as differentiate } from '../autograd/products.js';
import { isRecorded } from '../autograd/trace.js';
import type { Kernel } from '../backends/kernel.js';
import { ShapeError, ValueError } from '../errors.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { KEEP, sum } from './broadcast.js';
import { cast } from './cast.js';
import { add, addOver, div, mul, neg } from './elementwise.js';
import { mean } from './moments.js';
import { concat, permute, reshape, slice, transpose } from './movement/index.js';

/** Rows of [rows, width] brought to mean 0 and variance 1; 1 / deviation of each row comes out as well, for the backward pass. */
const layerNormKernel: Kernel = {
  name: 'layerNorm',
  family: 'norm',
  inputs: ['x'],
  outputs: ['out', 'rstd'],
  params: { rows: 'u32', width: 'u32', eps: 'f32' },
  layout: 'groups',
};

/** The layer norm's vjp, row by row: rstd * (g - mean(g) - y * mean(g * y)). */
const layerNormVjpKernel: Kernel = {
  name: 'layerNormVjp',
  family: 'norm',
  inputs: ['g', 'y', 'rstd'],
  outputs: ['out'],
  params: { rows: 'u32', width: 'u32' },
  layout: 'groups',
};

const rowsOf = (x: Tensor): { rows: number; width: number } => {
  const width = x.shape[x.rank - 1]!;
  return { rows: sizeOf(x.shape.slice(0, -1)), width };
};

const layerNormOp = defineMultiOp<{ eps: number }>({
  name: 'layerNorm',
  infer: ([x]) => [
    { shape: x!.shape, dtype: x!.dtype },
    { shape: [...x!.shape.slice(0, -1), 1], dtype: x!.dtype },
  ],
  run: (call, [x], { eps }) => {
    const view = rowsOf(x!);
    call.launch({
      kernel: layerNormKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { ...view, eps },
      grid: view.rows,
    });
  },
  vjp: (g, { inputs: [x], output, saved: [rstd] }) => [
    layerNormVjpOp([g, output, rstdOp([rstd!, output, x!], null)], null),
  ],
});

/** 1 / deviation, as it was saved, with its derivative by x: written with y, so that no square of x, which may overflow, is in it. */
const rstdOp = defineOp<null>({
  name: 'rstd',
  alias: true,
  infer: ([rstd]) => rstd!,
  vjp: (g, { inputs: [, y, x], output: rstd }) => [
    null,
    null,
    mul(mul(mul(mul(g, -1 / x!.shape[x!.rank - 1]!), rstd), rstd), y!),
  ],
});

const layerNormVjpOp: OpFunction<null> = defineOp({
  name: 'layerNormVjp',
  infer: ([g]) => ({ shape: g!.shape, dtype: g!.dtype }),
  run: (call, [g]) => {
    const view = rowsOf(g!);
    call.launch({
      kernel: layerNormVjpKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { ...view },
      grid: view.rows,
    });
  },
  // With c the cotangent of the result: the map is linear and symmetric in g, quadratic in y, and proportional to rstd.
  vjp: (c, { inputs: [g, y, rstd], output, needs }) => [
    needs[0] ? layerNormVjpOp([c, y!, rstd!], null) : null,
    needs[1] ? neg(mul(rstd!, add(mul(c, mean(mul(g!, y!), -1, KEEP)), mul(g!, mean(mul(c, y!), -1, KEEP))))) : null,
    needs[2] ? div(sum(mul(c, output), -1, KEEP), rstd!) : null,
  ],
});

interface Affine {
  readonly weight?: Tensor | undefined;
  readonly bias?: Tensor | undefined;
}

const checkEps = (op: string, eps: unknown): void => {
  if (!(Number.isFinite(eps) && (eps as number) >= 0))
    throw new ValueError(op, `eps is ${describe(eps)}; it must be finite and not negative`);
};

/** Checks what all norms have: x, eps, and a weight and a bias for the last axis. */
function checkNorm(op: string, x: Tensor, { weight, bias }: Affine, eps: unknown): void {
  if (weight !== undefined) checkTensor(op, 'weight', weight);
  if (bias !== undefined) checkTensor(op, 'bias', bias);
  if (x.rank === 0) throw new ShapeError(op, 'a scalar has no axis to normalise');
  checkEps(op, eps);
  const width = x.shape[x.rank - 1]!;
  for (const [name, t] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    if (t && !sameShape(t.shape, [width]))
      throw new ShapeError(op, `${name} is ${formatShape(t.shape)}; x of ${formatShape(x.shape)} wants [${width}]`);
  }
}

/** What was meant by a tensor in the place of a norm's options. */
const meantBy =
  (names: string) =>
  (given: unknown): string | null =>
    given instanceof Tensor ? `write { ${names} }` : null;

function scaleAndShift(normal: Tensor, { weight, bias }: Affine): Tensor {
  if (!weight) return bias ? add(normal, bias) : normal;
  const scaled = mul(normal, weight);
  return bias ? addOver(scaled, bias) : scaled;
}

/** Rows along the last axis with mean 0 and variance 1. */
const normalRows = (x: Tensor, eps: number): Tensor => layerNormOp([cast(x, toFloat(x.dtype))], { eps })[0]!;

// Scaled and shifted in the same pass, for float32 on the host. Elsewhere, and for second derivatives, it is the ops above.

const affineNormKernel: Kernel = {
  ...layerNormKernel,
  name: 'affineNorm',
  inputs: ['x', 'weight', 'bias'],
  outputs: ['out', 'y', 'rstd'],
};

const affineNormVjpKernel: Kernel = {
  ...layerNormVjpKernel,
  name: 'affineNormVjp',
  inputs: ['g', 'y', 'rstd', 'weight'],
  outputs: ['out', 'byWeight', 'byBias'],
};

const affineNormOp = defineMultiOp<{ eps: number }>({
  name: 'affineNorm',
  infer: ([x]) => [x!, x!, { shape: [...x!.shape.slice(0, -1), 1], dtype: x!.dtype }],
  run: (call, [x], { eps }) => {
    const { inputs, outputs } = call;
    const params = { ...rowsOf(x!), eps };
    call.launch({ kernel: affineNormKernel, inputs, outputs, params, grid: params.rows });
  },
  vjp: (g, { inputs, attrs: { eps }, saved: [y, rstd], needs }) => {
    if (isRecorded(g) || inputs.some(isRecorded)) {
      const plain = ([x, weight, bias]: Tensor[]): Tensor => scaleAndShift(normalRows(x!, eps), { weight, bias });
      return differentiate(plain, [...inputs], g)[1];
    }
    const found = affineNormVjpOp([g, y!, rstd!, inputs[1]!], null);
    return found.map((cotangent, i) => (needs[i] ? cotangent : null));
  },
});

/** Cotangents of x, weight and bias. */
const affineNormVjpOp = defineMultiOp<null>({
  name: 'affineNormVjp',
  infer: ([g, , , weight]) => [g!, weight!, weight!],
  run: (call, [g]) => {
    const { inputs, outputs } = call;
    const params = { ...rowsOf(g!) };
    call.launch({ kernel: affineNormVjpKernel, inputs, outputs, params, grid: params.rows });
  },
});

const isHostFloat32 = (t: Tensor | undefined): t is Tensor => t?.dtype === 'float32' && t.device.isHost;

/**
 * Each row along the last axis brought to mean 0 and variance 1: (x - mean) / sqrt(variance + eps), then scaled and shifted. Ba, Kiros
 * and Hinton, arXiv:1607.06450.
 * @param options.weight and bias: of shape [width], where width is x's last axis.
 * @throws {ShapeError} for a scalar, or a weight or bias of another shape. @throws {ValueError} for a negative eps.
 */
export function layerNorm(x: Tensor, options: { weight?: Tensor; bias?: Tensor; eps?: number } = {}): Tensor {
  checkTensor('layerNorm', 'x', x);
  checkOptions('layerNorm', options, ['weight', 'bias', 'eps'], meantBy('weight, bias'));
  const { eps = 1e-5 } = options;
  checkNorm('layerNorm', x, options, eps);
  const { weight, bias } = options;
  return isHostFloat32(x) && isHostFloat32(weight) && isHostFloat32(bias)
    ? affineNormOp([x, weight, bias], { eps })[0]!
    : scaleAndShift(normalRows(x, eps), options);
}

/**
 * Each row along the last axis divided by its root mean square: x / sqrt(mean(x^2) + eps), then scaled. Zhang and Sennrich, arXiv:1910.07467.
 * @param options.weight of shape [width], where width is x's last axis. @param options.eps 1e-6 by default.
 * @throws {ShapeError} for a scalar, or a weight of another shape. @throws {ValueError} for a negative eps.
 */
export function rmsNorm(x: Tensor, options: { weight?: Tensor; eps?: number } = {}): Tensor {
  checkTensor('rmsNorm', 'x', x);
  checkOptions('rmsNorm', options, ['weight', 'eps'], meantBy('weight'));
  const { eps = 1e-6, weight } = options;
  checkNorm('rmsNorm', x, { weight }, eps);
  // A row beside its negative has mean 0, and as variance its own mean square: the kernel of layerNorm, whose sums are float64, will do.
  const width = x.shape[x.rank - 1]!;
  const both = normalRows(concat([x, neg(x)], -1), eps);
  return scaleAndShift(slice(both, ...new Array<[]>(x.rank - 1).fill([]), [0, width]), { weight });
}

/**
 * The channels of every element of a batch in groups, each group brought to mean 0 and variance 1 over all its channels and places, then scaled and
 * shifted channel by channel: x is [N, ..., C]. Wu and He, arXiv:1803.08494.
 * @param groups how many; C must be a multiple of it. 1 is a layer norm over places and channels, C an instance norm.
 * @param options.weight and bias: of shape [C].
 * @throws {ShapeError} for fewer than two axes, channels that cannot be divided so, or a weight or bias of another shape.
 */
export function groupNorm(
  x: Tensor,
  groups: number,
  options: { weight?: Tensor; bias?: Tensor; eps?: number } = {},
): Tensor {
  checkTensor('groupNorm', 'x', x);
  checkWhole('groupNorm', 'groups', groups, 1);
  checkOptions('groupNorm', options, ['weight', 'bias', 'eps'], meantBy('weight, bias'));
  const { eps = 1e-5 } = options;
  checkNorm('groupNorm', x, options, eps);
  if (x.rank < 2) throw new ShapeError('groupNorm', `x is ${formatShape(x.shape)}; it must be [N, ..., C]`);
  const [batch, channels] = [x.shape[0]!, x.shape[x.rank - 1]!];
  if (channels % groups !== 0)
    throw new ShapeError('groupNorm', `${channels} channels do not fall into ${groups} groups of one size`);
  const places = sizeOf(x.shape.slice(1, -1));
  const each = channels / groups;
  const grouped = permute(reshape(x, [batch, places, groups, each]), [0, 2, 1, 3]);
  const normal = normalRows(reshape(grouped, [batch, groups, places * each]), eps);
  const back = permute(reshape(normal, [batch, groups, places, each]), [0, 2, 1, 3]);
  return scaleAndShift(reshape(back, x.shape), options);
}

/** @internal Each column of [rows, channels] brought to mean 0 and variance 1: what a batch norm does in training. */
export const normalColumns = (x: Tensor, eps: number): Tensor => transpose(normalRows(transpose(x, 0, 1), eps), 0, 1);
