import { ValueError } from '../../errors.js';
import { checkBoolean, describe } from '../../tensor/arguments.js';
import type { TensorLike } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sum } from '../broadcast.js';
import { add, clip, div, exp, log, mul, mulNoNaN, neg, softplus, square, sub } from '../elementwise.js';
import {
  checkFactor,
  checkPair,
  checkReduction,
  type LossOptions,
  reduced,
  type Reduction,
  REDUCTIONS,
} from './reduction.js';

/** Losses of single elements. Predictions and targets must have one shape; nothing broadcasts but the weights. */

/**
 * The squared error, (prediction - target)^2.
 * @throws {ShapeError} unless the shapes are equal.
 */
export function mse(predictions: Tensor, targets: TensorLike, options: LossOptions = {}): Tensor {
  const reduction = checkReduction('mse', options, REDUCTIONS);
  const { a, b, dtype } = checkPair('mse', 'predictions', predictions, targets);
  return reduced(square(sub(a, b)), reduction, dtype);
}

export interface HuberOptions extends LossOptions {
  /** The error up to which the loss is quadratic. Default 1. */
  readonly delta?: number | undefined;
}

/**
 * Half the squared error up to `delta`, beyond it linear with the same slope: delta (|error| - delta / 2). Huber, Annals of Mathematical
 * Statistics 35 (1964).
 * @throws {ShapeError} unless the shapes are equal. @throws {ValueError} unless delta is positive.
 */
export function huber(predictions: Tensor, targets: TensorLike, options: HuberOptions = {}): Tensor {
  const reduction = checkReduction('huber', options, REDUCTIONS, ['delta']);
  const { delta = 1 } = options;
  if (!(typeof delta === 'number' && delta > 0))
    throw new ValueError('huber', `delta is ${describe(delta)}; it must be a positive number`);
  const { a, b, dtype } = checkPair('huber', 'predictions', predictions, targets);
  const error = sub(a, b);
  const limited = clip(error, -delta, delta);
  return reduced(mul(limited, sub(error, mul(limited, 0.5))), reduction, dtype);
}

export interface BceOptions extends LossOptions {
  /** A factor of each loss; it stretches to the shape of the logits. */
  readonly weight?: TensorLike | undefined;
  /** A factor of the losses of positive targets, for classes with few of them; it stretches to the shape of the logits: one for each class, say. */
  readonly posWeight?: TensorLike | undefined;
}

/**
 * Binary cross-entropy of logits: -(target log(sigmoid(x)) + (1 - target) log(1 - sigmoid(x))), without a sigmoid that could round to 0 or 1.
 * Targets are probabilities, 0 and 1 among them. 'mean' divides by the number of elements, whatever the weights.
 * @throws {ShapeError} unless the shapes of logits and targets are equal, and the weights stretch to it.
 */
export function bceWithLogits(logits: Tensor, targets: TensorLike, options: BceOptions = {}): Tensor {
  const reduction = checkReduction('bceWithLogits', options, REDUCTIONS, ['weight', 'posWeight']);
  const { weight, posWeight } = options;
  const { a: x, b: target, dtype } = checkPair('bceWithLogits', 'logits', logits, targets);
  // Both parts are sums of nothing negative, so that neither cancels; and an impossible class that is not the target costs nothing.
  const positive = mulNoNaN(target, softplus(neg(x)));
  const losses = add(
    posWeight === undefined ? positive : mulNoNaN(positive, checkFactor('bceWithLogits', 'posWeight', posWeight, x)),
    mulNoNaN(sub(1, target), softplus(x)),
  );
  return reduced(
    weight === undefined ? losses : mulNoNaN(losses, checkFactor('bceWithLogits', 'weight', weight, x)),
    reduction,
    dtype,
  );
}

export interface KlDivOptions {
  /** Whether the targets are log-probabilities as well. Default false. */
  readonly logTarget?: boolean | undefined;
  /**
   * 'mean' (the default) divides by the number of elements, as torch does; 'batchMean' by the length of the first axis, which is the divergence
   * itself, averaged over a batch of distributions.
   */
  readonly reduction?: Reduction | 'batchMean' | undefined;
}

/**
 * The Kullback-Leibler divergence of predictions, given as log-probabilities, from target probabilities, element by element:
 * target (log(target) - prediction). Where the target is 0 it is 0.
 * @throws {ShapeError} unless the shapes are equal.
 */
export function klDiv(logProbs: Tensor, targets: TensorLike, options: KlDivOptions = {}): Tensor {
  const reduction = checkReduction('klDiv', options, [...REDUCTIONS, 'batchMean'], ['logTarget']);
  const { logTarget = false } = options;
  checkBoolean('klDiv', 'logTarget', logTarget);
  const { a, b, dtype } = checkPair('klDiv', 'logProbs', logProbs, targets);
  const losses = logTarget ? mulNoNaN(exp(b), sub(b, a)) : mulNoNaN(b, sub(log(b), a));
  if (reduction !== 'batchMean') return reduced(losses, reduction, dtype);
  return reduced(div(sum(losses), Math.max(1, logProbs.shape[0] ?? 1)), 'sum', dtype);
}
