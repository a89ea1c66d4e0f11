import { ShapeError, ValueError } from '../errors.js';
import { where } from '../ops/elementwise.js';
import { take } from '../ops/gather.js';
import { pad, reshape } from '../ops/movement/index.js';
import { checkWhole } from '../tensor/arguments.js';
import { fromTypedArray, lendTo, type TensorLike } from '../tensor/create.js';
import { integersOf } from '../tensor/integers.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * Lengths of sequences: frames are the first axis after the batch's in every layer, [N, T, ...], and what lies beyond a sequence's length is
 * padding, which no layer lets into a result that is within.
 */

/** What a layer says of the frames that it puts out, where those are others than the ones it got. */
export interface Lengths {
  /** How many frames come out of `length` frames that go in; an empty sequence stays empty. */
  readonly outputLength: (length: number) => number;
  /** The same for the lengths of a batch, as losses want them. */
  readonly outputLengths: (lengths: TensorLike) => Int32Array;
}

/** @internal Both functions from one, checked. */
export const lengthsThrough = (op: string, outputLength: (length: number) => number): Lengths => {
  const checked = (length: number): number => {
    checkWhole(op, 'length', length, 0);
    return outputLength(length);
  };
  return {
    outputLength: checked,
    outputLengths: (lengths) => integersOf(op, 'lengths', lengths).map(checked),
  };
};

/**
 * @internal The lengths of the sequences of x, [N, T, ...], as plain numbers.
 * @throws {ShapeError | ValueError} for another number of them, and for one beyond the frames that there are.
 */
export function lengthsOf(op: string, lengths: TensorLike, x: Tensor): Int32Array {
  const counts = integersOf(op, 'lengths', lengths);
  if (x.rank < 2) throw new ShapeError(op, `x is ${formatShape(x.shape)}; with lengths it must be [N, T, ...]`);
  const [batch, frames] = [x.shape[0]!, x.shape[1]!];
  if (counts.length !== batch) throw new ShapeError(op, `${counts.length} lengths for ${batch} sequences`);
  counts.forEach((count, n) => {
    if (count < 0 || count > frames)
      throw new ValueError(op, `sequence ${n}: length is ${count}; it must be in [0, ${frames}]`);
  });
  return counts;
}

/** @internal Whether no sequence of x, [N, T, ...], has padding. */
export const areFull = (counts: Int32Array, x: Tensor): boolean => counts.every((count) => count === x.shape[1]);

/**
 * @internal x with 0 in place of whatever lies beyond the sequences' lengths; no derivative gets there either. x itself where there is nothing
 * beyond them.
 */
export function maskFrames(op: string, x: Tensor, lengths: TensorLike | undefined): Tensor {
  if (lengths === undefined) return x;
  const counts = lengthsOf(op, lengths, x);
  return areFull(counts, x) ? x : where(frameMask(counts, x), x, 0);
}

/** @internal Which frames of x are within their sequences' lengths, as a mask that is stretched over x. */
export function frameMask(counts: Int32Array, x: Tensor): Tensor {
  const frames = x.shape[1]!;
  const bits = new Uint8Array(counts.length * frames);
  counts.forEach((count, n) => bits.fill(1, n * frames, n * frames + count));
  const shape = [counts.length, frames, ...new Array<number>(x.rank - 2).fill(1)];
  return lendTo(fromTypedArray(bits, shape, 'bool'), x);
}

/** @internal The frames of x, [N, T, ...], that are within their sequences' lengths, one after the other: [frames, ...]. */
export function packFrames(counts: Int32Array, x: Tensor): Tensor {
  const frames = x.shape[1]!;
  const places: number[] = [];
  counts.forEach((count, n) => {
    for (let t = 0; t < count; t++) places.push(n * frames + t);
  });
  return take(reshape(x, [-1, ...x.shape.slice(2)]), Int32Array.from(places), 0);
}

/** @internal Packed frames where they came from, in a tensor of x's first two axes; 0 beyond the lengths. */
export function unpackFrames(packed: Tensor, counts: Int32Array, frames: number): Tensor {
  const last = packed.shape[0]!; // the place of a frame of zeros
  const places = new Int32Array(counts.length * frames).fill(last);
  let next = 0;
  counts.forEach((count, n) => {
    for (let t = 0; t < count; t++) places[n * frames + t] = next++;
  });
  const padded = pad(packed, [[0, 1], ...new Array<[number, number]>(packed.rank - 1).fill([0, 0])]);
  return reshape(take(padded, places, 0), [counts.length, frames, ...packed.shape.slice(1)]);
}
