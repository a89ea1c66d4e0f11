import type { Page } from 'playwright-core';

/** Digits as people draw them: strokes of points in a box one high and about 0.6 wide. */

export interface Point {
  readonly x: number;
  readonly y: number;
}
export type Stroke = readonly Point[];

const path = (...points: [number, number][]): Point[] => points.map(([x, y]) => ({ x, y }));

/** Part of an ellipse, from one angle to another, in degrees; 0 is to the right and 90 below. */
function arc(x: number, y: number, wide: number, tall: number, from: number, to: number): Point[] {
  const steps = Math.ceil(Math.abs(to - from) / 18);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 180;
    return { x: x + wide * Math.cos(angle), y: y + tall * Math.sin(angle) };
  });
}

export const DIGITS: readonly (readonly Stroke[])[] = [
  [arc(0.3, 0.5, 0.3, 0.5, -90, 270)],
  [path([0.12, 0], [0.08, 1])],
  [[...arc(0.3, 0.27, 0.27, 0.27, -160, 35), ...path([0.02, 1], [0.62, 1])]],
  [[...arc(0.26, 0.25, 0.26, 0.25, -150, 90), ...arc(0.26, 0.75, 0.29, 0.25, -90, 150)]],
  [path([0.1, 0], [0.02, 0.55], [0.6, 0.55]), path([0.48, 0.1], [0.44, 1])],
  [[...path([0.55, 0], [0.08, 0.02], [0.05, 0.42]), ...arc(0.24, 0.7, 0.3, 0.3, -120, 140)]],
  [[...path([0.5, 0], [0.2, 0.25], [0.05, 0.6]), ...arc(0.29, 0.74, 0.25, 0.25, 180, -180)]],
  [path([0, 0.02], [0.55, 0.02], [0.2, 1])],
  [
    [
      ...arc(0.3, 0.25, 0.22, 0.25, -60, -270),
      ...arc(0.3, 0.75, 0.27, 0.25, -90, 270),
      ...arc(0.3, 0.25, 0.22, 0.25, 90, -60),
    ],
  ],
  [[...arc(0.3, 0.27, 0.25, 0.26, 0, -360), ...path([0.54, 0.3], [0.5, 0.7], [0.4, 1])]],
];

/** Draws digits with the mouse, side by side on the whole paper; each a little larger or smaller, higher or lower than the one before. */
export async function write(page: Page, digits: string): Promise<void> {
  await page.locator('h1').scrollIntoViewIfNeeded();
  const box = (await page.locator('#paper').boundingBox())!;
  const size = Math.min(box.height * 0.6, box.width / (digits.length * 0.85));
  let pen = box.x + box.width * 0.03;
  for (const [i, digit] of [...digits].entries()) {
    const tall = size * [1, 0.9, 1.08][i % 3]!;
    const top = box.y + (box.height - tall) / 2 + [0, 6, -5, 3][i % 4]!;
    let right = pen;
    for (const stroke of DIGITS[Number(digit)]!) {
      for (const [n, { x, y }] of stroke.entries()) {
        await page.mouse.move(pen + x * tall, top + y * tall);
        if (n === 0) await page.mouse.down();
        right = Math.max(right, pen + x * tall);
      }
      await page.mouse.up();
    }
    pen = right + 0.2 * size;
  }
}
