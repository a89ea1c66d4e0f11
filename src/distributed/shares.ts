import { batchesByLength } from '../data/batches.js';
import { ValueError } from '../errors.js';
import type { Random } from '../tensor/random.js';

/**
 * Shares a batch of sequences out so that the ranks get about equal work: sequences of about the same length go to the same rank, and the largest
 * share, filled up to its longest sequence, is as small as it can be. With fewer sequences than ranks some shares are empty: their
 * weight in `averageGradients` is 0.
 *
 * @param lengths of the batch's sequences.
 * @param count of shares, `world.size`.
 * @returns for each rank its positions in `lengths`, each of them in exactly one share.
 */
export function shares(lengths: ArrayLike<number>, count: number): number[][] {
  if (!Number.isInteger(count) || count < 1)
    throw new ValueError('shares', `count is ${String(count)}; it must be a positive whole number`);
  const order = Array.from({ length: lengths.length }, (_, n) => n);
  for (const n of order)
    if (!Number.isInteger(lengths[n]) || lengths[n]! < 0)
      throw new ValueError('shares', `length ${n} is ${String(lengths[n])}; it must be a whole number, not negative`);
  order.sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  // Sorted: the newest of a share is its longest. Filling one share after another needs the fewest for a given limit.
  const fill = (limit: number): number[][] => {
    const filled: number[][] = [];
    for (const n of order) {
      const last = filled.at(-1);
      if (last && (last.length + 1) * lengths[n]! <= limit) last.push(n);
      else filled.push([n]);
    }
    return filled;
  };
  let least = order.length > 0 ? lengths[order.at(-1)!]! : 0;
  let most = least * order.length;
  while (least < most) {
    const middle = Math.floor((least + most) / 2);
    if (fill(middle).length <= count) most = middle;
    else least = middle + 1;
  }
  const filled = fill(least);
  return Array.from({ length: count }, (_, rank) => filled[rank]?.sort((a, b) => a - b) ?? []);
}

/**
 * `bucketedBatches` for one of several ranks: as many batches on each, to be taken in step. In a step the ranks' batches are of neighbouring lengths
 * and about equal work, each within `maxFrames`; over an epoch every sequence is seen exactly once. All ranks must pass the same lengths and
 * a random source in the same state. A batch can be empty where the sequences do not suffice for all ranks.
 *
 * @param maxFrames of one rank's filled batch.
 * @returns this rank's batches, of positions in `lengths`.
 * @throws {ValueError} for a sequence that is longer than `maxFrames`.
 */
export function shardedBatches(
  lengths: ArrayLike<number>,
  maxFrames: number,
  random: Random,
  world: { readonly rank: number; readonly size: number },
): number[][] {
  const { rank, size } = world;
  if (!Number.isInteger(size) || size < 1 || !Number.isInteger(rank) || rank < 0 || rank >= size)
    throw new ValueError('shardedBatches', `rank ${String(rank)} of ${String(size)} is no rank of a world`);
  const batches = batchesByLength('shardedBatches', lengths, maxFrames, random);
  const steps = Array.from({ length: Math.ceil(batches.length / size) }, (_, i) =>
    batches.slice(i * size, (i + 1) * size).flat(),
  );
  return Array.from(random.order(steps.length), (i) => {
    const step = steps[i]!;
    return shares(
      step.map((n) => lengths[n]!),
      size,
    )[rank]!.map((at) => step[at]!);
  });
}
