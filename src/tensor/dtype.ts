import type { DType } from '../backends/backend.js';
import { DTypeError } from '../errors.js';
import { describe } from './arguments.js';

export type { DType } from '../backends/backend.js';

export const isFloat = (dtype: DType): boolean => dtype !== 'int32' && dtype !== 'bool';

/** float16 and bfloat16: kept in memory, computed in float32. */
export const isStorage = (dtype: DType): boolean => dtype === 'float16' || dtype === 'bfloat16';

const ORDER: readonly DType[] = ['bool', 'int32', 'float16', 'bfloat16', 'float32', 'float64'];

/**
 * The dtype of an op on two tensors. The wider one in the order bool, int32, float16 | bfloat16, float32, float64; float16 with
 * bfloat16 gives float32, because neither holds the other. Integers never widen a float: int32 with float16 stays float16.
 */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  if (isStorage(a) && isStorage(b)) return 'float32';
  return ORDER.indexOf(a) > ORDER.indexOf(b) ? a : b;
}

/**
 * The dtype that a plain number takes beside a tensor: the tensor's own where it can hold the number, so that `x.mul(2)` never changes
 * the dtype of x. A fraction beside integers makes float32; a whole number beside bool makes int32.
 */
export function scalarDType(value: number, beside: DType): DType {
  if (isFloat(beside)) return beside;
  return value === (value | 0) ? 'int32' : 'float32';
}

/** The float dtype of a result that cannot be an integer (division, exp, mean): float32 for integers and bool. */
export const toFloat = (dtype: DType): DType => (isFloat(dtype) ? dtype : 'float32');

/** Refuses names that are no dtype, which only callers without types can give. */
export function checkDType(op: string, dtype: DType): void {
  if (!ORDER.includes(dtype))
    throw new DTypeError(op, `there is no dtype ${describe(dtype)}; there are ${ORDER.join(', ')}`);
}
