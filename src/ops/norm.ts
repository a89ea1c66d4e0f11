import { checkOptions, checkTensor, describe } from '../tensor/arguments.js';
import { defineMultiOp, defineOp, type OpFunction } from '../autograd/op.js';
import type { Kernel } from '../backends/kernel.js';
import { ShapeError, ValueError } from '../errors.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, sameShape, sizeOf } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { KEEP, sum } from './broadcast.js';
import { cast } from './cast.js';
import { add, div, mul, neg } from './elementwise.js';
import { mean } from './moments.js';

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

/**
 * Each row along the last axis brought to mean 0 and variance 1: (x - mean) / sqrt(variance + eps), then scaled and shifted. Ba, Kiros
 * and Hinton, arXiv:1607.06450.
 * @param options.weight and bias: of shape [width], where width is x's last axis.
 * @throws {ShapeError} for a scalar, or a weight or bias of another shape. @throws {ValueError} for a negative eps.
 */
export function layerNorm(x: Tensor, options: { weight?: Tensor; bias?: Tensor; eps?: number } = {}): Tensor {
  checkTensor('layerNorm', 'x', x);
  checkOptions('layerNorm', options, ['weight', 'bias', 'eps'], (given) =>
    given instanceof Tensor ? 'write { weight, bias }' : null,
  );
  const { weight, bias, eps = 1e-5 } = options;
  if (weight !== undefined) checkTensor('layerNorm', 'weight', weight);
  if (bias !== undefined) checkTensor('layerNorm', 'bias', bias);
  if (x.rank === 0) throw new ShapeError('layerNorm', 'a scalar has no axis to normalise');
  if (!(Number.isFinite(eps) && eps >= 0))
    throw new ValueError('layerNorm', `eps is ${describe(eps)}; it must be finite and not negative`);
  const width = x.shape[x.rank - 1]!;
  for (const [name, t] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    if (t && !sameShape(t.shape, [width]))
      throw new ShapeError(
        'layerNorm',
        `${name} is ${formatShape(t.shape)}; x of ${formatShape(x.shape)} wants [${width}]`,
      );
  }
  const normal = layerNormOp([cast(x, toFloat(x.dtype))], { eps })[0]!;
  const scaled = weight ? mul(normal, weight) : normal;
  return bias ? add(scaled, bias) : scaled;
}
