import { alignmentPicture } from '../shared/charts.mjs';
import { HEIGHT } from './lines.mjs';
import { BLANK, CLASSES, STRIDE } from './model.mjs';

const ZOOM = 5;

/**
 * How a line was read, as an SVG: the line, below it the probability of each class in each frame, and the labels over their frames.
 *
 * @param {{ line: import('./lines.mjs').Line, probabilities: ArrayLike<number>, labels: number[], spans: readonly import('tapegrad').LabelSpan[] }} reading
 *   `probabilities`: frames by classes; `labels` and `spans`: what was read, and in which frames, by ctcAlign.
 * @returns {Promise<string>}
 */
export const linePicture = ({ line, probabilities, labels, spans }) =>
  alignmentPicture({
    title: `truth ${line.labels.join('')}, read ${labels.join('')}`,
    picture: { cells: pixelsOf(line), cell: [ZOOM, ZOOM], height: HEIGHT * ZOOM },
    probabilities,
    names: Array.from({ length: CLASSES }, (_, c) => (c === BLANK ? 'blank' : String(c))),
    blank: BLANK,
    cell: [STRIDE * ZOOM, 16],
    spans,
  });

const pixelsOf = ({ pixels, width }) =>
  Array.from(pixels, (ink, i) => ({ x: (i % width) * ZOOM, y: Math.floor(i / width) * ZOOM, ink })).filter(
    ({ ink }) => ink > 0.05,
  );
