import { ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkTensor, checkTogether, describe, onBehalfOf } from '../../tensor/arguments.js';
import { hostTensor, lendTo, type TensorLike } from '../../tensor/create.js';
import { type DType, isStorage, promote, toFloat } from '../../tensor/dtype.js';
import { formatShape, sameShape } from '../../tensor/shape.js';
import { Tensor } from '../../tensor/tensor.js';
import { sum } from '../broadcast.js';
import { cast } from '../cast.js';
import { mean } from '../moments.js';

/** What the losses of single elements share: how they are checked, weighted and brought together. */

/** 'mean' (the default) and 'sum' give a scalar, 'none' a loss for each element. */
export type Reduction = 'mean' | 'sum' | 'none';

export interface LossOptions {
  /** 'mean' (the default) and 'sum' give a scalar, 'none' a loss for each element. The mean of no elements is 0. */
  readonly reduction?: Reduction | undefined;
}

export const REDUCTIONS: readonly Reduction[] = ['mean', 'sum', 'none'];

/** What was meant by something else in the place of a loss's options. */
const meantByLoss = (given: unknown): string | null =>
  typeof given === 'string' && (REDUCTIONS as readonly string[]).includes(given)
    ? `write { reduction: '${given}' }`
    : null;

/** Checks the options of a loss. @returns how it is to be reduced. @throws {ValueError} */
export function checkReduction<R extends string>(
  op: string,
  options: { readonly reduction?: R | undefined },
  allowed: readonly R[],
  names: readonly string[] = [],
): R | 'mean' {
  checkOptions(op, options, ['reduction', ...names], meantByLoss);
  const { reduction = 'mean' } = options;
  if (!(allowed as readonly string[]).includes(reduction)) {
    const list = allowed.map((name) => `'${name}'`);
    throw new ValueError(
      op,
      `reduction is ${describe(reduction)}; it must be ${list.slice(0, -1).join(', ')} or ${list.at(-1)}`,
    );
  }
  return reduction;
}

/** Data as a tensor beside another. @throws {RecycledError | DTypeError | ShapeError | ValueError | DeviceError} */
export function beside(op: string, name: string, data: TensorLike, other: Tensor): Tensor {
  if (data instanceof Tensor) {
    checkTensor(op, name, data);
    checkTogether(op, other, data);
    return data;
  }
  return lendTo(
    onBehalfOf(op, name, () => hostTensor(data)),
    other,
  );
}

/** Predictions and targets as a loss computes with them, and the dtype of its result. */
interface Pair {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly dtype: DType;
}

/**
 * Predictions and targets of exactly one shape: a column against a row would broadcast to a matrix of losses that nobody meant.
 * @throws {ShapeError | DTypeError | DeviceError}
 */
export function checkPair(op: string, name: string, predictions: Tensor, targets: TensorLike): Pair {
  checkTensor(op, name, predictions);
  const b = beside(op, 'targets', targets, predictions);
  if (!sameShape(predictions.shape, b.shape))
    throw new ShapeError(
      op,
      `${name} ${formatShape(predictions.shape)} and targets ${formatShape(b.shape)}; their shapes must be equal`,
    );
  const dtype = toFloat(promote(predictions.dtype, b.dtype));
  return { a: cast(predictions, computed(dtype)), b: cast(b, computed(dtype)), dtype };
}

/** Losses are computed in float32 throughout, and rounded to a narrower dtype once. */
export const computed = (dtype: DType): DType => (isStorage(dtype) ? 'float32' : dtype);

/** A factor that stretches to the shape of the losses, in their dtype. @throws {ShapeError | DTypeError | DeviceError} */
export function checkFactor(op: string, name: string, factor: TensorLike, losses: Tensor): Tensor {
  const given = beside(op, name, factor, losses);
  const lead = losses.rank - given.rank;
  if (lead < 0 || given.shape.some((dim, i) => dim !== 1 && dim !== losses.shape[lead + i]))
    throw new ShapeError(op, `${name} is ${formatShape(given.shape)}; it must stretch to ${formatShape(losses.shape)}`);
  return cast(given, losses.dtype);
}

/** The losses brought together, in the dtype of the result. */
export function reduced(losses: Tensor, reduction: Reduction, dtype: DType): Tensor {
  const result = reduction === 'none' ? losses : reduction === 'sum' || losses.size === 0 ? sum(losses) : mean(losses);
  return cast(result, dtype);
}
