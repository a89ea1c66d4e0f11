import { beamDecode, beamDecodeSync, ctcAlign, errorRate, greedyDecode, random, scope, softmax } from 'tapegrad';
import { drawLine } from './lines.mjs';
import { BLANK, CLASSES, model } from './model.mjs';
import { toBatch } from './training.mjs';

/** The same for every run, so that runs can be compared. */
const HELD_OUT_SEED = 20_240_229;
const BATCH = 40;
/** Prefixes that the beams follow. */
export const WIDTH = 16;

/** Lines of digits that training never sees, narrow ones first, so that batches need little filling. */
export function heldOutLines(digits, count) {
  const source = random(HELD_OUT_SEED);
  return Array.from({ length: count }, () => drawLine(source, digits, { distorted: false })).sort(
    (a, b) => a.width - b.width,
  );
}

/**
 * Reads lines with the net, greedily.
 *
 * @param {object} params
 * @param {import('./lines.mjs').Line[]} lines
 * @returns {Promise<{ labels: number[] }[]>}
 */
export const readLines = (params, lines) =>
  inBatches(params, lines, (logits, frames) => greedyDecode(logits, frames, { blank: BLANK }));

/** The same by beam search: the likeliest labels, not those of the likeliest path. */
export const readLinesByBeam = (params, lines) =>
  inBatches(params, lines, async (logits, frames) => {
    const results = await beamDecode(logits, frames, { blank: BLANK, from: 'logits', width: WIDTH });
    return results.map(({ hypotheses }) => hypotheses[0]);
  });

/** What is known of a line whose digits add up to `sum`, but for whole tens: its last digit, so to speak, checks the others. */
export const checkDigit = (sum) => ({
  start: 0,
  step: (state, digit) => [0, (state + digit) % 10],
  finish: (state) => (state === sum % 10 ? 0 : -Infinity),
  bound: () => 0,
});

/** The same with the sum of each line's digits known. Where no reading in the beam has that sum, the likeliest one stays. */
export const readLinesBySum = (params, lines) =>
  inBatches(params, lines, (logits, frames, some) =>
    some.map(({ labels }, n) => {
      const own = logits.slice([0, frames[n]], n);
      const options = { blank: BLANK, from: 'logits', width: WIDTH };
      const sum = labels.reduce((a, b) => a + b, 0);
      const [{ hypotheses }] = beamDecodeSync(own, { ...options, steering: checkDigit(sum) });
      return hypotheses[0] ?? beamDecodeSync(own, options)[0].hypotheses[0];
    }),
  );

async function inBatches(params, lines, read) {
  const readings = [];
  for (let start = 0; start < lines.length; start += BATCH) {
    const some = lines.slice(start, start + BATCH);
    const { images, frames } = toBatch(some);
    const logits = scope(() => model.apply(params, images));
    readings.push(...(await read(logits, frames, some)));
  }
  return readings;
}

/** Character error rate and its parts; `exactMatches` of `pairs` lines are read without any error. */
export function judge(lines, readings) {
  return errorRate(
    lines.map((line) => line.labels),
    readings.map((reading) => reading.labels),
  );
}

/** All that the alignment picture of one line shows: what the beam reads, and in which frames. */
export async function explain(params, line) {
  const { images, frames } = toBatch([line]);
  const [logits, posteriors] = scope(() => {
    const own = model.apply(params, images);
    return [own, softmax(own)];
  });
  const options = { blank: BLANK, from: 'logits', inputLengths: frames };
  const [{ hypotheses }] = await beamDecode(logits, { ...options, width: WIDTH });
  const { labels, logProb } = hypotheses[0];
  const [{ spans }] = await ctcAlign(logits, [labels], options);
  return { line, probabilities: await posteriors.data(), classes: CLASSES, labels, logProb, spans };
}
