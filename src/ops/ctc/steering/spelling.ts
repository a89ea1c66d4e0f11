import { ValueError } from '../../../errors.js';
import { describe } from '../../../tensor/arguments.js';
import { Tensor } from '../../../tensor/tensor.js';
import { checkTokens } from './tokens.js';

/** Spells texts in labels: the longest token that fits comes first. */
export class Spelling {
  private readonly labels = new Map<string, number>();
  private readonly longest: number;

  constructor(
    private readonly op: string,
    tokens: unknown,
  ) {
    checkTokens(op, tokens);
    tokens.forEach((token, label) => {
      if (token !== '' && !this.labels.has(token)) this.labels.set(token, label);
    });
    this.longest = Math.max(0, ...[...this.labels.keys()].map((token) => token.length));
  }

  /** @throws {ValueError} for what no token begins with. */
  spell(text: string, what: string): number[] {
    const labels: number[] = [];
    for (let at = 0; at < text.length;) {
      let size = Math.min(this.longest, text.length - at);
      while (size > 0 && !this.labels.has(text.slice(at, at + size))) size--;
      if (size === 0) {
        const character = String.fromCodePoint(text.codePointAt(at)!);
        throw new ValueError(this.op, `${what}, ${describe(text)}: there is no token for '${character}'`);
      }
      labels.push(this.labels.get(text.slice(at, at + size))!);
      at += size;
    }
    return labels;
  }
}

/** Refuses what is no spelling in labels. */
export function checkSpelling(op: string, what: string, labels: unknown): asserts labels is readonly number[] {
  if (!Array.isArray(labels) || labels.length === 0)
    throw new ValueError(op, `${what} is spelt ${describe(labels)}; it must be a list of labels, one or more`);
  Array.from(labels).forEach((label: unknown) => {
    if (!Number.isInteger(label) || (label as number) < 0)
      throw new ValueError(op, `${what} has the label ${describe(label)}; it must be a class`);
  });
}

/** Words or phrases, from anything that can be gone through but a single text, numbers and tensors. */
export function listOf(op: string, what: string, given: unknown): unknown[] {
  const isList = typeof given === 'object' && given !== null && Symbol.iterator in given;
  if (!isList || given instanceof Tensor || ArrayBuffer.isView(given))
    throw new ValueError(op, `the ${what} are ${describe(given)}; they must be a list`);
  return [...(given as Iterable<unknown>)];
}
