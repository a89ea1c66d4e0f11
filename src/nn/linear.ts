import { checkBoolean, checkOptions, describe } from '../tensor/arguments.js';
import { ShapeError, ValueError } from '../errors.js';
import { addOver } from '../ops/elementwise.js';
import { linear as multiply } from '../ops/matmul.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, layer, uniformByFan } from './layer.js';
import type { Lengths } from './lengths.js';

export interface LinearParams {
  /** [outFeatures, inFeatures] */
  readonly weight: Tensor;
  /** [outFeatures] */
  readonly bias: Tensor | null;
}

/** @internal Refuses sizes that are not whole and positive. */
export function checkSizes(op: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new ValueError(op, `${name} is ${describe(size)}; it must be a positive whole number`);
  }
}

/** @internal Refuses an input whose last axis is not what the layer was made for. */
export function checkFeatures(
  op: string,
  x: Tensor,
  ranks: readonly number[] | null,
  features: number,
  layout: string,
): void {
  if ((ranks && !ranks.includes(x.rank)) || x.shape.at(-1) !== features)
    throw new ShapeError(op, `x is ${formatShape(x.shape)}; it must be ${layout}`);
}

/** `x weight^T + bias` over the last axis: [..., inFeatures] to [..., outFeatures]. */
export function linear(
  inFeatures: number,
  outFeatures: number,
  options: { bias?: boolean } = {},
): Layer<LinearParams> & Lengths {
  checkSizes('linear', { inFeatures, outFeatures });
  checkOptions('linear', options, ['bias'], (given) =>
    typeof given === 'boolean' ? `write { bias: ${given} }` : null,
  );
  const { bias = true } = options;
  checkBoolean('linear', 'bias', bias);
  return layer('linear', ['weight', 'bias'], {
    init: (random, placement) => ({
      weight: uniformByFan(random, [outFeatures, inFeatures], inFeatures, placement),
      bias: bias ? uniformByFan(random, [outFeatures], inFeatures, placement) : null,
    }),
    apply: (params, x) => {
      checkFeatures('linear', x, null, inFeatures, `[..., ${inFeatures}]`);
      const product = multiply(x, params.weight);
      return params.bias ? addOver(product, params.bias) : product;
    },
  });
}
