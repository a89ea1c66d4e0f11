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

/** Levels that a tree may have. */
const DEEPEST = 500;

/** @internal A place of a tree, with what lies there; the way to it is put into words where somebody asks. */
export class Place {
  private readonly depth: number;

  constructor(
    private readonly tree: unknown,
    private readonly key: unknown = '',
    private readonly above: Place | null = null,
  ) {
    this.depth = above ? above.depth + 1 : 0;
  }

  /** As messages have it: `.layers[0].weight`. */
  get path(): string {
    const { above, key } = this;
    return above
      ? `${above.path}${Array.isArray(above.tree) || above.tree instanceof Set ? `[${String(key)}]` : `.${String(key)}`}`
      : '';
  }

  /** The same as a list, where the path's text might be that of another place: joined by dots, the name in checkpoints. */
  get keys(): string[] {
    return this.above ? [...this.above.keys, String(this.key)] : [];
  }

  equals(other: Place): boolean {
    if (!this.above || !other.above) return this.above === other.above;
    return this.key === other.key && this.above.equals(other.above);
  }

  /** Steps into the container that lies here. @throws for one that holds itself: going through it would not end. */
  enter(fail: (problem: string) => Error): void {
    for (let outer = this.above; outer; outer = outer.above)
      if (outer.tree === this.tree) throw fail(`${nameOf(this.tree)} in the tree holds itself`);
    if (this.depth >= DEEPEST) throw fail(`the tree has more than ${DEEPEST} levels`);
  }
}

const failure = (problem: string): ValueError => new ValueError('tree', problem);

/** Sets a property of an object that is being made, whatever its name. */
function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

/** What is done with a leaf: whatever is no array, plain object, Map or Set. */
type AtLeaf = (leaf: unknown, place: Place) => unknown;

/** Replaces every leaf by `f(leaf, place)`, keeping the structure. */
export function mapLeaves(tree: unknown, f: AtLeaf, place: Place = new Place(tree)): unknown {
  const kind = kindOf(tree);
  if (kind === 'tensor' || kind === 'constant') return f(tree, place);
  place.enter(failure);
  const visit = (value: unknown, key: unknown): unknown => mapLeaves(value, f, new Place(value, key, place));
  if (Array.isArray(tree)) return tree.map(visit);
  if (tree instanceof Map) return new Map(Array.from(tree, ([key, value]) => [key, visit(value, key)]));
  if (tree instanceof Set) return new Set(Array.from(tree, visit));
  const from = tree as Record<string, unknown>;
  const mapped: Record<string, unknown> = {};
  for (const key of Object.keys(from)) put(mapped, key, visit(from[key], key));
  return mapped;
}

/** Calls `f(leaf, place)` for every leaf, in order. */
export function eachLeaf(tree: unknown, f: AtLeaf, place: Place = new Place(tree)): void {
  const kind = kindOf(tree);
  if (kind === 'tensor' || kind === 'constant') return void f(tree, place);
  place.enter(failure);
  const visit = (value: unknown, key: unknown): void => {
    eachLeaf(value, f, new Place(value, key, place));
  };
  if (Array.isArray(tree)) tree.forEach(visit);
  else if (tree instanceof Map) for (const [key, value] of tree) visit(value, key);
  else if (tree instanceof Set) Array.from(tree).forEach(visit);
  else for (const key of Object.keys(tree as object)) visit((tree as Record<string, unknown>)[key], key);
}

/** Whether a tensor is among the properties of an instance, or some levels further down. */
function holdsTensors(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  const inner: unknown[] = value instanceof Map || value instanceof Set ? [...value.values()] : Object.values(value);
  return inner.some((one) => one instanceof Tensor || (levels > 1 && holdsTensors(one, levels - 1)));
}

/** What is done with every tensor; other leaves stay as they are. @throws {ValueError} for an instance that holds tensors: nobody would see them. */
const onTensors =
  (f: (tensor: Tensor, place: Place) => unknown): AtLeaf =>
  (leaf, at) => {
    if (leaf instanceof Tensor) return f(leaf, at);
    if (holdsTensors(leaf, 3))
      throw new ValueError(
        'tree',
        `${nameOf(leaf)}${place(at.path)} holds tensors; trees are tensors in arrays, plain objects, Maps and Sets: give a plain object of them`,
      );
    return leaf;
  };

/**
 * @internal Replaces every tensor by `f(tensor, place)`; other leaves stay as they are.
 * @throws {ValueError} for an instance of a class that holds tensors: they would neither be replaced nor kept.
 */
export const replaceTensors = <T>(tree: T, f: (tensor: Tensor, place: Place) => unknown): T =>
  mapLeaves(tree, onTensors(f)) as T;

/** @internal Calls `f(tensor, place)` for every tensor, in order. @throws {ValueError} where `replaceTensors` does. */
export const eachTensor = (tree: unknown, f: (tensor: Tensor, place: Place) => unknown): void => {
  eachLeaf(tree, onTensors(f));
};

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
  return zip(f as (...tensors: unknown[]) => unknown, trees, { names, fail });
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
  zip((...row) => found.push(row as [Tensor, Tensor, string]), trees, { names, fail });
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
  at: Place = new Place(trees[0]),
): unknown {
  const [first] = trees;
  const kind = kindOf(first);
  for (let i = 1; i < trees.length; i++)
    if (kindOf(trees[i]) !== kind) throw difference(report, at.path, i, trees[i], first);
  if (kind === 'tensor') return f(...trees, at.path);
  if (kind === 'constant') return first;
  at.enter(report.fail);
  const within = (key: unknown, parts: readonly unknown[]): unknown =>
    zip(f, parts, report, new Place(parts[0], key, at));
  if (Array.isArray(first)) {
    const lists = trees as readonly (readonly unknown[])[];
    lists.forEach((list, i) => {
      if (list.length !== first.length)
        throw report.fail(
          `${report.names[i]} ${list.length} elements${place(at.path)}, ${report.names[0]} ${first.length}`,
        );
    });
    return first.map((_, n) =>
      within(
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
        at,
      ) as unknown[],
    );
  const keyed = trees as readonly Keyed[];
  for (let i = 1; i < keyed.length; i++)
    for (const key of keysOf(keyed[i]!)) {
      const value = valueOf(keyed[i]!, key);
      if (value !== undefined && !hasKey(keyed[0]!, key))
        throw difference(report, new Place(value, key, at).path, i, value, undefined);
    }
  const visit = (key: unknown): unknown =>
    within(
      key,
      keyed.map((one) => valueOf(one, key)),
    );
  if (first instanceof Map) return new Map(Array.from(first.keys(), (key) => [key, visit(key)]));
  const mapped: Record<string, unknown> = {};
  for (const key of Object.keys(first as object)) put(mapped, key, visit(key));
  return mapped;
}

/** Containers whose parts have keys: those of a Map are told apart as the Map does, 1 from '1' and every object from any other. */
type Keyed = ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>;

const isMap = (value: Keyed): value is ReadonlyMap<unknown, unknown> => value instanceof Map;
const keysOf = (tree: Keyed): Iterable<unknown> => (isMap(tree) ? tree.keys() : Object.keys(tree));
const hasKey = (tree: Keyed, key: unknown): boolean =>
  isMap(tree) ? tree.has(key) : Object.hasOwn(tree, key as string);
const valueOf = (tree: Keyed, key: unknown): unknown =>
  isMap(tree) ? tree.get(key) : hasKey(tree, key) ? tree[key as string] : undefined;

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
  onBehalfOf('tensorsOf', 'the tree', () => {
    eachTensor(tree, (leaf) => found.push(leaf));
  });
  return found;
}
