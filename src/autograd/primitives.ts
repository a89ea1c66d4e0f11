import type { DType } from '../backends/backend.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Deferred } from './op.js';

/**
 * The ops that the engine itself calls: cotangents are summed with `add`, or in place, float16 and bfloat16 are computed in float32 by way of
 * `cast`, and Jacobians are put together row by row. The ops introduce themselves here (elementwise.ts, cast.ts and movement/ in src/ops),
 * because the engine imports no op.
 */
export const primitives = {
  add: (_a: Tensor, _b: Tensor): Tensor => missing(),
  cast: (_t: Tensor, _dtype: DType): Tensor => missing(),
  clone: (_t: Tensor): Tensor => missing(),
  /** A tensor as something to be added to another one in place. */
  addend: (_t: Tensor): Deferred => missing(),
  /** Tensors of one shape behind one another, as a tensor of the given shape. */
  stack: (_parts: readonly Tensor[], _shape: readonly number[]): Tensor => missing(),
  /** One row of a matrix that is 0 elsewhere. */
  row: (_row: Tensor, _position: number, _count: number): Deferred => missing(),
};

function missing(): never {
  throw new Error("the ops are not loaded: import from 'tapegrad', not from its inner modules");
}
