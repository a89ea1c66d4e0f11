import { audio, random, zeros } from 'tapegrad';
import type { Place } from './arguments.junk.js';
import type { Row } from './arguments.rows.js';

/** The rows of the namespace `audio`. */
const file = Uint8Array.from(
  Buffer.from('524946462600000057415645666d74201000000001000100401f0000803e0000020010006461746102000000ff7f', 'hex'),
);
const samples: Place = [zeros([300]), 'tensor'];
const features: Place = [zeros([5, 3]), 'tensor'];
const options: Place = [{}, 'options'];

export const AUDIO_ROWS: Readonly<Record<string, Row>> = Object.fromEntries(
  Object.entries({
    readWav: [[file, 'order'], options],
    resample: [samples, [3, 'size'], [2, 'size'], options],
    logMel: [samples, [8000, 'size', 'huge'], options],
    specAugment: [features, [random(1), 'random'], options],
    timeStretch: [features, [1.5, 'size', 'fraction', 'huge']],
  } satisfies Record<keyof typeof audio, readonly Place[]>).map(([name, places]) => [
    `audio.${name}`,
    { call: (audio as unknown as Record<string, Row['call']>)[name]!, places },
  ]),
);
