import type { MultiOpFunction } from '../autograd/op.js';
import { recordingTapes } from '../autograd/tape.js';
import { DTypeError, GradientError, ShapeError, ValueError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { checkOptions, checkTensor, describe, isCallable, onBehalfOf } from '../tensor/arguments.js';
import { currentRegion } from '../tensor/device.js';
import { isFloat } from '../tensor/dtype.js';
import { scope } from '../tensor/scope.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { eachTensor, mapTensors, type Place } from '../tensor/tree.js';
import { Donated, type Donation } from './donation.js';
import type { Schedule } from './schedules.js';
import { checkNonNegative, checkState, checkTree, readNumber, readRisingCount, stateDType } from './state.js';

/** What one update is told beside its trees. */
export interface UpdateOptions {
  /** Factor on the scheduled learning rate: the `scale` of a `plateau`'s state, for instance. 1 when left out. */
  readonly scale?: number | Tensor | undefined;
  /**
   * Gives tensors up to the update, as `donate_argnames` of jax.jit does: it writes its results over them where it can, and a step copies nothing. `true` is
   * parameters and state; a list names them: `['params', 'gradients', 'state']`. Whoever uses one of them afterwards, or what shares its memory (`reshape` and
   * the like), gets a `RecycledError`; frozen parameters and arrays that were read before stay. An update that throws has taken nothing. Within a
   * transform's function, up to its first `await`, nothing is given up. False when left out.
   */
  readonly donate?: Donation | undefined;
}

/**
 * Chooses parameters by their place and what they are. The path is the name that `saveSafetensors` gives the parameter, `encoder.0.weight`, which is
 * torch's way to name them, too.
 */
export type Choice<T> = (path: string, parameter: Tensor) => T;

/** The options that all optimizers have. */
export interface OptimizerOptions {
  /** A number, or a function of the step such as `warmup(20, cosine(...))`. */
  readonly learningRate: number | Schedule;
  /** Which parameters `weightDecay` acts on, all by default. Weights but no biases and scales: `(path, t) => t.rank > 1`. */
  readonly decay?: Choice<boolean> | undefined;
  /**
   * Which parameters change, all by default. The others come out as the very tensors that went in, and their state stays as it is (it is kept all
   * the same, so that a checkpoint fits when they are thawed).
   */
  readonly trainable?: Choice<boolean> | undefined;
  /** Factor on the learning rate of a parameter, and with it on `adamw`'s decay, as of torch's parameter groups; 1 by default. */
  readonly rate?: Choice<number> | undefined;
}

/** The options' names, after those of an optimizer's own. */
export const SHARED_OPTIONS = ['decay', 'trainable', 'rate'] as const;

export function checkShared(op: string, options: OptimizerOptions): void {
  const { learningRate } = options;
  if (typeof learningRate === 'number') checkedRate(op, learningRate, 0);
  else if (!isCallable(learningRate))
    throw new ValueError(
      op,
      `learningRate is ${describe(learningRate)}; it must be a number or a function of the step`,
    );
  for (const name of SHARED_OPTIONS)
    if (options[name] !== undefined && !isCallable(options[name]))
      throw new ValueError(
        op,
        `${name} is ${describe(options[name])}; it must be a function of path and parameter: (path, t) => t.rank > 1`,
      );
}

function checkedRate(op: string, rate: number, step: number): number {
  if (!Number.isFinite(rate) || rate < 0)
    throw new ValueError(
      op,
      `the learning rate of step ${step} is ${describe(rate)}; it must be finite and not negative`,
    );
  return rate;
}

/** The learning rate of the update that a state is going to see. */
export function rateOf(op: string, learningRate: number | Schedule, step: number, options: UpdateOptions): number {
  checkOptions(op, options, ['scale', 'donate'], (given) =>
    typeof given === 'number' ? `write { scale: ${given} }` : null,
  );
  const given = options.scale ?? 1;
  const scale = given instanceof Tensor ? readNumber(op, 'scale', given) : given;
  checkNonNegative(op, 'scale', scale);
  return scale * checkedRate(op, typeof learningRate === 'number' ? learningRate : learningRate(step), step);
}

/** Checks what `update` is given, and reads the count of steps. */
export function checkUpdate(
  op: string,
  params: unknown,
  gradients: unknown,
  state: unknown,
  names: readonly string[],
): number {
  checkTree(op, 'the parameters', params);
  checkTree(op, 'the gradients', gradients);
  checkState(op, state, names, 'update(params, gradients, state)');
  return readRisingCount(op, 'state.step', state.step);
}

/** What applies to all parameters, before `decay` and `rate` say what applies to one. */
export interface Amounts {
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** Applies an update to each parameter and its tensors in the other trees; results are trees again: the parameters, then the state. */
export function updateTrees<Params, Attrs extends Amounts>(
  op: string,
  params: Params,
  others: readonly [gradients: unknown, ...state: unknown[]],
  choices: OptimizerOptions,
  attrs: Attrs,
  apply: MultiOpFunction<Attrs>,
  given: { readonly donate: unknown; readonly step: unknown },
): Params[] {
  const leaves = leavesOf(op, 'the parameters', params);
  const rest = others.map((tree, i) =>
    i === 0
      ? inOrder(op, 'the gradients have', leavesOf(op, 'the gradients', tree), leaves)
      : inOrder(op, "the optimizer's state has", leavesOf(op, 'the state', tree), leaves),
  );
  if (recordingTapes([leaves, ...rest].flatMap((list) => list.map(({ leaf }) => leaf))).length > 0) {
    throw new GradientError(
      op,
      'an update inside a transform has no derivative; update with plain parameters, or stopGradient() them',
    );
  }
  const own = leaves.map((place, at) => {
    checkAlike(
      op,
      place,
      rest.map((list) => list[at]!.leaf),
    );
    return chosen(op, choices, attrs, place);
  });
  const lists = [leaves, ...rest].map((list) => list.map(({ leaf }) => leaf));
  const donated = new Donated(op, given.donate, lists);
  const updateAll = (): Tensor[][] => {
    const over = leaves.map((_, at) => (own[at] ? donated.over(at) : null));
    const made: Tensor[][] = [];
    const updateAt = (at: number): void => {
      const [param, gradient, ...state] = lists.map((list) => list[at]!) as [Tensor, Tensor, ...Tensor[]];
      const amounts = own[at];
      if (!amounts) {
        made[at] = [param, ...state];
        return;
      }
      const [next, ...further] = apply([param, gradient, ...state], amounts, over[at]);
      made[at] = [cast(next!, param.dtype), ...further];
    };
    // What needs memory comes first: if there is none, nothing has been written over.
    over.forEach((flags, at) => {
      if (!flags) updateAt(at);
    });
    over.forEach((flags, at) => {
      if (flags) updateAt(at);
    });
    return made;
  };
  const results = donated.isNothing || currentRegion() ? updateAll() : scope(updateAll);
  donated.end(results, [given.step as Tensor]);
  return others.map((_, i) => {
    let at = 0;
    return mapTensors(() => results[at++]![i]!, params);
  });
}

/** What an update is to do with one parameter; null where it is to leave it alone. */
function chosen<Attrs extends Amounts>(
  op: string,
  choices: OptimizerOptions,
  attrs: Attrs,
  { leaf, place }: Leaf,
): Attrs | null {
  const { decay, trainable, rate } = choices;
  if (!decay && !trainable && !rate) return attrs;
  const name = place.keys.join('.');
  if (trainable && !truth(op, 'trainable', name, trainable(name, leaf))) return null;
  const factor = rate ? rate(name, leaf) : 1;
  checkNonNegative(op, `the rate of '${name}'`, factor);
  const decays = decay ? truth(op, 'decay', name, decay(name, leaf)) : true;
  return {
    ...attrs,
    learningRate: attrs.learningRate * factor,
    weightDecay: decays ? attrs.weightDecay : 0,
  };
}

function truth(op: string, what: string, name: string, value: unknown): boolean {
  if (typeof value !== 'boolean')
    throw new ValueError(op, `${what} gave ${describe(value)} for '${name}'; it must give true or false`);
  return value;
}

interface Leaf {
  readonly leaf: Tensor;
  readonly place: Place;
}

/** The tensors of a tree with their places, in order. */
function leavesOf(op: string, what: string, tree: unknown): Leaf[] {
  const found: Leaf[] = [];
  onBehalfOf(op, what, () => {
    eachTensor(tree, (leaf, place) => {
      checkTensor(op, what, leaf);
      found.push({ leaf, place });
    });
  });
  return found;
}

/** The leaves of another tree in the order of the parameters'. @throws {ValueError} where they have other places. */
function inOrder(op: string, what: string, found: readonly Leaf[], leaves: readonly Leaf[]): readonly Leaf[] {
  if (found.length === leaves.length && leaves.every(({ place }, i) => place.equals(found[i]!.place))) return found;
  const others = new Map(found.map((one) => [idOf(one), one]));
  const differs = (problem: string, { place }: Leaf): ValueError =>
    new ValueError(op, `${what} ${problem} at '${place.path}'; they must have the structure of the parameters`);
  const ordered = leaves.map((leaf) => {
    const one = others.get(idOf(leaf));
    if (!one) throw differs('no tensor', leaf);
    others.delete(idOf(leaf));
    return one;
  });
  for (const one of others.values()) throw differs('an extra tensor', one);
  return ordered;
}

/** The place as a text that no other place has: paths may be alike. */
const idOf = ({ place }: Leaf): string => JSON.stringify([place.path, ...place.keys]);

function checkAlike(op: string, { place, leaf: param }: Leaf, others: readonly Tensor[]): void {
  if (!isFloat(param.dtype))
    throw new DTypeError(op, `the parameter '${place.path}' is ${param.dtype}; it must be a float dtype`);
  for (const other of others) {
    if (!sameShape(other.shape, param.shape))
      throw new ShapeError(
        op,
        `the parameter '${place.path}' is ${formatShape(param.shape)}, its gradient or state ${formatShape(other.shape)}`,
      );
  }
  const wanted = stateDType(param);
  const [gradient, ...state] = others;
  // Gradients that were gathered are as wide as the state.
  if (gradient!.dtype !== param.dtype && gradient!.dtype !== wanted)
    throw new DTypeError(op, `the parameter '${place.path}' is ${param.dtype}, its gradient ${gradient!.dtype}`);
  for (const { dtype } of state)
    if (dtype !== wanted)
      throw new DTypeError(
        op,
        `the state of the ${param.dtype} parameter '${place.path}' is ${dtype}; it must be ${wanted}`,
      );
}
