import { ShapeError, ValueError } from '../errors.js';
import { checkTensor, describe } from '../tensor/arguments.js';
import { arange } from '../tensor/ranges.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { greaterEqual, lessEqual, logicalAnd, where } from './elementwise.js';
import { reshape } from './movement/index.js';

/** Matrices, the last two axes, with 0 on one side of a diagonal; what lies there gets a cotangent of 0, whatever it holds. */
function triangle(op: string, x: Tensor, diagonal: number, keeps: typeof lessEqual): Tensor {
  checkTensor(op, 'x', x);
  if (x.rank < 2) throw new ShapeError(op, `x is ${formatShape(x.shape)}; it must be [..., rows, columns]`);
  if (!Number.isSafeInteger(diagonal))
    throw new ValueError(op, `the diagonal is ${describe(diagonal)}; it must be a whole number`);
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const { device } = x;
  const beyond = Math.max(-rows, Math.min(diagonal, columns)); // further out it is all or nothing
  const ends = reshape(arange(beyond, rows + beyond, 1, { device, dtype: 'int32' }), [rows, 1]);
  const mask = keeps(arange(columns, { device }), ends);
  return x.dtype === 'bool' ? logicalAnd(x, mask) : where(mask, x, 0);
}

/**
 * The lower triangles of matrices [..., rows, columns]: 0 above a diagonal.
 * @param diagonal the last that stays: 0, the default, is the main one, positive ones lie above it.
 * @throws {ShapeError} for less than two axes. @throws {ValueError} for a diagonal that is no whole number.
 */
export const tril = (x: Tensor, diagonal = 0): Tensor => triangle('tril', x, diagonal, lessEqual);

/**
 * The upper triangles of matrices [..., rows, columns]: 0 below a diagonal.
 * @param diagonal the first that stays: 0, the default, is the main one, positive ones lie above it.
 * @throws {ShapeError} for less than two axes. @throws {ValueError} for a diagonal that is no whole number.
 */
export const triu = (x: Tensor, diagonal = 0): Tensor => triangle('triu', x, diagonal, greaterEqual);
