import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { integersOf, type TensorLike } from '../../tensor/create.js';
import { checkOptions, nameOf } from '../../tensor/arguments.js';
import { isFloat } from '../../tensor/dtype.js';
import { formatShape } from '../../tensor/shape.js';
import { Tensor } from '../../tensor/tensor.js';
import { type CtcTargets, padTargets } from './lattice.js';

export interface CtcOptions {
  /** The class that stands for no label; 0 by default. */
  readonly blank?: number;
  /**
   * 'none' (the default) gives one loss a sequence; 'sum' adds them up; 'mean' is torch's: the mean over the batch of each loss divided by
   * its target's length (at least 1).
   */
  readonly reduction?: 'none' | 'mean' | 'sum';
  /** Counts impossible sequences as loss 0 instead of Infinity. Their gradient is 0 either way. */
  readonly zeroInfinity?: boolean;
  /** What the scores are: 'logProbs' (the default), taken as they are, or 'logits', normalised over the classes on the way. */
  readonly from?: 'logProbs' | 'logits';
}

/** A checked batch of sequences: everything about it but the scores. */
export interface CtcProblem {
  readonly frames: number;
  readonly batch: number;
  readonly classes: number;
  readonly blank: number;
  readonly logits: boolean;
  /** Labels of all sequences, [batch, width], padded with a class that is not looked at. */
  readonly targets: Int32Array;
  readonly width: number;
  readonly inputLengths: Int32Array;
  readonly targetLengths: Int32Array;
}

const OPTIONS = ['blank', 'reduction', 'zeroInfinity', 'from'] as const;

/**
 * Checks a CTC call before anything is computed.
 * @throws {ShapeError | DTypeError | ValueError} naming the sequence and the value.
 */
export function checkProblem(
  op: string,
  scores: Tensor,
  targets: CtcTargets,
  inputLengths: TensorLike | undefined,
  targetLengths: TensorLike | undefined,
  options: CtcOptions,
): CtcProblem {
  checkOptions(op, options, OPTIONS);
  const { blank = 0, from = 'logProbs', reduction = 'none', zeroInfinity = false } = options;
  if (!((scores as unknown) instanceof Tensor))
    throw new DTypeError(op, 'the scores are no tensor; make one with tensor()');
  const { shape } = scores;
  if (!isFloat(scores.dtype)) throw new DTypeError(op, `the scores are ${scores.dtype}; they must be a float dtype`);
  if (shape.length !== 2 && shape.length !== 3)
    throw new ShapeError(op, `the scores are ${formatShape(shape)}; they must be [T, N, C] or [T, C]`);
  if (from !== 'logProbs' && from !== 'logits')
    throw new ValueError(op, `from is '${String(from)}'; it must be 'logProbs' or 'logits'`);
  if (reduction !== 'none' && reduction !== 'mean' && reduction !== 'sum')
    throw new ValueError(op, `reduction is '${String(reduction)}'; it must be 'none', 'mean' or 'sum'`);
  if (typeof zeroInfinity !== 'boolean')
    throw new ValueError(op, `zeroInfinity is ${nameOf(zeroInfinity)}; it must be true or false`);
  const frames = shape[0]!;
  const batch = shape.length === 3 ? shape[1]! : 1;
  const classes = shape.at(-1)!;
  if (classes === 0) throw new ShapeError(op, `the scores ${formatShape(shape)} have no classes`);
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ValueError(op, `blank is ${blank}; it must be a class in [0, ${classes})`);

  const inputs =
    inputLengths === undefined ? new Int32Array(batch).fill(frames) : checkLengths(op, 'input', inputLengths, batch);
  for (let n = 0; n < batch; n++) {
    if (inputs[n]! > frames)
      throw new ValueError(op, `sequence ${n}: input length is ${inputs[n]}; the scores have ${frames} frames`);
  }
  const given = targetLengths === undefined ? null : checkLengths(op, 'target', targetLengths, batch);
  const padded = padTargets(op, targets, given, batch);
  checkLabels(op, padded, classes, blank);
  return { frames, batch, classes, blank, logits: from === 'logits', inputLengths: inputs, ...padded };
}

function checkLengths(op: string, what: 'input' | 'target', data: TensorLike, batch: number): Int32Array {
  if (Array.isArray(data)) {
    data.forEach((length: unknown, n) => {
      if (typeof length === 'number' && length !== (length | 0))
        throw new ValueError(
          op,
          `sequence ${n}: ${what} length is ${length}; it must be a whole number that fits int32`,
        );
    });
  }
  const lengths = integersOf(op, `${what}Lengths`, data);
  if (lengths.length !== batch) throw new ShapeError(op, `${lengths.length} ${what} lengths for ${batch} sequences`);
  for (let n = 0; n < batch; n++) {
    if (lengths[n]! < 0)
      throw new ValueError(op, `sequence ${n}: ${what} length is ${lengths[n]}; it must not be negative`);
  }
  return lengths;
}

function checkLabels(
  op: string,
  { targets, width, targetLengths }: Pick<CtcProblem, 'targets' | 'width' | 'targetLengths'>,
  classes: number,
  blank: number,
): void {
  for (let n = 0; n < targetLengths.length; n++) {
    const end = n * width + targetLengths[n]!;
    for (let at = n * width; at < end; at++) {
      const label = targets[at]!;
      if (label >>> 0 >= classes || label === blank) throw badLabel(op, n, at - n * width, label, classes, blank);
    }
  }
}

const badLabel = (op: string, n: number, i: number, label: number, classes: number, blank: number): ValueError =>
  new ValueError(
    op,
    `sequence ${n}: label ${i} is ${label}${label === blank ? ', which is the blank' : `; it must be a class in [0, ${classes})`}`,
  );
