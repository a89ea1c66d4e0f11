import { ShapeError, ValueError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { add, mul, sub } from '../ops/elementwise.js';
import { checkBoolean, checkOptions, checkTensor, onBehalfOf } from '../tensor/arguments.js';
import { isFloat } from '../tensor/dtype.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { alignTensors, type GradientOf, mapTensors } from '../tensor/tree.js';
import {
  checkNonNegative,
  checkRange,
  checkState,
  checkTree,
  countTensor,
  numberTensor,
  readNumber,
  readRisingCount,
  stateDType,
} from './state.js';

/** Weighted means over trees of tensors: of parameters over time, and of gradients over the parts of a batch. */

export interface EmaOptions {
  /** Share of the average that is kept in each update, in [0, 1): 0.999 averages over some thousand. */
  readonly decay: number;
  /**
   * Whether the average is that of the parameters of the updates alone, each weighted by its age, as if infinitely many had gone before (optax's debiasing,
   * and Adam's). Otherwise the parameters that `init` saw count as all that was before them, as in torch's and timm's averages. True by default.
   */
  readonly debias?: boolean | undefined;
}

export interface EmaState<Params> {
  /** Updates made so far: an int32 scalar. */
  readonly step: Tensor;
  /** What to evaluate with: the average, debiased where that was asked for; before the first update the parameters that `init` saw. */
  readonly average: Params;
}

/** A pure pair of functions, as an optimizer is. */
export interface Ema {
  init<Params>(params: Params): EmaState<Params>;
  update<Params>(state: EmaState<Params>, params: NoInfer<Params>): EmaState<Params>;
}

/**
 * Exponential moving average of parameters (Polyak and Juditsky 1992, in the form that everybody uses): often better than the last ones.
 *
 * ```ts
 * const ema = optim.ema({ decay: 0.999 });
 * let averaged = ema.init(params);
 * ({ params, state } = optimizer.update(params, gradients, state));
 * averaged = ema.update(averaged, params);
 * model.apply(averaged.average, x);
 * await saveSafetensors({ params, state, averaged });
 * ```
 * The average of float16 and bfloat16 parameters is float32, as the state of optimizers is. Tensors that are no floats are taken over as they are.
 * @throws {ValueError} for a tree of another structure than the average's. @throws {ShapeError} for a tensor of another shape.
 */
export function ema(options: EmaOptions): Ema {
  checkOptions('ema', options, ['decay', 'debias'], (given) =>
    typeof given === 'number' ? `write { decay: ${given} }` : null,
  );
  const { decay, debias = true } = options;
  checkRange('ema', 'decay', decay, 0, 1);
  checkBoolean('ema', 'debias', debias);
  return {
    init: (params) => {
      checkTree('ema', 'the parameters', params);
      return onBehalfOf('ema', 'init', () => ({ step: countTensor(0), average: mapTensors(ownCopy, params) }));
    },
    update: (state, params) => {
      checkState('ema', state, ['step', 'average'], 'update(state, params)');
      checkTree('ema', 'the parameters', params);
      const step = readRisingCount('ema', 'state.step', state.step) + 1;
      // The average of n updates weighs the newest by (1 - decay) / (1 - decay^n), so it is kept debiased and needs no correction when it is used.
      const weight = !debias ? 1 - decay : step === 1 ? 1 : (1 - decay) / -Math.expm1(step * Math.log(decay));
      return { step: countTensor(step), average: blend('ema', 'the parameters', state.average, params, weight) };
    },
  };
}

/** Gradients of some parts of a batch. */
export interface Accumulated<Params> {
  /** What the parts weigh together: a float64 scalar. */
  readonly weight: Tensor;
  /** Their weighted mean; of float16 and bfloat16 gradients in float32. */
  readonly gradients: Params;
}

/**
 * Adds the gradients of one more part of a batch to their weighted mean, so that parts that fit into memory make the update of the whole batch:
 *
 * ```ts
 * let sum: optim.Accumulated<typeof params> | null = null;
 * for (const part of parts) sum = optim.accumulate(sum, grad(lossOf)(params, part), part.length);
 * ({ params, state } = optimizer.update(params, sum!.gradients, state));
 * ```
 * The mean over parts of the mean losses of their examples is the batch's mean loss if parts are weighted by their numbers of examples. Clip the
 * result, not the parts.
 * @param accumulated what went before; null for the first part. @param weight of this part; 1 when left out.
 * @throws {ValueError} for a weight that is not positive, and for a tree of another structure. @throws {ShapeError} for a tensor of another shape.
 */
export function accumulate<Params>(
  accumulated: Accumulated<Params> | null,
  gradients: GradientOf<Params>,
  weight = 1,
): Accumulated<Params> {
  checkTree('accumulate', 'the gradients', gradients);
  checkNonNegative('accumulate', 'weight', weight);
  if (weight === 0) throw new ValueError('accumulate', 'weight is 0; it must be positive');
  if (accumulated === null)
    return onBehalfOf('accumulate', 'the gradients', () => ({
      weight: numberTensor(weight),
      gradients: mapTensors(ownCopy, gradients),
    }));
  checkState('accumulate', accumulated, ['weight', 'gradients'], 'accumulate(accumulated, gradients)');
  const total = readNumber('accumulate', 'accumulated.weight', accumulated.weight) + weight;
  return {
    weight: numberTensor(total),
    gradients: blend('accumulate', 'the gradients', accumulated.gradients, gradients, weight / total),
  };
}

/** In memory of its own, which nobody disposes of together with the original. */
const ownCopy = (t: Tensor): Tensor => {
  const kept = isFloat(t.dtype) ? cast(t, stateDType(t)) : t;
  return kept === t ? t.clone() : kept;
};

/** A mean, moved towards new values by their weight. */
function blend<Params>(op: string, what: string, mean: Params, values: unknown, weight: number): Params {
  const names = ['the mean has', `${what} have`] as const;
  const pairs = onBehalfOf(op, what, () =>
    alignTensors([mean, values], names, (problem) => new ValueError(op, problem)),
  );
  for (const [before, value, path] of pairs) {
    checkTensor(op, what, before);
    checkTensor(op, what, value);
    if (!sameShape(before.shape, value.shape))
      throw new ShapeError(op, `'${path}' is ${formatShape(value.shape)}, its mean ${formatShape(before.shape)}`);
  }
  let at = 0;
  return mapTensors<Params, Tensor>(() => {
    const [before, given] = pairs[at++]!;
    if (!isFloat(given.dtype) || weight === 1) return ownCopy(given);
    return add(before, mul(sub(cast(given, before.dtype), before), weight));
  }, mean);
}
