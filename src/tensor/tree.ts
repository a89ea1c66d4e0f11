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

/** Replaces every tensor by `f(tensor, path)`; other leaves stay as they are. */
export function mapTensors<T>(tree: T, f: (tensor: Tensor, path: string) => unknown): T {
  return mapLeaves(tree, (leaf, path) => (leaf instanceof Tensor ? f(leaf, path) : leaf)) as T;
}

/** The tensors of a tree, in order. */
export function tensorsOf(tree: unknown): Tensor[] {
  const found: Tensor[] = [];
  mapTensors(tree, (leaf) => {
    found.push(leaf);
    return leaf;
  });
  return found;
}
