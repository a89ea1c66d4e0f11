import { hostArray } from '../backends/host-array.js';
import { ValueError } from '../errors.js';
import { checkNumber, checkWhole } from './arguments.js';
import { checkCreation, convert, type CreateOptions, settle } from './create.js';
import { checkShape } from './shape.js';
import type { Tensor } from './tensor.js';

/** No options given. */
const NONE: CreateOptions = {};

/**
 * Evenly spaced numbers: `arange(stop)`, `arange(start, stop)` or `arange(start, stop, step)`, the stop left out; options come last. int32 for
 * whole numbers, else float32, unless a dtype is given.
 *
 * ```ts
 * arange(3); // 0, 1, 2
 * arange(0, 1, 0.25, { dtype: 'float64' }); // 0, 0.25, 0.5, 0.75
 * ```
 * @throws {ValueError} for numbers that are not finite, and for a step of 0.
 */
export function arange(stop: number, options?: CreateOptions): Tensor;
export function arange(start: number, stop: number, options?: CreateOptions): Tensor;
export function arange(start: number, stop: number, step: number, options?: CreateOptions): Tensor;
export function arange(...given: readonly (number | CreateOptions | undefined)[]): Tensor {
  const [numbers, options] = numbersThenOptions('arange', given, 3);
  const [from, to, step] = numbers.length < 2 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (step === 0 || ![from, to, step].every(Number.isFinite))
    throw new ValueError('arange', `start ${from}, stop ${to}, step ${step}: they must be finite and the step not 0`);
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (count >= 2 ** 32)
    throw new ValueError('arange', `from ${from} to ${to} by ${step} are ${count} numbers, too many for one tensor`);
  const values = hostArray('float64', count);
  for (let i = 0; i < count; i++) values[i] = from + i * step;
  const { dtype = [from, to, step].every(Number.isInteger) ? 'int32' : 'float32', device } = options;
  return settle('arange', convert(values, dtype, 'arange'), [count], dtype, device);
}

/**
 * `count` evenly spaced numbers from start to stop, both included (one number is the start); float32 unless a dtype is given.
 *
 * ```ts
 * linspace(0, 1, 5); // 0, 0.25, 0.5, 0.75, 1
 * ```
 * @throws {ValueError} for ends that are not finite, for a count that is no whole number, and for fractions in int32.
 */
export function linspace(start: number, stop: number, count: number, options: CreateOptions = NONE): Tensor {
  checkNumber('linspace', 'start', start);
  checkNumber('linspace', 'stop', stop);
  checkWhole('linspace', 'the count', count, 0, 2 ** 32 - 1);
  checkCreation('linspace', options);
  if (!Number.isFinite(start) || !Number.isFinite(stop))
    throw new ValueError('linspace', `from ${start} to ${stop}: both must be finite`);
  const values = hostArray('float64', count);
  const steps = count - 1;
  const span = stop - start;
  const step = Number.isFinite(span) ? span / steps : stop / steps - start / steps;
  // From the nearer end, so that both are exact.
  for (let i = 0; i < count; i++) values[i] = 2 * i < count ? start + (i && i * step) : stop - (steps - i) * step;
  const { dtype = 'float32', device } = options;
  return settle('linspace', convert(values, dtype, 'linspace'), [count], dtype, device);
}

/**
 * The identity matrix, or ones on a rectangle's diagonal: `eye(rows)`, `eye(rows, columns)`; options come last.
 *
 * ```ts
 * eye(2, 3, { dtype: 'int32' }); // [[1, 0, 0], [0, 1, 0]]
 * ```
 */
export function eye(rows: number, options?: CreateOptions): Tensor;
export function eye(rows: number, columns: number, options?: CreateOptions): Tensor;
export function eye(...given: readonly (number | CreateOptions | undefined)[]): Tensor {
  const [[rows, columns = rows], options] = numbersThenOptions('eye', given, 2);
  checkShape('eye', [rows!, columns!]);
  const { dtype = 'float32', device } = options;
  const data = hostArray(dtype, rows! * columns!);
  const one = convert([1], dtype)[0]!;
  for (let i = 0; i < Math.min(rows!, columns!); i++) data[i * columns! + i] = one;
  return settle('eye', data, [rows!, columns!], dtype, device);
}

/** Takes apart arguments of which the last may be options. */
function numbersThenOptions(
  op: string,
  given: readonly (number | CreateOptions | undefined)[],
  most: number,
): [numbers: number[], options: CreateOptions] {
  if (given[0] === undefined)
    throw new ValueError(op, `the first argument is undefined; it takes 1 to ${most} numbers, then options`);
  const args = given.filter((value) => value !== undefined);
  const count = args.findIndex((value) => typeof value !== 'number');
  const numbers = (count < 0 ? args : args.slice(0, count)) as number[];
  const rest = count < 0 ? [] : args.slice(count);
  const [options = NONE] = rest as CreateOptions[];
  checkCreation(op, options);
  if (numbers.length === 0 || numbers.length > most || rest.length > 1)
    throw new ValueError(
      op,
      `${numbers.length} numbers and ${rest.length} options; it takes 1 to ${most} numbers, then options`,
    );
  return [numbers, options];
}
