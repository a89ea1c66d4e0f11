import { FormatError, ValueError } from '../../../errors.js';
import { inflater } from '../../../inflate.js';
import { checkArray, checkOptions, describe, isPlainObject } from '../../../tensor/arguments.js';
import { fromTypedArray } from '../../../tensor/create.js';
import { Tensor } from '../../../tensor/tensor.js';
import { readArpa } from './arpa.js';
import { NgramBuilder, type NgramTables } from './ngram-builder.js';

export interface NgramOptions {
  /** The word that stands for a text's beginning; '<s>' by default. */
  readonly bos?: string;
  /** The word that stands for a text's end; '</s>' by default. */
  readonly eos?: string;
  /** The word that stands for all that the model does not know; '<unk>' by default, or '<UNK>' where only that is there. */
  readonly unk?: string;
}

/**
 * A back-off n-gram model as an automaton: its states are contexts, and a step by a word gives the word's probability after that context and the
 * longest context that goes on from there. All logarithms are natural.
 */
export class Ngram {
  /** The length of the longest n-grams. */
  readonly order: number;
  /** All words; a word's number is its place. */
  readonly words: readonly string[];
  /** The state of nothing at all, and that of a text's beginning; the same where the model has no such word. */
  readonly empty = 0;
  readonly start: number;
  /** How many states there are. */
  readonly states: number;
  /** The number of the word for all unknown ones, -1 where the model has none; and of the end. */
  readonly unk: number;
  readonly eos: number;
  private readonly ids: ReadonlyMap<string, number>;

  /** @internal */
  constructor(
    private readonly tables: NgramTables,
    words: readonly string[],
    private readonly names: Required<NgramOptions>,
  ) {
    this.order = tables.order;
    this.words = words;
    this.ids = new Map(words.map((word, i) => [word, i]));
    this.states = tables.backoff.length;
    this.unk = this.ids.get(names.unk) ?? -1;
    this.eos = this.ids.get(names.eos) ?? -1;
    const bos = this.ids.get(names.bos);
    this.start = bos === undefined ? 0 : this.after(0, bos);
  }

  /** A word's number; that of the word for unknown ones where the model lacks it, or -1. */
  idOf(word: string): number {
    return this.ids.get(word) ?? this.unk;
  }

  /** Whether the model has a word itself. */
  has(word: string): boolean {
    return this.ids.has(word);
  }

  /** The logarithm of a word's probability after a context; -Infinity for a number that no word has. */
  logProb(state: number, word: number): number {
    const { backoff, suffix, logProb } = this.tables;
    for (let [sum, s] = [0, state]; s >= 0; sum += backoff[s]!, s = suffix[s]!) {
      const at = this.find(s, word);
      if (at >= 0 && !Number.isNaN(logProb[at]!)) return sum + logProb[at]!;
    }
    return -Infinity;
  }

  /** The context after a word. */
  after(state: number, word: number): number {
    const { suffix, next } = this.tables;
    for (let s = state; s >= 0; s = suffix[s]!) {
      const at = this.find(s, word);
      if (at >= 0) return next[at]!;
    }
    return 0;
  }

  /**
   * The logarithm of a whole text's probability.
   * @param words in order; those that the model does not know count as its word for them, or -Infinity.
   * @param options whether a beginning comes before them, and an end after: true by default.
   */
  scoreText(words: readonly string[], options: { bos?: boolean; eos?: boolean } = {}): number {
    const op = 'Ngram.scoreText';
    checkArray(op, 'words', words);
    checkOptions(op, options, ['bos', 'eos']);
    const { bos = true, eos = true } = options;
    let state = bos ? this.start : this.empty;
    let sum = 0;
    for (const word of words) {
      const id = this.idOf(word);
      sum += this.logProb(state, id);
      state = this.after(state, id);
    }
    return sum + (eos ? this.end(state) : 0);
  }

  /** The logarithm of the probability that a text ends after a context; 0 where the model has no end. */
  end(state: number): number {
    return this.eos < 0 ? 0 : this.logProb(state, this.eos);
  }

  /** The most that each word may be worth after any context: what `logProb` never exceeds. */
  mostOf(): Float64Array {
    const { word, logProb, backoff, order } = this.tables;
    const most = new Float64Array(this.words.length).fill(-Infinity);
    // Back-offs of proper models are below 1 where they are used, but nothing in the format says so.
    const gain = backoff.reduce((best, value) => Math.max(best, value), 0) * (order - 1);
    word.forEach((id, at) => {
      if (logProb[at]! > most[id]!) most[id] = logProb[at]!;
    });
    return gain > 0 ? most.map((value) => value + gain) : most;
  }

  /** The place of a context's word among the arcs, or -1. */
  private find(state: number, word: number): number {
    const { begin, word: words } = this.tables;
    let lo = begin[state]!;
    let hi = begin[state + 1]! - 1;
    // Nearly all words follow nothing at all, and stand there at their own number.
    if (words[lo + word] === word && lo + word <= hi) return lo + word;
    while (lo <= hi) {
      const middle = (lo + hi) >> 1;
      const here = words[middle]!;
      if (here === word) return middle;
      if (here < word) lo = middle + 1;
      else hi = middle - 1;
    }
    return -1;
  }

  /** The model as tensors, for `saveSafetensors`: a fraction of the text's size, and read in a moment. `ngram` takes it. */
  save(): SavedNgram {
    const { order, begin, word, logProb, next, backoff, suffix } = this.tables;
    return {
      sizes: list(Int32Array.of(FORMAT, order, this.words.length)),
      vocabulary: list(packText(this.words)),
      specials: list(packText([this.names.bos, this.names.eos, this.names.unk])),
      begin: list(begin),
      word: list(word),
      logProb: list(logProb),
      next: list(next),
      backoff: list(backoff),
      suffix: list(suffix),
    };
  }
}

/** What `save` gives. */
export type SavedNgram = Record<(typeof PARTS)[number], Tensor>;

const PARTS = ['sizes', 'vocabulary', 'specials', 'begin', 'word', 'logProb', 'next', 'backoff', 'suffix'] as const;

/** The version of what `save` writes. */
const FORMAT = 1;

const list = (values: Int32Array | Float64Array): Tensor =>
  fromTypedArray(values.slice(), [values.length], values instanceof Int32Array ? 'int32' : 'float64', 'Ngram.save');

/** Words as UTF-8, one a line, four bytes a number; zeros fill the last one up. */
function packText(words: readonly string[]): Int32Array {
  const bytes = new TextEncoder().encode(words.join('\n'));
  const packed = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  packed.set(bytes);
  return new Int32Array(packed.buffer);
}

function unpackText(packed: Int32Array): string[] {
  const bytes = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return new TextDecoder().decode(bytes.slice(0, end)).split('\n');
}

/**
 * Reads an n-gram model of words or of tokens, for `wordSteering` and `tokenSteering`.
 *
 * ```ts
 * const model = ngram(await readFile('words.arpa.gz'));
 * await writeFile('words.safetensors', await saveSafetensors(model.save()));
 * const again = ngram(loadSafetensors(await readFile('words.safetensors')).tensors);
 * ```
 * @param source a model in the ARPA format as text or bytes, gzipped or not; or the tensors that `save` gave.
 * @throws {FormatError} naming the line of a text, or what is wrong with tensors.
 */
export function ngram(
  source: string | Uint8Array | Readonly<Record<string, Tensor>>,
  options: NgramOptions = {},
): Ngram {
  const op = 'ngram';
  checkOptions(op, options, ['bos', 'eos', 'unk']);
  for (const [name, word] of Object.entries(options))
    if (word !== undefined && typeof word !== 'string')
      throw new ValueError(op, `${name} is ${describe(word)}; it must be a word`);
  if (isPlainObject(source)) return restore(op, source, options);
  if (typeof source !== 'string' && !(source instanceof Uint8Array))
    throw new ValueError(
      op,
      `the source is ${describe(source)}; it must be the text or the bytes of an ARPA file, or the tensors of a saved model`,
    );
  const words: string[] = [];
  const ids = new Map<string, number>();
  const builder = new NgramBuilder();
  const order = readArpa(op, typeof source === 'string' ? source : inflate(op, source), {
    wordId: (word) => {
      let id = ids.get(word);
      if (id === undefined) {
        id = words.length;
        ids.set(word, id);
        words.push(word);
      }
      return id;
    },
    gram: (gram) => {
      if (!builder.add(gram))
        throw new FormatError(
          op,
          `line ${gram.line}: '${gram.words.map((id) => words[id]).join(' ')}' has been there before`,
        );
    },
  });
  const { bos = '<s>', eos = '</s>', unk = ids.has('<unk>') || !ids.has('<UNK>') ? '<unk>' : '<UNK>' } = options;
  return new Ngram(builder.build(order), words, { bos, eos, unk });
}

/** What was gzipped, or the bytes themselves. */
function inflate(op: string, bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const { gunzip } = inflater();
  try {
    return gunzip(bytes);
  } catch (error) {
    throw new FormatError(op, `the bytes begin as gzip does, and cannot be inflated: ${(error as Error).message}`);
  }
}

function restore(op: string, saved: Readonly<Record<string, unknown>>, options: NgramOptions): Ngram {
  const parts = PARTS.map((name) => {
    const part = saved[name];
    const dtype = name === 'logProb' || name === 'backoff' ? 'float64' : 'int32';
    if (!(part instanceof Tensor) || part.rank !== 1 || part.dtype !== dtype)
      throw new FormatError(op, `a saved model has ${name}, a list of ${dtype}; this one has ${describe(part)}`);
    return part.dataSync();
  });
  const [sizes, vocabulary, specials, begin, word, logProb, next, backoff, suffix] = parts as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Float64Array,
    Int32Array,
    Float64Array,
    Int32Array,
  ];
  if (sizes[0] !== FORMAT)
    throw new FormatError(op, `the model was saved in version ${sizes[0]} of its format; this is ${FORMAT}`);
  const words = unpackText(vocabulary);
  const [bos, eos, unk] = unpackText(specials);
  const [states, arcs] = [backoff.length, word.length];
  const within = (list: Int32Array, least: number, most: number): boolean =>
    list.every((value) => value >= least && value < most);
  const isSound =
    words.length === sizes[2] &&
    begin.length === states + 1 &&
    suffix.length === states &&
    logProb.length === arcs &&
    next.length === arcs &&
    begin[0] === 0 &&
    begin[states] === arcs &&
    begin.every((at, i) => i === 0 || at >= begin[i - 1]!) &&
    within(word, 0, words.length) &&
    within(next, 0, states) &&
    // Shorter contexts all the way down: where they went in a circle, nothing would end.
    suffix.every((shorter, state) => (state === 0 ? shorter === -1 : shorter >= 0 && shorter < states)) &&
    endsAlways(suffix);
  if (!isSound || unk === undefined) throw new FormatError(op, 'the parts of the saved model do not fit one another');
  const tables = { order: sizes[1]!, begin, word, logProb, next, backoff, suffix };
  return new Ngram(tables, words, { bos: options.bos ?? bos!, eos: options.eos ?? eos!, unk: options.unk ?? unk });
}

/** Whether every state's shorter contexts lead to state 0. */
function endsAlways(suffix: Int32Array): boolean {
  const isSure = new Uint8Array(suffix.length);
  isSure[0] = 1;
  for (let state = 1; state < suffix.length; state++) {
    let steps = 0;
    let at = state;
    for (; !isSure[at]; at = suffix[at]!) if (++steps > suffix.length) return false;
    for (at = state; !isSure[at]; at = suffix[at]!) isSure[at] = 1;
  }
  return true;
}
