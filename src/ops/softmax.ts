import { defineOp, type OpFunction } from '../autograd/op.js';
import type { Kernel } from '../backends/kernel.js';
import { checkTensor } from '../tensor/arguments.js';
import { toFloat } from '../tensor/dtype.js';
import { normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { alongAxes, axisView } from './along-axes.js';
import { KEEP, sum } from './broadcast.js';
import { cast } from './cast.js';
import { exp, mulNoNaN, sub } from './elementwise.js';

/** g y - y sum(g y) along the axis; a product with 0 is 0. */
const softmaxVjpKernel: Kernel = {
  name: 'softmaxVjp',
  family: 'softmax-vjp',
  inputs: ['g', 'y'],
  outputs: ['out'],
  params: { outer: 'u32', axis: 'u32', inner: 'u32' },
  layout: 'groups',
};

const softmaxVjpOp: OpFunction<{ readonly axis: number }> = defineOp({
  name: 'softmaxVjp',
  readsResult: false,
  infer: ([g]) => ({ shape: g!.shape, dtype: g!.dtype }),
  run: (call, [g], { axis }) => {
    const params = { ...axisView(g!.shape, axis) };
    const { inputs, outputs } = call;
    call.launch({ kernel: softmaxVjpKernel, inputs, outputs, params, grid: params.outer * params.inner });
  },
  // With c the cotangent of the result: the map is linear and symmetric in g, quadratic in y.
  vjp: (c, { inputs, attrs, needs }) => {
    const [g, y] = inputs as [Tensor, Tensor];
    const shareOf = (t: Tensor): Tensor => sum(mulNoNaN(t, y), attrs.axis, KEEP);
    return [
      needs[0] ? softmaxVjpOp([c, y], attrs) : null,
      needs[1] ? sub(mulNoNaN(c, sub(g, shareOf(g))), mulNoNaN(g, shareOf(c))) : null,
    ];
  },
});

/** Normalised exponentials along one axis. */
function softmaxLike(
  name: string,
  vjp: (g: Tensor, y: Tensor, axis: number) => Tensor,
): (x: Tensor, axis?: number) => Tensor {
  const op = alongAxes(name, {
    family: 'softmax',
    keepsShape: true,
    // ctcLoss of log-probabilities computes from the logits behind them; then nothing reads these.
    lazy: name === 'logSoftmax',
    vjp: (g, _x, y, { from }) => vjp(g, y, from),
  });
  return (x, axis = -1) => {
    checkTensor(name, 'x', x);
    const from = normalizeAxis(name, axis, x.rank);
    return op(cast(x, toFloat(x.dtype)), { from, to: from + 1 });
  };
}

/**
 * exp(x) / sum(exp(x)) along an axis, the last by default, without overflow. A row with Infinity, or of nothing but -Infinity, has no softmax: it is
 * NaN, as in torch; `logSumExp` of it is defined.
 */
export const softmax = softmaxLike('softmax', (g, y, axis) => softmaxVjpOp([g, y], { axis }));

/** x - log(sum(exp(x))) along an axis, the last by default: log-probabilities of logits. NaN where `softmax` is. */
export const logSoftmax = softmaxLike('logSoftmax', (g, y, axis) => sub(g, mulNoNaN(exp(y), sum(g, axis, KEEP))));
