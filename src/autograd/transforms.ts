import { GradientError } from '../errors.js';
import { checkBoolean, checkOptions, nameOf, onBehalfOf } from '../tensor/arguments.js';
import { lendTo, onesLike } from '../tensor/create.js';
import { hostBackend } from '../tensor/device.js';
import { isFloat } from '../tensor/dtype.js';
import { formatShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { type GradientOf, mapTensors, replaceTensors, tensorsOf } from '../tensor/tree.js';
import {
  after,
  type Argnums,
  checkArgnums,
  checkGiven,
  checkFunction,
  dependent,
  differentiableLeaves,
  type Lift,
  type OfTensors,
  withTape,
} from './inputs.js';
import type { Tape } from './tape.js';

/** The gradients' type for the arguments' types. */
export type GradientsOf<Args extends readonly unknown[], A extends Argnums> = A extends number
  ? GradientOf<Args[A]>
  : A extends readonly number[]
    ? { -readonly [K in keyof A]: A[K] extends number ? GradientOf<Args[A[K]]> : never }
    : never;

type WithAux = readonly [value: Tensor, aux: unknown];

export interface GradOptions<A extends Argnums = Argnums, HasAux extends boolean = boolean> {
  /** Which arguments to differentiate by: a position, or several (then the gradients come as an array). The first by default. */
  readonly argnums?: A | undefined;
  /** Whether the function returns `[value, aux]`; the aux (any tree) is passed through. False by default. */
  readonly hasAux?: HasAux | undefined;
  /** Whether a value that does not depend on the arguments is accepted; its gradients are zeros. False by default: it is an error. */
  readonly allowConstant?: boolean | undefined;
}

type AuxOptions<A extends Argnums> = GradOptions<A, true> & { readonly hasAux: true };

/**
 * A function that gives the value of `fn` and its gradient with respect to an argument. The value must be a scalar. Arguments and gradients are
 * trees (tensors, or arrays, tuples and plain objects of them), and a gradient has the type of its argument: gradients in the places of
 * tensors, while numbers, text and whatever else stands beside them is constant and stays.
 *
 * Everything computed inside is recycled on return, except the value, the aux and the gradients, also when fn throws or is async.
 * Transforms nest: `grad((x) => grad(f)(x))` is the second derivative.
 * In TypeScript parameters are tensors unless their types are written: `(x) => ...`, `(p: typeof params, x: Tensor) => ...`.
 *
 * ```ts
 * const [loss, gradient] = valueAndGrad((w) => x.matmul(w).sub(y).square().mean())(w);
 * ```
 * @param options.argnums which arguments; the first by default.
 * @param options.hasAux fn returns `[value, aux]`; aux (any tree) is passed through: `[[value, aux], gradient]`.
 * @param options.allowConstant gives zeros where the value does not depend on the arguments, instead of an error.
 * @throws {GradientError} for bad argnums, an argument without tensors or with integer ones, a value that is no scalar, and a value that does
 *   not depend on the arguments: where it was made of numbers that had been read (`tensor(x.itemSync())`), passed a comparison, or came out of
 *   `stopGradient`.
 */
export function valueAndGrad<F extends OfTensors<WithAux>, const A extends Argnums = 0>(
  fn: F,
  options: AuxOptions<A>,
): (...args: Parameters<F>) => Lift<ReturnType<F>, [Awaited<ReturnType<F>>, GradientsOf<Parameters<F>, A>]>;
export function valueAndGrad<
  Args extends unknown[],
  Result extends WithAux | Promise<WithAux>,
  const A extends Argnums = 0,
>(
  fn: (...args: Args) => Result,
  options: AuxOptions<A>,
): (...args: Args) => Lift<Result, [Awaited<Result>, GradientsOf<Args, A>]>;
export function valueAndGrad<F extends OfTensors<Tensor>, const A extends Argnums = 0>(
  fn: F,
  options?: GradOptions<A, false>,
): (...args: Parameters<F>) => Lift<ReturnType<F>, [Tensor, GradientsOf<Parameters<F>, A>]>;
export function valueAndGrad<
  Args extends unknown[],
  Result extends Tensor | Promise<Tensor>,
  const A extends Argnums = 0,
>(
  fn: (...args: Args) => Result,
  options?: GradOptions<A, false>,
): (...args: Args) => Lift<Result, [Tensor, GradientsOf<Args, A>]>;
export function valueAndGrad(
  fn: (...args: unknown[]) => unknown,
  options: GradOptions = {},
): (...args: unknown[]) => unknown {
  return differentiate('valueAndGrad', fn, options);
}

/**
 * Like `valueAndGrad`, without the value; with `hasAux`, `[gradient, aux]`.
 *
 * ```ts
 * const slope = grad((x) => x.square().sum())(tensor([1, 2])); // [2, 4]
 * ```
 */
export function grad<F extends OfTensors<WithAux>, const A extends Argnums = 0>(
  fn: F,
  options: AuxOptions<A>,
): (...args: Parameters<F>) => Lift<ReturnType<F>, [GradientsOf<Parameters<F>, A>, Awaited<ReturnType<F>>[1]]>;
export function grad<Args extends unknown[], Result extends WithAux | Promise<WithAux>, const A extends Argnums = 0>(
  fn: (...args: Args) => Result,
  options: AuxOptions<A>,
): (...args: Args) => Lift<Result, [GradientsOf<Args, A>, Awaited<Result>[1]]>;
export function grad<F extends OfTensors<Tensor>, const A extends Argnums = 0>(
  fn: F,
  options?: GradOptions<A, false>,
): (...args: Parameters<F>) => Lift<ReturnType<F>, GradientsOf<Parameters<F>, A>>;
export function grad<Args extends unknown[], Result extends Tensor | Promise<Tensor>, const A extends Argnums = 0>(
  fn: (...args: Args) => Result,
  options?: GradOptions<A, false>,
): (...args: Args) => Lift<Result, GradientsOf<Args, A>>;
export function grad(fn: (...args: unknown[]) => unknown, options: GradOptions = {}): (...args: unknown[]) => unknown {
  return gradientOf('grad', fn, options);
}

/** @internal `grad` under the name of the function that wants it. */
export function gradientOf(
  op: string,
  fn: (...args: never[]) => unknown,
  options: GradOptions,
): (...args: unknown[]) => unknown {
  const both = differentiate(op, fn as (...args: unknown[]) => unknown, options);
  const pick = (result: unknown): unknown => {
    const [value, gradient] = result as [unknown, unknown];
    return options.hasAux ? [gradient, (value as [unknown, unknown])[1]] : gradient;
  };
  return (...args) => after(both(...args), pick);
}

function differentiate(
  op: string,
  fn: (...args: unknown[]) => unknown,
  options: GradOptions,
): (...args: unknown[]) => unknown {
  checkFunction(op, fn);
  checkOptions(op, options, ['argnums', 'hasAux', 'allowConstant'], (given) =>
    typeof given === 'number' || Array.isArray(given)
      ? `write { argnums: ${typeof given === 'number' ? given : formatShape(given as number[])} }`
      : null,
  );
  const { argnums = 0, hasAux = false, allowConstant = false } = options;
  checkBoolean(op, 'hasAux', hasAux);
  checkBoolean(op, 'allowConstant', allowConstant);
  const positions = checkArgnums(op, argnums);
  return (...args) => {
    checkGiven(op, positions, args.length);
    const leaves = positions.flatMap((at) => differentiableLeaves(op, args[at], `argument ${at}`));
    return withTape(leaves, (tape, watched) => {
      let at = 0;
      const traced = [...args];
      for (const position of positions) traced[position] = replaceTensors(args[position], () => watched[at++]!);
      const finish = (result: unknown): unknown => {
        const [value, aux] = hasAux ? splitAux(op, result) : [result, undefined];
        checkScalar(op, value);
        if (!allowConstant) checkTraced(op, value, tape);
        const found = tape.backward(
          [value],
          [seedOf(value, tape)],
          watched,
          hasAux ? [value, ...tensorsOf(aux)] : [value],
        );
        let next = 0;
        const gradients = positions.map((position) =>
          replaceTensors(args[position], (leaf) => dependent(tape.detach(found[next++]!), leaf)),
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

function splitAux(op: string, result: unknown): [unknown, unknown] {
  if (!Array.isArray(result) || result.length !== 2)
    throw new GradientError(op, 'with hasAux the function must return [value, aux]');
  return result as [unknown, unknown];
}

function checkScalar(op: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor))
    throw new GradientError(
      op,
      `the function returned ${nameOf(value)}; it must return a scalar tensor${Array.isArray(value) ? ' (for [value, aux] set hasAux)' : ''}`,
    );
  if (value.size !== 1 || value.rank !== 0)
    throw new GradientError(
      op,
      `the function returned a tensor of shape ${formatShape(value.shape)}; a gradient needs a scalar (reduce it with sum() or mean(), or use vjp)`,
    );
  if (!isFloat(value.dtype))
    throw new GradientError(op, `the function returned ${value.dtype}; a gradient needs a float`);
}

/** The value's own cotangent; on another device than the host it is recycled with what the transform computes. */
const seedOf = (value: Tensor, { region }: Tape): Tensor =>
  value.device.isHost ? onesLike(value) : lendTo(onesLike(value, { device: hostBackend() }), value, region);

/** A value that the tape does not know was made of numbers read on the way, more often by mistake than not. */
function checkTraced(op: string, value: Tensor, tape: Tape): void {
  if (tape.idOf(value) < 0)
    throw new GradientError(
      op,
      `the value (made by '${value.origin}') does not depend on the arguments: its trace ends where numbers were read (itemSync(), data()), ` +
        'at a comparison or an argmax, or in stopGradient(). Compute it with ops, or set { allowConstant: true } for zeros',
    );
}

/** The same values as a constant: nothing is differentiated through it. Takes a tree. */
export const stopGradient = <T>(tree: T): T =>
  onBehalfOf('stopGradient', 'the tree', () =>
    mapTensors((t) => (t.trace ? new Tensor(t.buffer, t.shape, null, 'stopGradient') : t), tree),
  );
