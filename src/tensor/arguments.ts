import { ValueError } from '../errors.js';
import { formatShape } from './shape.js';
import { Tensor } from './tensor.js';

/** What a value is, for messages; never its contents. */
export function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (value instanceof Tensor) return `a tensor of shape ${formatShape(value.shape)}`;
  if (value instanceof DataView) return 'a DataView';
  if (ArrayBuffer.isView(value)) return 'a typed array';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * Checks an options argument: an object that holds nothing but the named options. An option that is undefined counts as left out.
 * @throws {ValueError} for anything else in the options' place, and for a name that is no option; the message lists those there are.
 */
export function checkOptions(op: string, options: unknown, names: readonly string[]): void {
  const list = names.join(', ');
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
  if (!isObject || options instanceof Tensor || ArrayBuffer.isView(options))
    throw new ValueError(op, `the options are ${nameOf(options)}; they must be an object: { ${list} }`);
  for (const name of Object.keys(options))
    if (!names.includes(name)) throw new ValueError(op, `there is no option '${name}'; there are ${list}`);
}
