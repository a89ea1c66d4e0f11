import { errorRate, greedyDecode, random, scope, softmax } from 'tapegrad';
import { drawLine } from './lines.mjs';
import { BLANK, CLASSES, model } from './model.mjs';
import { toBatch } from './training.mjs';

/** The same for every run, so that runs can be compared. */
const HELD_OUT_SEED = 20_240_229;
const BATCH = 40;

/** Lines of digits that training never sees, narrow ones first, so that batches need little filling. */
export function heldOutLines(digits, count) {
  const source = random(HELD_OUT_SEED);
  return Array.from({ length: count }, () => drawLine(source, digits, { distorted: false })).sort(
    (a, b) => a.width - b.width,
  );
}

/**
 * Reads lines with the net.
 *
 * @param {object} params
 * @param {import('./lines.mjs').Line[]} lines
 * @returns {Promise<{ labels: number[], frames: number[] }[]>}
 */
export async function readLines(params, lines) {
  const readings = [];
  for (let start = 0; start < lines.length; start += BATCH) {
    const { images, frames } = toBatch(lines.slice(start, start + BATCH));
    readings.push(
      ...(await greedyDecode(
        scope(() => model.apply(params, images)),
        frames,
        { blank: BLANK },
      )),
    );
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

/** All that the alignment picture of one line shows. */
export async function explain(params, line) {
  const { images, frames } = toBatch([line]);
  const logits = model.apply(params, images);
  const [reading] = await greedyDecode(logits, frames, { blank: BLANK });
  return { line, probabilities: await softmax(logits).data(), classes: CLASSES, ...reading };
}
