/** Side of a digit image in pixels. */
export const SIDE = 28;

/** Share of every class, counted from the front of its file, that training may see. */
const TRAINING_SHARE = 0.85;

/**
 * Handwritten digits, split so that no image serves both training and testing. Nothing here asks where they come from: Node reads files, a page fetches.
 *
 * @typedef {{ pixels: Float32Array, left: number, right: number }} Digit 28 rows of 28 values in [0, 1]; ink lies in columns [left, right).
 * @param {ArrayLike<number>[]} classes for each of the ten classes its images, one after the other.
 * @returns {{ training: Digit[][], heldOut: Digit[][] }} for each class its images.
 */
export function splitDigits(classes) {
  const training = [];
  const heldOut = [];
  for (const values of classes) {
    const images = imagesOf(values);
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
