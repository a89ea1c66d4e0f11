import { createHash } from 'node:crypto';

/** What a rank is about to do, in words: ranks may go on together only if theirs are the same. */
export interface Call {
  /** 'averageGradients of 3 tensors' */
  readonly head: string;
  /** One for each tensor: '.layers[0].weight float32[3, 4]'. */
  readonly lines: readonly string[];
  /** What other ranks are told in the head's place, if calls differ. */
  readonly told?: string | undefined;
  /** Travels along, and may differ. */
  readonly number?: number | undefined;
}

/** 48 bits of a text's SHA-256, which float64 holds exactly. */
export const digestOf = (text: string): number => createHash('sha256').update(text).digest().readUIntBE(0, 6);

export const callDigest = ({ head, lines }: Call): number => digestOf([head, ...lines].join('\n'));

const MOST_GROUPS = 4;
/** Of long texts the beginning and the end are shown: what kind a tensor is stands behind its path. */
const SHOWN_BEGINNING = 120;
const SHOWN_END = 80;

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/gu, ' ');
  if (line.length <= SHOWN_BEGINNING + SHOWN_END) return line;
  return `${line.slice(0, SHOWN_BEGINNING)}...${line.slice(-SHOWN_END)}`;
}

/** Bytes that suffice for every excerpt: two texts of 203 characters, of up to 3 bytes each, and some words. */
export const EXCERPT_BYTES = 2048;

/**
 * What a rank tells of its call when calls differ, short enough for a world of thousands to gather.
 * @param at the first line in which calls differ; null if only their heads do.
 */
export function excerptOf({ head, lines, told = head }: Call, at: number | null): string {
  return at === null ? shortened(told) : `${shortened(told)}, with ${shortened(lines[at] ?? 'nothing')} in place ${at}`;
}

/** The first line that is not the same in two calls; null if all are. */
export function firstDifference(a: Call, b: Call): number | null {
  const at = Array.from({ length: Math.max(a.lines.length, b.lines.length) }, (_, i) => i);
  return at.find((i) => a.lines[i] !== b.lines[i]) ?? null;
}

/** 'rank 3', 'ranks 0, 1, 2', 'ranks 0, 1, 2, 3 and 60 others' */
export function ranksText(ranks: readonly number[]): string {
  const shown = ranks.length > 5 ? 4 : ranks.length;
  const others = ranks.length > shown ? ` and ${ranks.length - shown} others` : '';
  return `${ranks.length === 1 ? 'rank' : 'ranks'} ${ranks.slice(0, shown).join(', ')}${others}`;
}

/**
 * How the ranks' calls differ: who is where.
 * @param excerpts by rank; a rank that is not there takes no part.
 */
export function differenceOf(excerpts: readonly string[]): string {
  const groups = new Map<string, number[]>();
  excerpts.forEach((text, rank) => {
    const ranks = groups.get(text);
    if (ranks) ranks.push(rank);
    else groups.set(text, [rank]);
  });
  const told = Array.from(groups, ([text, ranks]) => `${ranksText(ranks)} at ${text}`);
  const others = told.length > MOST_GROUPS ? '; and others' : '';
  return `the ranks do not agree: ${told.slice(0, MOST_GROUPS).join('; ')}${others}`;
}
