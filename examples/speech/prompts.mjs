import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/**
 * Debian's recordings for the Asterisk telephone system: one voice, 8 kHz, read where the packages put them. Nothing of them is part of tapegrad.
 */
export const ATTRIBUTION =
  'Recordings: Asterisk core sounds in English, spoken by Allison Smith, financed by Digium, Inc.; CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/';

/** Where Debian's packages put sounds and transcript; the name of the folder of sounds has changed with the releases. */
const SOUNDS = ['/usr/share/asterisk/sounds/en_US_f_Allison', '/usr/share/asterisk/sounds/en'];
const TRANSCRIPTS = [
  '/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz',
  '/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt',
];

const DIGITS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const SIGNS = { '*': 'star', '#': 'pound', '&': 'and', '@': 'at' };

/** Every tenth of the distinct texts, in the order of a hash, is held out: the same for every seed, so that runs can be compared. */
const HELD_OUT_SHARE = 0.1;

/** @typedef {{ name: string, text: string, file: string }} Prompt a recording and its text, in the letters a to z, apostrophes and spaces. */

/**
 * The recordings with a transcript, and what was left out.
 *
 * @param {string | null} folder with recordings and a transcript of its own, `core-sounds-en.txt`, gzipped or not; by default Debian's.
 * @returns {{ prompts: Prompt[], left: Record<string, number> }} `left`: how many lines were left out, by the reason.
 * @throws {MissingDataError} where they are not to be found; its message says how they are installed.
 */
export function loadPrompts(folder = null) {
  const inFolder = (name) => join(folder, name);
  const transcripts = folder === null ? TRANSCRIPTS : ['core-sounds-en.txt.gz', 'core-sounds-en.txt'].map(inFolder);
  const sounds = (folder === null ? SOUNDS : [folder]).find(
    (path) => existsSync(join(path, 'activated.wav')) || (folder !== null && existsSync(path)),
  );
  const transcript = transcripts.find(existsSync);
  if (sounds === undefined || transcript === undefined) throw new MissingDataError(folder, { sounds, transcript });
  const bytes = readFileSync(transcript);
  const prompts = [];
  const left = { 'without words': 0, 'with numbers of several digits': 0, 'without a recording': 0 };
  for (const { name, said } of linesOf((transcript.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'))) {
    const text = spell(said);
    const file = join(sounds, `${name}.wav`);
    if (/[[\]()]|\bbeep\b/.test(said) || text === '') left['without words']++;
    else if (/\d\d/.test(said))
      left['with numbers of several digits']++; // the transcript does not say how they are read
    else if (!existsSync(file)) left['without a recording']++;
    else prompts.push({ name, text, file });
  }
  return { prompts, left };
}

/** Lines `name: text`; what follows a semicolon at the beginning is a comment. */
function* linesOf(transcript) {
  for (const line of transcript.split(/\r?\n/)) {
    const match = /^([^;:\s][^:]*):\s*(.*)$/.exec(line);
    if (match) yield { name: match[1], said: match[2] };
  }
}

/** A transcript's text as it is spoken: small letters, apostrophes and single spaces. */
export function spell(said) {
  return said
    .normalize('NFKC')
    .replace(/[\u2018\u2019]/g, "'")
    .replace(/\d/g, (digit) => ` ${DIGITS[digit]} `)
    .replace(/[*#&@]/g, (sign) => ` ${SIGNS[sign]} `)
    .toLowerCase()
    .replace(/\b([a-z])\.(?=[a-z]\.)/g, '$1 ') // a.m. is two letters
    .replace(/[^a-z' ]+/g, ' ')
    .replace(/(?<![a-z])'|'(?![a-z])/g, '') // quotation marks
    .replace(/ +/g, ' ')
    .trim();
}

/**
 * Prompts to learn from, and others with texts that nobody learns from: the split is by texts, not by recordings.
 *
 * @param {readonly Prompt[]} prompts
 */
export function split(prompts) {
  const texts = [...new Set(prompts.map(({ text }) => text))].sort((a, b) => hash(a) - hash(b) || (a < b ? -1 : 1));
  const heldOut = new Set(texts.slice(0, Math.round(texts.length * HELD_OUT_SHARE)));
  return {
    training: prompts.filter(({ text }) => !heldOut.has(text)),
    heldOut: prompts.filter(({ text }) => heldOut.has(text)),
  };
}

/** FNV-1a, 32 bits, and a last mixing. */
function hash(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  return (value ^ (value >>> 15)) >>> 0;
}

/** The recordings or their transcript are not there. */
export class MissingDataError extends Error {
  constructor(folder, { sounds, transcript }) {
    const install = 'apt-get install --no-install-recommends asterisk-core-sounds-en asterisk-core-sounds-en-wav';
    const sought = folder ?? '/usr/share/asterisk/sounds';
    if (sounds === undefined)
      super(
        folder === null
          ? `Missing: the recordings, Debian's packages asterisk-core-sounds-en and asterisk-core-sounds-en-wav, in ${sought}. Run:\n\n  ${install}\n`
          : `--data: there is no folder ${folder}`,
      );
    else if (folder === null)
      super(
        `Missing: the transcript, ${TRANSCRIPTS[0]}. Small images leave out what packages document. Run:\n\n` +
          `  apt-get install --reinstall -o DPkg::Options::=--path-include='/usr/share/doc/asterisk-core-sounds-en/*' asterisk-core-sounds-en\n`,
      );
    else
      super(
        `--data: ${folder} has no transcript core-sounds-en.txt${transcript ?? ''}, lines 'name: text' for name.wav`,
      );
  }
}
