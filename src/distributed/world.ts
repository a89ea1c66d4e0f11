import { setTimeout as sleep } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { BYTES } from '../backends/backend.js';
import { ValueError } from '../errors.js';
import { checkOptions, nameOf } from '../tensor/arguments.js';
import { isFloat } from '../tensor/dtype.js';
import { replaceTensors } from '../tensor/tree.js';
import type { Link } from './link.js';
import type { Reduction } from './mpi.js';
import {
  bytesOf,
  checkDTypes,
  countText,
  type Leaf,
  leavesOf,
  linesOf,
  NumberPack,
  tensorFrom,
  tensorsFrom,
  withTensors,
} from './trees.js';

/** Pieces in which large arrays travel: with larger ones Open MPI's polled calls are several times slower. */
const BUCKET_BYTES = 4 * 2 ** 20;

export interface AverageOptions {
  /** What this rank's share counts, for instance its number of sequences: finite and not negative. 0 leaves the rank out, whatever its tensors hold. 1 by default. */
  readonly weight?: number;
  /** Size of the pieces that travel, 4 MiB by default. */
  readonly bucketBytes?: number;
}

/** Where the time of a world's calls went on this rank. */
export interface Statistics {
  /** Milliseconds of waiting for slower ranks, the check that all do the same included. */
  readonly waiting: number;
  /** Milliseconds of moving and adding up data. */
  readonly moving: number;
  /** Bytes that took part. */
  readonly bytes: number;
}

/**
 * The processes that train together. Its calls are collective (but for `send` and `recvLike`): every rank makes the same calls in the same order,
 * with trees of the same structure, shapes and dtypes. This is checked at each call; where ranks differ, all of them throw the same
 * `MismatchError`. All wait for the slowest, and throw a `TimeoutError` if it does not come. Calls made at once run one after another.
 *
 * Tensors are float32, float64, int32 or bool, float16 and bfloat16; the latter two are added up in float32 and rounded once. Results are
 * ordinary constants on the device of the arguments.
 */
export class World {
  /** This process's number, from 0. */
  readonly rank: number;
  /** How many processes there are. */
  readonly size: number;
  /** The same among the processes of this machine. */
  readonly localRank: number;
  readonly localSize: number;
  /** What the MPI library calls itself, and its file; null without one. */
  readonly library: string | null;
  private isClosed = false;

  /** @internal Use `init()`. */
  constructor(
    private readonly link: Link | null,
    local: { rank: number; size: number },
  ) {
    this.rank = link?.mpi.rank ?? 0;
    this.size = link?.mpi.size ?? 1;
    this.library = link?.mpi.description ?? null;
    this.localRank = local.rank;
    this.localSize = local.size;
  }

  get statistics(): Statistics {
    const { waiting, moving } = this.link?.spent ?? { waiting: 0, moving: 0 };
    return { waiting, moving, bytes: this.link?.bytes ?? 0 };
  }

  /**
   * The sum over the ranks of every tensor of a tree, the same on all ranks to the bit. Integers wrap around.
   * @throws {DTypeError} for bool.
   */
  allSum<T>(tree: T): Promise<T> {
    return this.reduce('allSum', tree, 'sum');
  }

  /** The element-wise maximum over the ranks; NaN where any rank has one. bool: whether any is true. -0 counts as 0. */
  allMax<T>(tree: T): Promise<T> {
    return this.reduce('allMax', tree, 'max');
  }

  /** The element-wise minimum over the ranks; NaN where any rank has one. bool: whether all are true. -0 counts as 0. */
  allMin<T>(tree: T): Promise<T> {
    return this.reduce('allMin', tree, 'min');
  }

  /**
   * The weighted mean over the ranks of every tensor of a tree: of the gradients of a batch that the ranks have shared out, if each gives
   * the mean over its share and the share's size as weight. The loss may travel along.
   *
   * ```ts
   * const mean = await world.averageGradients({ loss, gradients }, { weight: share.length });
   * ```
   * A NaN anywhere becomes a NaN everywhere, except from a rank of weight 0. If all weights are 0, the mean is 0.
   * @throws {ValueError} for a weight that is negative or not finite.
   * @throws {DTypeError} for integers.
   */
  async averageGradients<T>(tree: T, options: AverageOptions = {}): Promise<T> {
    const op = 'averageGradients';
    checkOptions(op, options, ['weight', 'bucketBytes']);
    const { weight = 1, bucketBytes = BUCKET_BYTES } = options;
    if (typeof weight !== 'number' || !Number.isFinite(weight) || weight < 0)
      throw new ValueError(
        op,
        `weight is ${typeof weight === 'number' ? weight : nameOf(weight)}; it must be finite and not negative`,
      );
    if (!Number.isInteger(bucketBytes) || bucketBytes < 8 || bucketBytes > 2 ** 30)
      throw new ValueError(op, `bucketBytes is ${String(bucketBytes)}; it must be a whole number from 8 to 2^30`);
    const leaves = this.leavesOf(op, tree);
    checkDTypes(op, leaves, isFloat, 'only floats have a mean');
    const link = this.others();
    if (!link && weight > 0) return tree;
    const packing = settled(
      NumberPack.of(leaves, weight === 1 ? undefined : weight === 0 ? null : (value) => value * weight),
    );
    if (!link) return withTensors(tree, (await packing).tensors(op, false));
    return link.inOrder('all', async () => {
      const pack = await packing;
      const buckets = bucketBytes === BUCKET_BYTES ? '' : ` in buckets of ${bucketBytes} bytes`;
      await link.agree(op, { head: `${op} of ${countText(leaves)}${buckets}`, lines: linesOf(leaves) });
      for (const array of pack.arrays) {
        array[array.length - 1] = weight; // adds up to the divisor
        await link.allreduce(array, 'sum', op, bucketBytes);
      }
      return withTensors(tree, pack.tensors(op, true));
    });
  }

  /**
   * One rank's tree, on all ranks, to the bit. The others give a tree of the same structure, whose contents are not looked at.
   * @param options.root the rank that has it; 0 by default.
   */
  async broadcast<T>(tree: T, options: { readonly root?: number } = {}): Promise<T> {
    checkOptions('broadcast', options, ['root']);
    const { root = 0 } = options;
    this.checkRank('broadcast', 'root', root);
    const leaves = this.leavesOf('broadcast', tree);
    const link = this.others();
    if (!link) return tree;
    const packing = settled(bytesOf(leaves));
    return link.inOrder('all', async () => {
      const bytes = await packing;
      await link.agree('broadcast', {
        head: `broadcast of ${countText(leaves)} from rank ${root}`,
        lines: linesOf(leaves),
      });
      await link.broadcast(bytes, root, 'broadcast', BUCKET_BYTES);
      return withTensors(tree, tensorsFrom(bytes, leaves, 'broadcast'));
    });
  }

  /**
   * All ranks' tensors, joined along the first axis in the order of ranks: [n, ...] on each becomes [sum of n, ...], and scalars become
   * [size]. The lengths n may differ from rank to rank, and be 0.
   */
  async allGather<T>(tree: T): Promise<T> {
    const leaves = this.leavesOf('allGather', tree);
    const scalar = ({ tensor }: Leaf): boolean => tensor.rank === 0;
    const link = this.others();
    if (!link) return replaceTensors(tree, (t) => (t.rank === 0 ? t.reshape([1]) : t));
    const packing = settled(bytesOf(leaves));
    return link.inOrder('all', async () => {
      const own = await packing;
      // A length that ranks may choose does not take part in the comparison.
      const lines = leaves.map(({ tensor, path }) => {
        const shape = tensor.rank === 0 ? '[]' : `[${['n', ...tensor.shape.slice(1)].join(', ')}]`;
        return `${path === '' ? 'the tensor' : path} ${tensor.dtype}${shape}`;
      });
      await link.agree('allGather', { head: `allGather of ${countText(leaves)}`, lines });
      const lengths = await link.allgather(
        Float64Array.from(leaves, (leaf) => (scalar(leaf) ? 1 : leaf.tensor.shape[0]!)),
        'allGather',
        BUCKET_BYTES,
      );
      const rowBytes = leaves.map(
        ({ tensor }) => tensor.shape.slice(1).reduce((a, b) => a * b, 1) * BYTES[tensor.dtype],
      );
      const totals = lengths.map((rows) => rows.reduce((sum, n, i) => sum + n * rowBytes[i]!, 0));
      const filled = new Uint8Array(Math.max(...totals));
      filled.set(own);
      const all = await link.allgather(filled, 'allGather', BUCKET_BYTES);
      const at = totals.map(() => 0);
      const tensors = leaves.map(({ tensor }, i) => {
        const count = lengths.reduce((sum, rows) => sum + rows[i]!, 0);
        const joined = new Uint8Array(count * rowBytes[i]!);
        let end = 0;
        all.forEach((bytes, r) => {
          const size = lengths[r]![i]! * rowBytes[i]!;
          joined.set(bytes.subarray(at[r], at[r]! + size), end);
          at[r]! += size;
          end += size;
        });
        return tensorFrom(joined, tensor, [count, ...tensor.shape.slice(1)], 'allGather');
      });
      return withTensors(tree, tensors);
    });
  }

  /**
   * Sends a tree to one other rank, which receives it with `recvLike`. Returns when it is there: two ranks that send to each other must not wait for the
   * one before they begin with the other, so write `await Promise.all([world.send(x, right), world.recvLike(x, left)])`.
   * @throws {MismatchError} on both ranks, if the other one expects another tree.
   */
  async send(tree: unknown, to: number): Promise<void> {
    const { leaves, link } = this.between('send', tree, 'to', to);
    const packing = settled(bytesOf(leaves));
    await link.inOrder(`to ${to}`, async () => {
      await link.exchange('send', await packing, to, callBetween(leaves), BUCKET_BYTES);
    });
  }

  /** What a rank sends, a tree like the given one. @throws {MismatchError} on both ranks, if it sends another tree. */
  async recvLike<T>(tree: T, from: number): Promise<T> {
    const { leaves, link } = this.between('recvLike', tree, 'from', from);
    const bytes = new Uint8Array(leaves.reduce((sum, { tensor }) => sum + tensor.size * BYTES[tensor.dtype], 0));
    return link.inOrder(`from ${from}`, async () => {
      await link.exchange('receive', bytes, from, callBetween(leaves), BUCKET_BYTES);
      return withTensors(tree, tensorsFrom(bytes, leaves, 'recvLike'));
    });
  }

  /**
   * Sees that a tree is the same on all ranks to the last bit, NaN and -0 included: call it for the parameters every few hundred steps.
   * @param what its name in the message.
   * @throws {MismatchError} on all ranks, naming who differs and the first tensor that does.
   */
  async assertSame(tree: unknown, what = 'the tree'): Promise<void> {
    const leaves = this.leavesOf('assertSame', tree);
    const link = this.others();
    if (!link) return;
    const digests = settled(
      Promise.all(
        leaves.map(async (leaf) =>
          createHash('sha256')
            .update(await bytesOf([leaf]))
            .digest('hex')
            .slice(0, 12),
        ),
      ),
    );
    await link.inOrder('all', async () => {
      const own = await digests;
      const lines = linesOf(leaves).map((line, i) => `${line} with digest ${own[i]}`);
      await link.agree('assertSame', { head: `assertSame of ${what}`, lines });
    });
  }

  /** Returns when all ranks are here. */
  async barrier(): Promise<void> {
    this.checkOpen('barrier');
    const link = this.others();
    await link?.inOrder('all', () => link.agree('barrier', { head: 'barrier', lines: [] }));
  }

  /**
   * Leaves the world, together with all ranks; call it at the end. A process that ends without it takes the others along: at once with an
   * exit code, and within ten seconds with code 0, unless they end as well.
   */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.link?.inOrder('all', () => this.link!.close());
  }

  /** Ends all processes, with an exit code. */
  async abort(code = 1): Promise<never> {
    if (!Number.isInteger(code) || code < 1 || code > 255)
      throw new ValueError('abort', `the code is ${String(code)}; it must be a whole number from 1 to 255`);
    if (!this.link) process.exit(code);
    this.link.abort(code);
    for (;;) await sleep(1000); // some launchers end a process from outside
  }

  private async reduce<T>(op: string, tree: T, reduction: Reduction): Promise<T> {
    const leaves = this.leavesOf(op, tree);
    if (reduction === 'sum')
      checkDTypes(op, leaves, (dtype) => dtype !== 'bool', 'cast it to int32 to count, or use allMax or allMin');
    const link = this.others();
    if (!link) return tree;
    // MPI leaves open which zero and which of NaN and a number is larger, so ranks could get different ones.
    const packing = settled(NumberPack.of(leaves, reduction === 'sum' ? undefined : (value) => value + 0));
    return link.inOrder('all', async () => {
      const pack = await packing;
      await link.agree(op, { head: `${op} of ${countText(leaves)}`, lines: linesOf(leaves) });
      for (const array of pack.arrays) {
        if (reduction === 'sum' || array instanceof Int32Array)
          await link.allreduce(array, reduction, op, BUCKET_BYTES);
        else await extremum(link, array, reduction, op);
      }
      return withTensors(tree, pack.tensors(op, false));
    });
  }

  private between(op: string, tree: unknown, name: string, peer: number): { leaves: Leaf[]; link: Link } {
    this.checkRank(op, name, peer);
    if (peer === this.rank) throw new ValueError(op, `'${name}' is ${peer}, this very rank`);
    return { leaves: this.leavesOf(op, tree), link: this.link! };
  }

  private leavesOf(op: string, tree: unknown): Leaf[] {
    this.checkOpen(op);
    return leavesOf(op, tree);
  }

  private checkRank(op: string, name: string, rank: number): void {
    if (!Number.isInteger(rank) || rank < 0 || rank >= this.size)
      throw new ValueError(
        op,
        `'${name}' is ${typeof rank === 'number' ? rank : nameOf(rank)}; the ranks are 0 to ${this.size - 1}`,
      );
  }

  private checkOpen(op: string): void {
    if (this.isClosed) throw new ValueError(op, 'the world is closed');
  }

  /** The way to other ranks, if there are any. */
  private others(): Link | null {
    return this.size > 1 ? this.link : null;
  }
}

/** A promise that somebody awaits later: its failure is not unhandled until then. */
function settled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

const callBetween = (leaves: readonly Leaf[]): { head: string; lines: string[] } => ({
  head: `send and recvLike of ${countText(leaves)}`,
  lines: linesOf(leaves),
});

/** The maximum or minimum of floats. NaNs are taken out first and put back, on all ranks, where any rank had one. */
async function extremum(
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
