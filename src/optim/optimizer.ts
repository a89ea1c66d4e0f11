import {
  checkBoolean,
  checkOptions,
  checkTensor,
  describe,
  isCallable,
  isPlainObject,
  onBehalfOf,
} from '../tensor/arguments.js';
import { recordingTapes } from '../autograd/tape.js';
import { DTypeError, GradientError, ShapeError, ValueError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { adamStep, sgdStep } from '../ops/optimizer.js';
import { fromTypedArray, zerosLike } from '../tensor/create.js';
import { integersOf } from '../tensor/integers.js';
import { type DType, isFloat, isStorage } from '../tensor/dtype.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { type GradientOf, mapTensors, replaceTensors } from '../tensor/tree.js';
import type { Schedule } from './schedules.js';

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

export interface SgdOptions {
  /** A number, or a function of the step such as `warmup(20, cosine(...))`. */
  readonly learningRate: number | Schedule;
  /** Share of the last velocity that is kept; 0 by default. */
  readonly momentum?: number;
  /** Looks ahead along the new velocity (Sutskever et al. 2013). */
  readonly nesterov?: boolean;
  /** Added to the gradient, times the parameter; 0 by default. */
  readonly weightDecay?: number;
}

export interface AdamOptions {
  /** A number, or a function of the step such as `warmup(20, cosine(...))`. */
  readonly learningRate: number | Schedule;
  /** Memories of the mean and of the variance; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to the deviation; 1e-8 by default. */
  readonly eps?: number;
  /** `adam` adds it, times the parameter, to the gradient (0 by default); `adamw` shrinks the parameter by it (0.01 by default). */
  readonly weightDecay?: number;
}

/**
 * A pure pair of functions: nothing is changed in place, and the same arguments give the same bits. The trees are the parameters' own.
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
  ): { params: Params; state: SgdState<Params> };
}

/** See `Sgd`. */
export interface Adam {
  init<Params>(params: Params): AdamState<Params>;
  update<Params>(
    params: Params,
    gradients: GradientOf<Params>,
    state: AdamState<Params>,
  ): { params: Params; state: AdamState<Params> };
}

/** Stochastic gradient descent with momentum, as torch defines it: velocity = momentum * velocity + gradient; parameter -= rate * velocity. */
export function sgd(options: SgdOptions): Sgd {
  checkOptions('sgd', options, ['learningRate', 'momentum', 'nesterov', 'weightDecay'], meantRate);
  const { learningRate, momentum = 0, nesterov = false, weightDecay = 0 } = options;
  checkRange('sgd', 'momentum', momentum, 0, 1);
  checkNonNegative('sgd', 'weightDecay', weightDecay);
  checkRate('sgd', learningRate);
  checkBoolean('sgd', 'nesterov', nesterov);
  if (nesterov && momentum === 0) throw new ValueError('sgd', 'nesterov looks ahead along the momentum, which is 0');
  return {
    init: (params) => {
      checkTree('sgd', 'the parameters', params);
      return onBehalfOf('sgd', 'init', () => ({
        step: stepTensor(0),
        velocity: mapTensors((p) => zeroState(p), params),
      }));
    },
    update: (params, gradients, state) => {
      const step = checkUpdate('sgd', params, gradients, state, ['step', 'velocity']);
      const attrs = {
        learningRate: rateAt('sgd', learningRate, step),
        momentum,
        dampening: 0,
        weightDecay,
        nesterov: Number(nesterov),
      };
      const [next, velocity] = updateTrees('sgd', params, [gradients, state.velocity], (inputs) =>
        sgdStep(inputs, attrs),
      );
      return { params: next!, state: { step: stepTensor(step + 1), velocity: velocity! } };
    },
  };
}

/** Adam (Kingma and Ba, arXiv:1412.6980), with both running means corrected for their start at 0. */
export const adam = (options: AdamOptions): Adam => adamLike('adam', options, 0, false);

/** Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101): parameters shrink by rate * weightDecay in every step. */
export const adamw = (options: AdamOptions): Adam => adamLike('adamw', options, 0.01, true);

function adamLike(op: string, options: AdamOptions, decay: number, decoupled: boolean): Adam {
  checkOptions(op, options, ['learningRate', 'betas', 'eps', 'weightDecay'], meantRate);
  const { learningRate, betas = [0.9, 0.999], eps = 1e-8, weightDecay = decay } = options;
  if (!Array.isArray(betas) || betas.length !== 2)
    throw new ValueError(op, `betas is ${describe(betas)}; it must be two numbers: [0.9, 0.999]`);
  const [beta1, beta2] = betas as [number, number];
  checkRange(op, 'betas[0]', beta1, 0, 1);
  checkRange(op, 'betas[1]', beta2, 0, 1);
  checkNonNegative(op, 'eps', eps);
  checkNonNegative(op, 'weightDecay', weightDecay);
  checkRate(op, learningRate);
  return {
    init: (params) => {
      checkTree(op, 'the parameters', params);
      return onBehalfOf(op, 'init', () => ({
        step: stepTensor(0),
        mean: mapTensors((p) => zeroState(p), params),
        variance: mapTensors((p) => zeroState(p), params),
      }));
    },
    update: (params, gradients, state) => {
      const step = checkUpdate(op, params, gradients, state, ['step', 'mean', 'variance']);
      const attrs = {
        learningRate: rateAt(op, learningRate, step),
        beta1,
        beta2,
        eps,
        weightDecay,
        decoupled: Number(decoupled),
        correction1: 1 - beta1 ** (step + 1),
        correction2: 1 - beta2 ** (step + 1),
      };
      const [next, mean, variance] = updateTrees(op, params, [gradients, state.mean, state.variance], (inputs) =>
        adamStep(inputs, attrs),
      );
      return { params: next!, state: { step: stepTensor(step + 1), mean: mean!, variance: variance! } };
    },
  };
}

/** Applies an update to each parameter and its tensors in the other trees; results are trees again: the parameters, then the state. */
function updateTrees<Params>(
  op: string,
  params: Params,
  others: readonly unknown[],
  apply: (inputs: Tensor[]) => Tensor[],
): Params[] {
  const leaves = leavesOf(op, 'the parameters', params);
  const rest = others.map((tree, i) => {
    const found = leavesOf(op, i === 0 ? 'the gradients' : 'the state', tree);
    const differs = leaves.findIndex(([path], at) => found[at]?.[0] !== path);
    const [path] = differs < 0 ? (found[leaves.length] ?? [null]) : leaves[differs]!;
    const what = i === 0 ? 'the gradients have' : "the optimizer's state has";
    if (path !== null)
      throw new ValueError(
        op,
        `${what} ${differs < 0 ? 'an extra tensor' : 'no tensor'} at '${path}'; they must have the structure of the parameters`,
      );
    return found;
  });
  if (recordingTapes([leaves, ...rest].flatMap((list) => list.map(([, leaf]) => leaf))).length > 0) {
    throw new GradientError(
      op,
      'an update inside a transform has no derivative; update with plain parameters, or stopGradient() them',
    );
  }
  const results = leaves.map(([path, param], at) => {
    const inputs = rest.map((list) => list[at]![1]);
    checkAlike(op, param, inputs, path);
    const [next, ...state] = apply([param, ...inputs]);
    return [cast(next!, param.dtype), ...state];
  });
  return others.map((_, i) => {
    let at = 0;
    return mapTensors(() => results[at++]![i]!, params);
  });
}

/** The tensors of a tree with their paths, in order. */
function leavesOf(op: string, what: string, tree: unknown): [path: string, leaf: Tensor][] {
  const found: [string, Tensor][] = [];
  const visit = (leaf: Tensor, path: string): Tensor => {
    checkTensor(op, what, leaf);
    found.push([path, leaf]);
    return leaf;
  };
  onBehalfOf(op, what, () => replaceTensors(tree, visit));
  return found;
}

function checkAlike(op: string, param: Tensor, others: readonly Tensor[], path: string): void {
  if (!isFloat(param.dtype))
    throw new DTypeError(op, `the parameter '${path}' is ${param.dtype}; it must be a float dtype`);
  for (const other of others) {
    if (!sameShape(other.shape, param.shape))
      throw new ShapeError(
        op,
        `the parameter '${path}' is ${formatShape(param.shape)}, its gradient or state ${formatShape(other.shape)}`,
      );
  }
  const [gradient, ...state] = others;
  if (gradient!.dtype !== param.dtype)
    throw new DTypeError(op, `the parameter '${path}' is ${param.dtype}, its gradient ${gradient!.dtype}`);
  const wanted = stateDType(param);
  for (const { dtype } of state)
    if (dtype !== wanted)
      throw new DTypeError(op, `the state of the ${param.dtype} parameter '${path}' is ${dtype}; it must be ${wanted}`);
}

const stateDType = ({ dtype }: Tensor): DType => (isStorage(dtype) ? 'float32' : dtype);

const zeroState = (param: Tensor): Tensor => cast(zerosLike(param), stateDType(param));

/** On the host, where the next update reads it. */
const stepTensor = (step: number): Tensor => fromTypedArray(Int32Array.of(step), [], 'int32');

const meantRate = (given: unknown): string | null =>
  typeof given === 'number' || typeof given === 'function' ? 'write { learningRate }' : null;

function checkTree(op: string, what: string, tree: unknown): void {
  if (tree instanceof Tensor || Array.isArray(tree) || isPlainObject(tree)) return;
  throw new ValueError(op, `${what} are ${describe(tree)}; they must be tensors, in arrays and objects`);
}

/** Checks what `update` is given, and reads the count of steps. */
function checkUpdate(
  op: string,
  params: unknown,
  gradients: unknown,
  state: unknown,
  names: readonly string[],
): number {
  checkTree(op, 'the parameters', params);
  checkTree(op, 'the gradients', gradients);
  if (!isPlainObject(state) || names.some((name) => !(name in state)))
    throw new ValueError(
      op,
      `the state is ${describe(state)}; call update(params, gradients, state) with the state that init or the last update gave: { ${names.join(', ')} }`,
    );
  const steps = integersOf(op, 'state.step', state.step as Tensor);
  if (steps.length !== 1 || steps[0]! < 0)
    throw new ValueError(op, 'state.step is no count of steps; it must be what init or the last update gave');
  return steps[0]!;
}

function rateAt(op: string, learningRate: number | Schedule, step: number): number {
  const rate = typeof learningRate === 'number' ? learningRate : learningRate(step);
  if (!Number.isFinite(rate) || rate < 0)
    throw new ValueError(
      op,
      `the learning rate of step ${step} is ${describe(rate)}; it must be finite and not negative`,
    );
  return rate;
}

function checkRate(op: string, learningRate: number | Schedule): void {
  if (typeof learningRate === 'number') rateAt(op, learningRate, 0);
  else if (!isCallable(learningRate))
    throw new ValueError(
      op,
      `learningRate is ${describe(learningRate)}; it must be a number or a function of the step`,
    );
}

function checkRange(op: string, name: string, value: number, low: number, high: number): void {
  if (!(typeof value === 'number' && value >= low && value < high))
    throw new ValueError(op, `${name} is ${describe(value)}; it must be in [${low}, ${high})`);
}

function checkNonNegative(op: string, name: string, value: number): void {
  if (!(Number.isFinite(value) && value >= 0))
    throw new ValueError(op, `${name} is ${describe(value)}; it must be finite and not negative`);
}
