import { hostArray } from '../../backends/host-array.js';
import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { type TensorLike } from '../../tensor/create.js';
import { integersOf, integerTensor } from '../../tensor/integers.js';
import { describe, nameOf } from '../../tensor/arguments.js';
import { formatShape } from '../../tensor/shape.js';
import type { CtcScores } from './layout.js';

/**
 * The labels of a batch in one of three layouts: padded [N, S]; ragged, one list a sequence; concatenated [sum of the target lengths]. Of a
 * single sequence ([T, C] scores) also just its labels.
 */
export type CtcTargets = TensorLike | readonly ArrayLike<number>[];

interface PaddedTargets {
  /** [batch, width] */
  readonly targets: Int32Array;
  readonly width: number;
  readonly targetLengths: Int32Array;
}

/**
 * Any layout of targets as padded rows.
 * @param lengths null where they follow from the layout: the lists' own lengths, or the full width.
 */
export function padTargets(
  op: string,
  targets: CtcTargets,
  lengths: Int32Array | null,
  read: CtcScores,
): PaddedTargets {
  const { batch } = read;
  if (isListOfLists(targets, batch)) return fromLists(op, targets, lengths, read);
  const labels = integerTensor(op, 'targets', targets);
  const values = integersOf(op, 'targets', labels);
  if (labels.rank === 2) return fromPadded(op, values, labels.shape[0]!, labels.shape[1]!, lengths, read);
  if (labels.rank === 1) return fromConcatenated(op, values, lengths, read);
  throw new ShapeError(
    op,
    `the targets are ${formatShape(labels.shape)}; they must be [N, S] (padded), one list a sequence (ragged), or 1-D (concatenated)`,
  );
}

const isListOfLists = (targets: CtcTargets, batch: number): targets is readonly ArrayLike<number>[] =>
  Array.isArray(targets) && (targets.length > 0 ? typeof targets[0] === 'object' : batch === 0);

const isList = (list: unknown): boolean =>
  Array.isArray(list) || (ArrayBuffer.isView(list) && !(list instanceof DataView));

function fromLists(
  op: string,
  lists: readonly ArrayLike<number>[],
  lengths: Int32Array | null,
  { batch, reading }: CtcScores,
): PaddedTargets {
  if (lists.length !== batch)
    throw new ShapeError(op, `${lists.length} target lists for ${batch} sequences: ${reading()}`);
  for (const [n, list] of lists.entries())
    if (!isList(list)) throw new DTypeError(op, `sequence ${n}: its targets are ${nameOf(list)}, not a list of labels`);
  const targetLengths = lengths ?? Int32Array.from(lists, ({ length }) => length);
  const width = targetLengths.reduce((a, b) => Math.max(a, b), 0);
  const targets = hostArray('int32', batch * width) as Int32Array;
  lists.forEach((list, n) => {
    const length = targetLengths[n]!;
    if (length > list.length)
      throw new ShapeError(op, `sequence ${n}: target length is ${length}; its list has ${list.length} labels`);
    for (let i = 0; i < length; i++) {
      const label = typeof list[i] === 'bigint' ? Number(list[i]) : list[i]!;
      if (typeof label !== 'number' || label !== (label | 0))
        throw new ValueError(
          op,
          `sequence ${n}: label ${i} is ${describe(list[i])}; it must be a whole number that fits int32`,
        );
      targets[n * width + i] = label;
    }
  });
  return { targets, width, targetLengths };
}

function fromPadded(
  op: string,
  values: Int32Array,
  rows: number,
  width: number,
  lengths: Int32Array | null,
  { batch, reading }: CtcScores,
): PaddedTargets {
  if (rows !== batch) throw new ShapeError(op, `the targets have ${rows} rows for ${batch} sequences: ${reading()}`);
  const targetLengths = lengths ?? new Int32Array(batch).fill(width);
  for (let n = 0; n < batch; n++) {
    if (targetLengths[n]! > width)
      throw new ShapeError(op, `sequence ${n}: target length is ${targetLengths[n]}; the targets are ${width} wide`);
  }
  return { targets: values, width, targetLengths };
}

function fromConcatenated(
  op: string,
  values: Int32Array,
  lengths: Int32Array | null,
  { batch, reading }: CtcScores,
): PaddedTargets {
  if (!lengths && batch !== 1)
    throw new ShapeError(op, `1-D targets of ${batch} sequences need target lengths: ${reading()}`);
  const targetLengths = lengths ?? Int32Array.of(values.length);
  const total = targetLengths.reduce((a, b) => a + b, 0);
  if (total !== values.length)
    throw new ShapeError(
      op,
      `the concatenated targets hold ${values.length} labels; the target lengths add up to ${total}`,
    );
  const width = targetLengths.reduce((a, b) => Math.max(a, b), 0);
  const targets = hostArray('int32', batch * width) as Int32Array;
  let at = 0;
  targetLengths.forEach((length, n) => {
    targets.set(values.subarray(at, at + length), n * width);
    at += length;
  });
  return { targets, width, targetLengths };
}
