import { GradientError } from '../errors.js';
import { checkOptions, checkTensor, checkTogether } from '../tensor/arguments.js';
import { zerosLike } from '../tensor/create.js';
import { isFloat } from '../tensor/dtype.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { alignTensors, type GradientOf, replaceTensors, tensorsOf } from '../tensor/tree.js';
import { after, checkFunction, dependent, differentiableLeaves, type Lift, withTape } from './inputs.js';
import type { Tape } from './tape.js';
import { gradientOf } from './transforms.js';

/**
 * The vector-Jacobian product: the outputs of `fn`, and the cotangents of its inputs for the given cotangents of its outputs. Both are
 * trees; an output's cotangent has its shape. Integer outputs take any cotangent and ignore it; constants beside the tensors stay.
 *
 * ```ts
 * const [y, dx] = vjp((x) => x.square(), x, cotangent);
 * ```
 * @throws {GradientError} for inputs without tensors or with integer ones, and where a cotangent is missing or of another shape.
 */
export function vjp<Inputs, Outputs>(
  fn: (inputs: Inputs) => Outputs,
  inputs: Inputs,
  cotangents: NoInfer<GradientOf<Awaited<Outputs>>>,
): Lift<Outputs, [Awaited<Outputs>, GradientOf<Inputs>]> {
  return pullBack('vjp', fn, inputs, cotangents) as Lift<Outputs, [Awaited<Outputs>, GradientOf<Inputs>]>;
}

function pullBack(op: string, fn: (inputs: never) => unknown, inputs: unknown, cotangents: unknown): unknown {
  checkFunction(op, fn);
  const leaves = differentiableLeaves(op, inputs, 'the input');
  return withTape(leaves, (tape, watched) =>
    after(call(fn, inputs, tape, watched), (outputs) => {
      const pairs = matching(op, outputs, cotangents, 'output', 'cotangent');
      const found = tape.backward(
        pairs.map(([output]) => output),
        pairs.map(([, cotangent]) => cotangent),
        watched,
        tensorsOf(outputs),
      );
      let next = 0;
      return [
        replaceTensors(outputs, (t) => tape.detach(t)),
        replaceTensors(inputs, (leaf) => dependent(tape.detach(found[next++]!), leaf)),
      ];
    }),
  );
}

/**
 * The Jacobian-vector product, the derivative along a direction: the outputs of `fn`, and their tangents for the given tangents of its inputs.
 * Both are trees; an input's tangent has its shape. Integer outputs have tangents of 0; constants beside the tensors stay.
 *
 * ```ts
 * const [y, dy] = jvp((x) => x.square(), x, direction); // dy is 2 x direction
 * ```
 * Computed in reverse: the cotangents of the inputs are a linear function of those of the outputs, and its transpose is the product wanted
 * (J. Townsend, "A new trick for calculating Jacobian vector products", 2017). Exact, at the cost of a backward pass through the
 * backward pass; `fn` must be twice differentiable where it is not linear, so the second derivative of a `jvp` counts as a third.
 * @throws {GradientError} for inputs without tensors or with integer ones, and where a tangent is missing or of another shape.
 */
export function jvp<Inputs, Outputs>(
  fn: (inputs: Inputs) => Outputs,
  inputs: Inputs,
  tangents: NoInfer<GradientOf<Inputs>>,
): Lift<Outputs, [Awaited<Outputs>, GradientOf<Awaited<Outputs>>]> {
  type Result = Lift<Outputs, [Awaited<Outputs>, GradientOf<Awaited<Outputs>>]>;
  checkFunction('jvp', fn);
  const leaves = differentiableLeaves('jvp', inputs, 'the input');
  const given = matching('jvp', inputs, tangents, 'input', 'tangent').map(([, tangent]) => tangent);
  return withTape(leaves, (tape, watched) =>
    after(call(fn, inputs, tape, watched), (outputs) => {
      const floats = tensorsOf(outputs).filter((output) => isFloat(output.dtype));
      const zeros = floats.map((output) => zerosLike(output));
      const push = (transposed: Tape, cotangents: readonly Tensor[]): Tensor[] => {
        const pulled = tape.backward(floats, cotangents, watched);
        return transposed.backward(pulled, given, cotangents).map((tangent) => transposed.detach(tangent));
      };
      const found = tape.trace(() => withTape(zeros, push)) as Tensor[];
      const own = (tangent: Tensor): Tensor => leaves.reduce(dependent, tape.detach(tangent));
      let next = 0;
      return [
        replaceTensors(outputs, (t) => tape.detach(t)),
        replaceTensors(outputs, (t) => (isFloat(t.dtype) ? own(found[next++]!) : zerosLike(t))),
      ];
    }),
  ) as Result;
}

/**
 * The product of the Hessian of a scalar function with a direction of the inputs' structure, without forming the matrix: the gradient
 * of <grad fn, direction>.
 *
 * ```ts
 * const curvature = hvp((p) => lossOf(p), params, direction);
 * ```
 * @param options.allowConstant gives zeros where the value does not depend on the input, instead of an error.
 * @throws {GradientError} unless fn returns a scalar that depends on the input, and where a direction is missing or of another shape.
 */
export function hvp<Input, Result extends Tensor | Promise<Tensor>>(
  fn: (input: Input) => Result,
  input: Input,
  direction: NoInfer<GradientOf<Input>>,
  options: { allowConstant?: boolean | undefined } = {},
): Lift<Result, GradientOf<Input>> {
  checkFunction('hvp', fn);
  checkOptions('hvp', options, ['allowConstant']);
  differentiableLeaves('hvp', input, 'the input');
  matching('hvp', input, direction, 'input', 'direction');
  const pulled = pullBack('hvp', gradientOf('hvp', fn, options), input, direction);
  return after(pulled, (both) => (both as [unknown, unknown])[1]) as Lift<Result, GradientOf<Input>>;
}

/** The function's result for inputs whose tensors are the watched ones. */
function call(fn: (inputs: never) => unknown, inputs: unknown, tape: Tape, watched: readonly Tensor[]): unknown {
  let at = 0;
  const traced = replaceTensors(inputs, () => watched[at++]!) as never;
  return tape.trace(() => fn(traced));
}

/** Tensors and what is given for each of them, in order; refused unless structure and shapes agree. */
function matching(op: string, tree: unknown, given: unknown, what: string, its: string): [Tensor, Tensor, string][] {
  const fail = (problem: string): GradientError => new GradientError(op, problem);
  const pairs = alignTensors([tree, given], [`the ${what} has`, `the ${its} has`], fail);
  for (const [own, other, path] of pairs) {
    checkTensor(op, `the ${its}`, other);
    checkTogether(op, own, other);
    if (!sameShape(own.shape, other.shape))
      throw fail(
        `the ${its}${path && ` at ${path}`} is ${formatShape(other.shape)}; its ${what} is ${formatShape(own.shape)}`,
      );
  }
  return pairs;
}
