import { checkTensor } from '../tensor/arguments.js';
import { defineOp } from '../autograd/op.js';
import type { Kernel } from '../backends/kernel.js';
import { toFloat } from '../tensor/dtype.js';
import { normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { axisView, KEEP, sum } from './broadcast.js';
import { cast } from './cast.js';
import { exp, mulNoNaN, sub } from './elementwise.js';

/** Normalised exponentials along one axis. */
function softmaxLike(
  name: string,
  vjp: (g: Tensor, y: Tensor, axis: number) => Tensor,
): (x: Tensor, axis?: number) => Tensor {
  const kernel: Kernel = {
    name,
    family: 'softmax',
    inputs: ['x'],
    outputs: ['out'],
    params: { outer: 'u32', axis: 'u32', inner: 'u32' },
    layout: 'groups',
  };
  const op = defineOp<{ axis: number }>({
    name,
    infer: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
    run: (call, [x], { axis }) => {
      const view = axisView(x!.shape, axis);
      // ctcLoss of log-probabilities computes from the logits behind them; then nothing reads these.
      call.launch({
        kernel,
        inputs: call.inputs,
        outputs: call.outputs,
        params: { ...view },
        grid: view.outer * view.inner,
        lazy: name === 'logSoftmax',
      });
    },
    vjp: (g, { output, attrs: { axis } }) => [vjp(g, output, axis)],
  });
  return (x, axis = -1) => {
    checkTensor(name, 'x', x);
    return op([cast(x, toFloat(x.dtype))], { axis: normalizeAxis(name, axis, x.rank) });
  };
}

/**
 * exp(x) / sum(exp(x)) along an axis, the last by default, without overflow. A row with Infinity, or of nothing but -Infinity, has no softmax: it is
 * NaN, as in torch; `logSumExp` of it is defined.
 */
export const softmax = softmaxLike('softmax', (g, y, axis) => {
  const weighted = mulNoNaN(g, y);
  return sub(weighted, mulNoNaN(y, sum(weighted, axis, KEEP)));
});

/** x - log(sum(exp(x))) along an axis, the last by default: log-probabilities of logits. NaN where `softmax` is. */
export const logSoftmax = softmaxLike('logSoftmax', (g, y, axis) => sub(g, mulNoNaN(exp(y), sum(g, axis, KEEP))));
