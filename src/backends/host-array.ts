import { OutOfMemoryError } from '../errors.js';
import { arrayClass, BYTES, type DType, type TypedArray } from './backend.js';

/** An array of zeros in ordinary memory. @throws {OutOfMemoryError} */
export function hostArray(dtype: DType, length: number): TypedArray {
  try {
    return new (arrayClass(dtype))(length);
  } catch (error) {
    if (error instanceof RangeError)
      throw new OutOfMemoryError('cpu', `no room for ${length * BYTES[dtype]} bytes in one array: ${error.message}`);
    throw error;
  }
}

/**
 * Engines allocate a typed array of more than 64 bytes outside their own heap, which takes most of a microsecond and calls for the garbage
 * collector sooner. Cut from a slab it takes a tenth of that. A slab lives as long as one of its arrays.
 */
const SLAB_BYTES = 2 ** 14;
const LEAST_BYTES = 65;
const MOST_BYTES = 2 ** 11;

let slab = new ArrayBuffer(0);
let next = 0;

/** An array of zeros for the time of an op or of its transform: its ArrayBuffer may hold others. */
export function briefArray(dtype: DType, length: number): TypedArray {
  const bytes = length * BYTES[dtype];
  if (bytes < LEAST_BYTES || bytes > MOST_BYTES) return hostArray(dtype, length);
  if (next + bytes > slab.byteLength) {
    slab = new ArrayBuffer(SLAB_BYTES);
    next = 0;
  }
  const array = new (arrayClass(dtype))(slab, next, length);
  next += (bytes + 7) & ~7; // aligned for the widest elements
  return array;
}

/** The array, or a copy if its ArrayBuffer holds anything else: what leaves the library must not. */
export const ownArray = (array: TypedArray): TypedArray =>
  array.byteLength === array.buffer.byteLength ? array : array.slice();
