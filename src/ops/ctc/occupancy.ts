import { full } from '../../tensor/create.js';
import { concat, slice } from '../movement/index.js';
import type { Alignment, LabelSpan } from './align.js';
import type { Constants } from './align-options.js';
import type { HostScores } from './host-scores.js';
import { ctcPosterior } from './loss.js';
import type { CtcProblem } from './options.js';

/**
 * Alignments with the occupancy of their spans: the posterior of each span's label at its frames, given that the target is read between the
 * free ends, if any. A wildcard is a class of its own there.
 */
export function occupancies(
  found: readonly Alignment[],
  { tensor, frameStride, sequenceStride }: HostScores,
  problem: CtcProblem,
  { wildcard, wildcardLogProb }: Constants,
): Alignment[] {
  const { classes, blank, targets, width, targetLengths } = problem;
  const sequencesFirst = tensor.rank === 3 && frameStride < sequenceStride;
  return found.map((alignment, n) => {
    if (!alignment.feasible || alignment.spans.length === 0) return alignment;
    const { path } = alignment;
    let [begin, end] = [0, path.length];
    while (path[begin] === OUTSIDE) begin++;
    while (path[end - 1] === OUTSIDE) end--;
    const range = [begin, end] as const;
    const own =
      tensor.rank === 2 ? slice(tensor, range) : sequencesFirst ? slice(tensor, n, range) : slice(tensor, range, n);
    const labels = targets.slice(n * width, n * width + targetLengths[n]!);
    const stars = labels.includes(wildcard!);
    const scores = stars
      ? concat([own, full([end - begin, 2], wildcardLogProb, { dtype: own.dtype, device: own.device })], 1)
      : own;
    // Two classes for wildcards by turns, as neighbours need no blank between them.
    const target = labels.map((label, i) => (stars && label === wildcard ? classes + (i & 1) : label));
    const posterior = ctcPosterior(scores, target, { blank }).glance();
    const columns = scores.shape[1]!;
    const spans = alignment.spans.map((span): LabelSpan => {
      let sum = 0;
      for (let t = span.start; t < span.end; t++) sum += posterior[(t - begin) * columns + target[span.index]!]!;
      return { ...span, occupancy: sum / (span.end - span.start) };
    });
    return { ...alignment, spans };
  });
}

const OUTSIDE = -2;
