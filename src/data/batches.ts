import { checkNumber, checkOptions, checkTensors, checkWhole, describe } from '../tensor/arguments.js';
import { ShapeError, ValueError } from '../errors.js';
import { pad, stack } from '../ops/movement/index.js';
import { checkRandom, type Random } from '../tensor/random.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * Sequences of different lengths in one tensor: [length, ...] each, filled up at the end to [N, longest, ...].
 *
 * @param options.value what fills the ends; 0 by default.
 * @param options.multipleOf rounds the common length up, for nets that shorten it by strides; 1 by default.
 * @returns the tensor and the true lengths.
 * @throws {ShapeError} for no sequences, or such that differ beyond their first axis.
 */
export function padSequences(
  sequences: readonly Tensor[],
  options: { value?: number; multipleOf?: number } = {},
): { padded: Tensor; lengths: number[] } {
  checkTensors('padSequences', 'sequence', sequences);
  checkOptions('padSequences', options, ['value', 'multipleOf'], (given) =>
    typeof given === 'number' ? `write { value: ${given} }` : null,
  );
  const { value = 0, multipleOf = 1 } = options;
  checkNumber('padSequences', 'value', value);
  if (!Number.isSafeInteger(multipleOf) || multipleOf < 1)
    throw new ValueError('padSequences', `multipleOf is ${describe(multipleOf)}; it must be a positive whole number`);
  const [first] = sequences;
  if (!first) throw new ShapeError('padSequences', 'there are no sequences');
  const item = first.shape.slice(1);
  sequences.forEach((sequence, n) => {
    if (sequence.rank === 0 || !sameShape(sequence.shape.slice(1), item)) {
      throw new ShapeError(
        'padSequences',
        `sequence ${n} is ${formatShape(sequence.shape)}; like sequence 0 it must be [${['length', ...item].join(', ')}]`,
      );
    }
  });
  const lengths = sequences.map((sequence) => sequence.shape[0]!);
  const common = Math.ceil(lengths.reduce((most, length) => Math.max(most, length), 0) / multipleOf) * multipleOf;
  const whole = item.map((): [number, number] => [0, 0]);
  return {
    padded: stack(sequences.map((sequence, n) => pad(sequence, [[0, common - lengths[n]!], ...whole], { value }))),
    lengths,
  };
}

/** The numbers 0 to count - 1 in random order, in batches of `size`; the last one holds what is left. */
export function shuffledBatches(count: number, size: number, random: Random): number[][] {
  checkWhole('shuffledBatches', 'count', count, 0, 2 ** 31 - 1);
  checkCount('shuffledBatches', 'size', size, 1);
  checkRandom('shuffledBatches', random);
  const order = Array.from(random.order(count));
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => order.slice(i * size, (i + 1) * size));
}

/**
 * Batches of sequences of about the same length, so that little is spent on filling: sequences are sorted by length (equal ones shuffled)
 * and put together while the filled batch stays within `maxFrames`; the batches come in random order.
 *
 * @returns positions in `lengths`, each exactly once.
 * @throws {ValueError} for a sequence that is longer than `maxFrames`.
 */
export function bucketedBatches(lengths: ArrayLike<number>, maxFrames: number, random: Random): number[][] {
  const batches = batchesByLength('bucketedBatches', lengths, maxFrames, random);
  return Array.from(random.order(batches.length), (i) => batches[i]!);
}

/** @internal The batches of `bucketedBatches`, the shortest sequences first. */
export function batchesByLength(op: string, lengths: ArrayLike<number>, maxFrames: number, random: Random): number[][] {
  checkCount(op, 'maxFrames', maxFrames, 1);
  checkRandom(op, random);
  const given: unknown = lengths;
  if (!Array.isArray(given) && (!ArrayBuffer.isView(given) || given instanceof DataView))
    throw new ValueError(op, `the lengths are ${describe(lengths)}; they must be an array of numbers`);
  const order = Array.from(random.order(lengths.length));
  order.forEach((n) => {
    checkCount(op, `length ${n}`, lengths[n]!, 0);
    if (lengths[n]! > maxFrames)
      throw new ValueError(op, `sequence ${n} has ${lengths[n]!} frames; a batch holds at most ${maxFrames}`);
  });
  order.sort((a, b) => lengths[a]! - lengths[b]!);
  const batches: number[][] = [];
  for (const n of order) {
    const last = batches.at(-1);
    // Sorted: the newest is the longest, and all others are filled up to it.
    if (last && (last.length + 1) * lengths[n]! <= maxFrames) last.push(n);
    else batches.push([n]);
  }
  return batches;
}

function checkCount(op: string, name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new ValueError(op, `${name} is ${describe(value)}; it must be a whole number, at least ${least}`);
}
