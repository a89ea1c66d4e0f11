/** Where the elements of an array of any strides lie in a flat one. */
interface Layout {
  readonly strides: readonly number[];
  readonly offset: number;
}

/** Elements to read: a typed or plain array, or what answers `get(i)` in its place. */
type Readable<T> = ArrayLike<T> | { get(i: number): T };
type Writable<T> = Record<number, T>;

interface Axis {
  readonly size: number;
  readonly from: number;
  readonly to: number;
}

/** Side of the squares that a transposition is cut into, so that both arrays' cache lines are used up before they are evicted. */
const TILE = 32;

/** Copies every element of a strided array to its place in another one of the same shape. The two must not overlap. */
export function copyStrided<T>(
  shape: readonly number[],
  source: Readable<T>,
  from: Layout,
  target: Writable<T>,
  to: Layout,
): void {
  if (shape.includes(0)) return;
  const axes = arrange(shape.map((size, i) => ({ size, from: from.strides[i]!, to: to.strides[i]! })));
  const inner = axes.pop() ?? { size: 1, from: 0, to: 0 };
  const outer = axes.pop() ?? { size: 1, from: 0, to: 0 };
  const plane = isGetter(source) ? viaGetter(source) : isTransposed(outer, inner) ? tiled : rowByRow;
  const visit = (axis: number, f: number, t: number): void => {
    if (axis === axes.length) {
      plane(source as ArrayLike<T>, f, target, t, outer, inner);
      return;
    }
    const { size, from, to } = axes[axis]!;
    for (let i = 0; i < size; i++) visit(axis + 1, f + i * from, t + i * to);
  };
  visit(0, from.offset, to.offset);
}

/** The same walk with fewer and longer loops: the target's nearest elements innermost, the source's next to them, axes that continue each other joined. */
function arrange(all: readonly Axis[]): Axis[] {
  const axes = all.filter(({ size }) => size !== 1).sort((a, b) => Math.abs(b.to) - Math.abs(a.to));
  const joined: Axis[] = [];
  for (const axis of axes) {
    const last = joined[joined.length - 1];
    if (last?.from === axis.from * axis.size && last.to === axis.to * axis.size)
      joined[joined.length - 1] = { ...axis, size: last.size * axis.size };
    else joined.push(axis);
  }
  const [inner] = joined.splice(-1);
  if (!inner) return [];
  const nearest = joined.reduce((best, { from }, i) => (Math.abs(from) < Math.abs(joined[best]!.from) ? i : best), 0);
  return [...joined.filter((_, i) => i !== nearest), ...joined.slice(nearest, nearest + 1), inner];
}

const isTransposed = (outer: Axis, inner: Axis): boolean =>
  inner.size > TILE && outer.size > TILE && Math.abs(outer.from) < Math.abs(inner.from);

type Plane = <T>(source: ArrayLike<T>, f: number, target: Writable<T>, t: number, outer: Axis, inner: Axis) => void;

const rowByRow: Plane = (source, f, target, t, outer, inner) => {
  const { size, from, to } = inner;
  for (let i = 0; i < outer.size; i++, f += outer.from, t += outer.to)
    for (let k = 0, a = f, b = t; k < size; k++, a += from, b += to) target[b] = source[a]!;
};

const tiled: Plane = (source, f, target, t, outer, inner) => {
  for (let i = 0; i < outer.size; i += TILE)
    for (let k = 0; k < inner.size; k += TILE)
      rowByRow(
        source,
        f + i * outer.from + k * inner.from,
        target,
        t + i * outer.to + k * inner.to,
        { ...outer, size: Math.min(TILE, outer.size - i) },
        { ...inner, size: Math.min(TILE, inner.size - k) },
      );
};

const isGetter = <T>(source: Readable<T>): source is { get(i: number): T } =>
  !ArrayBuffer.isView(source) && typeof (source as { get?: unknown }).get === 'function';

const viaGetter =
  <S>(source: { get(i: number): S }): Plane =>
  (_, f, target, t, outer, inner) => {
    for (let i = 0; i < outer.size; i++)
      for (let k = 0; k < inner.size; k++)
        (target as Writable<unknown>)[t + i * outer.to + k * inner.to] = source.get(
          f + i * outer.from + k * inner.from,
        );
  };
