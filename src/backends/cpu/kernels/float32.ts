import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';

/**
 * A kernel with two ways: the WebAssembly export of the given name where the data is float32 (indices beside it are int32), and a JavaScript
 * version for every other element type.
 * @param args what the export takes: addresses by `call.in` and `call.out`, then numbers.
 */
export function withFloat32(name: string, args: (call: CpuCall) => number[], generic: CpuKernel): CpuKernel {
  return (call) => {
    const [first, ...rest] = call.inputs;
    const fits = first!.dtype === 'float32' && rest.every(({ dtype }) => dtype === 'float32' || dtype === 'int32');
    if (fits) heap().kernels[name]!(...args(call));
    else generic(call);
  };
}
