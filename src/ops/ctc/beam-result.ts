import { type Alignment, align, type LabelSpan } from './align.js';
import { listOf } from './beam-launch.js';
import type { Search } from './beam-options.js';
import type { BeamContents } from './beam-state.js';
import { labelConfidences, type Rival, wordConfidences } from './confidence.js';
import type { HostScores, ScoresJob } from './host-scores.js';
import { lossesOf } from './loss.js';
import { type MergedSpan, mergeSpans } from './spans.js';
import { boundOf, finishOf, type Steering, weightOf } from './steering/steering.js';

/** A word of a reading. */
export interface Word extends MergedSpan {
  /** The share of the beam's readings, by their probabilities, that have this word here: from 0 to 1. */
  readonly confidence: number;
}

/** One reading of a sequence. */
export interface Hypothesis {
  readonly labels: number[];
  /** The logarithm of its probability as far as the beam has followed it, a lower bound of `logProb`; and the steering's weight. */
  readonly score: number;
  /** The logarithm of its probability over all alignments, by `ctcLoss`; NaN without `rescore`. */
  readonly logProb: number;
  /** What the steering gives it, its end included; 0 without one. Hypotheses are in the order of `logProb + weight`. */
  readonly weight: number;
  /** Its share of what the beam holds: how much surer it is than its rivals, from 0 to 1. A confidence for the whole. */
  readonly share: number;
  /** Where its labels are, with `align`. */
  readonly spans?: readonly LabelSpan[];
  /** With `confidences`, for each label the share of the beam's readings that have it here, from 0 to 1. */
  readonly confidences?: readonly number[];
  /** Its words, with `separator`. */
  readonly words?: readonly Word[];
}

export interface BeamResult {
  /** The best labellings found, best first; none where scores and steering leave none in the beam that is possible. */
  readonly hypotheses: readonly Hypothesis[];
  /** Whether no labelling at all is better than the first one: proven from what fell out of the beam. */
  readonly proven: boolean;
  /** The logarithm of the probability that fell out of the beam; with a steering, of the most that it could have been worth. */
  readonly lostLogProb: number;
}

/** A call whose arguments are checked. @internal */
export interface BeamJob extends ScoresJob {
  readonly op: string;
  readonly problem: {
    readonly frames: number;
    readonly batch: number;
    readonly classes: number;
    readonly logits: boolean;
  };
  readonly blank: number;
  readonly lengths: Int32Array;
  readonly search: Search;
  readonly nBest: number;
  readonly rescore: boolean;
  readonly spans: boolean;
  readonly confidences: boolean;
  readonly separator: number | null;
}

/** What is known to be above any rounding of an exact score, as a logarithm. */
const ROUNDING = 1e-5;

/** A beam's readings with the steering's end, best first, and without those that may not end. */
interface Ranked {
  /** Of those that were asked for. */
  readonly labels: readonly Int32Array[];
  readonly shares: readonly number[];
  /** Of all in the beam. */
  readonly scores: readonly number[];
  /** The most that everything else may be worth. */
  readonly lost: number;
}

/** The results of a batch. @internal */
export function resultsOf(beams: readonly BeamContents[], scores: HostScores, job: BeamJob): BeamResult[] {
  // All of them where they are compared.
  const wanted = job.confidences || job.separator !== null ? job.search.sizes.width : job.nBest;
  const ranked = beams.map((beam) => rank(job.op, beam, job.search.steering, wanted));
  const exact = job.rescore ? rescored(ranked, scores, job) : null;
  const spans = job.spans || job.separator !== null ? aligned(ranked, scores, job) : null;
  return ranked.map((own, n) => {
    const parts = { exact: exact?.map((rank) => rank[n]!), alignments: spans?.map((rank) => rank[n]!) };
    return resultOf(own, parts, job);
  });
}

/** Ends a beam's prefixes, and reads the labels of the `wanted` best ones. @internal */
export function rank(op: string, beam: BeamContents, steering: Steering | null, wanted: number): Ranked {
  const order =
    steering && beam.states ? ended(op, beam, beam.states, steering) : { ...beam, places: [...beam.scores.keys()] };
  const { places, scores, lost } = order;
  const top = scores[0] ?? 0;
  const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
  const labels = beam.labelsAt(places.slice(0, wanted));
  return { labels, scores, shares: labels.map((_, k) => Math.exp(scores[k]! - top) / total), lost };
}

/** A beam's prefixes as they are to be read. */
interface Order {
  readonly places: readonly number[];
  readonly scores: readonly number[];
  readonly lost: number;
}

function ended(op: string, { scores, lost }: BeamContents, states: readonly number[], steering: Steering): Order {
  const most = boundOf(op, steering, null);
  const final = scores.map((score, k) => score + finishOf(op, steering, states[k]!, most));
  const places = [...final.keys()];
  if (final.some((score, k) => k > 0 && score > final[k - 1]!)) places.sort((a, b) => final[b]! - final[a]! || a - b);
  const order = places.filter((k) => final[k]! > -Infinity);
  return {
    places: order,
    scores: order.map((k) => final[k]!),
    lost: lost === -Infinity ? lost : lost + most,
  };
}

interface Parts {
  /** Exact log-probabilities of the first readings. */
  readonly exact: readonly number[] | undefined;
  readonly alignments: readonly Alignment[] | undefined;
}

function resultOf({ labels, scores, shares, lost }: Ranked, { exact, alignments }: Parts, job: BeamJob): BeamResult {
  const { op, nBest, separator, confidences } = job;
  const { steering } = job.search;
  const isCompared = confidences || separator !== null;
  const rivals: Rival[] = isCompared ? labels.map((own, k) => ({ labels: own, share: shares[k]! })) : [];
  const hypotheses = labels.slice(0, nBest).map((own, k): Hypothesis => {
    const alignment = alignments?.[k];
    return {
      labels: listOf(own),
      score: scores[k]!,
      logProb: exact?.[k] ?? NaN,
      weight: steering ? weightOf(op, steering, own) : 0,
      share: shares[k]!,
      ...(alignment && job.spans ? { spans: alignment.spans } : {}),
      ...(confidences ? { confidences: labelConfidences(own, rivals) } : {}),
      ...(alignment && separator !== null ? { words: wordsOf(own, alignment, separator, rivals) } : {}),
    };
  });
  const totalOf = ({ logProb, weight }: Hypothesis): number => logProb + weight;
  const order = [...hypotheses.keys()];
  if (exact) order.sort((a, b) => totalOf(hypotheses[b]!) - totalOf(hypotheses[a]!) || a - b);
  const first = order[0] ?? -1;
  // Any other labelling has at most what the beam holds of it and all that was lost.
  const second = scores.reduce((best, score, k) => (k === first ? best : Math.max(best, score)), -Infinity);
  const best =
    first < 0 ? -Infinity : Math.max(scores[first]!, exact ? totalOf(hypotheses[first]!) - ROUNDING : -Infinity);
  return {
    hypotheses: order.map((k) => hypotheses[k]!),
    proven: best > -Infinity && best >= logAdd(second, lost),
    lostLogProb: lost,
  };
}

function wordsOf(labels: Int32Array, alignment: Alignment, separator: number, rivals: readonly Rival[]): Word[] {
  const words = mergeSpans(alignment, separator);
  const confidences = wordConfidences(labels, words, separator, rivals);
  return words.map((word, w) => ({ ...word, confidence: confidences[w]! }));
}

const logAdd = (a: number, b: number): number => {
  const top = Math.max(a, b);
  return top === -Infinity || top === Infinity ? top : top + Math.log1p(Math.exp(Math.min(a, b) - top));
};

/** The k-th labelling of each sequence; none where there are fewer. */
const kth = (beams: readonly Ranked[], k: number): Int32Array[] =>
  beams.map(({ labels }) => labels[k] ?? new Int32Array(0));

/** Exact log-probabilities, [rank][sequence]. */
function rescored(beams: readonly Ranked[], scores: HostScores, job: BeamJob): Float64Array[] {
  const { layout, blank, lengths } = job;
  return Array.from({ length: mostRanks(beams, job.nBest) }, (_, k) => {
    const losses = lossesOf(scores.tensor, kth(beams, k), { inputLengths: lengths, blank, layout }, false);
    return Float64Array.from(losses.glance(), (loss) => 0 - loss);
  });
}

const mostRanks = (beams: readonly Ranked[], nBest: number): number =>
  Math.min(
    nBest,
    beams.reduce((most, { labels }) => Math.max(most, labels.length), 0),
  );

const NO_CONSTANTS = { wildcard: null, wildcardLogProb: 0, opening: null, closing: null } as const;

/** Alignments, [rank][sequence]. */
function aligned(beams: readonly Ranked[], scores: HostScores, job: BeamJob): Alignment[][] {
  const { op, problem, blank, lengths } = job;
  return Array.from({ length: mostRanks(beams, job.nBest) }, (_, k) => {
    const lists = kth(beams, k);
    const width = lists.reduce((most, { length }) => Math.max(most, length), 0);
    const targets = new Int32Array(lists.length * width);
    lists.forEach((list, n) => {
      targets.set(list, n * width);
    });
    const targetLengths = Int32Array.from(lists, ({ length }) => length);
    return align(
      op,
      scores,
      { ...problem, blank, targets, width, inputLengths: lengths, targetLengths, known: null },
      NO_CONSTANTS,
      false,
    );
  });
}
