import { alignmentPicture } from '../shared/charts.mjs';
import { BINS, LETTERS, model } from './model.mjs';

const FRAME = 8;
const ROW = 3;

/**
 * How a clip was heard, as an SVG: its features, below them the probability of each letter in each frame, and the letters of its text over their frames.
 *
 * @param {import('./clips.mjs').Clip} clip
 * @param {string} read
 * @param {ReturnType<typeof import('./evaluation.mjs').alignClip>} alignment
 * @returns {Promise<string>}
 */
export const clipPicture = (clip, read, { probabilities, spans }) =>
  alignmentPicture({
    title: `truth "${clip.text}", read "${read}"`,
    picture: { cells: cellsOf(clip), cell: [FRAME, ROW], height: BINS * ROW },
    probabilities,
    names: LETTERS.tokens.map((token, label) => (label === LETTERS.blank ? 'blank' : token === ' ' ? '\u2423' : token)),
    blank: LETTERS.blank,
    cell: [FRAME, 10],
    spans,
  });

/** One column for each frame of the network, high frequencies on top; what is below the mean stays white. */
function cellsOf({ features, frames }) {
  const values = features.dataSync();
  const columns = model.outputLength(frames);
  return Array.from({ length: columns * BINS }, (_, i) => {
    const [column, bin] = [Math.floor(i / BINS), i % BINS];
    const frame = Math.min(Math.floor((column * frames) / columns), frames - 1);
    const ink = Number(Math.min(1, values[frame * BINS + bin] / 2.5).toFixed(2));
    return { x: column * FRAME, y: (BINS - 1 - bin) * ROW, ink };
  }).filter(({ ink }) => ink > 0.05);
}
