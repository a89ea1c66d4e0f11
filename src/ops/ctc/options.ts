import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { integersOf, type TensorLike } from '../../tensor/create.js';
import { isFloat } from '../../tensor/dtype.js';
import { formatShape } from '../../tensor/shape.js';
import { Tensor } from '../../tensor/tensor.js';

/** Targets in any of their layouts: padded [N, S], ragged rows, or all labels behind one another. */
export type CtcTargets = TensorLike | readonly (readonly number[])[];

export interface CtcOptions {
  /** The blank's class. Default 0. */
  blank?: number;
  /** 'none' (default): one loss a sequence; 'sum'; 'mean': torch's, the mean over the batch of loss / max(targetLength, 1). */
  reduction?: 'none' | 'mean' | 'sum';
  /** Turns infinite losses (targets that do not fit) into 0. Default false. */
  zeroInfinity?: boolean;
  /** What the first argument holds; logits are normalised on the fly. Default 'logProbs'. */
  from?: 'logProbs' | 'logits';
}

/** A batch whose every number has been checked. */
export interface CtcBatch {
  readonly frames: number;
  readonly sequences: number;
  readonly classes: number;
  readonly blank: number;
  /** Width of the padded targets. */
  readonly width: number;
  /** Padded, [sequences, width]. */
  readonly targets: Int32Array;
  readonly inputLengths: Int32Array;
  readonly targetLengths: Int32Array;
}

const OP = 'ctcLoss';

/** Checks a call of `ctcLoss` and brings its targets into the padded layout. @throws before anything is computed, naming the sequence */
export function checkBatch(x: Tensor, targets: CtcTargets, inputLengths: TensorLike, targetLengths: TensorLike, blank: number): CtcBatch {
  if (x.rank !== 2 && x.rank !== 3) throw new ShapeError(OP, `logProbs are ${formatShape(x.shape)}; they must be [T, N, C], or [T, C] for one sequence`);
  if (!isFloat(x.dtype)) throw new DTypeError(OP, `logProbs are ${x.dtype}; they must be a float dtype`);
  const [frames, sequences, classes] = (x.rank === 3 ? x.shape : [x.shape[0]!, 1, x.shape[1]!]) as [number, number, number];
  if (classes === 0) throw new ShapeError(OP, `logProbs are ${formatShape(x.shape)}: there must be at least one class, the blank`);
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes) throw new ValueError(OP, `blank is ${blank}; with ${classes} classes it must be in [0, ${classes})`);
  const inputs = checkLengths('inputLengths', inputLengths, sequences, frames, `the ${frames} frames of logProbs ${formatShape(x.shape)}`);
  const labels = checkLengths('targetLengths', targetLengths, sequences, Infinity, '');
  const padded = padTargets(targets, labels, sequences, x.rank === 2);
  checkLabels(padded, labels, classes, blank);
  return { frames, sequences, classes, blank, width: padded.width, targets: padded.values, inputLengths: inputs, targetLengths: labels };
}

function checkLengths(what: string, lengths: TensorLike, sequences: number, most: number, limit: string): Int32Array {
  const values = integersOf(OP, what, lengths);
  if (values.length !== sequences) throw new ShapeError(OP, `${what} has ${values.length} elements; the batch has ${sequences} sequences`);
  values.forEach((length, n) => {
    if (length < 0) throw new ValueError(OP, `sequence ${n}: ${what} is ${length}; it must not be negative`);
    if (length > most) throw new ValueError(OP, `sequence ${n}: ${what} is ${length}; it must not exceed ${limit}`);
  });
  return values;
}

interface Padded {
  readonly values: Int32Array;
  readonly width: number;
}

function padTargets(targets: CtcTargets, lengths: Int32Array, sequences: number, isSingle: boolean): Padded {
  if (Array.isArray(targets) && targets.some((row) => Array.isArray(row))) return padRows(targets as readonly (readonly number[])[], lengths, sequences);
  if (Array.isArray(targets) && targets.length === 0 && !isSingle) return padFlat(new Int32Array(0), lengths);
  const values = integersOf(OP, 'targets', targets as TensorLike);
  const shape = targets instanceof Tensor ? targets.shape : Array.isArray(targets) || ArrayBuffer.isView(targets) ? [values.length] : (targets as { shape: readonly number[] }).shape;
  if (shape.length === 1) return isSingle ? checkWidth({ values, width: values.length }, lengths) : padFlat(values, lengths);
  if (shape.length !== 2 || shape[0] !== sequences || isSingle) {
    throw new ShapeError(OP, `targets are ${formatShape(shape)}; ${isSingle ? 'for logProbs [T, C] they must be [S]' : `they must be [${sequences}, S], or one axis of all labels`}`);
  }
  return checkWidth({ values, width: shape[1]! }, lengths);
}

function padRows(rows: readonly (readonly number[])[], lengths: Int32Array, sequences: number): Padded {
  if (rows.length !== sequences) throw new ShapeError(OP, `targets have ${rows.length} rows; the batch has ${sequences} sequences`);
  const width = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const values = new Int32Array(rows.length * width);
  rows.forEach((row, n) => {
    if (row.length < lengths[n]!) throw new ShapeError(OP, `sequence ${n}: targetLengths is ${lengths[n]}, its targets have ${row.length} labels`);
    values.set(integersOf(OP, `sequence ${n}: targets`, row), n * width);
  });
  return { values, width };
}

function padFlat(values: Int32Array, lengths: Int32Array): Padded {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total !== values.length) throw new ShapeError(OP, `concatenated targets have ${values.length} labels; targetLengths add up to ${total}`);
  const width = lengths.reduce((most, length) => Math.max(most, length), 0);
  const padded = new Int32Array(lengths.length * width);
  let at = 0;
  lengths.forEach((length, n) => {
    padded.set(values.subarray(at, at + length), n * width);
    at += length;
  });
  return { values: padded, width };
}

function checkWidth(padded: Padded, lengths: Int32Array): Padded {
  lengths.forEach((length, n) => {
    if (length > padded.width) throw new ShapeError(OP, `sequence ${n}: targetLengths is ${length}; the targets are padded to ${padded.width}`);
  });
  return padded;
}

function checkLabels({ values, width }: Padded, lengths: Int32Array, classes: number, blank: number): void {
  lengths.forEach((length, n) => {
    for (let i = 0; i < length; i++) {
      const label = values[n * width + i]!;
      if (label < 0 || label >= classes) throw new ValueError(OP, `sequence ${n}: label ${i} is ${label}; with ${classes} classes it must be in [0, ${classes})`);
      if (label === blank) throw new ValueError(OP, `sequence ${n}: label ${i} is ${label}, the blank, which no target may hold`);
    }
  });
}
