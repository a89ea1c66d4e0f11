import {
  checkTensors,
  checkFunction,
  checkOptions,
  checkTensor,
  checkWhole,
  describe,
  onBehalfOf,
} from '../tensor/arguments.js';
import { GradientError, ValueError } from '../errors.js';
import { fromTypedArray } from '../tensor/create.js';
import { isFloat } from '../tensor/dtype.js';
import { Random } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { primitives } from './primitives.js';
import type { TensorFunction } from './inputs.js';
import { vjp } from './products.js';

export interface GradCheckOptions {
  /** 1 checks the gradient, 2 the gradient of the gradient as well, and so on. Default 1. */
  order?: number;
  /** Allowed difference, relative to the larger of 1 and the derivative's magnitude. Default 1e-6. */
  tolerance?: number;
  /** Step of the differences, relative to the larger of 1 and the element's magnitude. Default 1e-3: the formula's error is of the fourth order. */
  step?: number;
  /** Seed of the random cotangents. */
  seed?: number;
}

export interface GradCheckReport {
  /** The largest difference found, relative as in `tolerance`. */
  error: number;
  /** Where: the order, the input and the element's position in it. */
  worst: { order: number; input: number; position: readonly number[]; analytic: number; numeric: number };
}

/**
 * Compares the derivatives of a function with central differences, in float64 on the CPU. The function's result is weighted with random
 * cotangents of both signs, so that every element counts. Inputs are cast to float64; the function must be smooth within two steps of them.
 *
 * ```ts
 * gradCheck((x) => x.tanh(), [random(0).normal([3, 4])], { order: 2 });
 * ```
 * @param fn a function of tensors that gives one tensor.
 * @throws {GradientError} that names the worst element, when a difference exceeds the tolerance.
 * @returns the largest difference and where it was.
 */
export function gradCheck(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  options: GradCheckOptions = {},
): GradCheckReport {
  checkFunction('gradCheck', 'fn', fn);
  checkTensors('gradCheck', 'input', inputs);
  checkOptions('gradCheck', options, ['order', 'tolerance', 'step', 'seed'], (given) =>
    typeof given === 'number' ? `write { order: ${given} }` : null,
  );
  const { order = 1, tolerance = 1e-6, step = 1e-3, seed = 0 } = options;
  checkWhole('gradCheck', 'order', order, 1, 8);
  for (const [name, value] of Object.entries({ tolerance, step }))
    if (!(typeof value === 'number' && value >= 0))
      throw new ValueError('gradCheck', `${name} is ${describe(value)}; it must be a number, not negative`);
  inputs.forEach((input, i) => {
    if (!isFloat(input.dtype))
      throw new GradientError(
        'gradCheck',
        `input ${i} is ${input.dtype}; close over it instead: only float tensors have gradients`,
      );
  });
  const random = onBehalfOf('gradCheck', 'seed', () => Random.fromSeed(seed));
  const wide = inputs.map((input) => primitives.cast(input, 'float64'));
  const report: GradCheckReport = { error: 0, worst: { order: 1, input: 0, position: [], analytic: 0, numeric: 0 } };
  if (inputs.length === 0) throw new ValueError('gradCheck', 'there are no inputs');
  let current = (xs: Tensor[]): Tensor[] => {
    const result: unknown = fn(...xs);
    checkTensor('gradCheck', 'what the function returned', result);
    return [result];
  };
  for (let level = 1; level <= order; level++) {
    const outputs = current(wide);
    const cotangents = outputs.map((output) => randomCotangent(random, output));
    checkLevel(current, wide, cotangents, level, step, report);
    const inner = current;
    current = (xs) => vjp((values: Tensor[]) => inner(values), xs, cotangents)[1];
  }
  const { worst } = report;
  if (!(report.error <= tolerance)) {
    throw new GradientError(
      'gradCheck',
      `order ${worst.order}, input ${worst.input}, element [${worst.position.join(', ')}]: the derivative is ${worst.analytic}, ` +
        `differences give ${worst.numeric} (off by ${report.error.toExponential(2)}, allowed ${tolerance})`,
    );
  }
  return report;
}

/** Numbers of both signs, away from 0, in the shape of a tensor. */
function randomCotangent(random: Random, like: Tensor): Tensor {
  const values = Float64Array.from({ length: like.size }, () => (random.next() < 0.5 ? -1 : 1) * (0.5 + random.next()));
  return primitives.cast(fromTypedArray(values, like.shape, 'float64', 'gradCheck'), like.dtype);
}

function checkLevel(
  fn: (xs: Tensor[]) => Tensor[],
  inputs: Tensor[],
  cotangents: Tensor[],
  order: number,
  step: number,
  report: GradCheckReport,
): void {
  const weights = cotangents.map((cotangent) => cotangent.dataSync());
  const weighted = (xs: Tensor[]): number =>
    fn(xs).reduce((total, output, o) => {
      let sum = total;
      output.dataSync().forEach((value, i) => {
        sum += value * weights[o]![i]!;
      });
      return sum;
    }, 0);
  const analytic = vjp((xs: Tensor[]) => fn(xs), inputs, cotangents)[1].map((gradient) => gradient.dataSync());
  inputs.forEach((input, n) => {
    const data = input.dataSync() as Float64Array;
    data.forEach((x, i) => {
      const h = step * Math.max(1, Math.abs(x));
      const at = (offset: number): number => {
        const moved = data.slice();
        moved[i] = x + offset * h;
        return weighted(
          inputs.map((other, m) => (m === n ? fromTypedArray(moved, input.shape, 'float64', 'gradCheck') : other)),
        );
      };
      const numeric = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
      const found = analytic[n]![i]!;
      const difference = Math.abs(found - numeric) / Math.max(1, Math.abs(numeric), Math.abs(found));
      const error = Number.isNaN(difference) ? Infinity : difference;
      if (error > report.error) {
        report.error = error;
        report.worst = { order, input: n, position: unravel(i, input.shape), analytic: found, numeric };
      }
    });
  });
}

/** The position of a row-major index. */
function unravel(index: number, shape: readonly number[]): number[] {
  const position: number[] = [];
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    position.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return position;
}
