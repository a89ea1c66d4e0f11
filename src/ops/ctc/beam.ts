import { ValueError } from '../../errors.js';
import { checkBoolean, describe } from '../../tensor/arguments.js';
import type { TensorLike } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { type Alignment, align, type LabelSpan } from './align.js';
import { type BeamContents, BeamStates } from './beam-state.js';
import { hostScores, hostScoresSync, type HostScores, type ScoresJob } from './host-scores.js';
import { checkScores, type ScoresOptions } from './layout.js';
import { ctcLoss } from './loss.js';
import { checkInputLengths, type CtcOptions, type LengthOptions, optionsOfCall } from './options.js';

/** One reading of a sequence. */
export interface Hypothesis {
  readonly labels: number[];
  /** The logarithm of its probability as far as the beam has followed it: a lower bound of `logProb`. */
  readonly score: number;
  /** The logarithm of its probability over all alignments, by `ctcLoss`; NaN without `rescore`. */
  readonly logProb: number;
  /** Its share of what the beam holds: how much surer it is than its rivals, from 0 to 1. A confidence for the whole. */
  readonly share: number;
  /** Where its labels are, with `align`. */
  readonly spans?: readonly LabelSpan[];
}

export interface BeamResult {
  /** The likeliest labellings found, best first. */
  readonly hypotheses: readonly Hypothesis[];
  /** Whether no labelling at all is more probable than the first one: proven from what fell out of the beam. */
  readonly proven: boolean;
  /** The logarithm of the probability that fell out of the beam. */
  readonly lostLogProb: number;
}

export interface BeamOptions extends ScoresOptions, Pick<LengthOptions, 'inputLengths'>, Pick<CtcOptions, 'from'> {
  /** Prefixes that are followed at a time; 32 by default. */
  readonly width?: number;
  /** Labellings that are returned, `width` at most; 1 by default. */
  readonly nBest?: number;
  /** Whether hypotheses are scored exactly, and put in order by that; true by default. */
  readonly rescore?: boolean;
  /** Whether hypotheses get their spans, by `ctcAlign`. */
  readonly align?: boolean;
}

const OPTIONS = ['inputLengths', 'layout', 'blank', 'from', 'width', 'nBest', 'rescore', 'align'] as const;

interface Job extends ScoresJob {
  readonly op: string;
  readonly problem: {
    readonly frames: number;
    readonly batch: number;
    readonly classes: number;
    readonly logits: boolean;
  };
  readonly blank: number;
  readonly lengths: Int32Array;
  readonly width: number;
  readonly nBest: number;
  readonly rescore: boolean;
  readonly spans: boolean;
}

/**
 * CTC prefix beam search: the most probable labellings, each summed over its alignments, where the greedy path is only one alignment (A. Graves
 * 2012; A. Hannun et al. 2014). All classes are considered at every frame; nothing is pruned but by the width. Where `proven` is true, no
 * labelling is more probable than the first. On the CPU, sequences over threads; scores on another device are read once.
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

/** Checks the beam's width. @internal */
export function checkWidth(op: string, width: unknown): void {
  if (!Number.isInteger(width) || (width as number) < 1 || (width as number) > 2 ** 20)
    throw new ValueError(op, `width is ${describe(width)}; it must be a whole number from 1 to ${2 ** 20}`);
}

function checkCall(
  op: string,
  logProbs: Tensor,
  inputLengths: TensorLike | BeamOptions | undefined,
  given: BeamOptions | undefined,
): Job {
  const options = optionsOfCall<BeamOptions>(op, OPTIONS, inputLengths, undefined, given);
  const { width = 32, nBest = 1, rescore = true, align: spans = false, from = 'logProbs' } = options;
  const read = checkScores(op, 'logProbs', logProbs, options);
  if ((from as unknown) !== 'logProbs' && (from as unknown) !== 'logits')
    throw new ValueError(op, `from is ${describe(from)}; it must be 'logProbs' or 'logits'`);
  checkWidth(op, width);
  if (!Number.isInteger(nBest) || nBest < 1 || nBest > width)
    throw new ValueError(op, `nBest is ${describe(nBest)}; it must be a whole number from 1 to the width, ${width}`);
  checkBoolean(op, 'rescore', rescore);
  checkBoolean(op, 'align', spans);
  const lengths = checkInputLengths(op, options.inputLengths, read);
  const problem = { ...read, logits: from === 'logits' };
  return { op, problem, blank: read.blank, layout: read.layout, priors: null, lengths, width, nBest, rescore, spans };
}

function decode(given: HostScores, job: Job): BeamResult[] {
  const { op, problem, blank, lengths, width, nBest } = job;
  const { batch, classes } = problem;
  const narrow = given.tensor.dtype === 'float32' ? given.tensor : cast(given.tensor, 'float32');
  const scores = { ...given, tensor: narrow, values: narrow.glance() };
  const states = new BeamStates(op, { width, classes, blank, horizon: 0 }, batch);
  try {
    const bad = states.advance(narrow.buffer, lengths, scores.frameStride, scores.sequenceStride);
    if (bad) throw badScore(op, bad.sequence, bad.frame);
    const beams = Array.from({ length: batch }, (_, n) => states.read(n, width));
    return finish(beams, scores, job, nBest);
  } finally {
    states.close();
  }
}

export const badScore = (op: string, sequence: number, frame: number): ValueError =>
  new ValueError(op, `sequence ${sequence}, frame ${frame}: a score is NaN or Infinity`);

/** What is known to be above any rounding of an exact score, as a logarithm. */
const ROUNDING = 1e-5;

function finish(beams: readonly BeamContents[], scores: HostScores, job: Job, nBest: number): BeamResult[] {
  const exact = job.rescore ? rescored(beams, scores, job, nBest) : null;
  const spans = job.spans ? aligned(beams, scores, job, nBest) : null;
  return beams.map(({ labels, logProbs, lost }, n) => {
    const top = logProbs[0] ?? 0;
    const total = logProbs.reduce((sum, logProb) => sum + Math.exp(logProb - top), 0);
    const hypotheses = labels.slice(0, nBest).map((own, k): Hypothesis => {
      const alignment = spans?.[k]?.[n];
      return {
        labels: [...own],
        score: logProbs[k]!,
        logProb: exact?.[k]?.[n] ?? NaN,
        share: Math.exp(logProbs[k]! - top) / total,
        ...(alignment ? { spans: alignment.spans } : {}),
      };
    });
    const order = [...hypotheses.keys()];
    if (exact) order.sort((a, b) => hypotheses[b]!.logProb - hypotheses[a]!.logProb || a - b);
    const first = order[0] ?? -1;
    // Any other labelling has at most what the beam holds of it and all that was lost.
    const second = logProbs.reduce((best, logProb, k) => (k === first ? best : Math.max(best, logProb)), -Infinity);
    const best =
      first < 0 ? -Infinity : Math.max(logProbs[first]!, exact ? hypotheses[first]!.logProb - ROUNDING : -Infinity);
    return {
      hypotheses: order.map((k) => hypotheses[k]!),
      proven: best > -Infinity && best >= logAdd(second, lost),
      lostLogProb: lost,
    };
  });
}

const logAdd = (a: number, b: number): number => {
  const top = Math.max(a, b);
  return top === -Infinity ? top : top + Math.log1p(Math.exp(Math.min(a, b) - top));
};

/** The k-th labelling of each sequence; none where there are fewer. */
const ranked = (beams: readonly BeamContents[], k: number): Int32Array[] =>
  beams.map(({ labels }) => labels[k] ?? new Int32Array(0));

/** Exact log-probabilities, [rank][sequence]. */
function rescored(beams: readonly BeamContents[], scores: HostScores, job: Job, nBest: number): Float64Array[] {
  const { layout, blank, lengths } = job;
  return Array.from({ length: mostRanks(beams, nBest) }, (_, k) => {
    const losses = ctcLoss(scores.tensor, ranked(beams, k), { inputLengths: lengths, blank, layout });
    return Float64Array.from(losses.glance(), (loss) => 0 - loss);
  });
}

const mostRanks = (beams: readonly BeamContents[], nBest: number): number =>
  Math.min(
    nBest,
    beams.reduce((most, { labels }) => Math.max(most, labels.length), 0),
  );

const NO_CONSTANTS = { wildcard: null, wildcardLogProb: 0, opening: null, closing: null } as const;

/** Alignments, [rank][sequence]. */
function aligned(beams: readonly BeamContents[], scores: HostScores, job: Job, nBest: number): Alignment[][] {
  const { op, problem, blank, lengths } = job;
  return Array.from({ length: mostRanks(beams, nBest) }, (_, k) => {
    const lists = ranked(beams, k);
    const width = lists.reduce((most, { length }) => Math.max(most, length), 0);
    const targets = new Int32Array(lists.length * width);
    lists.forEach((list, n) => {
      targets.set(list, n * width);
    });
    const targetLengths = Int32Array.from(lists, ({ length }) => length);
    return align(
      op,
      scores,
      { ...problem, blank, targets, width, inputLengths: lengths, targetLengths },
      NO_CONSTANTS,
      false,
    );
  });
}
