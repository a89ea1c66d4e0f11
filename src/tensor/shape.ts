import { ShapeError } from '../errors.js';

export type Shape = readonly number[];

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

export const sameShape = (a: Shape, b: Shape): boolean =>
  a === b || (a.length === b.length && a.every((dim, i) => dim === b[i]));

/** Axes that a tensor may have: NumPy's limit. */
export const MOST_AXES = 64;

/** Dimensions shown of a list that has more; nobody reads on, and callers without types hand over whole data. */
const MOST_SHOWN = 16;

export function formatShape(shape: Shape): string {
  const dims = Array.from(shape.slice(0, MOST_SHOWN), shown);
  return `[${dims.join(', ')}${shape.length > MOST_SHOWN ? `, ... ${shape.length} in all` : ''}]`;
}

/** What a value is, for messages. (`describe` of arguments.ts says more, and knows tensors; this module is below it.) */
function shown(value: unknown): string {
  if (typeof value === 'number' || value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Callers without types like to pass dimensions one by one, or a number for a vector's length. */
export function checkList(op: string, list: unknown, what = 'shape'): void {
  if (!Array.isArray(list))
    throw new ShapeError(
      op,
      `the ${what} is ${shown(list)}; it must be an array of numbers${typeof list === 'number' ? `: [${list}, ...]` : ''}`,
    );
}

/** Checks that every dimension is a non-negative integer. */
export function checkShape(op: string, shape: Shape): void {
  checkList(op, shape);
  if (shape.length > MOST_AXES) throw new ShapeError(op, `a shape of ${shape.length} axes; there may be ${MOST_AXES}`);
  for (const dim of shape) {
    if (!Number.isInteger(dim) || dim < 0)
      throw new ShapeError(op, `shape ${formatShape(shape)} has a dimension that is not a non-negative integer`);
  }
}

/** Row-major strides, in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}

/** NumPy's broadcasting rule: shapes are aligned at their last axes, and a dimension of 1 stretches. */
export function broadcastShapes(op: string, ...shapes: Shape[]): Shape {
  const first = shapes[0] ?? [];
  let differ = false;
  for (const shape of shapes) differ ||= !sameShape(shape, first);
  if (!differ) return first;
  const rank = shapes.reduce((most, shape) => Math.max(most, shape.length), 0);
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const dim = shape[i]!;
      const at = rank - shape.length + i;
      if (dim === 1 || dim === result[at]) continue;
      if (result[at] !== 1)
        throw new ShapeError(op, `shapes ${shapes.map(formatShape).join(' and ')} do not broadcast`);
      result[at] = dim;
    }
  }
  return result;
}

/** An axis counted from the end when negative, as a position in [0, rank). */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError(
      op,
      rank === 0
        ? `axis ${shown(axis)} of a scalar: it has no axes`
        : `axis ${shown(axis)} is outside [${-rank}, ${rank})`,
    );
  }
  return axis < 0 ? axis + rank : axis;
}

/** Axes as sorted positions; all of them when left out. Duplicates are refused. */
export function normalizeAxes(op: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const given: readonly number[] = typeof axes === 'number' ? [axes] : axes;
  if (!Array.isArray(given))
    throw new ShapeError(op, `the axes are ${shown(axes)}; an axis is a number, several are a list: [0, 1]`);
  const list = Array.from(given, (axis: number) => normalizeAxis(op, axis, rank)); // holes as well
  list.sort((a, b) => a - b);
  list.forEach((axis, i) => {
    if (axis === list[i - 1]) throw new ShapeError(op, `axis ${axis} is named twice`);
  });
  return list;
}
