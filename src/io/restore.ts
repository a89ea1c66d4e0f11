import { FormatError, ValueError } from '../errors.js';
import {
  checkFunction,
  checkOptions,
  checkTensor,
  describe,
  isCallable,
  isPlainObject,
  onBehalfOf,
} from '../tensor/arguments.js';
import { moveTo } from '../tensor/create.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { mapLeaves, type Place } from '../tensor/tree.js';

/** What did not find its counterpart. */
export interface Unmatched {
  /** Tensors of the template that were not among those given: they stay the template's. */
  readonly missing: readonly string[];
  /** Given tensors that have no place in the template, by their own names. */
  readonly unused: readonly string[];
}

export interface RestoreOptions {
  /** Takes only the tensors below this name, without it: 'params' finds 'params.layers.0.weight' as 'layers.0.weight'. */
  readonly prefix?: string | undefined;
  /** The template's name for a given tensor's, or null to leave that one out. */
  readonly rename?: ((name: string) => string | null) | undefined;
  /**
   * Accepts that tensors are missing or have no place, as long as one fits; those that fit must still have the template's shape and dtype. A function
   * is told which they are.
   */
  readonly partial?: boolean | ((unmatched: Unmatched) => void) | undefined;
}

const OP = 'restoreTree';
/** Misfits that a message lists. */
const MOST = 50;

/**
 * The template's tree with every tensor replaced by the one of its name, as `saveSafetensors` names them, on the template's device: how a
 * checkpoint becomes parameters again.
 *
 * ```ts
 * const { tensors } = loadSafetensors(bytes);
 * const { params, state } = restoreTree({ params: model.init(rng), state: optimizer.init(params) }, tensors);
 * const weights = restoreTree(model.init(rng), tensors, { prefix: 'params' }); // of a whole checkpoint only those
 * const begun = restoreTree(model.init(rng), tensors, { rename: (name) => `encoder.${name}`, partial: true });
 * ```
 * @throws {FormatError} for tensors that are missing, left over, or of another shape or dtype than the template's; the message lists all of them.
 */
export function restoreTree<T>(
  template: T,
  tensors: Readonly<Record<string, Tensor>>,
  options: RestoreOptions = {},
): T {
  if (!isPlainObject(tensors))
    throw new ValueError(
      OP,
      `the tensors are ${describe(tensors)}; they must be an object of tensors by name, as in loadSafetensors(bytes).tensors`,
    );
  checkOptions(OP, options, ['prefix', 'rename', 'partial'], (given) =>
    typeof given === 'string' ? 'write { prefix }' : isCallable(given) ? 'write { rename }' : null,
  );
  const { partial = false } = options;
  if (typeof partial !== 'boolean' && !isCallable(partial))
    throw new ValueError(OP, `partial is ${describe(partial)}; it must be true, false or a function`);
  const misfits: string[] = [];
  const { found, unused } = byTheirNames(tensors, options, misfits);
  const missing: string[] = [];
  const places = new Set<string>();
  let fitting = 0;
  const restore = (expected: unknown, { keys }: Place): unknown => {
    if (!(expected instanceof Tensor)) return expected;
    const name = keys.join('.');
    if (places.has(name)) misfits.push(`the template has two places for '${name}'`);
    places.add(name);
    const given = found.get(name);
    if (!given) {
      missing.push(name);
      return expected;
    }
    unused.delete(given.name);
    const { tensor } = given;
    if (tensor.dtype === expected.dtype && sameShape(tensor.shape, expected.shape)) {
      fitting++;
      return moveTo(tensor, expected);
    }
    misfits.push(
      `'${name}'${given.name === name ? '' : ` ('${given.name}')`} is ${tensor.dtype}${formatShape(tensor.shape)}; ` +
        `${expected.dtype}${formatShape(expected.shape)} is wanted`,
    );
    return expected;
  };
  const restored = onBehalfOf(OP, 'the template', () => mapLeaves(template, restore)) as T;
  let problems = misfits;
  if (partial === false)
    problems = [
      ...missing.map((name) => `there is no tensor '${name}'`),
      ...misfits,
      ...Array.from(unused, (name) => `the tensor '${name}' has no place in the template`),
    ];
  else if (fitting === 0 && misfits.length === 0 && missing.length > 0)
    misfits.push(
      `no tensor has a place in the template, whose names are such as '${missing[0]!}'${suchAs([...unused])}`,
    );
  if (problems.length > 0) throw new FormatError(OP, listed(problems));
  if (typeof partial === 'function') partial({ missing, unused: [...unused] });
  return restored;
}

interface Given {
  /** The name in the file. */
  readonly name: string;
  readonly tensor: Tensor;
}

/** The given tensors by the template's names for them, and the file's names of all of those. */
function byTheirNames(
  tensors: Readonly<Record<string, unknown>>,
  { prefix = '', rename }: RestoreOptions,
  misfits: string[],
): { found: Map<string, Given>; unused: Set<string> } {
  if (typeof (prefix as unknown) !== 'string')
    throw new ValueError(OP, `prefix is ${describe(prefix)}; it must be the beginning of names: 'params'`);
  if (rename !== undefined) checkFunction(OP, 'rename', rename);
  const start = prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`;
  const found = new Map<string, Given>();
  const unused = new Set<string>();
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!name.startsWith(start)) continue;
    const own = name.slice(start.length);
    const renamed: unknown = rename ? rename(own) : own;
    if (renamed === null) continue;
    if (typeof renamed !== 'string')
      throw new ValueError(
        OP,
        `rename gave ${describe(renamed)} for '${own}'; it must give a name, or null to leave it out`,
      );
    checkTensor(OP, `'${name}'`, tensor);
    const other = found.get(renamed);
    if (other) misfits.push(`'${other.name}' and '${name}' are both '${renamed}' in the template`);
    else {
      found.set(renamed, { name, tensor });
      unused.add(name);
    }
  }
  if (unused.size === 0 && start !== '')
    throw new FormatError(OP, `no tensor's name begins with '${short(start)}'${suchAs(Object.keys(tensors))}`);
  return { found, unused };
}

function listed(misfits: readonly string[]): string {
  if (misfits.length === 1) return misfits[0]!;
  const more = misfits.length > MOST ? `\n  and ${misfits.length - MOST} more` : '';
  return `${misfits.length} tensors do not fit:\n  ${misfits.slice(0, MOST).join('\n  ')}${more}`;
}

/** A name that somebody has made up may be of any length. */
const short = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}...` : text);

const suchAs = ([name]: readonly string[]): string =>
  name === undefined ? '' : `; the given ones are such as '${name}'`;
