// node examples/recognise/sets/text-lines.mjs FOLDER [COUNT] [SEED]: lines of text in three fonts, drawn by chromium, as PNGs with a labels.tsv.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import { random } from 'tapegrad';
import { linesOf } from './words.mjs';

const FONTS = ['DejaVu Sans', 'DejaVu Serif', 'DejaVu Sans Mono'];
const [folder, count = '900', seed = '1'] = process.argv.slice(2);
if (folder === undefined) {
  console.error('Where to? node examples/recognise/sets/text-lines.mjs FOLDER [COUNT] [SEED]');
  process.exit(2);
}
const executablePath = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((place) => ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join(place, name)))
  .find((path) => existsSync(path));
if (executablePath === undefined) {
  console.error('There is no chromium here to draw with (Debian: apt-get install chromium fonts-dejavu-core)');
  process.exit(1);
}

const source = random(Number(seed));
const lines = linesOf({ count: Number(count), seed: Number(seed), least: 1, most: 2 }).map((text) => ({
  text,
  font: FONTS[source.integer(0, FONTS.length)],
  size: source.integer(18, 31),
  slant: 0.1 * (2 * source.next() - 1),
  turn: 0.012 * (2 * source.next() - 1),
  ink: source.integer(0, 90),
  paper: source.integer(200, 256),
}));

/** Runs in the page. */
function draw({ text, font, size, slant, turn, ink, paper }) {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  context.font = `${size}px "${font}"`;
  canvas.width = Math.ceil(context.measureText(text).width + 1.2 * size);
  canvas.height = Math.ceil(1.7 * size);
  context.fillStyle = `rgb(${paper} ${paper} ${paper})`;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = `${size}px "${font}"`;
  context.fillStyle = `rgb(${ink} ${ink} ${ink})`;
  context.setTransform(1, turn, -slant, 1, 0.5 * size + slant * size, 1.2 * size - (turn * canvas.width) / 2);
  context.fillText(text, 0, 0);
  return canvas.toDataURL('image/png').split(',')[1];
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage();
  await mkdir(folder, { recursive: true });
  const table = [];
  for (const [i, line] of lines.entries()) {
    const name = `${String(i).padStart(5, '0')}.png`;
    await writeFile(join(folder, name), Buffer.from(await page.evaluate(draw, line), 'base64'));
    table.push(`${name}\t${line.text}\n`);
  }
  await writeFile(join(folder, 'labels.tsv'), table.join(''));
  console.log(`${lines.length} lines in ${FONTS.join(', ')}: ${folder}`);
} finally {
  await browser.close();
}
