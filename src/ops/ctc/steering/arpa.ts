import { FormatError } from '../../../errors.js';

/** One n-gram of an ARPA file. */
export interface Gram {
  /** Words, as numbered by `words`. */
  readonly words: readonly number[];
  /** Natural logarithms. */
  readonly logProb: number;
  readonly backoff: number;
  readonly line: number;
}

/** What a reader of an ARPA file hands on, gram by gram, shorter ones first. */
export interface ArpaReader {
  wordId(word: string): number;
  gram(gram: Gram): void;
}

const LN10 = Math.LN10;
/** Bytes that are made text at a time: a model may be longer than the longest string. */
const PIECE = 1 << 20;

/**
 * Reads a language model in the ARPA format (D. Paul and J. Baker, 1992, as written by SRILM, KenLM and others): `\data\` with the counts, then a section
 * for each order, with lines `log10(p) word ... [log10(back-off)]`. Fields are separated by tabs or spaces; a back-off left out is 1. Lines before
 * `\data\` are comments.
 * @throws {FormatError} naming the line.
 */
export function readArpa(op: string, source: string | Uint8Array, reader: ArpaReader): number {
  let line = 0;
  let order = 0;
  let section: 'before' | 'data' | 'grams' | 'end' = 'before';
  const announced: number[] = [];
  let seen = 0;
  const fail = (problem: string): never => {
    throw new FormatError(op, `line ${line}: ${problem}`);
  };
  const closeSection = (): void => {
    if (section === 'grams' && seen !== announced[order - 1])
      fail(`the section of ${order}-grams ends after ${seen}, and \\data\\ says ${announced[order - 1]}`);
  };
  for (const raw of lines(source)) {
    line++;
    const text = raw.trim();
    if (text === '' || section === 'end') continue;
    if (text.startsWith('\\') && (section !== 'grams' || isHeading(text))) {
      const heading = /^\\(\d+)-grams:$/.exec(text);
      if (text === '\\data\\' && section === 'before') section = 'data';
      else if (heading && section !== 'before') {
        closeSection();
        if (Number(heading[1]) !== order + 1 || order + 1 > announced.length)
          fail(`${text} where ${order < announced.length ? `\\${order + 1}-grams:` : '\\end\\'} goes`);
        order++;
        seen = 0;
        section = 'grams';
      } else if (text === '\\end\\' && section !== 'before') {
        closeSection();
        if (order < announced.length || order === 0) fail(`\\end\\ before the section of ${order + 1}-grams`);
        section = 'end';
      } else if (section !== 'before') fail(`'${shorten(text)}' is no section of an ARPA file`);
    } else if (section === 'data') {
      const count = /^ngram\s+(\d+)\s*=\s*(\d+)$/.exec(text);
      if (!count || Number(count[1]) !== announced.length + 1)
        fail(`'${shorten(text)}' where 'ngram ${announced.length + 1}=count' goes`);
      announced.push(Number(count![2]));
    } else if (section === 'grams') {
      seen++;
      reader.gram(gramOf(text, order, line, reader, fail));
    }
  }
  if (section === 'before') fail('there is no \\data\\: this is no ARPA file');
  if (section !== 'end') fail('the file ends without \\end\\');
  return order;
}

/** Words may begin with a backslash; a heading is nothing but one. */
const isHeading = (text: string): boolean => text === '\\end\\' || text === '\\data\\' || /^\\\d+-grams:$/.test(text);

const shorten = (text: string): string => (text.length <= 40 ? text : `${text.slice(0, 40)}...`);

function gramOf(text: string, order: number, line: number, reader: ArpaReader, fail: (problem: string) => never): Gram {
  const fields = text.split(/[ \t]+/);
  if (fields.length !== order + 1 && fields.length !== order + 2)
    fail(`a ${order}-gram has ${fields.length} fields; there must be ${order + 1}, or ${order + 2} with a back-off`);
  return {
    words: fields.slice(1, order + 1).map((word) => reader.wordId(word)),
    logProb: logarithm(fields[0]!, 'a probability', fail),
    backoff: fields.length === order + 2 ? logarithm(fields[order + 1]!, 'a back-off', fail) : 0,
    line,
  };
}

/** -99 stands for minus infinity, which the format has no other way to write. */
const NEVER = -99;

function logarithm(field: string, what: string, fail: (problem: string) => never): number {
  const isDecimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(field);
  const value = /^-inf(inity)?$/i.test(field) ? -Infinity : isDecimal ? Number(field) : NaN;
  if (Number.isNaN(value) || value === Infinity) fail(`'${shorten(field)}' is no logarithm of ${what}`);
  return value <= NEVER ? -Infinity : value * LN10;
}

function* lines(source: string | Uint8Array): Generator<string> {
  if (typeof source === 'string') {
    yield* source.split('\n');
    return;
  }
  const decoder = new TextDecoder();
  let rest = '';
  for (let at = 0; at < source.length; at += PIECE) {
    const piece = (rest + decoder.decode(source.subarray(at, at + PIECE), { stream: true })).split('\n');
    rest = piece.pop()!;
    yield* piece;
  }
  yield rest + decoder.decode();
}
