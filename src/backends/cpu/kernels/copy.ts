import ndarray from 'ndarray';
import ops from 'ndarray-ops';
import type { DType } from '../../backend.js';
import { fromBfloat16, fromHalf, toBfloat16, toHalf } from '../../../half.js';
import type { CpuKernel } from '../call.js';

/** Any strided view to any other: the ndarray packages do just this. */
const copy: CpuKernel = (call) => {
  const shape = [...call.numbers('shape')];
  const source = ndarray(call.inputs[0]!.view(), shape, [...call.numbers('sourceStrides')], call.number('sourceOffset'));
  const out = ndarray(call.outputs[0]!.view(), shape, [...call.numbers('outStrides')], call.number('outOffset'));
  ops.assign(out as ndarray.NdArray, source as ndarray.NdArray);
};

const fill: CpuKernel = (call) => {
  const [buffer] = call.outputs;
  buffer!.view().fill(encoder(buffer!.dtype)(call.number('value')));
};

const decoder = (dtype: DType): ((stored: number) => number) => (dtype === 'float16' ? fromHalf : dtype === 'bfloat16' ? fromBfloat16 : (value) => value);

/** Numbers as they are stored in a dtype. */
function encoder(dtype: DType): (value: number) => number {
  switch (dtype) {
    case 'float16': return toHalf;
    case 'bfloat16': return toBfloat16;
    case 'bool': return (value) => (value !== 0 ? 1 : 0);
    case 'int32': return (value) => Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1); // NaN is stored as 0
    default: return (value) => value;
  }
}

const cast: CpuKernel = (call) => {
  const [x] = call.inputs;
  const [out] = call.outputs;
  const source = x!.view();
  const target = out!.view();
  const decode = decoder(x!.dtype);
  const encode = encoder(out!.dtype);
  for (let i = 0; i < source.length; i++) target[i] = encode(decode(source[i]!));
};

export const copyKernels = { copy, fill, cast };
