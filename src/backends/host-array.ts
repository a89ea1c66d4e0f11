import { OutOfMemoryError } from '../errors.js';
import { arrayClass, BYTES, type DType, type TypedArray } from './backend.js';

/** An array of zeros in ordinary memory. @throws {OutOfMemoryError} */
export function hostArray(dtype: DType, length: number): TypedArray {
  try {
    return new (arrayClass(dtype))(length);
  } catch (error) {
    const { name, message } = error as Error; // maybe of another realm
    if (name === 'RangeError')
      throw new OutOfMemoryError('cpu', `no room for ${length * BYTES[dtype]} bytes in one array: ${message}`);
    throw error;
  }
}

/** The array, or a copy if its ArrayBuffer holds anything else: what leaves the library must not. */
export const ownArray = (array: TypedArray): TypedArray =>
  array.byteLength === array.buffer.byteLength ? array : array.slice();
