import { BYTES } from '../backends/backend.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Link } from './link.js';
import { type Leaf, tensorFrom } from './trees.js';

/** Calls that take several of MPI's. All ranks are there, with trees of the same structure. */

/** Pieces in which large arrays travel: with larger ones Open MPI's polled calls are several times slower. */
export const BUCKET_BYTES = 4 * 2 ** 20;

/** The maximum or minimum of floats. NaNs are taken out first and put back, on all ranks, where any rank had one. */
export async function extremum(
  link: Link,
  array: Float32Array | Float64Array,
  reduction: 'max' | 'min',
  op: string,
): Promise<void> {
  const least = reduction === 'max' ? -Infinity : Infinity;
  const isNaNAt = Int32Array.from(array, (value) => Number(Number.isNaN(value)));
  const hasNaN = Int32Array.of(isNaNAt.includes(1) ? 1 : 0);
  await link.allreduce(hasNaN, 'max', op, BUCKET_BYTES);
  if (hasNaN[0] === 1) {
    await link.allreduce(isNaNAt, 'max', op, BUCKET_BYTES);
    isNaNAt.forEach((flag, i) => {
      if (flag === 1) array[i] = least;
    });
  }
  await link.allreduce(array, reduction, op, BUCKET_BYTES);
  if (hasNaN[0] === 1)
    isNaNAt.forEach((flag, i) => {
      if (flag === 1) array[i] = NaN;
    });
}

/**
 * Each tensor of all ranks joined along the first axis, in the order of ranks.
 * @param own the bytes of this rank's tensors, behind one another.
 */
export async function gather(link: Link, leaves: readonly Leaf[], own: Uint8Array, op: string): Promise<Tensor[]> {
  const lengths = await link.allgather(
    Float64Array.from(leaves, ({ tensor }) => tensor.shape[0] ?? 1), // a scalar is one row
    op,
    BUCKET_BYTES,
  );
  const rowBytes = leaves.map(({ tensor }) => tensor.shape.slice(1).reduce((a, b) => a * b, 1) * BYTES[tensor.dtype]);
  const totals = lengths.map((rows) => rows.reduce((sum, n, i) => sum + n * rowBytes[i]!, 0));
  const filled = new Uint8Array(Math.max(...totals));
  filled.set(own);
  const all = await link.allgather(filled, op, BUCKET_BYTES);
  const at = totals.map(() => 0);
  return leaves.map(({ tensor }, i) => {
    const count = lengths.reduce((sum, rows) => sum + rows[i]!, 0);
    const joined = new Uint8Array(count * rowBytes[i]!);
    let end = 0;
    all.forEach((bytes, r) => {
      const size = lengths[r]![i]! * rowBytes[i]!;
      joined.set(bytes.subarray(at[r], at[r]! + size), end);
      at[r]! += size;
      end += size;
    });
    return tensorFrom(joined, tensor, [count, ...tensor.shape.slice(1)], op);
  });
}
