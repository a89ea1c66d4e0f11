import type { ReadUse } from '../backends/backend.js';
import { DTypeError, ValueError } from '../errors.js';
import { onBehalfOf } from './arguments.js';
import { convert, hostTensor, type TensorLike } from './create.js';
import { Tensor } from './tensor.js';

/** @internal Integer data as a tensor; what cannot be one is an error of the op that wants it. */
export function integerTensor(op: string, what: string, data: TensorLike): Tensor {
  if (data instanceof Tensor) return data;
  return onBehalfOf(op, what, () =>
    hostTensor(data, data instanceof Float32Array || data instanceof Float64Array ? {} : { dtype: 'int32' }),
  );
}

/**
 * @internal The values of integer data given as plain numbers, any typed array or an int tensor on the host.
 * @param use 'view' for values that are looked at before anything else is done.
 */
export function integersOf(op: string, what: string, data: TensorLike, use: ReadUse = 'copy'): Int32Array {
  if (data instanceof Int32Array) return convert(data, 'int32') as Int32Array;
  const t = integerTensor(op, what, data);
  t.checkAlive(op);
  if (t.dtype !== 'int32') throw new DTypeError(op, `${what} is ${t.dtype}; it must hold integers`);
  const values = t.buffer.host ?? (t.device.readSync ? t.rawDataSync(use) : null);
  if (!values)
    throw new ValueError(
      op,
      `${what} was computed on device '${t.device.name}' and cannot be checked without waiting; pass integers from the host`,
    );
  return values as Int32Array;
}
