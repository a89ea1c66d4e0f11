import { checkTensor } from '../tensor/arguments.js';
import { defineOp } from '../autograd/op.js';
import { primitives } from '../autograd/primitives.js';
import type { DType } from '../backends/backend.js';
import { type Kernel, STORED } from '../backends/kernel.js';
import { DTypeError } from '../errors.js';
import { checkDType, isFloat } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';

/** Element by element into another dtype. */
const castKernel: Kernel = {
  name: 'cast',
  family: 'copy',
  inputs: ['x'],
  outputs: ['out'],
  types: { x: STORED, out: STORED },
  params: { size: 'u32' },
};

const castOp = defineOp<{ dtype: DType }>({
  name: 'cast',
  readsResult: false,
  movesOnly: true,
  infer: ([x], { dtype }) => ({ shape: x!.shape, dtype }),
  run: (call, [x]) =>
    call.launch({
      kernel: castKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { size: x!.size },
      grid: x!.size,
    }),
  vjp: (g, { inputs: [x], attrs: { dtype } }) => [isFloat(x!.dtype) && isFloat(dtype) ? cast(g, x!.dtype) : null],
});

/**
 * The values in another dtype. Floats become int32 by cutting off the fraction (beyond its range, the nearest end; NaN gives 0); bool is
 * "not zero". float16 and bfloat16 round to nearest, ties to even. Differentiable between floats.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkTensor('cast', 'x', x);
  if (x.dtype === dtype) return x;
  checkDType('cast', dtype);
  if (!x.device.supports(dtype)) throw new DTypeError('cast', `device '${x.device.name}' has no ${dtype}`);
  return castOp([x], { dtype });
}

primitives.cast = cast;
