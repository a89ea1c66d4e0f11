import { embedding as lookUp } from '../ops/gather.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, layer } from './layer.js';
import type { Lengths } from './lengths.js';
import { checkSizes } from './linear.js';

export interface EmbeddingParams {
  /** [count, features] */
  readonly table: Tensor;
}

/** A learned vector for each of `count` ids: integers of any shape to [..., features]. Starts from the standard normal distribution. */
export function embedding(count: number, features: number): Layer<EmbeddingParams> & Lengths {
  checkSizes('embedding', { count, features });
  return layer('embedding', ['table'], {
    init: (random, placement) => ({ table: random.normal([count, features], placement) }),
    apply: (params, ids) => lookUp(params.table, ids),
  });
}
