import { layerNorm as normalise } from '../ops/norm.js';
import { ones, zeros } from '../tensor/create.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Layer } from './layer.js';
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
  return {
    init: (_random, placement) => ({ weight: ones([features], placement), bias: zeros([features], placement) }),
    apply: (params, x) => {
      checkFeatures('layerNorm', x, null, features, `[..., ${features}]`);
      return normalise(x, { ...options, weight: params.weight, bias: params.bias });
    },
  };
}
