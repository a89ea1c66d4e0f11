import { GradientError } from '../errors.js';
import { onesLike, zeros } from '../tensor/create.js';
import { nameOf } from '../tensor/arguments.js';
import { isFloat } from '../tensor/dtype.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { type GradientOf, mapLeaves, mapTensors, replaceTensors, tensorsOf } from '../tensor/tree.js';
import { Tape } from './tape.js';

/** Which arguments to differentiate by: a position, or several (then the gradients come as an array). */
export type Argnums = number | readonly number[];

/** The gradients' type for the arguments' types. */
export type GradientsOf<Args extends readonly unknown[], A extends Argnums> = A extends number
  ? GradientOf<Args[A]>
  : A extends readonly number[]
    ? { -readonly [K in keyof A]: A[K] extends number ? GradientOf<Args[A[K]]> : never }
    : never;

/** Functions may be asynchronous: then so is what the transforms make of them. */
type Lift<Result, T> = Result extends Promise<unknown> ? Promise<T> : T;

type WithAux = readonly [value: Tensor, aux: unknown];

/**
 * A function that gives the value of `fn` and its gradient with respect to an argument. The value must be a scalar. Arguments and
 * gradients are trees (tensors, or arrays, tuples and objects of them), and a gradient has the type of its argument.
 *
 * Everything computed inside is recycled on return, except the value, the aux and the gradients, also when fn throws or is async.
 * Transforms nest: `grad((x: Tensor) => grad(f)(x))` is the second derivative.
 * In TypeScript the parameters' types are to be written: `(w: Tensor) => ...`, `(p: typeof params) => ...`.
 *
 * ```ts
 * const [loss, gradient] = valueAndGrad((w: Tensor) => x.matmul(w).sub(y).square().mean())(w);
 * ```
 * @param options.argnums which arguments; the first by default.
 * @param options.hasAux fn returns `[value, aux]`; aux (any tree) is passed through: `[[value, aux], gradient]`.
 * @throws {GradientError} for bad argnums, an argument without tensors or with integer ones, a value that is no scalar.
 */
export function valueAndGrad<
  Args extends unknown[],
  Result extends WithAux | Promise<WithAux>,
  const A extends Argnums = 0,
>(
  fn: (...args: Args) => Result,
  options: { argnums?: A; hasAux: true },
): (...args: Args) => Lift<Result, [Awaited<Result>, GradientsOf<Args, A>]>;
export function valueAndGrad<
  Args extends unknown[],
  Result extends Tensor | Promise<Tensor>,
  const A extends Argnums = 0,
>(
  fn: (...args: Args) => Result,
  options?: { argnums?: A; hasAux?: false },
): (...args: Args) => Lift<Result, [Tensor, GradientsOf<Args, A>]>;
export function valueAndGrad(
  fn: (...args: unknown[]) => unknown,
  options: { argnums?: Argnums; hasAux?: boolean } = {},
): (...args: unknown[]) => unknown {
  return differentiate('valueAndGrad', fn, options);
}

/** Like `valueAndGrad`, without the value; with `hasAux`, `[gradient, aux]`. */
export function grad<Args extends unknown[], Result extends WithAux | Promise<WithAux>, const A extends Argnums = 0>(
  fn: (...args: Args) => Result,
  options: { argnums?: A; hasAux: true },
): (...args: Args) => Lift<Result, [GradientsOf<Args, A>, Awaited<Result>[1]]>;
export function grad<Args extends unknown[], Result extends Tensor | Promise<Tensor>, const A extends Argnums = 0>(
  fn: (...args: Args) => Result,
  options?: { argnums?: A; hasAux?: false },
): (...args: Args) => Lift<Result, GradientsOf<Args, A>>;
export function grad(
  fn: (...args: unknown[]) => unknown,
  options: { argnums?: Argnums; hasAux?: boolean } = {},
): (...args: unknown[]) => unknown {
  const both = differentiate('grad', fn, options);
  const pick = (result: unknown): unknown => {
    const [value, gradient] = result as [unknown, unknown];
    return options.hasAux ? [gradient, (value as [unknown, unknown])[1]] : gradient;
  };
  return (...args) => {
    const result = both(...args);
    return result instanceof Promise ? result.then(pick) : pick(result);
  };
}

function differentiate(
  op: string,
  fn: (...args: unknown[]) => unknown,
  options: { argnums?: Argnums; hasAux?: boolean },
): (...args: unknown[]) => unknown {
  const { argnums = 0, hasAux = false } = options;
  return (...args) => {
    const positions = checkArgnums(op, argnums, args.length);
    const leaves = positions.flatMap((position) => differentiableLeaves(op, args[position], position));
    if (leaves.length === 0)
      throw new GradientError(op, `argument ${positions[0]} holds no tensors to differentiate by`);
    return run(leaves, (tape, watched) => {
      let at = 0;
      const traced = [...args];
      for (const position of positions) traced[position] = replaceTensors(args[position], () => watched[at++]!);
      const finish = (result: unknown): unknown => {
        const [value, aux] = hasAux ? splitAux(op, result) : [result, undefined];
        checkScalar(op, value);
        const found = tape.backward([value], [onesLike(value)], watched, [value, ...tensorsOf(aux)]);
        let next = 0;
        const gradients = positions.map((position) =>
          replaceTensors(args[position], () => tape.detach(found[next++]!)),
        );
        const out = hasAux ? [tape.detach(value), replaceTensors(aux, (t) => tape.detach(t))] : tape.detach(value);
        return [out, typeof argnums === 'number' ? gradients[0] : gradients];
      };
      return after(
        tape.trace(() => fn(...traced)),
        finish,
      );
    });
  };
}

/** Traces the leaves, runs the body and closes the tape, whatever happens. */
function run(leaves: readonly Tensor[], body: (tape: Tape, watched: readonly Tensor[]) => unknown): unknown {
  const tape = new Tape(leaves);
  let pending = false;
  try {
    const result = body(
      tape,
      leaves.map((leaf) => tape.watch(leaf)),
    );
    if (result instanceof Promise) {
      pending = true;
      return result.finally(() => {
        tape.close();
      });
    }
    return result;
  } finally {
    if (!pending) tape.close();
  }
}

const after = (result: unknown, then: (value: unknown) => unknown): unknown =>
  result instanceof Promise ? result.then(then) : then(result);

const isNumbers = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'number');

function checkArgnums(op: string, argnums: Argnums, given: number): readonly number[] {
  const positions: unknown = typeof argnums === 'number' ? [argnums] : argnums;
  if (!isNumbers(positions))
    throw new GradientError(
      op,
      `argnums is ${JSON.stringify(argnums)}; it must be a position or an array of positions`,
    );
  if (positions.length === 0) throw new GradientError(op, 'no argument is asked for: argnums is empty');
  positions.forEach((position, i) => {
    if (!Number.isInteger(position) || position < 0)
      throw new GradientError(op, `argnums must be non-negative whole numbers; got ${position}`);
    if (positions.indexOf(position) !== i) throw new GradientError(op, `argnums names argument ${position} twice`);
    if (position >= given)
      throw new GradientError(
        op,
        `can't compute the gradient of argument ${position}: the function was called with ${given} argument${given === 1 ? '' : 's'}`,
      );
  });
  return positions;
}

/** The tensors of an argument; anything that has no derivative is refused, with its path. */
function differentiableLeaves(op: string, argument: unknown, position: number): Tensor[] {
  const found: Tensor[] = [];
  mapLeaves(argument, (leaf, path) => {
    if (leaf === null || leaf === undefined) return leaf;
    const name = `argument ${position}${path && ` at ${path}`}`;
    if (!(leaf instanceof Tensor))
      throw new GradientError(
        op,
        `${name} is ${nameOf(leaf)}, not a tensor: there is no gradient by it (make it a tensor, or leave it out of argnums)`,
      );
    if (!isFloat(leaf.dtype))
      throw new GradientError(op, `${name} is ${leaf.dtype}: only float tensors have gradients`);
    leaf.checkAlive(op);
    found.push(leaf);
    return leaf;
  });
  return found;
}

function splitAux(op: string, result: unknown): [unknown, unknown] {
  if (!Array.isArray(result) || result.length !== 2)
    throw new GradientError(op, 'with hasAux the function must return [value, aux]');
  return result as [unknown, unknown];
}

function checkScalar(op: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor))
    throw new GradientError(
      op,
      `the function returned ${Array.isArray(value) ? 'an array' : typeof value}; it must return a scalar tensor${Array.isArray(value) ? ' (for [value, aux] set hasAux)' : ''}`,
    );
  if (value.size !== 1 || value.rank !== 0)
    throw new GradientError(
      op,
      `the function returned a tensor of shape ${formatShape(value.shape)}; a gradient needs a scalar (reduce it with sum() or mean(), or use vjp)`,
    );
  if (!isFloat(value.dtype))
    throw new GradientError(op, `the function returned ${value.dtype}; a gradient needs a float`);
}

/**
 * The vector-Jacobian product: the outputs of `fn`, and the cotangents of its inputs for the given cotangents of its outputs. Both are
 * trees; an output's cotangent has its shape. Integer outputs take any cotangent and ignore it.
 *
 * ```ts
 * const [y, dx] = vjp((x) => x.square(), x, cotangent);
 * ```
 * @throws {GradientError} where a cotangent is missing or of another shape.
 */
export function vjp<Inputs, Outputs>(
  fn: (inputs: Inputs) => Outputs,
  inputs: Inputs,
  cotangents: NoInfer<GradientOf<Outputs>>,
): [Outputs, GradientOf<Inputs>] {
  const leaves = differentiableLeaves('vjp', inputs, 0);
  if (leaves.length === 0) throw new GradientError('vjp', 'the inputs hold no tensors to differentiate by');
  return run(leaves, (tape, watched) => {
    let at = 0;
    const traced = replaceTensors(inputs, () => watched[at++]!);
    const outputs = tape.trace(() => fn(traced));
    const results = tensorsOf(outputs);
    const given = tensorsOf(cotangents);
    if (given.length !== results.length)
      throw new GradientError('vjp', `${given.length} cotangents for ${results.length} outputs`);
    results.forEach((result, i) => {
      if (!sameShape(result.shape, given[i]!.shape))
        throw new GradientError(
          'vjp',
          `cotangent ${i} is ${formatShape(given[i]!.shape)}; its output is ${formatShape(result.shape)}`,
        );
    });
    const found = tape.backward(results, given, watched, results);
    let next = 0;
    return [replaceTensors(outputs, (t) => tape.detach(t)), replaceTensors(inputs, () => tape.detach(found[next++]!))];
  }) as [Outputs, GradientOf<Inputs>];
}

/** The same values as a constant: nothing is differentiated through it. Takes a tree. */
export const stopGradient = <T>(tree: T): T =>
  mapTensors((t) => (t.trace ? new Tensor(t.buffer, t.shape, null, 'stopGradient') : t), tree);

/**
 * The product of the Hessian of a scalar function with a direction of the inputs' structure, without forming the matrix: the gradient
 * of <grad fn, direction>.
 */
export function hvp<Input>(
  fn: (input: Input) => Tensor,
  input: Input,
  direction: NoInfer<GradientOf<Input>>,
): GradientOf<Input> {
  return vjp((x: Input) => grad(fn)(x), input, direction as never)[1];
}

/**
 * The Hessian of a scalar function of one tensor: shape [...x.shape, ...x.shape]. One backward pass for each element of x.
 * @throws {GradientError} unless fn returns a scalar.
 */
export function hessian(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  return jacobianOf('hessian', (t) => grad(fn)(t), x);
}

/** The Jacobian of a tensor function of one tensor: shape [...y.shape, ...x.shape]. One backward pass for each element of the result. */
export function jacobian(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  return jacobianOf('jacobian', fn, x);
}

function jacobianOf(op: string, fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  const leaves = differentiableLeaves(op, x, 0);
  return run(leaves, (tape, [watched]) => {
    const y = tape.trace(() => fn(watched!));
    if (!(y instanceof Tensor) || !isFloat(y.dtype))
      throw new GradientError(
        op,
        `the function returned ${y instanceof Tensor ? y.dtype : typeof y}; it must return a float tensor`,
      );
    const shape = [...y.shape, ...x.shape];
    return tape.detach(
      y.size > 0 ? tape.jacobian(y, watched!, shape) : zeros(shape, { dtype: x.dtype, device: x.device }),
    );
  }) as Tensor;
}
