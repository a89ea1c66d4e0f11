import { ShapeError, ValueError } from '../../errors.js';
import { checkBoolean, checkOptions, describe, isPlainObject } from '../../tensor/arguments.js';
import { type TensorLike } from '../../tensor/create.js';
import { integersOf } from '../../tensor/integers.js';
import { isNdarray } from '../../tensor/interchange.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type KnownBatch, recall, remember } from './known.js';
import { type CtcTargets, padTargets } from './lattice.js';
import { checkScores, type CtcScores, type ScoresOptions } from './layout.js';

/** Lengths by name: what can also be given by position. */
export interface LengthOptions {
  /** Frames of each sequence; all of them when left out. */
  readonly inputLengths?: TensorLike;
  /** Labels of each sequence; from the targets' layout when left out. */
  readonly targetLengths?: TensorLike;
}

export interface CtcOptions extends ScoresOptions, LengthOptions {
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
  /** What is remembered of the batch; null where it may change. */
  readonly known: KnownBatch | null;
}

/** Advice on a bare value in the options' place. */
const meantBlank = (given: unknown): string | null => (typeof given === 'number' ? `write { blank: ${given} }` : null);

/**
 * The options of a call in either of two forms: lengths by position with the options after them, or all of it in one object that stands
 * where the input lengths would.
 * @param names all options there are, `inputLengths` (and `targetLengths`) among them.
 * @returns the options, the lengths among them.
 * @throws {ValueError} for an unknown option, something else in the options' place, or lengths that are given twice.
 */
export function optionsOfCall<Options extends LengthOptions>(
  op: string,
  names: readonly string[],
  inputLengths: TensorLike | Options | undefined,
  targetLengths: TensorLike | undefined,
  options: Options = {} as Options,
): Options {
  if (isOptions(inputLengths)) {
    checkOptions(op, inputLengths, names);
    if (targetLengths !== undefined || (options as unknown) === null || Object.keys(options).length > 0)
      throw new ValueError(
        op,
        'the options stand where the input lengths go, and more arguments follow; then all lengths go into the options',
      );
    return inputLengths as Options;
  }
  if (isOptions(targetLengths))
    throw new ValueError(
      op,
      'an object stands where the target lengths go; options come after both lengths, or hold them: { inputLengths, targetLengths }',
    );
  checkOptions(op, options, names, meantBlank);
  return {
    ...options,
    inputLengths: eitherOf(op, 'inputLengths', inputLengths, options.inputLengths),
    targetLengths: eitherOf(op, 'targetLengths', targetLengths, options.targetLengths),
  };
}

function eitherOf<T>(op: string, name: string, positional: T, named: T): T {
  if (positional === undefined) return named;
  if (named !== undefined) throw new ValueError(op, `${name} are given twice, by position and in the options`);
  return positional;
}

const isOptions = (value: unknown): boolean => isPlainObject(value) && !isNdarray(value);

/**
 * Checks a CTC call before anything is computed; the options are those of `optionsOfCall`.
 * @param wildcard a label that is no class of the scores but may stand in targets.
 * @throws {ShapeError | DTypeError | ValueError} naming the sequence and the value.
 */
export function checkProblem(
  op: string,
  scores: Tensor,
  targets: CtcTargets,
  options: CtcOptions,
  wildcard: number | null = null,
): CtcProblem {
  const { from = 'logProbs', reduction = 'none', zeroInfinity = false, targetLengths } = options;
  const read = checkScores(op, 'the scores', scores, options);
  if (from !== 'logProbs' && from !== 'logits')
    throw new ValueError(op, `from is ${describe(from)}; it must be 'logProbs' or 'logits'`);
  if (reduction !== 'none' && reduction !== 'mean' && reduction !== 'sum')
    throw new ValueError(op, `reduction is ${describe(reduction)}; it must be 'none', 'mean' or 'sum'`);
  checkBoolean(op, 'zeroInfinity', zeroInfinity);
  const { frames, batch, classes, blank } = read;
  const logits = from === 'logits';
  // A wildcard is no label to others, who would come upon a batch that was checked with it.
  const known = wildcard === null ? recall(targets, read, options) : null;
  if (known) return { ...known.problem, logits, known };
  const inputLengths = checkInputLengths(op, options.inputLengths, read);
  const given = targetLengths === undefined ? null : checkLengths(op, 'target', targetLengths, read);
  const padded = padTargets(op, targets, given, read);
  checkLabels(op, padded, classes, blank, wildcard);
  const problem = { frames, batch, classes, blank, inputLengths, ...padded };
  return { ...problem, logits, known: wildcard === null ? remember(targets, problem, options) : null };
}

/** Frames of each sequence: all of them when left out. @throws {ShapeError | DTypeError | ValueError} */
export function checkInputLengths(op: string, data: TensorLike | undefined, read: CtcScores): Int32Array {
  const { frames, batch } = read;
  if (data === undefined) return new Int32Array(batch).fill(frames);
  const lengths = checkLengths(op, 'input', data, read);
  for (let n = 0; n < batch; n++) {
    if (lengths[n]! > frames)
      throw new ValueError(
        op,
        `sequence ${n}: input length is ${lengths[n]}; the scores have ${frames} frames: ${read.reading()}`,
      );
  }
  return lengths;
}

function checkLengths(
  op: string,
  what: 'input' | 'target',
  data: TensorLike,
  { batch, reading }: CtcScores,
): Int32Array {
  if (typeof data === 'boolean' || (Array.isArray(data) && data.some((length) => typeof length === 'boolean')))
    throw new ValueError(op, `${what}Lengths hold truth values; they must hold whole numbers`);
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
  if (lengths.length !== batch)
    throw new ShapeError(op, `${lengths.length} ${what} lengths for ${batch} sequences: ${reading()}`);
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
  wildcard: number | null,
): void {
  for (let n = 0; n < targetLengths.length; n++) {
    const end = n * width + targetLengths[n]!;
    for (let at = n * width; at < end; at++) {
      const label = targets[at]!;
      if (label !== wildcard && (label >>> 0 >= classes || label === blank))
        throw badLabel(op, n, at - n * width, label, classes, blank);
    }
  }
}

const badLabel = (op: string, n: number, i: number, label: number, classes: number, blank: number): ValueError =>
  new ValueError(
    op,
    `sequence ${n}: label ${i} is ${label}${label === blank ? ', which is the blank' : `; it must be a class in [0, ${classes})`}` +
      (label < 0
        ? ' (if it fills up a shorter target, give targetLengths, or the targets as one list a sequence)'
        : ''),
  );
