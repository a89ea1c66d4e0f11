import { ValueError } from '../../errors.js';
import { checkBoolean, checkWhole, describe } from '../../tensor/arguments.js';
import type { TensorLike } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { checkSearch, SEARCH_OPTIONS, type SearchOptions } from './beam-options.js';
import { type BeamJob, type BeamResult, resultsOf } from './beam-result.js';
import { BeamStates } from './beam-state.js';
import { hostScores, hostScoresSync, type HostScores } from './host-scores.js';
import { checkScores, type ScoresOptions } from './layout.js';
import { checkInputLengths, type CtcOptions, type LengthOptions, optionsOfCall } from './options.js';

export interface BeamOptions
  extends SearchOptions, ScoresOptions, Pick<LengthOptions, 'inputLengths'>, Pick<CtcOptions, 'from'> {
  /** Labellings that are returned, `width` at most; 1 by default. */
  readonly nBest?: number;
  /** Whether hypotheses are scored exactly, and put in order by that; true by default. */
  readonly rescore?: boolean;
  /** Whether hypotheses get their spans, by `ctcAlign`. */
  readonly align?: boolean;
  /** Whether hypotheses get a confidence for every label. */
  readonly confidences?: boolean;
  /** The label between words: hypotheses get their words, with times and confidences. */
  readonly separator?: number;
}

const OPTIONS = [
  'inputLengths',
  'layout',
  'blank',
  'from',
  ...SEARCH_OPTIONS,
  'nBest',
  'rescore',
  'align',
  'confidences',
  'separator',
] as const;

/**
 * CTC prefix beam search: the most probable labellings, each summed over its alignments, where the greedy path is only one alignment (A. Graves
 * 2012; A. Hannun et al. 2014), and, with a `steering`, weighed by what else is known about the text. All classes are considered at every frame;
 * unless `topClasses` or `drop` say otherwise, nothing is pruned but by the width. Where `proven` is true, no labelling is better than the first. On
 * the CPU, sequences over threads, but a steering is asked on the thread that calls; scores on another device are read once.
 *
 * ```ts
 * const [{ hypotheses, proven }] = await beamDecode(logProbs, { width: 16 });
 * ```
 * @param logProbs [T, N, C] (or [N, T, C], see `layout`) or [T, C], any float dtype (float64 is decoded in float32).
 * @param inputLengths frames of each sequence, all T when left out. Or, in its place, the options with the lengths among them.
 * @throws {ShapeError | DTypeError | ValueError} naming the sequence and the value; also for scores that are NaN or +Infinity.
 */
export async function beamDecode(
  logProbs: Tensor,
  inputLengths?: TensorLike | BeamOptions,
  options?: BeamOptions,
): Promise<BeamResult[]> {
  const job = checkCall('beamDecode', logProbs, inputLengths, options);
  return decode(await hostScores(logProbs, job), job);
}

/** `beamDecode` at once, for scores that can be read without waiting. @throws {DeviceError} where they cannot; use `await beamDecode`. */
export function beamDecodeSync(
  logProbs: Tensor,
  inputLengths?: TensorLike | BeamOptions,
  options?: BeamOptions,
): BeamResult[] {
  const job = checkCall('beamDecodeSync', logProbs, inputLengths, options);
  return decode(hostScoresSync(logProbs, job), job);
}

function checkCall(
  op: string,
  logProbs: Tensor,
  inputLengths: TensorLike | BeamOptions | undefined,
  given: BeamOptions | undefined,
): BeamJob {
  const options = optionsOfCall<BeamOptions>(op, OPTIONS, inputLengths, undefined, given);
  const { nBest = 1, rescore = true, align: spans = false, confidences = false, from = 'logProbs' } = options;
  const read = checkScores(op, 'logProbs', logProbs, options);
  if ((from as unknown) !== 'logProbs' && (from as unknown) !== 'logits')
    throw new ValueError(op, `from is ${describe(from)}; it must be 'logProbs' or 'logits'`);
  const { classes, blank, layout } = read;
  const search = checkSearch(op, options, classes, blank);
  const { width } = search.sizes;
  if (!Number.isInteger(nBest) || nBest < 1 || nBest > width)
    throw new ValueError(op, `nBest is ${describe(nBest)}; it must be a whole number from 1 to the width, ${width}`);
  checkBoolean(op, 'rescore', rescore);
  checkBoolean(op, 'align', spans);
  checkBoolean(op, 'confidences', confidences);
  const separator = options.separator ?? null;
  if (separator !== null) checkWhole(op, 'separator', separator, 0, classes - 1);
  if (separator === blank) throw new ValueError(op, `separator is ${blank}, which is the blank`);
  const lengths = checkInputLengths(op, options.inputLengths, read);
  const problem = { ...read, logits: from === 'logits' };
  const asked = { nBest, rescore, spans, confidences, separator };
  return { op, problem, blank, layout, priors: search.penalty, lengths, search, ...asked };
}

function decode(given: HostScores, job: BeamJob): BeamResult[] {
  const { op, problem, lengths, search } = job;
  const narrow = given.tensor.dtype === 'float32' ? given.tensor : cast(given.tensor, 'float32');
  const scores = { ...given, tensor: narrow, values: narrow.glance() };
  const states = new BeamStates(op, search.sizes, problem.batch, search.steering, lengths);
  try {
    const bad = states.advance(narrow.buffer, lengths, scores.frameStride, scores.sequenceStride);
    if (bad) throw badScore(op, bad.sequence, bad.frame);
    const beams = Array.from({ length: problem.batch }, (_, n) => states.read(n, search.sizes.width));
    return resultsOf(beams, scores, job);
  } finally {
    states.close();
  }
}

export const badScore = (op: string, sequence: number, frame: number): ValueError =>
  new ValueError(op, `sequence ${sequence}, frame ${frame}: a score is NaN or Infinity`);
