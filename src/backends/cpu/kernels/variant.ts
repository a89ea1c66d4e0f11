import type { DType } from '../../backend.js';
import { heap } from '../heap.js';

/** What the name of a WebAssembly function ends in, by the type of the elements that it works on: `add`, `addF64`, `addI32`. */
const SUFFIXES: Readonly<Record<DType, string>> = {
  float32: '',
  float64: 'F64',
  int32: 'I32',
  bool: 'U8',
  float16: 'F16',
  bfloat16: 'BF16',
};

/** The name of a kernel's WebAssembly function for elements of that type; null where it has none, and a loop in JavaScript does the work. */
export function variant(name: string, dtype: DType): string | null {
  const own = name + SUFFIXES[dtype];
  return own in heap().functions ? own : null;
}
