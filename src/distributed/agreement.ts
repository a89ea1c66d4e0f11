import { createHash } from 'node:crypto';

/** What a rank is about to do, in words: ranks may go on together only if theirs are the same. */
export interface Call {
  /** 'averageGradients of 3 tensors' */
  readonly head: string;
  /** One for each tensor: '.layers[0].weight float32[3, 4]'. */
  readonly lines: readonly string[];
}

export const textOf = ({ head, lines }: Call): string => [head, ...lines].join('\n');

/** 48 bits of a text's SHA-256, which float64 holds exactly. */
export const digestOf = (text: string): number => createHash('sha256').update(text).digest().readUIntBE(0, 6);

const MOST_GROUPS = 4;
const MOST_CHARACTERS = 200;

const shortened = (text: string): string =>
  text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}...` : text;

/** 'rank 3', 'ranks 0, 1, 2', 'ranks 0, 1, 2, 3 and 60 others' */
export function ranksText(ranks: readonly number[]): string {
  const shown = ranks.length > 5 ? 4 : ranks.length;
  const others = ranks.length > shown ? ` and ${ranks.length - shown} others` : '';
  return `${ranks.length === 1 ? 'rank' : 'ranks'} ${ranks.slice(0, shown).join(', ')}${others}`;
}

/**
 * How the ranks' calls differ: who is where, and the first tensor that is not the same for all.
 * @param texts every rank's `textOf(call)`, at least two of them different.
 */
export function differenceOf(texts: readonly string[]): string {
  const groups = new Map<string, number[]>();
  texts.forEach((text, rank) => {
    const ranks = groups.get(text);
    if (ranks) ranks.push(rank);
    else groups.set(text, [rank]);
  });
  const all = [...groups].map(([text, ranks]) => ({ ranks, lines: text.split('\n') }));
  const longest = Math.max(...all.map(({ lines }) => lines.length));
  // Line 0 is the head, which is shown anyway.
  let at = 1;
  while (at < longest && all.every(({ lines }) => lines[at] === all[0]!.lines[at])) at++;
  const told = all.slice(0, MOST_GROUPS).map(({ ranks, lines }) => {
    const where = at < longest ? `, with ${lines[at] ?? 'nothing'} in place ${at - 1}` : '';
    return `${ranksText(ranks)} at ${shortened(lines[0]!)}${shortened(where)}`;
  });
  return `the ranks do not agree: ${told.join('; ')}${all.length > MOST_GROUPS ? '; and others' : ''}`;
}
