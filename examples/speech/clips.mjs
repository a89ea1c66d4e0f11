import { readFileSync } from 'node:fs';
import { audio, FormatError } from 'tapegrad';
import { FEATURES, LETTERS, model, SAMPLE_RATE } from './model.mjs';

/**
 * A recording as the network takes it.
 *
 * @typedef {object} Clip
 * @property {string} name
 * @property {string} text
 * @property {number[]} labels
 * @property {import('tapegrad').Tensor} features [frames, BINS]
 * @property {number} frames of the features
 * @property {number} seconds
 */

/**
 * Reads recordings; one that cannot be read is named and left out.
 *
 * @param {readonly import('./prompts.mjs').Prompt[]} prompts
 * @param {(line: string) => void} say
 * @returns {Clip[]}
 */
export function loadClips(prompts, say) {
  return prompts.flatMap(({ name, text, file }) => {
    try {
      const { samples, sampleRate } = audio.readWav(readFileSync(file));
      const mono = audio.resample(samples.mean(0), sampleRate, SAMPLE_RATE);
      const features = audio.logMel(mono, SAMPLE_RATE, FEATURES);
      const [frames] = features.shape;
      return [{ name, text, labels: LETTERS.encode(text), features, frames, seconds: mono.size / SAMPLE_RATE }];
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      say(`Left out: ${file}: ${error.message}`);
      return [];
    }
  });
}

/** Whether the network has a frame for each letter, and one between two that are alike. */
export function fits({ labels, frames }) {
  const alike = labels.filter((label, i) => label === labels[i - 1]).length;
  return model.outputLength(frames) >= labels.length + alike;
}

/**
 * A clip as if it had been spoken a little slower or faster, with parts of it hidden.
 *
 * @param {Clip} clip
 * @param {import('tapegrad').Random} random
 * @returns {Clip}
 */
export function augmented(clip, random) {
  const stretched = audio.timeStretch(clip.features, 0.88 + 0.24 * random.next());
  const [frames] = stretched.shape;
  const masks = { frequencyWidth: 7, timeMasks: Math.ceil(frames / 150), timeWidth: 10, timeShare: 0.25 };
  return { ...clip, features: audio.specAugment(stretched, random, masks), frames };
}
