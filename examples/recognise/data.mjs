import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { UsageError } from '../shared/options.mjs';

/**
 * Files and their texts, in a folder of a user's own. Whatever cannot be used is named with the reason; nothing is left out silently.
 *
 * @typedef {{ file: string, text: string }} Labelled
 * @typedef {{ file: string, reason: string }} Skipped
 */

export const KINDS = { '.png': 'image', '.wav': 'audio' };
const LABELS = 'labels.tsv';

/** Texts as they are learned: one form of each letter, and one space where there are several. */
export const tidy = (text) => text.normalize('NFC').replace(/\s+/gu, ' ').trim();

/** @returns {'image' | 'audio' | undefined} */
export const kindOf = (file) => KINDS[extname(file).toLowerCase()];

/**
 * @param {string} folder
 * @returns {Promise<{ kind: 'image' | 'audio', items: Labelled[], skipped: Skipped[] }>}
 */
export async function listFolder(folder) {
  const names = await readdir(folder).catch((error) => {
    throw new UsageError(`there is no folder ${folder} to read (${error.code})`);
  });
  names.sort();
  const { items, skipped } = names.includes(LABELS)
    ? labelled(folder, names, await readFile(join(folder, LABELS), 'utf8'))
    : await besides(folder, names);
  if (items.length === 0 && skipped.length === 0)
    throw new UsageError(`${folder} has no PNG or WAV with a text: ${LABELS}, or x.txt beside x.png or x.wav`);
  const counts = { image: 0, audio: 0 };
  for (const { file } of items) counts[kindOf(file)]++;
  const kind = counts.audio > counts.image ? 'audio' : 'image';
  const others = items.filter(({ file }) => kindOf(file) !== kind);
  skipped.push(
    ...others.map(({ file }) => ({
      file,
      reason: `is ${kind === 'image' ? 'sound among images' : 'an image among sounds'}`,
    })),
  );
  return { kind, items: items.filter(({ file }) => kindOf(file) === kind), skipped };
}

function labelled(folder, names, table) {
  const items = [];
  const skipped = [];
  const seen = new Set();
  table.split(/\r\n|\r|\n/).forEach((line, i) => {
    if (line.trim() === '') return;
    const tab = line.indexOf('\t');
    const name = (tab < 0 ? line : line.slice(0, tab)).replace(/^\uFEFF/, '').trim();
    const text = tab < 0 ? '' : tidy(line.slice(tab + 1));
    if (i === 0 && !names.includes(name) && kindOf(name) === undefined) return; // a line of headings
    const file = join(folder, name);
    const reason = seen.has(name)
      ? `is in ${LABELS} twice`
      : !names.includes(name) && basename(name) === name
        ? `is in ${LABELS} (line ${i + 1}) and not in the folder`
        : kindOf(name) === undefined
          ? 'is no PNG or WAV'
          : text === ''
            ? `has no text in ${LABELS} (line ${i + 1})`
            : null;
    seen.add(name);
    if (reason) skipped.push({ file, reason });
    else items.push({ file, text });
  });
  for (const name of names)
    if (kindOf(name) && !seen.has(name)) skipped.push({ file: join(folder, name), reason: `is not in ${LABELS}` });
  return { items, skipped };
}

async function besides(folder, names) {
  const items = [];
  const skipped = [];
  for (const name of names.filter((one) => kindOf(one) !== undefined)) {
    const file = join(folder, name);
    const stem = name.slice(0, -extname(name).length);
    const label = [`${stem}.txt`, `${stem}.gt.txt`].find((one) => names.includes(one));
    const text = label === undefined ? null : tidy(await readFile(join(folder, label), 'utf8').catch(() => ''));
    if (text === null) skipped.push({ file, reason: `has no ${stem}.txt beside it` });
    else if (text === '') skipped.push({ file, reason: `has an empty ${label}` });
    else items.push({ file, text });
  }
  return { items, skipped };
}

/** Reads a file that may not be there, or be a folder. @throws {Error} with the reason in words */
export async function bytesOf(file) {
  const facts = await stat(file).catch(() => null);
  if (!facts) throw new Error('is not there');
  if (!facts.isFile()) throw new Error('is no file');
  return readFile(file);
}

/** Says what was left out, each file with the reason. */
export function report(skipped, total, say) {
  for (const { file, reason } of skipped) say(`  skipped ${file}: ${reason}`);
  if (skipped.length > 0) say(`${skipped.length} of ${total} files are left out.`);
}
