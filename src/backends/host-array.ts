import { arrayClass, BYTES, type DType, type TypedArray } from './backend.js';

/**
 * Engines allocate a typed array of more than a few bytes outside their own heap, which takes most of a microsecond and calls for the garbage
 * collector sooner. Small ones are therefore cut from a slab: ten times faster. A slab lives as long as one of its arrays.
 */
const SLAB_BYTES = 2 ** 16;
const MOST_BYTES = 2 ** 12;

let slab = new ArrayBuffer(0);
let next = 0;

/** An array of zeros for a tensor's elements. It may share its ArrayBuffer with others: what leaves the library is `ownArray(array)`. */
export function hostArray(dtype: DType, length: number): TypedArray {
  const bytes = length * BYTES[dtype];
  const Elements = arrayClass(dtype);
  if (bytes > MOST_BYTES) return new Elements(length);
  if (next + bytes > slab.byteLength) {
    slab = new ArrayBuffer(SLAB_BYTES);
    next = 0;
  }
  const array = new Elements(slab, next, length);
  next += (bytes + 7) & ~7; // aligned for the widest elements
  return array;
}

/** The array, or a copy if its ArrayBuffer holds anything else. */
export const ownArray = (array: TypedArray): TypedArray => (array.byteLength === array.buffer.byteLength ? array : array.slice());
