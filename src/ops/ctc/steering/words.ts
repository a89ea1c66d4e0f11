import { ValueError } from '../../../errors.js';
import { checkBoolean, checkOptions, checkWhole, describe } from '../../../tensor/arguments.js';
import type { Ngram } from './ngram.js';
import { checkSpelling, listOf, Spelling } from './spelling.js';
import type { Steering } from './steering.js';
import { checkModel, checkModelOptions, type ModelOptions, weigh } from './tokens.js';
import { Trie } from './trie.js';

/** A word, spelt by the longest tokens that fit; or with its spelling in labels. A word may be there several times, spelt in several ways. */
export type LexiconEntry = string | readonly [word: string, labels: readonly number[]];

export interface WordOptions extends ModelOptions {
  /** A model of the words. */
  readonly model?: Ngram;
  /** Whether what a word is worth at least is paid label by label, so that the beam sees it in time; true by default. Totals are the same. */
  readonly lookAhead?: boolean;
  /** What a word that is not in the list is worth, a logarithm, beside the model's word for unknown ones; -Infinity, never, by default. */
  readonly unknown?: number;
  /** What it is worth that the text ends in the middle of a word, a logarithm; -Infinity by default. */
  readonly partial?: number;
}

/** A steering that can say which words it has read. */
export interface WordSteering extends Steering {
  /** The words that labels spell; an unknown or unfinished one is null. */
  read(labels: Iterable<number>): (string | null)[];
}

const OPTIONS = ['model', 'weight', 'bonus', 'bos', 'eos', 'lookAhead', 'unknown', 'partial'] as const;

/**
 * Texts made of words: those of a list, and, with a model, in likely order. Between two words is one separator; there may be one at the end. Where
 * several words are spelt alike, the one counts that the model likes best there.
 *
 * ```ts
 * const steering = wordSteering(vocabulary, tokens, SPACE, { model: ngram(arpa), weight: 0.8, bonus: 1 });
 * ```
 * @param tokens the text of each class, the blank's too.
 * @param separator the label between words.
 * @throws {ValueError} for a word that cannot be spelt, or that the model does not know, neither itself nor as an unknown one.
 */
export function wordSteering(
  words: Iterable<LexiconEntry>,
  tokens: readonly string[],
  separator: number,
  options: WordOptions = {},
): WordSteering {
  const op = 'wordSteering';
  checkOptions(op, options, OPTIONS);
  checkWhole(op, 'separator', separator, 0, 2 ** 31 - 1);
  const { model, unknown = -Infinity, partial = -Infinity, lookAhead = true } = options;
  if (model !== undefined) checkModel(op, model);
  checkModelOptions(op, options);
  checkBoolean(op, 'lookAhead', lookAhead);
  for (const [name, value] of Object.entries({ unknown, partial }))
    if (typeof value !== 'number' || !(value < Infinity))
      throw new ValueError(op, `${name} is ${describe(value)}; it must be a number below Infinity`);
  const spelling = new Spelling(op, tokens);
  const entries = listOf(op, 'words', words).map((entry, i): Entry => {
    const [word, own] = Array.isArray(entry) ? (entry as [unknown, unknown]) : [entry, null];
    if (typeof word !== 'string')
      throw new ValueError(op, `word ${i} is ${describe(word)}; it must be a string, or a string and its labels`);
    const labels = own ?? spelling.spell(word, `word ${i}`);
    checkSpelling(op, `word ${i}, ${describe(word)},`, labels);
    if (labels.includes(separator))
      throw new ValueError(op, `word ${i}, ${describe(word)}, has the separator, ${separator}, in it`);
    if (model && model.idOf(word) < 0 && unknown === -Infinity)
      throw new ValueError(op, `word ${i}, ${describe(word)}, is not in the model, which has no word for unknown ones`);
    return { word, labels };
  });
  return new Lexicon(entries, separator, { ...options, unknown, partial, lookAhead }).steering();
}

interface Entry {
  readonly word: string;
  readonly labels: readonly number[];
}

interface Ending {
  /** What the word is worth here. */
  readonly weight: number;
  /** The model's context after it. */
  readonly context: number;
  readonly word: string | null;
}

const IMPOSSIBLE: Ending = { weight: -Infinity, context: 0, word: null };

/**
 * States are a node of the tree of words (one more stands for all unknown ones) and a context of the model. What is paid in advance depends on the node
 * alone and is taken off at the word's end.
 */
class Lexicon {
  private readonly trie: Trie;
  /** Words that end at a node. */
  private readonly endings = new Map<number, { word: string; id: number }[]>();
  /** Of nodes: what has been paid in advance. */
  private readonly paid: Float64Array;
  private readonly contexts: number;
  private readonly model: Ngram | null;
  private readonly weight: number;
  private readonly bonus: number;
  private readonly most: Float64Array | null;

  constructor(
    entries: readonly Entry[],
    private readonly separator: number,
    private readonly options: WordOptions & Required<Pick<WordOptions, 'unknown' | 'partial' | 'lookAhead'>>,
  ) {
    this.model = options.model ?? null;
    this.weight = options.weight ?? 1;
    this.bonus = options.bonus ?? 0;
    this.contexts = this.model?.states ?? 1;
    this.most = this.model?.mostOf() ?? null;
    this.trie = new Trie(
      1 + entries.reduce((most, { labels }) => labels.reduce((a, b) => Math.max(a, b), most), separator),
    );
    for (const { word, labels } of entries) {
      const node = this.trie.add(labels);
      const there = this.endings.get(node) ?? [];
      if (there.some((own) => own.word === word)) continue;
      this.endings.set(node, [...there, { word, id: this.model ? this.model.idOf(word) : 0 }]);
    }
    this.paid = this.payInAdvance();
  }

  /** The node of unknown words. */
  private get stray(): number {
    return this.trie.size;
  }

  /** What words are worth without a context, the best of those below each node. */
  private payInAdvance(): Float64Array {
    const { parent, size } = this.trie;
    const paid = new Float64Array(size + 1).fill(this.usual(null));
    for (const [node, words] of this.endings)
      for (const { id } of words) paid[node] = Math.max(paid[node]!, this.usual(id));
    for (let node = size - 1; node > 0; node--) paid[parent[node]!] = Math.max(paid[parent[node]!]!, paid[node]!);
    if (!this.options.lookAhead) paid.fill(0);
    paid[0] = 0;
    // Where nothing is possible nothing is paid; the word's end is forbidden anyway.
    return paid.map((value) => (value === -Infinity ? 0 : value));
  }

  /** What a word (null for an unknown one) is worth without a context, or at most where that forbids it. */
  private usual(id: number | null): number {
    const { model, most } = this;
    const { unknown } = this.options;
    if (!model || !most) return id === null ? unknown + this.bonus : this.bonus;
    const known = id === null || id < 0 ? model.unk : id;
    const extra = id === null || id < 0 ? unknown : 0;
    if (known < 0) return extra + this.bonus;
    const alone = model.logProb(model.empty, known);
    return extra + this.bonus + weigh(this.weight, alone > -Infinity ? alone : most[known]!);
  }

  private mostOf(id: number | null): number {
    const { model, most } = this;
    const known = id === null || id < 0 ? (model?.unk ?? -1) : id;
    const extra = id === null || id < 0 ? this.options.unknown : 0;
    return extra + this.bonus + (most && known >= 0 ? weigh(this.weight, most[known]!) : 0);
  }

  /** One word (null for an unknown one) after a context. */
  private wordAfter(context: number, word: string | null, id: number | null): Ending {
    const { model } = this;
    const isUnknown = id === null || id < 0;
    const extra = (isUnknown ? this.options.unknown : 0) + this.bonus;
    const known = isUnknown ? (model?.unk ?? -1) : id;
    if (!model || known < 0) return { weight: extra, context: 0, word };
    return {
      weight: extra + weigh(this.weight, model.logProb(context, known)),
      context: model.after(context, known),
      word,
    };
  }

  /** What ends at a node. */
  private end(node: number, context: number): Ending {
    if (node === 0) return IMPOSSIBLE;
    const words = this.endings.get(node);
    if (!words) return this.options.unknown === -Infinity ? IMPOSSIBLE : this.wordAfter(context, null, null);
    let best = IMPOSSIBLE;
    for (const { word, id } of words) {
      const ending = this.wordAfter(context, word, this.model ? id : 0);
      if (best === IMPOSSIBLE || ending.weight > best.weight) best = ending;
    }
    return best;
  }

  private textEnd(context: number): number {
    const { model } = this;
    return model && (this.options.eos ?? true) ? weigh(this.weight, model.end(context)) : 0;
  }

  private step(state: number, label: number): readonly [number, number] {
    const { paid, contexts, stray } = this;
    const node = Math.floor(state / contexts);
    const context = state - node * contexts;
    if (label === this.separator) {
      const ending = this.end(node, context);
      return [ending.weight - paid[node]!, ending.context];
    }
    let next = node === stray ? -1 : this.trie.child(node, label);
    if (next < 0) {
      if (this.options.unknown === -Infinity) return [-Infinity, 0];
      next = stray;
    }
    return [paid[next]! - paid[node]!, next * contexts + context];
  }

  private finish(state: number): number {
    const node = Math.floor(state / this.contexts);
    const context = state - node * this.contexts;
    if (node === 0) return this.textEnd(context);
    const ending = this.end(node, context);
    const whole = ending.weight + this.textEnd(ending.context);
    return (this.endings.has(node) ? whole : Math.max(whole, this.options.partial)) - this.paid[node]!;
  }

  /** Bounds by label, and of the end. */
  private bounds(): (label: number | null) => number {
    const { trie, paid, stray, model } = this;
    const { unknown, partial, eos = true } = this.options;
    const isOpen = unknown > -Infinity;
    const last = model && eos && model.eos >= 0 ? weigh(this.weight, this.most![model.eos]!) : 0;
    let word = isOpen ? this.mostOf(null) - paid[stray]! : -Infinity;
    let cut = isOpen ? partial - paid[stray]! : -Infinity;
    const labels = new Map<number, number>();
    for (let node = 1; node < trie.size; node++) {
      const label = trie.label[node]!;
      labels.set(label, Math.max(labels.get(label) ?? -Infinity, paid[node]! - paid[trie.parent[node]!]!));
      for (const { id } of this.endings.get(node) ?? [])
        word = Math.max(word, this.mostOf(model ? id : 0) - paid[node]!);
      if (isOpen) word = Math.max(word, this.mostOf(null) - paid[node]!);
      cut = Math.max(cut, partial - paid[node]!);
    }
    let astray = -Infinity;
    if (isOpen) for (const from of paid) astray = Math.max(astray, paid[stray]! - from);
    return (label) => {
      if (label === null) return Math.max(last, word + last, cut);
      if (label === this.separator) return word;
      return Math.max(labels.get(label) ?? -Infinity, astray);
    };
  }

  private read(labels: Iterable<number>): (string | null)[] {
    const words: (string | null)[] = [];
    let state = this.start;
    const endOf = (at: number): string | null => {
      const node = Math.floor(at / this.contexts);
      return this.end(node, at - node * this.contexts).word;
    };
    for (const label of labels) {
      if (label === this.separator && state >= this.contexts) words.push(endOf(state));
      const [, next] = this.step(state, label);
      state = next;
    }
    if (state >= this.contexts) words.push(endOf(state));
    return words;
  }

  private get start(): number {
    const { model } = this;
    return model && (this.options.bos ?? true) ? model.start : 0;
  }

  steering(): WordSteering {
    return {
      start: this.start,
      states: (this.trie.size + 1) * this.contexts,
      step: (state, label) => this.step(state, label),
      finish: (state) => this.finish(state),
      bound: this.bounds(),
      read: (labels) => this.read(labels),
    };
  }
}
