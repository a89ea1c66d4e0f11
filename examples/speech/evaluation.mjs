import { beamDecode, ctcAlignSync, errorRate, greedyDecode, mergeSpans, scope, softmax, wordSteering } from 'tapegrad';
import { wordModel } from './language.mjs';
import { LETTERS, model, SPACE } from './model.mjs';
import { toBatch } from './training.mjs';

const BATCH = 8;
/** Prefixes that the beam follows. */
export const WIDTH = 64;
/** Words that the model of the language looks at together. */
export const ORDER = 3;
/** How much the model of the language counts beside the network, and what a word that it does not know costs: chosen by hand, once. */
const WEIGHT = 0.5;
const UNKNOWN = -2;
const BONUS = 1;

/**
 * What the network hears in clips: texts, by its best class of every frame.
 *
 * @param {object} params
 * @param {readonly import('./clips.mjs').Clip[]} clips
 * @returns {Promise<string[]>}
 */
export const readClips = (params, clips) =>
  inBatches(params, clips, async (logits, frames) => (await greedyDecode(logits, frames)).map(({ labels }) => labels));

/** The same by beam search, with a lexicon and a model of which words follow which, of `texts`; other words are possible, and cost something. */
export function readClipsByWords(params, clips, texts) {
  const language = wordModel(texts, ORDER);
  const steering = wordSteering(language.words, LETTERS.tokens, SPACE, {
    model: language.model,
    weight: WEIGHT,
    unknown: UNKNOWN,
    bonus: BONUS,
  });
  return inBatches(params, clips, async (logits, frames) => {
    const read = await beamDecode(logits, frames, { from: 'logits', width: WIDTH, steering });
    return read.map(({ hypotheses: [best] }) => best?.labels ?? []);
  });
}

async function inBatches(params, clips, read) {
  const texts = new Map();
  const order = [...clips].sort((a, b) => a.frames - b.frames); // so that little is spent on filling
  for (let start = 0; start < order.length; start += BATCH) {
    const some = order.slice(start, start + BATCH);
    const { features, frames } = toBatch(some);
    const labels = await read(
      scope(() => model.apply(params, features)),
      frames,
    );
    some.forEach((clip, i) => texts.set(clip, LETTERS.decode(labels[i])));
  }
  return clips.map((clip) => texts.get(clip));
}

/** Character and word error rates, with their parts. */
export function judge(clips, readings) {
  const truths = clips.map(({ text }) => text);
  return { characters: errorRate(truths, readings), words: errorRate(truths, readings, { unit: 'word' }) };
}

/** When each word of a clip's text is said, in frames, and all that a picture of it shows. */
export function alignClip(params, clip) {
  const { features, frames, targets } = toBatch([clip]);
  const logits = scope(() => model.apply(params, features));
  const [alignment] = ctcAlignSync(logits, targets, { from: 'logits', inputLengths: frames, occupancy: true });
  return {
    words: mergeSpans(alignment, SPACE, { boundaries: 'middle' }),
    spans: alignment.spans,
    probabilities: softmax(logits).dataSync(),
  };
}
