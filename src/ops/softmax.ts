import { checkTensor } from '../tensor/arguments.js';
import { toFloat } from '../tensor/dtype.js';
import { normalizeAxis } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { alongAxes } from './along-axes.js';
import { KEEP, sum } from './broadcast.js';
import { cast } from './cast.js';
import { exp, mulNoNaN, sub } from './elementwise.js';

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
export const softmax = softmaxLike('softmax', (g, y, axis) => {
  const weighted = mulNoNaN(g, y);
  return sub(weighted, mulNoNaN(y, sum(weighted, axis, KEEP)));
});

/** x - log(sum(exp(x))) along an axis, the last by default: log-probabilities of logits. NaN where `softmax` is. */
export const logSoftmax = softmaxLike('logSoftmax', (g, y, axis) => sub(g, mulNoNaN(exp(y), sum(g, axis, KEEP))));
