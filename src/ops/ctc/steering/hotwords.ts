import { ValueError } from '../../../errors.js';
import { checkOptions, checkWhole, describe, isPlainObject } from '../../../tensor/arguments.js';
import { checkSpelling, listOf, Spelling } from './spelling.js';
import type { Steering } from './steering.js';
import { Trie } from './trie.js';

/** A phrase with a boost of its own. */
export interface Hotword {
  readonly phrase: string | readonly number[];
  readonly boost: number;
}

export interface HotwordOptions {
  /** What each label of a phrase is worth, a logarithm; 1.5 by default. Below 0 it makes phrases less likely. */
  readonly boost?: number;
  /** The label between words: with it, phrases count only where they are whole words. */
  readonly separator?: number;
}

/**
 * Phrases that are likelier than the network knows: names, product codes, commands. Every place in which one is read is worth its boost times its number of
 * labels; phrases may overlap and contain each other. What a beginning is worth in advance, so that the beam follows it, is taken back to the last bit where
 * the phrase breaks off or the text ends (A. Aho and M. Corasick, "Efficient String Matching", 1975).
 *
 * ```ts
 * const steering = hotwords(['Tegucigalpa', { phrase: 'CTC', boost: 3 }], tokens, { boost: 2, separator: SPACE });
 * ```
 * @param phrases texts, or lists of labels.
 * @param tokens the text of each class, the blank's too; the longest that fits spells a phrase's next part.
 * @throws {ValueError} for a phrase that cannot be spelt, and for numbers that are none.
 */
export function hotwords(
  phrases: Iterable<string | readonly number[] | Hotword>,
  tokens: readonly string[],
  options: HotwordOptions = {},
): Steering {
  const op = 'hotwords';
  checkOptions(op, options, ['boost', 'separator']);
  const { boost = 1.5, separator } = options;
  checkBoost(op, 'boost', boost);
  if (separator !== undefined) checkWhole(op, 'separator', separator, 0, 2 ** 31 - 1);
  const spelling = new Spelling(op, tokens);
  const patterns = listOf(op, 'phrases', phrases).map((given, i) => {
    const what = `phrase ${i}`;
    const own = isPlainObject(given) ? (given as unknown as Hotword) : { phrase: given as Hotword['phrase'], boost };
    checkBoost(op, `the boost of ${what}`, own.boost);
    const labels = typeof own.phrase === 'string' ? spelling.spell(own.phrase, what) : own.phrase;
    checkSpelling(op, what, labels);
    return { labels, boost: own.boost };
  });
  return new Phrases(patterns, separator ?? null).steering();
}

function checkBoost(op: string, what: string, boost: unknown): void {
  if (!Number.isFinite(boost)) throw new ValueError(op, `${what} is ${describe(boost)}; it must be a finite number`);
}

/** Steps up to which all are written down. */
const MOST_STEPS = 1 << 18;

/** The automaton: states are nodes of a tree of phrases, the longest beginning of one that the text ends with. */
class Phrases {
  private readonly trie: Trie;
  /** Of nodes: the longest proper suffix that is a node; what all phrases that end here are worth; and what is paid in advance. */
  private readonly suffix: number[];
  private readonly worth: number[];
  private readonly advance: number[];
  /** The state after each state and label, [states, labels], where these are not too many. */
  private readonly next: Int32Array | null;

  constructor(
    patterns: readonly { readonly labels: readonly number[]; readonly boost: number }[],
    private readonly separator: number | null,
  ) {
    const around = separator === null ? [] : [separator];
    const sequences = patterns.map(({ labels }) => [...around, ...labels, ...around]);
    this.trie = new Trie(
      1 + sequences.reduce((most, labels) => labels.reduce((a, b) => Math.max(a, b), most), separator ?? 0),
    );
    const ends = sequences.map((labels) => this.trie.add(labels));
    if (separator !== null) this.trie.add(around);
    const { size } = this.trie;
    this.suffix = new Array<number>(size).fill(0);
    this.worth = new Array<number>(size).fill(0);
    this.advance = new Array<number>(size).fill(0);
    this.next = size * this.trie.labels <= MOST_STEPS ? new Int32Array(size * this.trie.labels) : null;
    patterns.forEach(({ labels, boost }, i) => {
      const total = boost * labels.length;
      this.worth[ends[i]!]! += total;
      // In equal parts, from the first label of its own on.
      const steps = sequences[i]!.length - around.length;
      let node = this.trie.parent[ends[i]!]!;
      for (let depth = steps - 1; depth > 0; depth--) {
        this.advance[node] = Math.max(this.advance[node]!, (total * depth) / steps);
        node = this.trie.parent[node]!;
      }
    });
    this.link();
  }

  /** Suffixes, shorter nodes first; what they are worth counts for the longer ones as well. */
  private link(): void {
    const { trie, suffix, worth, advance, next } = this;
    const depth = new Int32Array(trie.size);
    for (let node = 1; node < trie.size; node++) depth[node] = depth[trie.parent[node]!]! + 1;
    const order = [...depth.keys()].sort((a, b) => depth[a]! - depth[b]!);
    for (const node of order) {
      if (depth[node]! > 1) suffix[node] = this.goto(suffix[trie.parent[node]!]!, trie.label[node]!);
      for (let label = 0; next && label < trie.labels; label++) {
        const child = trie.child(node, label);
        next[node * trie.labels + label] =
          child >= 0 ? child : node > 0 ? next[suffix[node]! * trie.labels + label]! : 0;
      }
      if (node === 0) continue;
      worth[node]! += worth[suffix[node]!]!;
      advance[node] = Math.max(advance[node]!, advance[suffix[node]!]!);
    }
  }

  private goto(state: number, label: number): number {
    const { labels } = this.trie;
    if (label >= labels) return 0;
    if (this.next) return this.next[state * labels + label]!;
    for (let node = state; ; node = this.suffix[node]!) {
      const next = this.trie.child(node, label);
      if (next >= 0) return next;
      if (node === 0) return 0;
    }
  }

  private gain(from: number, to: number): number {
    return this.worth[to]! + this.advance[to]! - this.advance[from]!;
  }

  steering(): Steering {
    const { trie, separator } = this;
    const start = separator === null ? 0 : trie.child(0, separator);
    const finish = (state: number): number =>
      separator === null ? -this.advance[state]! : this.worth[this.goto(state, separator)]! - this.advance[state]!;
    // What is paid in advance is never less for a node than for its suffixes: a step along an edge gains most.
    const bounds = new Map<number, number>();
    for (let node = 1; node < trie.size; node++) {
      const label = trie.label[node]!;
      bounds.set(label, Math.max(bounds.get(label) ?? 0, this.gain(trie.parent[node]!, node)));
    }
    let last = 0;
    for (let node = 0; node < trie.size; node++) last = Math.max(last, finish(node));
    return {
      start,
      states: trie.size,
      step: (state, label) => {
        const next = this.goto(state, label);
        return [this.gain(state, next), next];
      },
      finish,
      bound: (label) => (label === null ? last : (bounds.get(label) ?? 0)),
    };
  }
}
