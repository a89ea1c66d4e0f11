import { DeviceError, DTypeError, RecycledError, ShapeError, TapegradError, ValueError } from '../errors.js';
import { formatShape } from './shape.js';
import { Tensor } from './tensor.js';

/**
 * What arguments are, checked in one place. Callers without types hand over anything in any place; a wrong call ends in a typed error
 * that says what was got and what goes there, before anything is touched.
 */

/** @internal Whether a value is a promise, of whatever realm or library. */
export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  value instanceof Promise ||
  (typeof value === 'object' && value !== null && typeof (value as Partial<PromiseLike<unknown>>).then === 'function');

/** What a value is, for messages; never its contents, but for single numbers, strings and the like. */
export function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (value instanceof Tensor) return `a tensor of shape ${formatShape(value.shape)}`;
  if (value instanceof DataView) return 'a DataView';
  if (ArrayBuffer.isView(value)) return 'a typed array';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return isCallable(value) ? 'a function' : 'a class';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return isPlainObject(value) ? 'an object' : `an object of class ${classOf(value)}`;
}

/** The same, with the value where it is short. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'number':
    case 'boolean':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'string':
      return value.length <= 40 ? `'${value}'` : `a string of ${value.length} characters`;
    default:
      return nameOf(value);
  }
}

/** Whether a value is an object as `{ ... }` makes them, in this realm or another: no instance of a class, no list, no function. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function classOf(value: object): string {
  const { constructor } = value;
  return typeof constructor === 'function' && constructor.name ? constructor.name : 'unknown';
}

/**
 * Checks an options argument: an object that holds nothing but the named options. An option that is undefined counts as left out.
 * @param advice what a caller probably meant who put something else there, from what he put; it is added to the message.
 * @throws {ValueError} for anything else in the options' place, and for a name that is no option; the message lists those there are.
 */
export function checkOptions(
  op: string,
  options: unknown,
  names: readonly string[],
  advice?: (given: unknown) => string | null,
): void {
  if (!isPlainObject(options)) {
    const hint = advice?.(options) ?? null;
    throw new ValueError(
      op,
      `the options are ${describe(options)}; they must be an object: { ${names.join(', ')} }${hint ? ` (${hint})` : ''}`,
    );
  }
  for (const name of Object.keys(options))
    if (!names.includes(name))
      throw new ValueError(
        op,
        `there is no option '${name}'; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`,
      );
}

/** Refuses what is no tensor, or one whose memory has been recycled. @throws {DTypeError | RecycledError} */
export function checkTensor(op: string, what: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor)) throw notTensor(op, what, value);
  if (!value.buffer.alive) value.checkAlive(op);
}

/** Refuses tensors of different devices. @throws {DeviceError} */
export function checkTogether(op: string, a: Tensor, b: Tensor): void {
  if (a.device !== b.device)
    throw new DeviceError(
      op,
      `tensors on '${a.device.name}' and '${b.device.name}' in one op; move one with x.to(device)`,
    );
}

/** Refuses what is no list of tensors, a list with holes for instance. @param what what one of them is: 'sequence'. @throws {ValueError | DTypeError} */
export function checkTensors(op: string, what: string, value: unknown): asserts value is readonly Tensor[] {
  checkArray(op, `the ${what}s`, value);
  for (const [i, one] of value.entries()) checkTensor(op, `${what} ${i}`, one);
}

const notTensor = (op: string, what: string, value: unknown): DTypeError =>
  new DTypeError(
    op,
    `${what} is ${describe(value)}, not a tensor${typeof value === 'number' || typeof value === 'object' ? '; write tensor(data)' : ''}`,
  );

/** Refuses what is neither true nor false. @throws {ValueError} */
export function checkBoolean(op: string, what: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw new ValueError(op, `${what} is ${describe(value)}; it must be true or false`);
}

/** Refuses what is no function, classes included: those cannot be called. @throws {ValueError} */
export function checkFunction(op: string, what: string, value: unknown): void {
  if (!isCallable(value)) throw new ValueError(op, `${what} is ${describe(value)}; it must be a function`);
}

/** Whether a value is a function that is no class (only classes' prototypes cannot be replaced). */
export const isCallable = (value: unknown): boolean =>
  typeof value === 'function' && Object.getOwnPropertyDescriptor(value, 'prototype')?.writable !== false;

/** Refuses what is no number; NaN and infinities are numbers. @throws {ValueError} */
export function checkNumber(op: string, what: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') throw new ValueError(op, `${what} is ${describe(value)}; it must be a number`);
}

/** Refuses what is no whole number in [least, most]. @throws {ValueError} */
export function checkWhole(
  op: string,
  what: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `in [${least}, ${most}]`;
  throw new ValueError(op, `${what} is ${describe(value)}; it must be a whole number, ${range}`);
}

/** Refuses what is no list. @throws {ValueError} */
export function checkArray(op: string, what: string, value: unknown): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw new ValueError(op, `${what} is ${describe(value)}; it must be an array`);
}

/** Runs a check or a creation on behalf of another op: its typed errors become that op's, with a word on which argument was wrong. */
export function onBehalfOf<T>(op: string, what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TapegradError) || error.op === op) throw error;
    const problem = `${what}: ${error.message.slice(error.op.length + 3)}`;
    for (const Kind of [ValueError, DTypeError, ShapeError, DeviceError, RecycledError])
      if (error instanceof Kind) throw new Kind(op, problem);
    throw error;
  }
}
