import { ValueError } from '../../errors.js';
import { checkArray, checkOptions, checkWhole, describe, isPlainObject } from '../../tensor/arguments.js';
import type { Alignment } from './align.js';

/** A run of frames that something was read in. */
export interface Span {
  /** The first frame. */
  readonly start: number;
  /** One past the last frame. */
  readonly end: number;
  /** The mean log-probability a frame on the path. */
  readonly logProb: number;
  /**
   * How much of the span all alignments of the target share, from 0 to 1: the mean, over its frames, of the posterior of reading this very label there,
   * and not only one of its class. Only where `occupancy` was asked for.
   */
  readonly occupancy?: number;
}

/** Several spans as one. */
export interface MergedSpan extends Span {
  /** The spans that it is made of: the places [first, last) in the list that was merged. */
  readonly first: number;
  readonly last: number;
  /** The labels of those spans, in order. */
  readonly labels: readonly number[];
}

export interface MergeOptions {
  /**
   * Where a merged span begins and ends: at its first and last label ('labels', the default), or, between neighbours, in the middle of the gap
   * ('middle'), for subtitles and boxes without holes.
   */
  readonly boundaries?: 'labels' | 'middle';
}

/** A place in scores. @internal */
export const frameOf = (scores: { frameStride: number; sequenceStride: number }, n: number, t: number): number =>
  n * scores.sequenceStride + t * scores.frameStride;

type Part = Span & ({ readonly label: number } | { readonly labels: readonly number[] });

/**
 * Joins spans: labels to words, words to lines.
 *
 * ```ts
 * const words = mergeSpans(alignment, SPACE, { boundaries: 'middle' }); // words between the label SPACE
 * const lines = mergeSpans(words, [[0, 7], [7, 12]]);
 * ```
 * @param spans an alignment, or spans merged before.
 * @param groups the label that separates groups and belongs to none; or, for each group, the range [first, last) of the spans in it.
 * @throws {ValueError} for an alignment that is not feasible, and for groups that are empty, out of order or out of range.
 */
export function mergeSpans(
  spans: Alignment | readonly Part[],
  groups: number | readonly (readonly [first: number, last: number])[],
  options: MergeOptions = {},
): MergedSpan[] {
  checkOptions('mergeSpans', options, ['boundaries']);
  const { boundaries = 'labels' } = options;
  if ((boundaries as unknown) !== 'labels' && (boundaries as unknown) !== 'middle')
    throw new ValueError('mergeSpans', `boundaries is ${describe(boundaries)}; it must be 'labels' or 'middle'`);
  if (!Array.isArray(spans) && !(isPlainObject(spans) && 'feasible' in spans))
    throw new ValueError(
      'mergeSpans',
      `the spans are ${describe(spans)}; they must be an alignment or a list of spans`,
    );
  const parts = partsOf(spans);
  for (const [i, part] of (parts as readonly unknown[]).entries())
    if (!isPlainObject(part) || !('label' in part || Array.isArray(part.labels)))
      throw new ValueError('mergeSpans', `span ${i} is ${describe(part)}; it must be a span as ctcAlign gives them`);
  if (typeof groups === 'number') checkWhole('mergeSpans', 'the separator', groups, 0, 2 ** 31 - 1);
  else checkArray('mergeSpans', 'the groups', groups);
  const ranges = typeof groups === 'number' ? separate(parts, groups) : groups;
  checkRanges(ranges, parts.length);
  const merged = ranges.map(([first, last]) => join(parts, first, last));
  return boundaries === 'middle' ? withoutGaps(merged) : merged;
}

function partsOf(spans: Alignment | readonly Part[]): readonly Part[] {
  if (!('feasible' in spans)) return spans;
  if (!spans.feasible)
    throw new ValueError(
      'mergeSpans',
      `the alignment is not feasible: its target needs ${spans.framesNeeded} frames, or has no possible path`,
    );
  return spans.spans;
}

const labelsOf = (part: Part): readonly number[] => ('label' in part ? [part.label] : part.labels);

/** Ranges of spans between separators. */
function separate(parts: readonly Part[], separator: number): [number, number][] {
  const ranges: [number, number][] = [];
  let first = 0;
  for (let i = 0; i <= parts.length; i++) {
    if (i < parts.length && !labelsOf(parts[i]!).includes(separator)) continue;
    if (i > first) ranges.push([first, i]);
    first = i + 1;
  }
  return ranges;
}

function checkRanges(ranges: readonly (readonly [number, number])[], count: number): void {
  let end = 0;
  for (const [g, range] of (ranges as readonly unknown[]).entries()) {
    if (!Array.isArray(range))
      throw new ValueError('mergeSpans', `group ${g} is ${describe(range)}; it must be [first, last]`);
    const [first, last] = range as [number, number];
    if (!Number.isInteger(first) || !Number.isInteger(last) || first >= last)
      throw new ValueError(
        'mergeSpans',
        `group ${g} is [${describe(first)}, ${describe(last)}); it must hold a span or more`,
      );
    if (first < end || last > count)
      throw new ValueError(
        'mergeSpans',
        `group ${g} is [${first}, ${last}); groups are in order and end at ${count}, the number of spans`,
      );
    end = last;
  }
}

function join(parts: readonly Part[], first: number, last: number): MergedSpan {
  const own = parts.slice(first, last);
  let frames = 0;
  let logProb = 0;
  let occupancy = 0;
  for (const part of own) {
    const length = part.end - part.start;
    frames += length;
    logProb += part.logProb * length;
    occupancy += (part.occupancy ?? NaN) * length;
  }
  return {
    first,
    last,
    labels: own.flatMap(labelsOf),
    start: own[0]!.start,
    end: own.at(-1)!.end,
    logProb: logProb / frames,
    ...(Number.isNaN(occupancy) ? {} : { occupancy: occupancy / frames }),
  };
}

/** Neighbours meet in the middle of the gap between them. */
function withoutGaps(merged: readonly MergedSpan[]): MergedSpan[] {
  const meeting = (i: number): number => Math.floor((merged[i]!.end + merged[i + 1]!.start) / 2);
  return merged.map((span, i) => ({
    ...span,
    start: i > 0 ? meeting(i - 1) : span.start,
    end: i + 1 < merged.length ? meeting(i) : span.end,
  }));
}
