import { SIDE } from './digits.mjs';

/** Height of a line in pixels. */
export const HEIGHT = SIDE;

const BACKGROUND = 0;
const DIGITS = { least: 3, most: 7 };
const GAP = { least: -2, most: 8 }; // negative: the digits overlap
const LEAST_ADVANCE = 8;
const MARGIN = { least: 2, most: 8 };
const VERTICAL_JITTER = { least: -2, most: 2 };
const MOST_SLANT = 0.3; // columns a row

/**
 * A line of 3 to 7 handwritten digits.
 *
 * @typedef {{ pixels: Float32Array, width: number, labels: number[] }} Line HEIGHT rows of `width` values in [0, 1].
 * @param {import('tapegrad').Random} random
 * @param {import('./digits.mjs').Digit[][]} digits images of each class.
 * @param {{ slant: boolean }} options whether digits are sheared at random, which training does to see more hands than there are.
 * @returns {Line}
 */
export function drawLine(random, digits, { slant }) {
  const glyphs = Array.from({ length: between(random, DIGITS) }, () => {
    const label = random.integer(0, digits.length);
    const images = digits[label];
    const image = images[random.integer(0, images.length)];
    return { label, ...(slant ? shear(image, (2 * random.next() - 1) * MOST_SLANT) : image), drop: between(random, VERTICAL_JITTER) };
  });

  let pen = between(random, MARGIN);
  let inkEnd = pen;
  for (const glyph of glyphs) {
    glyph.x = pen;
    const inkWidth = glyph.right - glyph.left;
    inkEnd = Math.max(inkEnd, pen + inkWidth);
    pen += Math.max(LEAST_ADVANCE, inkWidth + between(random, GAP));
  }
  const width = inkEnd + between(random, MARGIN);
  const pixels = new Float32Array(HEIGHT * width);
  for (const glyph of glyphs) stamp(pixels, width, glyph);
  return { pixels, width, labels: glyphs.map((glyph) => glyph.label) };
}

function between(random, { least, most }) {
  return random.integer(least, most + 1);
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

/** Moves each row sideways by `slant` columns for each row away from the middle, interpolating between pixels. */
function shear({ pixels, left, right }, slant) {
  const reach = Math.ceil(Math.abs(slant) * (SIDE / 2)) + 1;
  const columns = SIDE + 2 * reach;
  const sheared = new Float32Array(SIDE * columns);
  let inkLeft = columns;
  let inkRight = 0;
  for (let y = 0; y < SIDE; y++) {
    const shift = slant * (y - (SIDE - 1) / 2) + reach;
    const whole = Math.floor(shift);
    const part = shift - whole;
    for (let x = left; x < right; x++) {
      const ink = pixels[y * SIDE + x];
      if (ink === 0) continue;
      sheared[y * columns + x + whole] += ink * (1 - part);
      sheared[y * columns + x + whole + 1] += ink * part;
      inkLeft = Math.min(inkLeft, x + whole);
      inkRight = Math.max(inkRight, x + whole + 2);
    }
  }
  return inkLeft < inkRight ? { pixels: sheared, columns, left: inkLeft, right: inkRight } : { pixels, columns: SIDE, left, right };
}

/**
 * Lines side by side in one array, ready for the network: [lines, width, HEIGHT], columns first, so that after the convolutions a
 * frame's features lie next to each other. Widths are filled up with background to the widest line, and to a multiple of `stride`.
 *
 * @param {Line[]} lines
 * @returns {{ pixels: Float32Array, width: number, frames: number[], targets: number[][] }} `frames`: of `stride` columns each.
 */
export function batchLines(lines, stride) {
  const frames = lines.map((line) => Math.ceil(line.width / stride));
  const width = Math.max(...frames) * stride;
  const pixels = new Float32Array(lines.length * width * HEIGHT).fill(normalise(BACKGROUND));
  lines.forEach((line, n) => {
    for (let x = 0; x < line.width; x++) {
      for (let y = 0; y < HEIGHT; y++) pixels[(n * width + x) * HEIGHT + y] = normalise(line.pixels[y * line.width + x]);
    }
  });
  return { pixels, width, frames, targets: lines.map((line) => line.labels) };
}

/** To about mean 0 and deviation 1 over the lines. */
function normalise(value) {
  return (value - 0.15) / 0.3;
}
