import { image, random, zeros } from 'tapegrad';
import type { Row } from './arguments.rows.js';
import type { Place } from './arguments.junk.js';

/** The rows of the namespace `image`. */
const picture = { data: new Uint8Array(6), width: 3, height: 2 };
const x: Place = [zeros([2, 3, 1]), 'tensor'];
const options: Place = [{}, 'options'];
const rng: Place = [random(1), 'random'];

export const IMAGE_ROWS: Readonly<Record<string, Row>> = Object.fromEntries(
  Object.entries({
    fromPixels: [[picture, 'order'], options],
    resize: [x, [[2, 2], 'order'], options],
    toHeight: [x, [4, 'size'], options],
    shear: [x, [0.5, 'number'], options],
    noise: [x, rng, options],
    augment: [x, rng, options],
  } satisfies Record<keyof typeof image, readonly Place[]>).map(([name, places]) => [
    `image.${name}`,
    { call: (image as unknown as Record<string, Row['call']>)[name]!, places },
  ]),
);
