import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ValueError } from '../errors.js';
import { checkOptions, checkWhole, describe } from '../tensor/arguments.js';
import { isFloat } from '../tensor/dtype.js';
import { replaceTensors } from '../tensor/tree.js';
import { BUCKET_BYTES, extremum, gather } from './collectives.js';
import type { Link, Range, Whom } from './link.js';
import type { Reduction } from './mpi.js';
import {
  bytesOf,
  byteLengthOf,
  checkDTypes,
  type Contents,
  contentsOf,
  countText,
  lineOf,
  NumberPack,
  tensorsFrom,
  withTensors,
} from './trees.js';

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

/** What a rank brings to a call. */
interface Plan<Data, Result> {
  /** What the call is, in words that are the same on all ranks. */
  readonly head: string;
  /** What each tensor must be on all ranks; by default its place, dtype and shape. */
  readonly lines?: () => readonly string[] | Promise<readonly string[]>;
  /** A number of this rank's; the least and the largest of all are known when the call begins. */
  readonly number?: number;
  /** Gets together what is to travel, at once: tensors may be gone when the other ranks are there. */
  readonly collect: () => Data | Promise<Data>;
  /** The call itself. All ranks are there. */
  readonly run: (link: Link, data: Data, numbers: Range) => Promise<Result>;
}

/** The same for calls of all ranks, which a world of one answers as well. */
interface CollectivePlan<Data, Result> extends Plan<Data, Result> {
  readonly alone: () => Result | Promise<Result>;
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
  averageGradients<T>(tree: T, options: AverageOptions = {}): Promise<T> {
    const op = 'averageGradients';
    return this.together(op, tree, ({ leaves }) => {
      checkOptions(op, options, ['weight', 'bucketBytes']);
      const { weight = 1, bucketBytes = BUCKET_BYTES } = options;
      if (typeof weight !== 'number' || !Number.isFinite(weight) || weight < 0)
        throw new ValueError(op, `weight is ${describe(weight)}; it must be finite and not negative`);
      checkWhole(op, 'bucketBytes', bucketBytes, 8, 2 ** 30);
      checkDTypes(op, leaves, isFloat, 'only floats have a mean');
      const buckets = bucketBytes === BUCKET_BYTES ? '' : ` in buckets of ${bucketBytes} bytes`;
      return {
        head: `${op} of ${countText(leaves)}${buckets}`,
        number: weight,
        collect: () => NumberPack.of(leaves, weight === 0),
        run: async (link, pack: NumberPack, weights) => {
          pack.weigh(factorOf(weight, weights));
          for (const array of pack.arrays) await link.allreduce(array, 'sum', op, bucketBytes);
          return withTensors(tree, pack.means(op));
        },
        alone: async () => (weight > 0 ? tree : withTensors(tree, (await NumberPack.of(leaves, true)).sums(op))),
      };
    });
  }

  /**
   * One rank's tree, on all ranks, to the bit. The others give a tree of the same structure, whose tensors' contents are not looked at.
   * @param options.root the rank that has it; 0 by default.
   */
  broadcast<T>(tree: T, options: { readonly root?: number } = {}): Promise<T> {
    const op = 'broadcast';
    return this.together(op, tree, ({ leaves }) => {
      checkOptions(op, options, ['root']);
      const { root = 0 } = options;
      this.checkRank(op, 'root', root);
      return {
        head: `${op} of ${countText(leaves)} from rank ${root}`,
        collect: () => bytesOf(leaves),
        run: async (link, bytes: Uint8Array) => {
          await link.broadcast(bytes, root, op, BUCKET_BYTES);
          return withTensors(tree, tensorsFrom(bytes, leaves, op));
        },
        alone: () => tree,
      };
    });
  }

  /**
   * All ranks' tensors, joined along the first axis in the order of ranks: [n, ...] on each becomes [sum of n, ...], and scalars become
   * [size]. The lengths n may differ from rank to rank, and be 0.
   */
  allGather<T>(tree: T): Promise<T> {
    const op = 'allGather';
    return this.together(op, tree, ({ leaves }) => ({
      head: `${op} of ${countText(leaves)}`,
      // A length that ranks may choose does not take part in the comparison.
      lines: () =>
        leaves.map((leaf) => {
          const [first, ...others] = leaf.tensor.shape;
          return lineOf(leaf, `[${first === undefined ? '' : ['n', ...others].join(', ')}]`);
        }),
      collect: () => bytesOf(leaves),
      run: async (link, bytes: Uint8Array) => withTensors(tree, await gather(link, leaves, bytes, op)),
      alone: () => replaceTensors(tree, (t) => (t.rank === 0 ? t.reshape([1]) : t)),
    }));
  }

  /**
   * Sends a tree to one other rank, which receives it with `recvLike`. Returns when it is there: two ranks that send to each other must not wait for the
   * one before they begin with the other, so write `await Promise.all([world.send(x, right), world.recvLike(x, left)])`.
   * @throws {MismatchError} on both ranks, if the other one expects another tree.
   */
  async send(tree: unknown, to: number): Promise<void> {
    const op = 'send';
    const link = this.linkTo(op, 'to', to);
    await this.meet(link, op, { peer: to, kind: 'send' }, tree, ({ leaves }) => ({
      head: `send and recvLike of ${countText(leaves)}`,
      collect: () => bytesOf(leaves),
      run: (_, bytes: Uint8Array) => link.transfer('send', bytes, to, op, BUCKET_BYTES),
    }));
  }

  /** What a rank sends, a tree like the given one. @throws {MismatchError} on both ranks, if it sends another tree. */
  async recvLike<T>(tree: T, from: number): Promise<T> {
    const op = 'recvLike';
    const link = this.linkTo(op, 'from', from);
    return this.meet(link, op, { peer: from, kind: 'receive' }, tree, ({ leaves }) => ({
      head: `send and recvLike of ${countText(leaves)}`,
      collect: () => new Uint8Array(byteLengthOf(leaves)),
      run: async (_, bytes: Uint8Array) => {
        await link.transfer('receive', bytes, from, op, BUCKET_BYTES);
        return withTensors(tree, tensorsFrom(bytes, leaves, op));
      },
    }));
  }

  /**
   * Sees that a tree is the same on all ranks to the last bit, NaN and -0 included: call it for the parameters every few hundred steps.
   * @param what its name in the message.
   * @throws {MismatchError} on all ranks, naming who differs and the first tensor that does.
   */
  async assertSame(tree: unknown, what = 'the tree'): Promise<void> {
    const op = 'assertSame';
    if (typeof what !== 'string') throw new ValueError(op, `the name is ${describe(what)}; it must be a text`);
    await this.together<unknown, void, unknown>(op, tree, ({ leaves }) => ({
      head: `${op} of ${what}`,
      lines: () =>
        Promise.all(
          leaves.map(async (leaf) => {
            const digest = createHash('sha256').update(await bytesOf([leaf]));
            return `${lineOf(leaf)} with digest ${digest.digest('hex').slice(0, 12)}`;
          }),
        ),
      collect: () => undefined,
      run: () => Promise.resolve(),
      alone: () => undefined,
    }));
  }

  /** Returns when all ranks are here. */
  async barrier(): Promise<void> {
    const nothing = (): Promise<void> => Promise.resolve();
    await this.together('barrier', [], () => ({ head: 'barrier', collect: nothing, run: nothing, alone: nothing }));
  }

  /**
   * Leaves the world, together with all ranks; call it at the end. A process that ends without it takes the others along: at once with an
   * exit code, and within ten seconds with code 0, unless they end as well.
   */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.link?.close();
  }

  /** Ends all processes, with an exit code. */
  async abort(code = 1): Promise<never> {
    checkWhole('abort', 'the code', code, 1, 255);
    if (!this.link) process.exit(code);
    this.link.abort(code);
    for (;;) await sleep(1000); // some launchers end a process from outside
  }

  private reduce<T>(op: string, tree: T, reduction: Reduction): Promise<T> {
    return this.together(op, tree, ({ leaves }) => {
      if (reduction === 'sum')
        checkDTypes(op, leaves, (dtype) => dtype !== 'bool', 'cast it to int32 to count, or use allMax or allMin');
      return {
        head: `${op} of ${countText(leaves)}`,
        collect: () => NumberPack.of(leaves),
        run: async (link, pack: NumberPack) => {
          // MPI leaves open which zero and which of NaN and a number is larger, so ranks could get different ones.
          if (reduction !== 'sum') pack.dropSignsOfZeros();
          for (const array of pack.arrays) {
            if (reduction === 'sum' || array instanceof Int32Array)
              await link.allreduce(array, reduction, op, BUCKET_BYTES);
            else await extremum(link, array, reduction, op);
          }
          return withTensors(tree, pack.sums(op));
        },
        alone: () => tree,
      };
    });
  }

  /** A call of all ranks. */
  private async together<Data, Result, T>(
    op: string,
    tree: T,
    plan: (contents: Contents) => CollectivePlan<Data, Result>,
  ): Promise<Result> {
    this.checkOpen(op);
    if (this.link && this.size > 1) return this.meet(this.link, op, 'all', tree, plan);
    return plan(contentsOf(op, tree)).alone();
  }

  /** A call that others take part in. */
  private async meet<Data, Result>(
    link: Link,
    op: string,
    whom: Whom,
    tree: unknown,
    plan: (contents: Contents) => Plan<Data, Result>,
  ): Promise<Result> {
    const prepare = async () => {
      const contents = contentsOf(op, tree);
      const { head, lines, number, collect, run } = plan(contents);
      const collecting = collect();
      const own = lines ? await lines() : contents.leaves.map((leaf) => lineOf(leaf));
      const data = await collecting;
      return {
        call: { head, lines: [...own, ...contents.constants], number },
        run: (numbers: Range) => run(link, data, numbers),
      };
    };
    return link.meet(op, whom, prepare());
  }

  private linkTo(op: string, name: string, peer: number): Link {
    this.checkOpen(op);
    this.checkRank(op, name, peer);
    if (!this.link || peer === this.rank) throw new ValueError(op, `'${name}' is ${peer}, this very rank`);
    return this.link;
  }

  private checkRank(op: string, name: string, rank: number): void {
    if (!Number.isInteger(rank) || rank < 0 || rank >= this.size)
      throw new ValueError(op, `'${name}' is ${describe(rank)}; the ranks are 0 to ${this.size - 1}`);
  }

  private checkOpen(op: string): void {
    if (this.isClosed) throw new ValueError(op, 'the world is closed');
  }
}

/**
 * What numbers are multiplied by: 1 if all weights are equal, else the weight divided by a power of two that brings the largest to at most 1,
 * which is exact and neither overflows nor makes zeros.
 */
function factorOf(weight: number, { least, most }: Range): number {
  if (least === most) return most > 0 ? 1 : 0;
  return weight / 2 ** Math.min(1023, Math.ceil(Math.log2(most)));
}
