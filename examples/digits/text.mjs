import { HEIGHT } from './lines.mjs';

const DARK = 0.4;
/** Bits of the eight dots of a braille character, rows of two. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
];

/**
 * A line as text: every braille character shows 2 by 4 pixels, so that a line fits a terminal.
 *
 * @param {import('./lines.mjs').Line} line
 * @returns {string}
 */
export function lineAsText({ pixels, width }) {
  const rows = [];
  for (let y = 0; y < HEIGHT; y += 4) {
    let row = '';
    for (let x = 0; x < width; x += 2) {
      let dots = 0;
      DOTS.forEach((bits, dy) => {
        bits.forEach((bit, dx) => {
          if (x + dx < width && y + dy < HEIGHT && pixels[(y + dy) * width + x + dx] > DARK) dots |= bit;
        });
      });
      row += String.fromCodePoint(0x2800 + dots);
    }
    rows.push(row);
  }
  return rows.join('\n');
}
