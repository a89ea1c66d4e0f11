import { stopGradient } from '../autograd/transforms.js';
import { ShapeError, ValueError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { add, mul, rsqrt, sub } from '../ops/elementwise.js';
import { mean, variance } from '../ops/moments.js';
import { concat, pad, reshape, slice } from '../ops/movement/index.js';
import {
  groupNorm as normaliseGroups,
  layerNorm as normalise,
  normalColumns,
  rmsNorm as normaliseByMeanSquare,
} from '../ops/norm.js';
import { checkOptions, checkTogether, describe } from '../tensor/arguments.js';
import { ones, zeros } from '../tensor/create.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { isTraining, type Layer, layer, type StatefulLayer, statefulLayer } from './layer.js';
import { areFull, type Lengths, lengthsOf, maskFrames, packFrames, unpackFrames } from './lengths.js';
import { checkFeatures, checkSizes } from './linear.js';

/** Weight and bias of a norm. */
export interface NormParams {
  /** [features] */
  readonly weight: Tensor;
  /** [features] */
  readonly bias: Tensor;
}

export type LayerNormParams = NormParams;

export interface RmsNormParams {
  /** [features] */
  readonly weight: Tensor;
}

export interface LayerNormOptions {
  /** Added to the variance; 1e-5 by default, 1e-6 in `rmsNorm`. */
  readonly eps?: number | undefined;
}

export interface BatchNormOptions extends LayerNormOptions {
  /** The share of the newest batch in the running statistics; 0.1 by default. */
  readonly momentum?: number | undefined;
}

/** Running statistics. */
export interface BatchNormState {
  /** [features] */
  readonly mean: Tensor;
  /** [features], with count - 1 in the divisor. */
  readonly variance: Tensor;
}

function epsOf(op: string, options: LayerNormOptions, names: readonly string[] = ['eps'], fallback = 1e-5): number {
  checkOptions(op, options, names, (given) => (typeof given === 'number' ? `write { eps: ${given} }` : null));
  const { eps = fallback } = options;
  if (!(Number.isFinite(eps) && eps >= 0))
    throw new ValueError(op, `eps is ${describe(eps)}; it must be finite and not negative`);
  return eps;
}

/** Each row along the last axis brought to mean 0 and variance 1, then scaled and shifted by learned amounts. */
export function layerNorm(features: number, options: LayerNormOptions = {}): Layer<NormParams> & Lengths {
  checkSizes('layerNorm', { features });
  const eps = epsOf('layerNorm', options);
  return layer('layerNorm', ['weight', 'bias'], {
    init: (_random, placement) => ({ weight: ones([features], placement), bias: zeros([features], placement) }),
    apply: (params, x) => {
      checkFeatures('layerNorm', x, null, features, `[..., ${features}]`);
      return normalise(x, { eps, weight: params.weight, bias: params.bias });
    },
  });
}

/** Each row along the last axis divided by its root mean square, then scaled by learned amounts. */
export function rmsNorm(features: number, options: LayerNormOptions = {}): Layer<RmsNormParams> & Lengths {
  checkSizes('rmsNorm', { features });
  const eps = epsOf('rmsNorm', options, ['eps'], 1e-6);
  return layer('rmsNorm', ['weight'], {
    init: (_random, placement) => ({ weight: ones([features], placement) }),
    apply: (params, x) => {
      checkFeatures('rmsNorm', x, null, features, `[..., ${features}]`);
      return normaliseByMeanSquare(x, { eps, weight: params.weight });
    },
  });
}

/**
 * The features of each sequence or image in groups, each brought to mean 0 and variance 1 over its features, frames and other places: [N, ...,
 * features]. With lengths, a sequence is normalised as if it were alone, and frames beyond it come out as 0; [N, features] has no frames, and
 * lengths do not matter to it.
 */
export function groupNorm(
  groups: number,
  features: number,
  options: LayerNormOptions = {},
): Layer<NormParams> & Lengths {
  checkSizes('groupNorm', { groups, features });
  if (features % groups !== 0)
    throw new ValueError('groupNorm', `${features} features do not fall into ${groups} groups of one size`);
  const eps = epsOf('groupNorm', options);
  return layer('groupNorm', ['weight', 'bias'], {
    init: (_random, placement) => ({ weight: ones([features], placement), bias: zeros([features], placement) }),
    apply: (params, x, { lengths }) => {
      if (x.rank < 2 || x.shape[x.rank - 1] !== features)
        throw new ShapeError('groupNorm', `x is ${formatShape(x.shape)}; it must be [N, ..., ${features}]`);
      const norm = (part: Tensor): Tensor =>
        normaliseGroups(part, groups, { eps, weight: params.weight, bias: params.bias });
      const counts = lengths === undefined || x.rank === 2 ? null : lengthsOf('groupNorm', lengths, x);
      if (!counts || areFull(counts, x)) return norm(x);
      const rest = new Array<[number, number]>(x.rank - 2).fill([0, 0]);
      const alone = Array.from(counts, (count, n) =>
        pad(norm(slice(x, [n, n + 1], [0, count])), [[0, 0], [0, x.shape[1]! - count], ...rest]),
      );
      return concat(alone, 0);
    },
  });
}

/**
 * Every feature brought to mean 0 and variance 1 over the whole batch, then scaled and shifted by learned amounts: x is [..., features], and all axes
 * but the last are counted over. Ioffe and Szegedy, arXiv:1502.03167.
 *
 * In training the batch's own mean and variance are used (its variance with the count in the divisor), and the running ones go a step towards
 * them: `(1 - momentum) * running + momentum * batch`, the variance with count - 1 in the divisor, as torch has it. Otherwise the running ones are
 * used. With lengths, [N, T, ..., features], frames beyond them are not counted and come out as 0; [N, features], what a global pool leaves,
 * has no frames, and lengths do not matter to it.
 * @throws {ValueError} by `apply` in training, for a batch of less than two values for each feature: it has no variance.
 */
export function batchNorm(
  features: number,
  options: BatchNormOptions = {},
): StatefulLayer<NormParams, BatchNormState> & Lengths {
  checkSizes('batchNorm', { features });
  const eps = epsOf('batchNorm', options, ['eps', 'momentum']);
  const { momentum = 0.1 } = options;
  if (!(typeof momentum === 'number' && momentum >= 0 && momentum <= 1))
    throw new ValueError('batchNorm', `momentum is ${describe(momentum)}; it must be in [0, 1]`);
  return statefulLayer<NormParams, BatchNormState>('batchNorm', ['weight', 'bias'], {
    init: (_random, placement) => ({ weight: ones([features], placement), bias: zeros([features], placement) }),
    initState: (placement) => ({ mean: zeros([features], placement), variance: ones([features], placement) }),
    stateNames: ['mean', 'variance'],
    apply: ({ weight, bias }, given, options) => {
      checkFeatures('batchNorm', given, null, features, `[..., ${features}]`);
      const state = stopGradient(options.state);
      for (const t of [weight, bias, state.mean, state.variance]) checkTogether('batchNorm', given, t);
      for (const [name, t] of Object.entries({
        weight,
        bias,
        'running mean': state.mean,
        'running variance': state.variance,
      }))
        if (!sameShape(t.shape, [features]))
          throw new ShapeError('batchNorm', `the ${name} is ${formatShape(t.shape)}; it must be [${features}]`);
      const x = cast(given, toFloat(given.dtype));
      const lengths = x.rank === 2 ? undefined : options.lengths;
      if (!isTraining(options)) {
        const scale = mul(weight, rsqrt(add(state.variance, eps)));
        const shifted = add(mul(sub(maskFrames('batchNorm', x, lengths), state.mean), scale), bias);
        return [maskFrames('batchNorm', shifted, lengths), null];
      }
      const counts = lengths === undefined ? null : lengthsOf('batchNorm', lengths, x);
      const packed = counts && !areFull(counts, x) ? packFrames(counts, x) : null;
      const values = reshape(packed ?? x, [-1, features]);
      const count = values.shape[0]!;
      if (count < 2)
        throw new ValueError(
          'batchNorm',
          `x of ${formatShape(x.shape)} has ${count === 1 ? 'one value' : 'no values'} for each feature${packed ? ' within its lengths' : ''}; training needs two, which have a variance`,
        );
      const normal = reshape(normalColumns(values, eps), (packed ?? x).shape);
      const scaled = add(mul(normal, weight), bias);
      const seen = cast(stopGradient(values), values.dtype === 'float64' ? 'float64' : 'float32');
      const towards = (running: Tensor, batch: Tensor): Tensor =>
        add(mul(running, 1 - momentum), mul(cast(batch, running.dtype), momentum));
      return [
        packed ? unpackFrames(scaled, counts!, x.shape[1]!) : scaled,
        {
          mean: towards(state.mean, mean(seen, 0)),
          variance: towards(state.variance, variance(seen, 0, { correction: 1 })),
        },
      ];
    },
  });
}
