import type { Tensor } from '../tensor/tensor.js';
import type { ApplyOptions, Layer } from './layer.js';

/** A layer, or a function without parameters such as `relu`. */
export type Stage = Layer<unknown> | ((x: Tensor) => Tensor);

/** The parameters of stages: a tuple, with null where a stage has none. */
export type StageParams<Stages extends readonly Stage[]> = {
  -readonly [K in keyof Stages]: Stages[K] extends Layer<infer Params> ? Params : null;
};

/**
 * Stages one after the other.
 *
 * ```ts
 * const model = sequential(linear(64, 32), relu, linear(32, 10));
 * const params = model.init(random(1)); // [{ weight, bias }, null, { weight, bias }]
 * ```
 */
export function sequential<const Stages extends readonly Stage[]>(...stages: Stages): Layer<StageParams<Stages>> {
  return {
    init: (random, placement) =>
      stages.map((stage) =>
        typeof stage === 'function' ? null : stage.init(random, placement),
      ) as StageParams<Stages>,
    apply: (params, x, options: ApplyOptions = {}) =>
      stages.reduce<Tensor>(
        (value, stage, i) => (typeof stage === 'function' ? stage(value) : stage.apply(params[i], value, options)),
        x,
      ),
  };
}
