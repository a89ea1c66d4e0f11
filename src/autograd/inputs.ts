import { GradientError } from '../errors.js';
import { describe, isCallable, isPromise, nameOf, onBehalfOf } from '../tensor/arguments.js';
import { isFloat } from '../tensor/dtype.js';
import { Tensor } from '../tensor/tensor.js';
import { eachLeaf, type Place } from '../tensor/tree.js';
import { type OpSpec, record } from './op.js';
import { recordingTapes, Tape } from './tape.js';

/** What the transforms of this folder share: what may be differentiated by, and the life of a tape around a function. */

/** Which arguments to differentiate by: a position, or several (then the gradients come as an array). */
export type Argnums = number | readonly number[];

/** Functions may be asynchronous: then so is what the transforms make of them. */
export type Lift<Result, T> = Result extends Promise<unknown> ? Promise<T> : T;

/** A function of tensors that gives one tensor: what `valueAndGrad`, `jacobian` and `gradCheck` take at their simplest. */
export type TensorFunction = (...inputs: Tensor[]) => Tensor;

/** What un-annotated parameters are taken for: `(x) => ...` is a function of tensors. */
export type OfTensors<Result> = (...args: Tensor[]) => Result | Promise<Result>;

/** Traces the leaves, runs the body and closes the tape, whatever happens. */
export function withTape(
  leaves: readonly Tensor[],
  body: (tape: Tape, watched: readonly Tensor[]) => unknown,
): unknown {
  const tape = new Tape(leaves);
  let pending = false;
  try {
    const result = body(
      tape,
      leaves.map((leaf) => tape.watch(leaf)),
    );
    if (isPromise(result)) {
      pending = true;
      return Promise.resolve(result).finally(() => {
        tape.close();
      });
    }
    return result;
  } finally {
    if (!pending) tape.close();
  }
}

/** Goes on with a result, at once or when it is there. */
export const after = (result: unknown, then: (value: unknown) => unknown): unknown =>
  isPromise(result) ? Promise.resolve(result).then(then) : then(result);

/** Refuses what is no function, arguments in the wrong order for instance. */
export function checkFunction(op: string, fn: unknown): void {
  if (!isCallable(fn))
    throw new GradientError(op, `the first argument is ${nameOf(fn)}; it must be the function to differentiate`);
}

/**
 * A derivative as something that depends on the point where it was taken, also where it is the same everywhere (of a linear function): to a
 * transform further out, the derivative of a derivative is then 0, not that of a value which has lost its trace.
 */
export function dependent(derivative: Tensor, point: Tensor): Tensor {
  if (!point.trace) return derivative;
  const tapes = recordingTapes([point]);
  if (tapes.every((tape) => tape.idOf(derivative) >= 0)) return derivative;
  const spec: OpSpec<null> = { name: derivative.origin, infer: () => derivative, alias: true, vjp: (g) => [g, null] };
  const inputs = [derivative, point];
  return record(spec, inputs, null, [derivative], recordingTapes(inputs), false);
}

const isNumbers = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && Array.from(value).every((one) => typeof one === 'number');

/** Argnums as positions. */
export function checkArgnums(op: string, argnums: Argnums): readonly number[] {
  if (typeof argnums === 'number' && Number.isInteger(argnums) && argnums >= 0) return [argnums];
  const positions: unknown = typeof argnums === 'number' ? [argnums] : argnums;
  if (!isNumbers(positions))
    throw new GradientError(op, `argnums is ${describe(argnums)}; it must be a position or an array of positions`);
  if (positions.length === 0) throw new GradientError(op, 'no argument is asked for: argnums is empty');
  positions.forEach((position, i) => {
    if (!Number.isInteger(position) || position < 0)
      throw new GradientError(op, `argnums must be non-negative whole numbers; got ${position}`);
    if (positions.indexOf(position) !== i) throw new GradientError(op, `argnums names argument ${position} twice`);
  });
  return positions;
}

/** Refuses a call without one of the arguments to differentiate by. */
export function checkGiven(op: string, positions: readonly number[], given: number): void {
  for (const position of positions)
    if (position >= given)
      throw new GradientError(
        op,
        `can't compute the gradient of argument ${position}: the function was called with ${given} argument${given === 1 ? '' : 's'}`,
      );
}

/** What may stand beside tensors: it cannot hide any. */
const isConstant = (leaf: unknown): boolean =>
  leaf === null || typeof leaf !== 'object' || (ArrayBuffer.isView(leaf) && !(leaf instanceof DataView));

/**
 * The tensors of an argument. Constants beside them (numbers, text, functions, typed arrays, null) are passed over; integer tensors, objects that
 * may hide tensors, and an argument without any are refused.
 * @param name how messages call the argument: 'argument 0', 'the input'.
 */
export function differentiableLeaves(op: string, argument: unknown, name: string): Tensor[] {
  const found: Tensor[] = [];
  const visit = (leaf: unknown, place: Place): void => {
    if (isConstant(leaf)) return;
    const where = (): string => `${name}${place.path && ` at ${place.path}`}`;
    if (!(leaf instanceof Tensor))
      throw new GradientError(
        op,
        `${where()} is ${nameOf(leaf)}, not a tensor: there is no gradient by it (make it a tensor, or leave it out)`,
      );
    if (!isFloat(leaf.dtype))
      throw new GradientError(op, `${where()} is ${leaf.dtype}: only float tensors have gradients`);
    leaf.checkAlive(op);
    found.push(leaf);
  };
  onBehalfOf(op, name, () => {
    eachLeaf(argument, visit);
  });
  if (found.length === 0)
    throw new GradientError(
      op,
      `${name} is ${nameOf(argument)}, which holds no tensor to differentiate by; make it one, or leave it out`,
    );
  return found;
}
