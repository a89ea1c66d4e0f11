import { checkOptions, describe } from '../tensor/arguments.js';
import { ValueError } from '../errors.js';
import { layerNorm as normalise } from '../ops/norm.js';
import { ones, zeros } from '../tensor/create.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, layer } from './layer.js';
import { checkFeatures, checkSizes } from './linear.js';

export interface LayerNormParams {
  /** [features] */
  readonly weight: Tensor;
  /** [features] */
  readonly bias: Tensor;
}

/**
 * Each row along the last axis brought to mean 0 and variance 1, then scaled and shifted by learned amounts.
 * @param options.eps added to the variance; 1e-5 by default.
 */
export function layerNorm(features: number, options: { eps?: number } = {}): Layer<LayerNormParams> {
  checkSizes('layerNorm', { features });
  checkOptions('layerNorm', options, ['eps'], (given) =>
    typeof given === 'number' ? `write { eps: ${given} }` : null,
  );
  const { eps = 1e-5 } = options;
  if (!(Number.isFinite(eps) && eps >= 0))
    throw new ValueError('layerNorm', `eps is ${describe(eps)}; it must be finite and not negative`);
  return layer('layerNorm', ['weight', 'bias'], {
    init: (_random, placement) => ({ weight: ones([features], placement), bias: zeros([features], placement) }),
    apply: (params, x) => {
      checkFeatures('layerNorm', x, null, features, `[..., ${features}]`);
      return normalise(x, { eps, weight: params.weight, bias: params.bias });
    },
  });
}
