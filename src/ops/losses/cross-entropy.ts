import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { checkTensor, checkWhole, describe } from '../../tensor/arguments.js';
import { hostTensor, lendTo, type TensorLike } from '../../tensor/create.js';
import { toFloat } from '../../tensor/dtype.js';
import { integersOf, integerTensor } from '../../tensor/integers.js';
import { formatShape, normalizeAxis, sameShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sum } from '../broadcast.js';
import { cast } from '../cast.js';
import { add, div, divNoNaN, mul, mulNoNaN, neg, where } from '../elementwise.js';
import { take, takeAlongAxis } from '../gather.js';
import { expandDims, reshape, squeeze } from '../movement/index.js';
import { logSoftmax } from '../softmax.js';
import { beside, checkReduction, computed, type LossOptions, REDUCTIONS } from './reduction.js';

export interface CrossEntropyOptions extends LossOptions {
  /** The axis of the logits that holds the classes. Default -1, the last. */
  readonly axis?: number | undefined;
  /** The target of places that do not count: their loss and gradient are 0, and the mean is over the others. Default -100, as in torch. */
  readonly ignoreIndex?: number | undefined;
  /** The probability, in [0, 1], that is taken from the target and spread evenly over all classes. Default 0. Szegedy et al., arXiv:1512.00567. */
  readonly labelSmoothing?: number | undefined;
  /** A factor for each class, [classes]. 'mean' then divides by the sum of the targets' weights. */
  readonly weight?: TensorLike | undefined;
}

/** Targets as positions that can be looked up, on the host, and which of them count. */
interface Labels {
  readonly positions: Tensor;
  readonly counts: Tensor | null;
  readonly counted: number;
}

/**
 * The cross-entropy of logits and target classes: -log(softmax(logits)[target]). A class with the logit -Infinity has the probability 0; where
 * smoothing wants it nevertheless the loss is Infinity, unless its weight is 0.
 * @param logits of any shape, [N, C] or [N, T, C] for instance.
 * @param targets class indices, in the shape of the logits without the axis of the classes.
 * @returns a scalar, or for reduction 'none' a loss for each target. The mean is 0 where every target is ignored.
 * @throws {ShapeError} where the shapes do not fit. @throws {ValueError} for a target that is no class, saying which one.
 */
export function crossEntropy(logits: Tensor, targets: TensorLike, options: CrossEntropyOptions = {}): Tensor {
  checkTensor('crossEntropy', 'logits', logits);
  const reduction = checkReduction('crossEntropy', options, REDUCTIONS, [
    'axis',
    'ignoreIndex',
    'labelSmoothing',
    'weight',
  ]);
  const { axis = -1, ignoreIndex = -100, labelSmoothing = 0, weight } = options;
  const at = normalizeAxis('crossEntropy', axis, logits.rank);
  checkWhole('crossEntropy', 'ignoreIndex', ignoreIndex, -(2 ** 31), 2 ** 31 - 1);
  if (!(typeof labelSmoothing === 'number' && labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new ValueError('crossEntropy', `labelSmoothing is ${describe(labelSmoothing)}; it must be in [0, 1]`);
  const classes = logits.shape[at]!;
  const dtype = toFloat(logits.dtype);
  const { positions, counts, counted } = checkTargets(logits, at, targets, ignoreIndex);
  const byClass = weight === undefined ? null : checkWeight(weight, logits, classes);

  const logProbs = logSoftmax(cast(logits, computed(dtype)), at);
  const places = lendTo(expandDims(positions, at), logits);
  const ofTarget = neg(squeeze(takeAlongAxis(logProbs, places, at), at));
  const weights = byClass && take(byClass, positions);
  let losses = weights ? mulNoNaN(ofTarget, weights) : ofTarget;
  if (labelSmoothing > 0) {
    const shape = logits.shape.map((_, i) => (i === at ? classes : 1));
    const ofAll = neg(sum(byClass ? mulNoNaN(logProbs, reshape(byClass, shape)) : logProbs, at));
    losses = add(mul(losses, 1 - labelSmoothing), mul(ofAll, labelSmoothing / classes));
  }
  // Chosen, not multiplied: what an ignored row holds, NaN even, reaches neither the loss nor the gradient.
  const only = (values: Tensor): Tensor => (counts ? where(counts, values, 0) : values);
  losses = only(losses);
  if (reduction === 'none') return cast(losses, dtype);
  const total = sum(losses);
  if (reduction === 'sum') return cast(total, dtype);
  return cast(weights ? divNoNaN(total, sum(only(weights))) : div(total, Math.max(1, counted)), dtype);
}

/** @throws {ShapeError | DTypeError | ValueError} */
function checkTargets(logits: Tensor, at: number, targets: TensorLike, ignoreIndex: number): Labels {
  const given = integerTensor('crossEntropy', 'targets', targets);
  const values = integersOf('crossEntropy', 'targets', given);
  const shape = logits.shape.filter((_, i) => i !== at);
  if (!sameShape(given.shape, shape))
    throw new ShapeError(
      'crossEntropy',
      `targets are ${formatShape(given.shape)} for logits ${formatShape(logits.shape)} with the classes along axis ${at}; they must be ${formatShape(shape)}`,
    );
  const classes = logits.shape[at]!;
  let counted = 0;
  values.forEach((value, i) => {
    if (value === ignoreIndex) return;
    if (value < 0 || value >= classes)
      throw new ValueError(
        'crossEntropy',
        `target ${i} is ${value}; it must be in [0, ${classes}), or ${ignoreIndex} to be ignored`,
      );
    counted++;
  });
  if (counted === values.length) return { positions: given, counts: null, counted };
  const positions = values.map((value) => (value === ignoreIndex ? 0 : value));
  const counts = Array.from(values, (value) => value !== ignoreIndex);
  return {
    positions: hostTensor(positions, { shape }),
    counts: lendTo(hostTensor(counts, { shape }), logits),
    counted,
  };
}

/** @throws {ShapeError | DTypeError | DeviceError} */
function checkWeight(weight: TensorLike, logits: Tensor, classes: number): Tensor {
  const given = beside('crossEntropy', 'weight', weight, logits);
  if (!sameShape(given.shape, [classes]))
    throw new ShapeError(
      'crossEntropy',
      `weight is ${formatShape(given.shape)}; it must be [${classes}], a number for each class`,
    );
  if (given.dtype === 'bool') throw new DTypeError('crossEntropy', 'weight is bool; cast it');
  return cast(given, computed(toFloat(logits.dtype)));
}
