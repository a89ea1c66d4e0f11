import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { checkTensor, describe, isPlainObject } from '../tensor/arguments.js';
import { fromTypedArray, zerosLike } from '../tensor/create.js';
import { type DType, isStorage } from '../tensor/dtype.js';
import { integersOf } from '../tensor/integers.js';
import { formatShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';

/** What the states of this folder are made of: tensors only, so that `saveSafetensors` holds the whole of them. */

/** What a count can hold. */
export const MOST_COUNT = 2 ** 31 - 1;

/** A count, on the host, where the next update reads it. */
export const countTensor = (count: number): Tensor => fromTypedArray(Int32Array.of(count), [], 'int32');

/** A number, on the host as well. */
export const numberTensor = (value: number): Tensor => fromTypedArray(Float64Array.of(value), [], 'float64');

/** Reads what `countTensor` made. @throws {ValueError | DTypeError} for anything else. */
export function readCount(op: string, what: string, value: unknown): number {
  const counts = integersOf(op, what, value as Tensor);
  if (counts.length !== 1 || counts[0]! < 0)
    throw new ValueError(op, `${what} is no count; it must be what init or the last update gave`);
  return counts[0]!;
}

/** Reads a count that an update is going to raise. @throws {ValueError | DTypeError} also where it can rise no further. */
export function readRisingCount(op: string, what: string, value: unknown): number {
  const count = readCount(op, what, value);
  if (count === MOST_COUNT)
    throw new ValueError(op, `${what} is ${count}, the most that a count holds; go on with a state of init's`);
  return count;
}

/** Reads what `numberTensor` made. @throws {ValueError | DTypeError | ShapeError} for anything else. */
export function readNumber(op: string, what: string, value: unknown): number {
  checkTensor(op, what, value);
  if (value.size !== 1) throw new ShapeError(op, `${what} is ${formatShape(value.shape)}; it must be a single number`);
  if (value.dtype !== 'float64' && value.dtype !== 'float32')
    throw new DTypeError(op, `${what} is ${value.dtype}; it must be a float`);
  if (!value.device.readSync)
    throw new ValueError(
      op,
      `${what} is on device '${value.device.name}' and cannot be read without waiting; it must be on the host`,
    );
  return value.itemSync();
}

/** The dtype of what is kept for a tensor: float32 for those that only store. */
export const stateDType = ({ dtype }: Tensor): DType => (isStorage(dtype) ? 'float32' : dtype);

export const zeroState = (t: Tensor): Tensor => cast(zerosLike(t), stateDType(t));

/** Refuses what is no object with the named members. */
export function checkState(
  op: string,
  state: unknown,
  names: readonly string[],
  call: string,
): asserts state is Record<string, unknown> {
  if (!isPlainObject(state) || names.some((name) => !(name in state)))
    throw new ValueError(
      op,
      `the state is ${describe(state)}; call ${call} with the state that init or the last update gave: { ${names.join(', ')} }`,
    );
}

/** Refuses what can be no tree of parameters. */
export function checkTree(op: string, what: string, tree: unknown): void {
  if (tree instanceof Tensor || Array.isArray(tree) || isPlainObject(tree)) return;
  if (tree instanceof Map || tree instanceof Set) return;
  throw new ValueError(
    op,
    `${what} are ${describe(tree)}; they must be tensors, in arrays, plain objects, Maps and Sets`,
  );
}

/** Refuses a number outside [low, high). */
export function checkRange(op: string, name: string, value: unknown, low: number, high: number): void {
  if (!(typeof value === 'number' && value >= low && value < high))
    throw new ValueError(op, `${name} is ${describe(value)}; it must be in [${low}, ${high})`);
}

export function checkNonNegative(op: string, name: string, value: unknown): void {
  if (!(typeof value === 'number' && Number.isFinite(value) && value >= 0))
    throw new ValueError(op, `${name} is ${describe(value)}; it must be finite and not negative`);
}
