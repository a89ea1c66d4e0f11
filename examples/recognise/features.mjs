import { PNG } from 'pngjs';
import { audio, image, scope } from 'tapegrad';

/**
 * Files as sequences [frames, features]: the columns of a line, HEIGHT pixels each, or the log-mel energies of a recording, 100 a second.
 *
 * @typedef {{ kind: 'image', height: number, invert: boolean, mean: number, deviation: number }} ImageSettings how images are brought to one form
 * @typedef {{ kind: 'audio', bins: number, sampleRate: number }} AudioSettings the same for recordings; each is normalised on its own
 * @typedef {ImageSettings | AudioSettings} Settings
 */

const HEIGHT = 32;
const BINS = 40;
/** Longer ones are no lines, but pages and meetings. */
const MOST_FRAMES = 6000;
const SPEECH_RATE = 16_000;

/** A decoded file: an image [HEIGHT, width, 1] with white at 1, or mono samples [n]. @throws {Error} for what is none */
export function decode(kind, bytes) {
  if (kind === 'image') {
    const { data, width, height } = readPng(bytes);
    const pixels = scope(() => image.toHeight(trimmed(image.fromPixels({ data, width, height })), HEIGHT));
    if (pixels.shape[1] > MOST_FRAMES) throw new Error(`is ${width} x ${height} pixels: no line of text`);
    return { pixels };
  }
  const { samples, sampleRate } = audio.readWav(bytes);
  const seconds = samples.shape[1] / sampleRate;
  if (seconds < 0.1) throw new Error(`is ${seconds.toFixed(2)} seconds long, too short`);
  if (100 * seconds > MOST_FRAMES)
    throw new Error(`is ${Math.round(seconds)} seconds long; cut it into pieces below a minute`);
  return { samples: samples.mean(0), sampleRate };
}

/** Rows that are no darker or lighter than this anywhere than their image is in the middle of its greys are paper. */
const PAPER = 0.25;

/** The rows of an image from the first one with ink to the last, so that the letters of all lines are about as high. */
function trimmed(pixels) {
  const paper = medianOf(pixels.dataSync());
  const inked = pixels
    .sub(paper)
    .abs()
    .max([1, 2])
    .dataSync()
    .map((most) => (most > PAPER ? 1 : 0));
  const [first, last] = [inked.indexOf(1), inked.lastIndexOf(1)];
  if (first < 0) throw new Error('is blank');
  return pixels.slice([Math.max(0, first - 1), Math.min(inked.length, last + 2)]);
}

const medianOf = (values) => Float32Array.from(values).sort()[Math.floor(values.length / 2)];

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** The decoder has words of its own for what is no PNG at all. */
function readPng(bytes) {
  if (!SIGNATURE.every((byte, i) => bytes[i] === byte)) throw new Error('is no PNG, whatever its name says');
  try {
    return PNG.sync.read(bytes);
  } catch (error) {
    throw new Error(`is a damaged PNG (${error.message})`, { cause: error });
  }
}

/** What the files of a training set have in common. @returns {Settings} */
export function settingsOf(kind, decoded) {
  if (kind === 'audio') {
    const rates = decoded.map(({ sampleRate }) => sampleRate).sort((a, b) => a - b);
    return { kind, bins: BINS, sampleRate: Math.min(SPEECH_RATE, rates[Math.floor(rates.length / 2)]) };
  }
  let [sum, squares, count] = [0, 0, 0];
  for (const { pixels } of decoded) {
    sum += pixels.sum().itemSync();
    squares += pixels.square().sum().itemSync();
    count += pixels.size;
  }
  const grey = sum / count;
  const invert = grey > 0.5; // dark on light; ink is what counts
  const deviation = Math.sqrt(Math.max(1e-4, squares / count - grey * grey));
  return { kind, height: HEIGHT, invert, mean: invert ? 1 - grey : grey, deviation };
}

/** A decoded file in the form of the settings: ink as 1 and paper as 0, or mel energies. @returns {import('tapegrad').Tensor} */
export function prepare(settings, { pixels, samples, sampleRate: own }) {
  if (settings.kind === 'image') return settings.invert ? pixels.neg().add(1) : pixels;
  const { bins, sampleRate } = settings;
  return scope(() => {
    const even = own === sampleRate ? samples : audio.resample(samples, own, sampleRate);
    return audio.logMel(even, sampleRate, { bins, preEmphasis: 0.97, normalize: 'bins' });
  });
}

/** What was prepared as the network takes it, [frames, features]; distorted where there is a source of randomness, as training wants it. */
export function featuresOf(settings, prepared, random = null) {
  return scope(() => {
    if (settings.kind === 'image') {
      const seen = random ? image.augment(prepared, random, { slant: 0.15, stretch: 0.1, noise: 0.05 }) : prepared;
      return seen.sub(settings.mean).div(settings.deviation).squeeze(2).transpose(0, 1);
    }
    if (!random) return prepared;
    const stretched = audio.timeStretch(prepared, 0.88 + 0.24 * random.next());
    return audio.specAugment(stretched, random, { frequencyWidth: 8, timeWidth: 10 });
  });
}

/** How many features a frame has. */
export const widthOf = (settings) => (settings.kind === 'image' ? settings.height : settings.bins);
