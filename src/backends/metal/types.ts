import type { DType } from '../backend.js';

/** Element types in Metal Shading Language. bfloat16 travels as its bits: only newer GPU families have a type for it. */
export const MSL_TYPE: Readonly<Record<DType, string>> = {
  float32: 'float',
  int32: 'int',
  bool: 'bool',
  float16: 'half',
  bfloat16: 'ushort',
  float64: 'double',
};
