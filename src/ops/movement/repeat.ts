import { ShapeError, ValueError } from '../../errors.js';
import { checkTensor, checkWhole, describe } from '../../tensor/arguments.js';
import { formatShape, normalizeAxes, normalizeAxis, type Shape, sizeOf } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { broadcastTo } from '../broadcast.js';
import { take } from '../gather.js';
import { expandDims, flatten, reshape } from './axes.js';
import { concat } from './join.js';
import { slice } from './slice.js';

const MOST = 2 ** 31;

/**
 * Each element along an axis a number of times, one after another (NumPy's `repeat`, torch's `repeat_interleave`; torch's `repeat` is `tile` here):
 * repeat([1, 2], 2) is [1, 1, 2, 2].
 * @param repeats one number for all elements, or a list with one for each.
 * @throws {ValueError} for numbers that are not whole or negative. @throws {ShapeError} for a list of another length.
 */
export function repeat(x: Tensor, repeats: number | readonly number[], axis = 0): Tensor {
  checkTensor('repeat', 'x', x);
  const at = normalizeAxis('repeat', axis, x.rank);
  const length = x.shape[at]!;
  if (!Array.isArray(repeats)) {
    checkWhole('repeat', 'repeats', repeats, 0, MOST);
    const shape = x.shape.map((dim, i) => (i === at ? dim * repeats : dim));
    return reshape(broadcastTo(expandDims(x, at + 1), insert(x.shape, at + 1, repeats)), shape);
  }
  const counts = Array.from(repeats as readonly number[]);
  if (counts.length !== length)
    throw new ShapeError(
      'repeat',
      `${counts.length} repeats for axis ${axis} of ${formatShape(x.shape)}; it takes one, or ${length}`,
    );
  counts.forEach((count, i) => {
    checkWhole('repeat', `repeats[${i}]`, count, 0, MOST);
  });
  const positions = new Int32Array(counts.reduce((sum, count) => sum + count, 0));
  let to = 0;
  counts.forEach((count, i) => positions.fill(i, to, (to += count)));
  return take(x, positions, at);
}

const insert = (shape: Shape, at: number, dim: number): number[] => [...shape.slice(0, at), dim, ...shape.slice(at)];

/**
 * The whole of x a number of times along each axis (NumPy's and torch's `tile`, torch's `repeat`): tile([1, 2], 2) is [1, 2, 1, 2].
 * @param repeats for the last axes, where they are fewer than the axes; where they are more, x has leading axes of length 1. One number is for the last axis.
 * @throws {ValueError} for numbers that are not whole or negative.
 */
export function tile(x: Tensor, repeats: number | readonly number[]): Tensor {
  checkTensor('tile', 'x', x);
  if (typeof repeats !== 'number' && !Array.isArray(repeats))
    throw new ValueError(
      'tile',
      `repeats are ${describe(repeats)}; they must be a number, or a list of one for each axis`,
    );
  const given = Array.from(typeof repeats === 'number' ? [repeats] : (repeats as readonly number[]));
  const rank = Math.max(given.length, x.rank);
  const shape = [...new Array<number>(rank - x.rank).fill(1), ...x.shape];
  const counts = [...new Array<number>(rank - given.length).fill(1), ...given];
  counts.forEach((count, i) => {
    checkWhole('tile', `the repeats of axis ${i}`, count, 0, MOST);
  });
  // An axis in front of each that is repeated.
  const split = shape.flatMap((dim, i) => (counts[i] === 1 ? [dim] : [1, dim]));
  const stretched = shape.flatMap((dim, i) => (counts[i] === 1 ? [dim] : [counts[i]!, dim]));
  return reshape(
    broadcastTo(reshape(x, split), stretched),
    shape.map((dim, i) => dim * counts[i]!),
  );
}

/**
 * The elements moved along axes, those that leave at the end coming in at the front: roll([1, 2, 3], 1) is [3, 1, 2].
 * @param shift positions, backwards where negative; one for all axes, or a list with one for each.
 * @param axes one or several; left out, the flattened tensor is rolled and takes its shape again.
 * @throws {ShapeError} for lists of different lengths. @throws {ValueError} for a shift that is no whole number.
 */
export function roll(x: Tensor, shift: number | readonly number[], axes?: number | readonly number[]): Tensor {
  checkTensor('roll', 'x', x);
  const shifts = Array.isArray(shift) ? Array.from(shift as readonly number[]) : [shift as number];
  for (const one of shifts)
    if (!Number.isSafeInteger(one))
      throw new ValueError('roll', `the shift is ${describe(one)}; it must be a whole number`);
  if (axes === undefined) {
    if (Array.isArray(shift)) throw new ShapeError('roll', `${shifts.length} shifts without axes; name as many axes`);
    return reshape(rollAxis(flatten(x), shifts[0]!, 0), x.shape);
  }
  normalizeAxes('roll', axes, x.rank); // each at most once
  const list = typeof axes === 'number' ? [axes] : axes;
  if (Array.isArray(shift) && shifts.length !== list.length)
    throw new ShapeError('roll', `${shifts.length} shifts for ${list.length} axes; they must be as many`);
  return list.reduce((t, axis, i) => rollAxis(t, shifts[i] ?? shifts[0]!, normalizeAxis('roll', axis, x.rank)), x);
}

function rollAxis(x: Tensor, shift: number, axis: number): Tensor {
  const length = x.shape[axis]!;
  const by = length === 0 ? 0 : ((shift % length) + length) % length;
  if (by === 0 || sizeOf(x.shape) === 0) return x;
  const lead = new Array<[]>(axis).fill([]);
  return concat([slice(x, ...lead, [length - by]), slice(x, ...lead, [0, length - by])], axis);
}
