import { ValueError } from '../errors.js';
import { checkTensor, describe, isCallable, isPlainObject } from '../tensor/arguments.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Layer, layer } from './layer.js';

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
  stages.forEach((stage: unknown, i) => {
    const isLayer = isPlainObject(stage) && typeof stage.init === 'function' && typeof stage.apply === 'function';
    if (isLayer || isCallable(stage)) return;
    const advice = Array.isArray(stage) ? '; stages come one by one: sequential(a, b)' : '';
    throw new ValueError('sequential', `stage ${i} is ${describe(stage)}, neither a layer nor a function${advice}`);
  });
  return layer<StageParams<Stages>>('sequential', null, {
    init: (random, placement) =>
      stages.map((stage) =>
        typeof stage === 'function' ? null : stage.init(random, placement),
      ) as StageParams<Stages>,
    apply: (params, x, options) => {
      const given: unknown = params;
      if (!Array.isArray(given) || given.length !== stages.length)
        throw new ValueError(
          'sequential',
          `the parameters are ${Array.isArray(given) ? `a list of ${given.length}` : describe(given)}; they must be what init gave, a list of ${stages.length}`,
        );
      return stages.reduce<Tensor>((value, stage, i) => {
        if (typeof stage !== 'function') return stage.apply(params[i], value, options);
        const next = stage(value);
        checkTensor('sequential', `what stage ${i} returned`, next);
        return next;
      }, x);
    },
  });
}
