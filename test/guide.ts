import { PNG } from 'pngjs';
import { type Random, random } from 'tapegrad';

/** The files that docs/guide.md is about: a script of three letters, and a language of three tones. */

const TEXTS = ['cabba', ...textsOf(random(1), 23)];

/** Words of the language. */
export function textsOf(source: Random, count: number): string[] {
  return Array.from({ length: count }, () =>
    Array.from({ length: source.integer(3, 7) }, () => 'abc'[source.integer(0, 3)]).join(''),
  );
}

const tableOf = (extension: string): string => TEXTS.map((text, i) => `${i}.${extension}\t${text}\n`).join('');

/** A stroke down, two across, and a ring; black on white; and nothing. */
const INK: Readonly<Record<string, (x: number, y: number) => boolean>> = {
  a: (x) => x >= 6 && x < 10,
  b: (_x, y) => (y >= 8 && y < 12) || (y >= 28 && y < 32),
  c: (x, y) => Math.abs(Math.hypot(x - 8, y - 20) - 6) < 2,
  ' ': () => false,
};
const [WIDTH, HEIGHT] = [22, 40];

/** A line as a PNG. */
export function drawn(text: string): Buffer {
  const png = new PNG({ width: WIDTH * text.length, height: HEIGHT });
  for (let y = 0; y < HEIGHT; y++)
    for (let x = 0; x < png.width; x++) {
      const isInk = x % WIDTH < 16 && INK[text[Math.floor(x / WIDTH)]!]!(x % WIDTH, y);
      png.data.fill(isInk ? 20 : 235, 4 * (y * png.width + x), 4 * (y * png.width + x) + 3);
      png.data[4 * (y * png.width + x) + 3] = 255;
    }
  return PNG.sync.write(png);
}

const RATE = 8000;
const PITCH: Readonly<Record<string, number>> = { a: 400, b: 1000, c: 2200 };

/** A WAV: a tone of 0.12 seconds for each letter, and silence between them, as 16-bit PCM. */
export function spoken(text: string): Buffer {
  const [tone, pause] = [0.12 * RATE, 0.05 * RATE];
  const samples = Int16Array.from({ length: text.length * (tone + pause) }, (_, i) => {
    const at = i % (tone + pause);
    const pitch = PITCH[text[Math.floor(i / (tone + pause))]!]!;
    return at < tone ? 9000 * Math.sin((2 * Math.PI * pitch * at) / RATE) : 0;
  });
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(2 * RATE, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer)]);
}

const FILES = new Map<string, () => Buffer>([
  ['my-lines/labels.tsv', () => Buffer.from(tableOf('png'))],
  ['my-wavs/labels.tsv', () => Buffer.from(tableOf('wav'))],
  ...TEXTS.flatMap((text, i): [string, () => Buffer][] => [
    [`my-lines/${i}.png`, () => drawn(text)],
    [`my-wavs/${i}.wav`, () => spoken(text)],
  ]),
]);

/** Node's function of the name, for these files. */
export async function readFile(path: string, encoding?: BufferEncoding): Promise<Buffer | string> {
  await Promise.resolve();
  const bytes = FILES.get(path)!();
  return encoding ? bytes.toString(encoding) : bytes;
}
