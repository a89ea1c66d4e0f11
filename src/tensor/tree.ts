import { ValueError } from '../errors.js';
import { nameOf } from './arguments.js';
import { Tensor } from './tensor.js';

/**
 * Arguments and results of transforms are trees: tensors, or arrays, tuples and plain objects of trees. Empty containers, null and
 * undefined are kept where they are.
 */
export type Tree = unknown;

/** The type of a tree with every tensor replaced by what `R` says; everything else stays. */
export type MapTree<T, R> = T extends Tensor
  ? R
  : T extends (...args: never[]) => unknown
    ? T
    : T extends object
      ? { [K in keyof T]: MapTree<T[K], R> }
      : T;

/** The gradient of a tree has the tree's own type. */
export type GradientOf<T> = MapTree<T, Tensor>;

const isContainer = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

/** A path for messages: `.layers[0].weight`. */
const step = (path: string, key: string | number): string =>
  typeof key === 'number' ? `${path}[${key}]` : `${path}.${key}`;

/** Replaces every leaf (whatever is no array and no plain object) by `f(leaf, path)`, keeping the structure. */
export function mapLeaves(tree: unknown, f: (leaf: unknown, path: string) => unknown, path = ''): unknown {
  if (Array.isArray(tree)) return tree.map((value: unknown, i) => mapLeaves(value, f, step(path, i)));
  if (isContainer(tree))
    return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, mapLeaves(value, f, step(path, key))]));
  return f(tree, path);
}

/** @internal Replaces every tensor by `f(tensor, path)`; other leaves stay as they are. */
export const replaceTensors = <T>(tree: T, f: (tensor: Tensor, path: string) => unknown): T =>
  mapLeaves(tree, (leaf, path) => (leaf instanceof Tensor ? f(leaf, path) : leaf)) as T;

/** A tree with its tensors replaced by what a function gives: of the same type where those are tensors again. */
type Mapped<T, R> = [R] extends [Tensor] ? T : MapTree<T, R>;

/**
 * A tree of what `f` makes of every tensor of a tree, or of the tensors in the same place of several trees. `f` comes first, and is also told
 * the place: `.layers[0].weight`. Leaves that are no tensors stay as they are in the first tree.
 *
 * ```ts
 * const doubled = mapTensors((p) => p.mul(2), params);
 * const descended = mapTensors((p, g) => p.sub(g.mul(0.1)), params, gradients);
 * ```
 * @param others trees of the first one's structure: a tensor where that has one, and nowhere else.
 * @throws {ValueError} where their structures differ; the message names the place.
 */
export function mapTensors<T, R>(f: (tensor: Tensor, path: string) => R, tree: T): Mapped<T, R>;
export function mapTensors<T, R>(
  f: (first: Tensor, second: Tensor, path: string) => R,
  tree: T,
  other: NoInfer<T>,
): Mapped<T, R>;
export function mapTensors<T, R, const Others extends readonly NoInfer<T>[]>(
  f: (first: Tensor, ...others: [...{ [K in keyof Others]: Tensor }, path: string]) => R,
  tree: T,
  ...others: Others
): Mapped<T, R>;
export function mapTensors(f: (...tensors: never[]) => unknown, ...trees: readonly unknown[]): unknown {
  if (typeof f !== 'function')
    throw new ValueError('mapTensors', `the function comes first: mapTensors(f, tree); got ${nameOf(f)} in its place`);
  if (trees.length === 0) throw new ValueError('mapTensors', 'there is no tree: mapTensors(f, tree)');
  return zip(f as (...tensors: unknown[]) => unknown, trees, '');
}

function zip(f: (...tensors: unknown[]) => unknown, trees: readonly unknown[], path: string): unknown {
  const [first] = trees;
  trees.forEach((tree, i) => {
    if (i > 0 && kindOf(tree) !== kindOf(first)) throw differ(path, i, tree, first);
  });
  if (Array.isArray(first)) {
    const lists = trees as readonly (readonly unknown[])[];
    lists.forEach((list, i) => {
      if (list.length !== first.length)
        throw new ValueError(
          'mapTensors',
          `tree ${i} has ${list.length} elements${place(path)}, the first tree ${first.length}`,
        );
    });
    return first.map((_, at) =>
      zip(
        f,
        lists.map((list) => list[at]),
        step(path, at),
      ),
    );
  }
  if (isContainer(first)) {
    const objects = trees as readonly Record<string, unknown>[];
    const own = objects.map((object) => Object.keys(object));
    own.forEach((keys, i) => {
      for (const key of keys)
        if (!Object.hasOwn(first, key) && objects[i]![key] !== undefined)
          throw differ(step(path, key), i, objects[i]![key], undefined);
    });
    return Object.fromEntries(
      own[0]!.map((key) => [
        key,
        zip(
          f,
          objects.map((object) => (Object.hasOwn(object, key) ? object[key] : undefined)),
          step(path, key),
        ),
      ]),
    );
  }
  return first instanceof Tensor ? f(...trees, path) : first;
}

/** What has to agree between trees: containers, and where the tensors are. */
const kindOf = (value: unknown): 'array' | 'object' | 'tensor' | 'constant' =>
  value instanceof Tensor ? 'tensor' : Array.isArray(value) ? 'array' : isContainer(value) ? 'object' : 'constant';

const place = (path: string): string => (path === '' ? '' : ` at ${path}`);

const differ = (path: string, i: number, found: unknown, wanted: unknown): ValueError =>
  new ValueError(
    'mapTensors',
    `tree ${i} has ${found === undefined ? 'nothing' : nameOf(found)}${place(path)}, ` +
      `where the first tree has ${wanted === undefined ? 'nothing' : nameOf(wanted)}; their structures must agree`,
  );

/** The tensors of a tree, in order. */
export function tensorsOf(tree: unknown): Tensor[] {
  const found: Tensor[] = [];
  replaceTensors(tree, (leaf) => found.push(leaf));
  return found;
}
