import { GradientError, ValueError } from '../errors.js';
import { checkOptions, nameOf } from '../tensor/arguments.js';
import { zeros } from '../tensor/create.js';
import { isFloat } from '../tensor/dtype.js';
import { Tensor } from '../tensor/tensor.js';
import {
  after,
  checkArgnums,
  checkGiven,
  checkFunction,
  dependent,
  differentiableLeaves,
  type Lift,
  type OfTensors,
  withTape,
} from './inputs.js';
import { gradientOf } from './transforms.js';

export interface JacobianOptions {
  /** Which argument to differentiate by, a tensor; the first by default. */
  readonly argnums?: number | undefined;
}

export interface HessianOptions extends JacobianOptions {
  /** Whether a value that does not depend on the argument is accepted; its Hessian is zeros. False by default: it is an error. */
  readonly allowConstant?: boolean | undefined;
}

/**
 * A function that gives the Jacobian of a tensor function by one of its arguments, a tensor x: shape [...y.shape, ...x.shape]. One backward
 * pass for each element of the result. The other arguments are constants of any kind.
 *
 * ```ts
 * jacobian((x) => x.square())(tensor([1, 2])); // [[2, 0], [0, 4]]
 * ```
 * @param options.argnums which argument is x; the first by default.
 * @throws {GradientError} unless x and the result are float tensors.
 */
export function jacobian<F extends OfTensors<Tensor>>(
  fn: F,
  options?: JacobianOptions,
): (...args: Parameters<F>) => Lift<ReturnType<F>, Tensor>;
export function jacobian<Args extends unknown[], Result extends Tensor | Promise<Tensor>>(
  fn: (...args: Args) => Result,
  options?: JacobianOptions,
): (...args: Args) => Lift<Result, Tensor>;
export function jacobian(
  fn: (...args: unknown[]) => unknown,
  options: JacobianOptions = {},
): (...args: unknown[]) => unknown {
  checkCurried('jacobian', fn, options, ['argnums']);
  return jacobianOf('jacobian', () => fn, options.argnums);
}

/**
 * A function that gives the Hessian of a scalar function by one of its arguments, a tensor x: shape [...x.shape, ...x.shape]. One backward pass
 * for each element of x. The other arguments are constants of any kind.
 *
 * ```ts
 * hessian((x) => x.pow(3).sum())(tensor([1, 2])); // [[6, 0], [0, 12]]
 * ```
 * @param options.argnums which argument is x; the first by default.
 * @param options.allowConstant gives zeros where the value does not depend on x, instead of an error.
 * @throws {GradientError} unless x is a float tensor and fn returns a scalar that depends on it.
 */
export function hessian<F extends OfTensors<Tensor>>(
  fn: F,
  options?: HessianOptions,
): (...args: Parameters<F>) => Lift<ReturnType<F>, Tensor>;
export function hessian<Args extends unknown[], Result extends Tensor | Promise<Tensor>>(
  fn: (...args: Args) => Result,
  options?: HessianOptions,
): (...args: Args) => Lift<Result, Tensor>;
export function hessian(
  fn: (...args: unknown[]) => unknown,
  options: HessianOptions = {},
): (...args: unknown[]) => unknown {
  checkCurried('hessian', fn, options, ['argnums', 'allowConstant']);
  const { allowConstant } = options;
  return jacobianOf('hessian', (argnums) => gradientOf('hessian', fn, { argnums, allowConstant }), options.argnums);
}

/** A tensor in the options' place is the point, from when these functions were not curried. */
function checkCurried(op: string, fn: unknown, options: unknown, names: readonly string[]): void {
  checkFunction(op, fn);
  if (options instanceof Tensor) throw new ValueError(op, `the point is given to what ${op} returns: ${op}(f)(x)`);
  checkOptions(op, options, names);
}

function jacobianOf(
  op: string,
  functionFor: (argnum: number) => (...args: unknown[]) => unknown,
  argnums = 0,
): (...args: unknown[]) => unknown {
  if (typeof argnums !== 'number')
    throw new GradientError(op, `argnums is ${nameOf(argnums)}; a ${op} is taken by one argument: give its position`);
  const [position] = checkArgnums(op, argnums) as [number];
  const fn = functionFor(position);
  return (...args) => {
    checkGiven(op, [position], args.length);
    const x = args[position];
    if (!(x instanceof Tensor))
      throw new GradientError(op, `argument ${position} is ${nameOf(x)}; a ${op} is taken by one tensor`);
    return withTape(differentiableLeaves(op, x, `argument ${position}`), (tape, [watched]) => {
      const traced = [...args];
      traced[position] = watched;
      return after(
        tape.trace(() => fn(...traced)),
        (y) => {
          if (!(y instanceof Tensor) || !isFloat(y.dtype))
            throw new GradientError(
              op,
              `the function returned ${y instanceof Tensor ? y.dtype : nameOf(y)}; it must return a float tensor`,
            );
          const shape = [...y.shape, ...x.shape];
          const none = (): Tensor => zeros(shape, { dtype: x.dtype, device: x.device });
          return dependent(tape.detach(y.size > 0 ? tape.jacobian(y, watched!, shape) : none()), x);
        },
      );
    });
  };
}
