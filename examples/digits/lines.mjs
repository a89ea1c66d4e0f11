import { tensor } from 'tapegrad';
import { SIDE } from './images.mjs';

/** Height of a line in pixels. */
export const HEIGHT = SIDE;

const DIGITS = { least: 3, most: 7 };
const GAP = { least: -2, most: 8 }; // negative: the digits overlap
const LEAST_ADVANCE = 8;
const MARGIN = { least: 2, most: 8 };
const VERTICAL_JITTER = { least: -2, most: 2 };
/** How far training distorts digits. */
const SLANT = { least: -0.1, most: 0.1 }; // columns a row
const WIDE = { least: 0.95, most: 1.05 };
const TALL = { least: 0.975, most: 1.025 };

/**
 * A line of 3 to 7 handwritten digits.
 *
 * @typedef {{ pixels: Float32Array, width: number, labels: number[] }} Line HEIGHT rows of `width` values in [0, 1].
 * @param {import('tapegrad').Random} random
 * @param {import('./images.mjs').Digit[][]} digits images of each class.
 * @param {{ distorted: boolean }} options whether digits are slanted and stretched at random: training sees more hands than there are.
 * @returns {Line}
 */
export const drawLine = (random, digits, options) => renderLine(planLine(random, digits, options));

/**
 * All that is random about a line. Ranks that share a batch out plan all of it, so that their sources stay in step, and render their own lines, which is
 * what takes time.
 */
export function planLine(random, digits, { distorted }) {
  const glyphs = Array.from({ length: between(random, DIGITS) }, () => {
    const label = random.integer(0, digits.length);
    const images = digits[label];
    const image = images[random.integer(0, images.length)];
    return {
      label,
      image,
      distortion: distorted ? distortion(random) : null,
      drop: between(random, VERTICAL_JITTER),
    };
  });
  const start = between(random, MARGIN);
  const gaps = glyphs.map(() => between(random, GAP));
  return { glyphs, start, gaps, end: between(random, MARGIN) };
}

/** @returns {Line} the line of a plan. */
export function renderLine(plan) {
  const glyphs = plan.glyphs.map(({ label, image, distortion, drop }) => ({
    label,
    ...(distortion ? distort(image, distortion) : image),
    drop,
  }));
  let pen = plan.start;
  let inkEnd = pen;
  glyphs.forEach((glyph, i) => {
    glyph.x = pen;
    const inkWidth = glyph.right - glyph.left;
    inkEnd = Math.max(inkEnd, pen + inkWidth);
    pen += Math.max(LEAST_ADVANCE, inkWidth + plan.gaps[i]);
  });
  const width = inkEnd + plan.end;
  const pixels = new Float32Array(HEIGHT * width);
  for (const glyph of glyphs) stamp(pixels, width, glyph);
  return { pixels, width, labels: glyphs.map((glyph) => glyph.label) };
}

function between(random, { least, most }) {
  return random.integer(least, most + 1);
}

function distortion(random) {
  const within = ({ least, most }) => least + (most - least) * random.next();
  return { slant: within(SLANT), wide: within(WIDE), tall: within(TALL) };
}

/** Copies a glyph's ink into the line; where digits overlap, the darker pixel stays. */
function stamp(line, width, { pixels, columns = SIDE, left, right, x, drop }) {
  for (let y = Math.max(0, drop); y < Math.min(HEIGHT, SIDE + drop); y++) {
    for (let column = left; column < right; column++) {
      const at = y * width + x + column - left;
      line[at] = Math.max(line[at], pixels[(y - drop) * columns + column]);
    }
  }
}

/**
 * Slants and stretches an image about its middle, interpolating between pixels.
 *
 * @param {{ slant: number, wide: number, tall: number }} how `slant` in columns a row, `wide` and `tall` as factors.
 */
function distort({ pixels, left, right }, { slant, wide, tall }) {
  const middle = (SIDE - 1) / 2;
  const columns = Math.ceil(SIDE * (wide + Math.abs(slant))) + 2;
  const middleColumn = (columns - 1) / 2;
  const ink = (x, y) => (x >= left && x < right && y >= 0 && y < SIDE ? pixels[y * SIDE + x] : 0);
  const result = new Float32Array(SIDE * columns);
  let inkLeft = columns;
  let inkRight = 0;
  for (let y = 0; y < SIDE; y++) {
    const fromY = (y - middle) / tall + middle;
    const top = Math.floor(fromY);
    const below = fromY - top;
    for (let x = 0; x < columns; x++) {
      const fromX = (x - middleColumn - slant * (y - middle)) / wide + middle;
      const leftmost = Math.floor(fromX);
      const beside = fromX - leftmost;
      const value =
        (1 - below) * ((1 - beside) * ink(leftmost, top) + beside * ink(leftmost + 1, top)) +
        below * ((1 - beside) * ink(leftmost, top + 1) + beside * ink(leftmost + 1, top + 1));
      if (value === 0) continue;
      result[y * columns + x] = value;
      inkLeft = Math.min(inkLeft, x);
      inkRight = Math.max(inkRight, x + 1);
    }
  }
  return { pixels: result, columns, left: inkLeft, right: inkRight };
}

/** The normalised value of paper without ink: what fills up the shorter lines of a batch. */
export const BACKGROUND = normalise(0);

/**
 * A line as the network takes it: [width, HEIGHT], columns first, so that after the convolutions a frame's features lie next to each
 * other, and normalised.
 *
 * @param {Line} line
 * @returns {import('tapegrad').Tensor}
 */
export function columnsOf({ pixels, width }) {
  const columns = new Float32Array(pixels.length);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < HEIGHT; y++) columns[x * HEIGHT + y] = normalise(pixels[y * width + x]);
  }
  return tensor(columns, { shape: [width, HEIGHT] });
}

/** To about mean 0 and deviation 1 over the lines. */
function normalise(value) {
  return (value - 0.15) / 0.3;
}
