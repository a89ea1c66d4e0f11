import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';

/**
 * A kernel with two ways: the WebAssembly export of the given name for float32 (integers such as indices beside it are int32), and a JavaScript version
 * for every other element type.
 * @param args what the export takes: addresses by `call.in` and `call.out`, then numbers.
 */
export function withFloat32(name: string, args: (call: CpuCall) => number[], generic: CpuKernel): CpuKernel {
  return (call) => {
    if (call.inputs[0]!.dtype === 'float32') heap().kernels[name]!(...args(call));
    else generic(call);
  };
}
