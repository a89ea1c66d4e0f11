import { checkBoolean, checkOptions, describe, onBehalfOf } from '../tensor/arguments.js';
import { ValueError } from '../errors.js';
import { adamStep, sgdStep } from '../ops/optimizer.js';
import type { Tensor } from '../tensor/tensor.js';
import { type GradientOf, mapTensors } from '../tensor/tree.js';
import type { Schedule } from './schedules.js';
import { checkNonNegative, checkRange, checkState, checkTree, countTensor, readCount, zeroState } from './state.js';
import {
  checkShared,
  checkUpdate,
  type OptimizerOptions,
  rateOf,
  SHARED_OPTIONS,
  type UpdateOptions,
  updateTrees,
} from './update.js';

/**
 * What every optimizer keeps; all of it tensors, so that `saveSafetensors` holds the whole of it. For float16 and bfloat16 parameters it is
 * float32: in float16 the mean of squares of small gradients would be 0, and the step far too long. The parameters themselves are rounded
 * after each step, as torch's and optax's are, and a step below half a unit in their last place is lost. Where such steps matter, keep
 * float32 parameters and cast them where they are used.
 */
export interface OptimizerState {
  /** Updates made so far: an int32 scalar. */
  readonly step: Tensor;
}

export interface SgdState<Params> extends OptimizerState {
  readonly velocity: Params;
}

export interface AdamState<Params> extends OptimizerState {
  /** Running mean of the gradients. */
  readonly mean: Params;
  /** Running mean of their squares. */
  readonly variance: Params;
}

export interface SgdOptions extends OptimizerOptions {
  /** Share of the last velocity that is kept; 0 by default. */
  readonly momentum?: number;
  /** Looks ahead along the new velocity (Sutskever et al. 2013). */
  readonly nesterov?: boolean;
  /** Added to the gradient, times the parameter; 0 by default. */
  readonly weightDecay?: number;
}

export interface AdamOptions extends OptimizerOptions {
  /** Memories of the mean and of the variance; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to the deviation; 1e-8 by default. */
  readonly eps?: number;
  /** `adam` adds it, times the parameter, to the gradient (0 by default); `adamw` shrinks the parameter by it (0.01 by default). */
  readonly weightDecay?: number;
}

/**
 * Pure functions: the same arguments give the same bits, and nothing is changed in place but what is given up for it, in
 * `update(params, gradients, state, { donate: true })`. The trees are the parameters' own.
 *
 * ```ts
 * let params = model.init(random(1));
 * let state = optimizer.init(params);
 * const [loss, gradients] = valueAndGrad(lossOf)(params);
 * ({ params, state } = optimizer.update(params, gradients, state));
 * ```
 */
export interface Sgd {
  init<Params>(params: Params): SgdState<Params>;
  update<Params>(
    params: Params,
    gradients: GradientOf<Params>,
    state: SgdState<Params>,
    options?: UpdateOptions,
  ): { params: Params; state: SgdState<Params> };
  /** The learning rate that the next update with this state is going to use, the schedule's and the scale's product. */
  learningRate(state: OptimizerState, options?: UpdateOptions): number;
}

/** See `Sgd`. */
export interface Adam {
  init<Params>(params: Params): AdamState<Params>;
  update<Params>(
    params: Params,
    gradients: GradientOf<Params>,
    state: AdamState<Params>,
    options?: UpdateOptions,
  ): { params: Params; state: AdamState<Params> };
  /** The learning rate that the next update with this state is going to use, the schedule's and the scale's product. */
  learningRate(state: OptimizerState, options?: UpdateOptions): number;
}

/** Stochastic gradient descent with momentum, as torch defines it: velocity = momentum * velocity + gradient; parameter -= rate * velocity. */
export function sgd(options: SgdOptions): Sgd {
  checkOptions('sgd', options, ['learningRate', 'momentum', 'nesterov', 'weightDecay', ...SHARED_OPTIONS], meantRate);
  const { learningRate, momentum = 0, nesterov = false, weightDecay = 0 } = options;
  checkRange('sgd', 'momentum', momentum, 0, 1);
  checkNonNegative('sgd', 'weightDecay', weightDecay);
  checkShared('sgd', options);
  checkBoolean('sgd', 'nesterov', nesterov);
  if (nesterov && momentum === 0) throw new ValueError('sgd', 'nesterov looks ahead along the momentum, which is 0');
  return {
    init: (params) => {
      checkTree('sgd', 'the parameters', params);
      return onBehalfOf('sgd', 'init', () => ({
        step: countTensor(0),
        velocity: mapTensors((p) => zeroState(p), params),
      }));
    },
    update: (params, gradients, state, given = {}) => {
      const step = checkUpdate('sgd', params, gradients, state, ['step', 'velocity']);
      const attrs = {
        learningRate: rateOf('sgd', learningRate, step, given),
        momentum,
        dampening: 0,
        weightDecay,
        nesterov: Number(nesterov),
      };
      const [next, velocity] = updateTrees('sgd', params, [gradients, state.velocity], options, attrs, sgdStep, {
        donate: given.donate,
        step: state.step,
      });
      return { params: next!, state: { step: countTensor(step + 1), velocity: velocity! } };
    },
    learningRate: (state, given = {}) => nextRate('sgd', learningRate, state, given),
  };
}

/** Adam (Kingma and Ba, arXiv:1412.6980), with both running means corrected for their start at 0. */
export const adam = (options: AdamOptions): Adam => adamLike('adam', options, 0, false);

/** Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101): parameters shrink by rate * weightDecay in every step. */
export const adamw = (options: AdamOptions): Adam => adamLike('adamw', options, 0.01, true);

function adamLike(op: string, options: AdamOptions, decay: number, decoupled: boolean): Adam {
  checkOptions(op, options, ['learningRate', 'betas', 'eps', 'weightDecay', ...SHARED_OPTIONS], meantRate);
  const { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = decay } = options;
  if (!Array.isArray(betas) || betas.length !== 2)
    throw new ValueError(op, `betas is ${describe(betas)}; it must be two numbers: [0.9, 0.999]`);
  const [beta1, beta2] = betas as [number, number];
  checkRange(op, 'betas[0]', beta1, 0, 1);
  checkRange(op, 'betas[1]', beta2, 0, 1);
  checkNonNegative(op, 'eps', eps);
  checkNonNegative(op, 'weightDecay', weightDecay);
  checkShared(op, options);
  return {
    init: (params) => {
      checkTree(op, 'the parameters', params);
      return onBehalfOf(op, 'init', () => ({
        step: countTensor(0),
        mean: mapTensors((p) => zeroState(p), params),
        variance: mapTensors((p) => zeroState(p), params),
      }));
    },
    update: (params, gradients, state, given = {}) => {
      const step = checkUpdate(op, params, gradients, state, ['step', 'mean', 'variance']);
      const attrs = {
        learningRate: rateOf(op, learningRate, step, given),
        beta1,
        beta2,
        eps,
        weightDecay,
        decoupled: Number(decoupled),
        correction1: 1 - beta1 ** (step + 1),
        correction2: 1 - beta2 ** (step + 1),
      };
      const trees = [gradients, state.mean, state.variance] as const;
      const [next, mean, variance] = updateTrees(op, params, trees, options, attrs, adamStep, {
        donate: given.donate,
        step: state.step,
      });
      return { params: next!, state: { step: countTensor(step + 1), mean: mean!, variance: variance! } };
    },
    learningRate: (state, given = {}) => nextRate(op, learningRate, state, given),
  };
}

function nextRate(op: string, learningRate: number | Schedule, state: OptimizerState, options: UpdateOptions): number {
  checkState(op, state, ['step'], 'learningRate(state)');
  return rateOf(op, learningRate, readCount(op, 'state.step', state.step), options);
}

const meantRate = (given: unknown): string | null =>
  typeof given === 'number' || typeof given === 'function' ? 'write { learningRate }' : null;
