/** How element types lie in device memory. Storage buffers have no elements of one or two bytes: each takes a word there. */
import { arrayClass, type DType, type TypedArray } from '../backend.js';

export const BYTES_ON_DEVICE: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  int32: 4,
  bool: 4,
  float16: 4,
  bfloat16: 4,
};

const isWidened = (dtype: DType): boolean => dtype === 'bool' || dtype === 'float16' || dtype === 'bfloat16';

/** Host elements as the device keeps them. */
export const toDevice = (dtype: DType, data: TypedArray): TypedArray | Uint32Array =>
  isWidened(dtype) ? Uint32Array.from(data) : data;

/** The device's words as host elements. */
export function fromDevice(dtype: DType, words: ArrayBuffer): TypedArray {
  const Elements = arrayClass(dtype);
  return isWidened(dtype) ? Elements.from(new Uint32Array(words)) : new Elements(words);
}
