import type { DType } from '../../backend.js';
import { heap } from '../heap.js';

/** Element types as the names of WebAssembly functions have them: `add` (of float32), `addF64`, `castF32ToI32`. */
export const SHORT: Readonly<Record<DType, string>> = {
  float32: 'F32',
  float64: 'F64',
  int32: 'I32',
  bool: 'U8',
  float16: 'F16',
  bfloat16: 'BF16',
};

/** The name of a kernel's WebAssembly function for elements of that type; null where it has none, and a loop in JavaScript does the work. */
export function variant(name: string, dtype: DType): string | null {
  const own = dtype === 'float32' ? name : name + SHORT[dtype];
  return own in heap().functions ? own : null;
}
