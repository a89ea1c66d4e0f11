import { ValueError } from '../errors.js';
import { checkOptions, checkWhole, describe, isPlainObject } from '../tensor/arguments.js';

/** How texts are brought to one form before they are taken apart: a normalisation form of Unicode, or none at all. */
export type NormalizationForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD' | 'none';

export interface AlphabetOptions {
  /** The class of CTC's blank, of which no symbol is: 0 by default, as `ctcLoss` has it. */
  readonly blank?: number;
  /**
   * The form that symbols and texts are brought to: 'NFC' by default, so that a letter with an accent is the same symbol whether it is written as one
   * character or as two. 'NFKC' also takes ligatures apart and makes full-width letters ordinary ones; 'none' takes texts as they are.
   */
  readonly normalization?: NormalizationForm;
}

export interface EncodeOptions {
  /** A symbol that stands for all those that the alphabet lacks; '' leaves them out. Without it they are an error. */
  readonly replace?: string;
}

/** An alphabet as JSON has it. */
export interface SavedAlphabet {
  readonly symbols: readonly string[];
  readonly blank: number;
  readonly normalization: NormalizationForm;
}

const FORMS: readonly NormalizationForm[] = ['NFC', 'NFD', 'NFKC', 'NFKD', 'none'];
/** How many unknown symbols, and how many code points of one, a message shows. */
const SHOWN = 4;

/** Branches of the symbols' spellings, grapheme by grapheme. */
interface Branch {
  label: number | null;
  readonly next: Map<string, Branch>;
}

let segmenter: Intl.Segmenter | undefined;
/** Code units that are segmented at a time: V8 goes through all of a text for each part of it. */
const STRETCH = 256;

/** A text in grapheme clusters. What begins one looks at nothing before it, so that a text can be taken apart from any of them on. */
function graphemesOf(text: string): string[] {
  segmenter ??= new Intl.Segmenter('und', { granularity: 'grapheme' });
  const found: string[] = [];
  let length = STRETCH;
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + length, text.length);
    if (text.codePointAt(end - 1)! > 0xffff) end++;
    const parts = Array.from(segmenter.segment(text.slice(start, end)), ({ segment }) => segment);
    if (end < text.length) {
      // The last one may go on.
      if (parts.length === 1) {
        length *= 2;
        continue;
      }
      end -= parts.pop()!.length;
    }
    for (const part of parts) found.push(part);
    start = end;
    length = STRETCH;
  }
  return found;
}

/** The symbols that a recogniser reads, and their classes. `alphabet` makes it. */
export class Alphabet {
  /** How many classes a network needs: one for each symbol, and the blank's. */
  readonly size: number;
  /** The text of each class, the blank's being '': what steerings of `beamDecode` take. */
  readonly tokens: readonly string[];
  private readonly root: Branch = { label: null, next: new Map() };

  /** @internal */
  constructor(
    /** The symbols, in the order of their classes. */
    readonly symbols: readonly string[],
    /** The class of CTC's blank. */
    readonly blank: number,
    /** The form that texts are brought to. */
    readonly normalization: NormalizationForm,
  ) {
    this.size = symbols.length + 1;
    this.tokens = [...symbols.slice(0, blank), '', ...symbols.slice(blank)];
    this.tokens.forEach((token, label) => {
      if (label === blank) return;
      let branch = this.root;
      for (const segment of graphemesOf(token)) {
        const next: Branch = branch.next.get(segment) ?? { label: null, next: new Map() };
        branch.next.set(segment, next);
        branch = next;
      }
      branch.label = label;
    });
  }

  /** Whether a symbol is in the alphabet. */
  has(symbol: string): boolean {
    return symbol !== '' && this.tokens.includes(normalized(symbol, this.normalization));
  }

  /**
   * A text as labels, the longest symbols first. A symbol is never found in a part of what readers see as one character: an alphabet with an e has no é.
   *
   * ```ts
   * alphabet('abc').encode('cab'); // [3, 1, 2]
   * ```
   * @throws {ValueError} for what the alphabet lacks; the message names it. `{ replace }` says what to do instead.
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const op = 'Alphabet.encode';
    if (typeof text !== 'string') throw new ValueError(op, `the text is ${describe(text)}; it must be a string`);
    checkOptions(op, options, ['replace']);
    const substitute = this.substituteOf(op, options.replace);
    const parts = graphemesOf(normalized(text, this.normalization));
    const labels: number[] = [];
    const unknown = new Map<string, number>();
    for (let at = 0; at < parts.length;) {
      const found = this.longest(parts, at);
      if (found) labels.push(found.label);
      else if (substitute === undefined) unknown.set(parts[at]!, unknown.get(parts[at]!) ?? at);
      else if (substitute !== null) labels.push(substitute);
      at = found ? found.end : at + 1;
    }
    if (unknown.size > 0) throw new ValueError(op, unknownIn(text, unknown));
    return labels;
  }

  /**
   * Labels as a text. The blank's are nothing, so that targets which it fills up can be read, too.
   * @throws {ValueError} for a number that is no class.
   */
  decode(labels: Iterable<number>): string {
    const op = 'Alphabet.decode';
    const given: unknown = labels;
    if (typeof given !== 'object' || given === null || !(Symbol.iterator in given))
      throw new ValueError(op, `the labels are ${describe(given)}; they must be whole numbers, one for each symbol`);
    let text = '';
    let at = 0;
    for (const label of labels) {
      checkWhole(op, `label ${at++}`, label, 0, this.size - 1);
      text += this.tokens[label]!;
    }
    return text;
  }

  /** What `JSON.stringify` writes, for a checkpoint's metadata; `alphabet` reads it. */
  toJSON(): SavedAlphabet {
    return { symbols: this.symbols, blank: this.blank, normalization: this.normalization };
  }

  /** The label to put in unknown symbols' places; null for none, undefined where they are errors. */
  private substituteOf(op: string, replace: unknown): number | null | undefined {
    if (replace === undefined) return undefined;
    if (replace === '') return null;
    const label = typeof replace === 'string' ? this.tokens.indexOf(normalized(replace, this.normalization)) : -1;
    if (label < 0)
      throw new ValueError(op, `replace is ${describe(replace)}; it must be a symbol of the alphabet, or '' for none`);
    return label;
  }

  private longest(parts: readonly string[], start: number): { label: number; end: number } | null {
    let found = null;
    let branch: Branch | undefined = this.root;
    for (let at = start; at < parts.length; at++) {
      branch = branch.next.get(parts[at]!);
      if (!branch) break;
      if (branch.label !== null) found = { label: branch.label, end: at + 1 };
    }
    return found;
  }
}

/**
 * The symbols that a recogniser reads, each with its class: those of a text, in the order in which they appear, or those of a list, which may be longer
 * than a character (phonemes, word pieces). Characters are what readers see as one, Unicode's grapheme clusters: a letter with its accents, an emoji of
 * several code points. The blank gets a class of its own.
 *
 * ```ts
 * const letters = alphabet("abcdefghijklmnopqrstuvwxyz' ");
 * letters.size; // 29, with the blank: the classes of the network
 * letters.decode(letters.encode("it's")); // "it's"
 * alphabet(JSON.parse(JSON.stringify(letters))); // the same, out of a checkpoint
 * ```
 * For the characters of a whole corpus, write `alphabet(texts.join(''))`.
 * @param source a text, a list of symbols, an alphabet, or what its `toJSON` gave.
 * @throws {ValueError} for no symbols, and for one that is empty or comes twice in a list.
 */
export function alphabet(
  source: string | readonly string[] | Alphabet | SavedAlphabet,
  options: AlphabetOptions = {},
): Alphabet {
  const op = 'alphabet';
  checkOptions(op, options, ['blank', 'normalization'], (given) =>
    typeof given === 'number' ? `write { blank: ${given} }` : null,
  );
  const saved = source instanceof Alphabet ? source.toJSON() : isSaved(source) ? source : null;
  const { blank = saved?.blank ?? 0, normalization = saved?.normalization ?? 'NFC' } = options;
  if (!FORMS.includes(normalization))
    throw new ValueError(op, `normalization is ${describe(normalization)}; it must be one of ${FORMS.join(', ')}`);
  const given: unknown = saved ? saved.symbols : source;
  const symbols = typeof given === 'string' ? charactersOf(given, normalization) : listed(op, given, normalization);
  if (symbols.length === 0) throw new ValueError(op, 'there are no symbols');
  checkWhole(op, 'blank', blank, 0, symbols.length);
  return new Alphabet(symbols, blank, normalization);
}

const normalized = (text: string, form: NormalizationForm): string => (form === 'none' ? text : text.normalize(form));

const isSaved = (source: unknown): source is SavedAlphabet => isPlainObject(source) && 'symbols' in source;

const charactersOf = (text: string, form: NormalizationForm): string[] => [
  ...new Set(graphemesOf(normalized(text, form))),
];

function listed(op: string, list: unknown, form: NormalizationForm): string[] {
  if (!Array.isArray(list))
    throw new ValueError(op, `the symbols are ${describe(list)}; they must be a text or a list of strings`);
  const places = new Map<string, number>();
  Array.from(list, (symbol: unknown, i) => {
    if (typeof symbol !== 'string' || symbol === '')
      throw new ValueError(op, `symbol ${i} is ${describe(symbol)}; it must be a string, and not empty`);
    const own = normalized(symbol, form);
    const before = places.get(own);
    if (before !== undefined)
      throw new ValueError(op, `symbol ${i}, ${named(own)}, is there already, in place ${before}`);
    places.set(own, i);
  });
  return [...places.keys()];
}

/** A symbol for messages: what cannot be seen, or is not alone what it seems, by its code points. */
function named(symbol: string): string {
  const points = Array.from(
    symbol.slice(0, 40),
    (c) => `U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`,
  );
  return `${/^[\p{Z}\p{C}\p{M}]/u.test(symbol) ? '' : `'${symbol.slice(0, 12)}' `}(${points.slice(0, SHOWN).join(' ')}${points.length > SHOWN ? ' ...' : ''})`;
}

function unknownIn(text: string, unknown: ReadonlyMap<string, number>): string {
  const list = Array.from(unknown, ([symbol, at]) => `${named(symbol)} at character ${at}`);
  const more = list.length > SHOWN ? ` and ${list.length - SHOWN} more` : '';
  const are = list.length === 1 ? 'there is a symbol' : 'there are symbols';
  return `${are} in ${describe(text)} that the alphabet lacks: ${list.slice(0, SHOWN).join(', ')}${more}`;
}
