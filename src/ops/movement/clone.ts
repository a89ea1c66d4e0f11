import { defineOp } from '../../autograd/op.js';
import { primitives } from '../../autograd/primitives.js';
import { checkTensor } from '../../tensor/arguments.js';
import type { Tensor } from '../../tensor/tensor.js';
import { accumulateKernel, launchCopy } from './copy.js';

const cloneOp = defineOp<null>({
  name: 'clone',
  readsResult: false,
  movesOnly: true,
  infer: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
  run: (call, [x]) => {
    const flat = { offset: 0, strides: [1] };
    launchCopy(call, 'clone', [x!.size], call.inputs[0]!, flat, call.outputs[0]!, flat);
  },
  addTo: (call, [x]) => {
    const flat = { offset: 0, strides: [1] };
    launchCopy(call, 'clone', [x!.size], call.inputs[0]!, flat, call.outputs[0]!, flat, accumulateKernel);
  },
  vjp: (g) => [g],
});

/** The same values in memory of its own. */
export function clone(x: Tensor): Tensor {
  checkTensor('clone', 'x', x);
  return cloneOp([x], null);
}

primitives.clone = clone;
primitives.addend = (t) => cloneOp.later([t], null);
