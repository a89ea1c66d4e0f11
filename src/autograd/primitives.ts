import type { DType } from '../backends/backend.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * The ops that the engine itself calls: cotangents are summed with `add`, float16 and bfloat16 are computed in float32 by way of
 * `cast`, and the rows of a Jacobian are put together with `stack`. The ops introduce themselves here (elementwise.ts, cast.ts and movement.ts in src/ops), because the engine imports no op.
 */
export const primitives = {
  add: (_a: Tensor, _b: Tensor): Tensor => missing(),
  cast: (_t: Tensor, _dtype: DType): Tensor => missing(),
  /** Tensors of one shape behind one another, as a tensor of the given shape. */
  stack: (_parts: readonly Tensor[], _shape: readonly number[]): Tensor => missing(),
};

function missing(): never {
  throw new Error("the ops are not loaded: import from 'tapegrad', not from its inner modules");
}
