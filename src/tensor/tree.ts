import { ValueError } from '../errors.js';
import { isCallable, nameOf, onBehalfOf } from './arguments.js';
import { Tensor } from './tensor.js';

/**
 * Arguments and results of transforms are trees: tensors, or arrays, tuples and plain objects of trees. Whatever else stands in a tree (numbers,
 * text, functions, null, empty containers) is a constant and is kept where it is.
 */
export type Tree = unknown;

/** The type of a tree with every tensor replaced by what `R` says; everything else stays. */
export type MapTree<T, R> = T extends Tensor
  ? R
  : T extends (...args: never[]) => unknown
    ? T
    : T extends ReadonlyMap<infer K, infer V>
      ? Map<K, MapTree<V, R>>
      : T extends ReadonlySet<infer V>
        ? Set<MapTree<V, R>>
        : T extends object
          ? { [K in keyof T]: MapTree<T[K], R> }
          : T;

/** The gradient of a tree has the tree's own type: gradients in the places of tensors, and everything else as it is. */
export type GradientOf<T> = T;

const isContainer = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

/** The containers around a place of a tree, innermost first. */
interface Above {
  readonly tree: unknown;
  readonly depth: number;
  readonly above: Above | null;
}

/** Levels that a tree may have. */
const DEEPEST = 500;

/** Steps into a container. @throws for one that holds itself: going through it would not end. */
function within(tree: unknown, above: Above | null, fail: (problem: string) => Error): Above {
  for (let outer = above; outer; outer = outer.above)
    if (outer.tree === tree) throw fail(`${nameOf(tree)} in the tree holds itself`);
  const depth = above ? above.depth + 1 : 1;
  if (depth > DEEPEST) throw fail(`the tree has more than ${DEEPEST} levels`);
  return { tree, depth, above };
}

/** A path for messages: `.layers[0].weight`. */
const step = (path: string, key: string | number): string =>
  typeof key === 'number' ? `${path}[${key}]` : `${path}.${key}`;

/**
 * Replaces every leaf (whatever is no array, plain object, Map or Set) by `f(leaf, path, keys)`, keeping the structure. The keys are the same
 * place as a list, where the path's text might be that of another.
 */
export function mapLeaves(
  tree: unknown,
  f: (leaf: unknown, path: string, keys: readonly string[]) => unknown,
  path = '',
  keys: readonly string[] = [],
  above: Above | null = null,
): unknown {
  const kind = kindOf(tree);
  if (kind === 'tensor' || kind === 'constant') return f(tree, path, keys);
  const inside = within(tree, above, (problem) => new ValueError('tree', problem));
  const visit = (value: unknown, key: string | number): unknown =>
    mapLeaves(value, f, step(path, key), [...keys, String(key)], inside);
  if (Array.isArray(tree)) return tree.map(visit);
  if (tree instanceof Map) return new Map(Array.from(tree, ([key, value]) => [key, visit(value, String(key))]));
  if (tree instanceof Set) return new Set(Array.from(tree, visit));
  return Object.fromEntries(Object.entries(tree as object).map(([key, value]) => [key, visit(value, key)]));
}

/** Whether a tensor is among the properties of an instance, or some levels further down. */
function holdsTensors(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  const inner: unknown[] = value instanceof Map || value instanceof Set ? [...value.values()] : Object.values(value);
  return inner.some((one) => one instanceof Tensor || (levels > 1 && holdsTensors(one, levels - 1)));
}

/**
 * @internal Replaces every tensor by `f(tensor, path, keys)`; other leaves stay as they are.
 * @throws {ValueError} for an instance of a class that holds tensors: they would neither be replaced nor kept.
 */
export const replaceTensors = <T>(tree: T, f: (tensor: Tensor, path: string, keys: readonly string[]) => unknown): T =>
  mapLeaves(tree, (leaf, path, keys) => {
    if (leaf instanceof Tensor) return f(leaf, path, keys);
    if (holdsTensors(leaf, 3))
      throw new ValueError(
        'tree',
        `${nameOf(leaf)}${place(path)} holds tensors; trees are tensors in arrays, plain objects, Maps and Sets: give a plain object of them`,
      );
    return leaf;
  }) as T;

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
 * Trees have one structure if each has a tensor where the first has one, and nowhere else.
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
  if (!isCallable(f))
    throw new ValueError('mapTensors', `the function comes first: mapTensors(f, tree); got ${nameOf(f)} in its place`);
  if (trees.length === 0) throw new ValueError('mapTensors', 'there is no tree: mapTensors(f, tree)');
  const names = trees.map((_, i) => (i === 0 ? 'the first tree has' : `tree ${i} has`));
  const fail = (problem: string): ValueError => new ValueError('mapTensors', problem);
  return zip(f as (...tensors: unknown[]) => unknown, trees, { names, fail }, '');
}

/**
 * @internal The tensors of a second tree that has the structure of a first, with those of the first and their places, in the first one's order.
 * @param names how messages begin: 'the outputs have', 'the cotangents have'.
 */
export function alignTensors(
  trees: readonly [first: unknown, second: unknown],
  names: readonly [first: string, second: string],
  fail: (problem: string) => Error,
): [first: Tensor, second: Tensor, path: string][] {
  const found: [Tensor, Tensor, string][] = [];
  zip((...row) => found.push(row as [Tensor, Tensor, string]), trees, { names, fail }, '');
  return found;
}

/** How a difference between trees is reported. */
interface Report {
  readonly names: readonly string[];
  readonly fail: (problem: string) => Error;
}

function zip(
  f: (...tensors: unknown[]) => unknown,
  trees: readonly unknown[],
  report: Report,
  path: string,
  above: Above | null = null,
): unknown {
  const [first] = trees;
  const kind = kindOf(first);
  trees.forEach((tree, i) => {
    if (kindOf(tree) !== kind) throw difference(report, path, i, tree, first);
  });
  if (kind === 'tensor') return f(...trees, path);
  if (kind === 'constant') return first;
  const inside = within(first, above, report.fail);
  const at = (key: string | number, parts: readonly unknown[]): unknown =>
    zip(f, parts, report, step(path, key), inside);
  if (Array.isArray(first)) {
    const lists = trees as readonly (readonly unknown[])[];
    lists.forEach((list, i) => {
      if (list.length !== first.length)
        throw report.fail(
          `${report.names[i]} ${list.length} elements${place(path)}, ${report.names[0]} ${first.length}`,
        );
    });
    return first.map((_, n) =>
      at(
        n,
        lists.map((list) => list[n]),
      ),
    );
  }
  if (first instanceof Set)
    return new Set(
      zip(
        f,
        trees.map((tree) => [...(tree as Set<unknown>)]),
        report,
        path,
        inside,
      ) as unknown[],
    );
  if (first instanceof Map) {
    const objects = trees.map((tree) => Object.fromEntries(tree as Map<string, unknown>));
    const mapped = zip(f, objects, report, path, inside) as Record<string, unknown>;
    return new Map(Array.from(first.keys(), (key): [unknown, unknown] => [key, mapped[String(key)]]));
  }
  const objects = trees as readonly Record<string, unknown>[];
  const get = (object: Record<string, unknown>, key: string): unknown =>
    Object.hasOwn(object, key) ? object[key] : undefined;
  objects.forEach((object, i) => {
    for (const [key, value] of Object.entries(object))
      if (value !== undefined && !Object.hasOwn(first as object, key))
        throw difference(report, step(path, key), i, value, undefined);
  });
  return Object.fromEntries(
    Object.keys(first as object).map((key) => [
      key,
      at(
        key,
        objects.map((object) => get(object, key)),
      ),
    ]),
  );
}

/** What has to agree between trees: containers, and where the tensors are. */
const kindOf = (value: unknown): 'array' | 'object' | 'map' | 'set' | 'tensor' | 'constant' => {
  if (value instanceof Tensor) return 'tensor';
  if (value instanceof Map) return 'map';
  if (value instanceof Set) return 'set';
  return Array.isArray(value) ? 'array' : isContainer(value) ? 'object' : 'constant';
};

const place = (path: string): string => (path === '' ? '' : ` at ${path}`);

function difference({ names, fail }: Report, path: string, i: number, found: unknown, wanted: unknown): Error {
  const tell = (value: unknown): string => (value === undefined ? 'nothing' : nameOf(value));
  return fail(
    `${names[i]} ${tell(found)}${place(path)}, where ${names[0]} ${tell(wanted)}; their structures must agree`,
  );
}

/** The tensors of a tree, in order. */
export function tensorsOf(tree: unknown): Tensor[] {
  const found: Tensor[] = [];
  onBehalfOf('tensorsOf', 'the tree', () => replaceTensors(tree, (leaf) => found.push(leaf)));
  return found;
}
