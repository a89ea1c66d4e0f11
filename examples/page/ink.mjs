import { HEIGHT } from '../digits/lines.mjs';

/**
 * Strokes of a pen as the network's training set has its digits. MNIST scaled each digit into a box of 20 pixels and put its centre of mass into the
 * middle of 28 rows; so does this with each group of strokes that lie above each other. The strokes are drawn anew at that scale, so the pen is as thick as
 * MNIST's, whatever the size of the writing.
 */

/** Height of a digit's ink, of HEIGHT rows. */
const BOX = 20;
/** Half the thickness of the pen, in rows. */
const RADIUS = 1.2;
const MARGIN = 5;
/** Paper between two groups, in columns: what training has seen. Wider gaps are shortened. */
const GAP = { least: 1, most: 8 };
/** Groups are scaled each on its own, but no further apart than this from the line's own scale: a dash stays a dash. */
const FREEDOM = 1.5;
/** Strokes closer than this share of the line's height belong to one group. */
const TOUCHING = 0.04;

/**
 * @typedef {{ x: number, y: number }} Point in any unit, y downwards
 * @typedef {Point[]} Stroke
 * @typedef {import('../digits/lines.mjs').Line & { toPaper: (x: number) => number }} InkLine `toPaper`: where on the paper a column of the line was written
 */

/**
 * What the network reads: a line, or null where nothing is written.
 *
 * @param {Stroke[]} strokes
 * @returns {InkLine | null}
 */
export function lineOf(strokes) {
  const groups = groupsOf(strokes.filter((stroke) => stroke.length > 0));
  if (groups.length === 0) return null;
  const usual = BOX / usualHeight(groups);
  let pen = MARGIN;
  const anchors = []; // pairs of a column and its place on the paper
  const placed = groups.map((group, i) => {
    const scale = clamp(BOX / Math.max(1e-9, group.bottom - group.top), usual / FREEDOM, usual * FREEDOM);
    if (i > 0) pen += clamp((group.left - groups[i - 1].right) * usual, GAP.least, GAP.most);
    const left = pen + RADIUS;
    const drop = clamp(
      HEIGHT / 2 - group.middle * scale,
      RADIUS - group.top * scale,
      HEIGHT - RADIUS - group.bottom * scale,
    );
    const moved = group.strokes.map((stroke) =>
      stroke.map(({ x, y }) => ({ x: left + (x - group.left) * scale, y: drop + y * scale })),
    );
    pen = left + (group.right - group.left) * scale + RADIUS;
    anchors.push([left, group.left], [pen - RADIUS, group.right]);
    return moved;
  });
  const width = Math.ceil(pen + MARGIN);
  const pixels = new Float32Array(HEIGHT * width);
  for (const stroke of placed.flat()) draw(pixels, width, stroke);
  return { pixels, width, labels: [], toPaper: (x) => between(anchors, x, 1 / usual) };
}

const clamp = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));

/** Strokes whose columns overlap or touch, from left to right. */
function groupsOf(strokes) {
  const boxes = strokes.map(boxOf).sort((a, b) => a.left - b.left);
  const height = Math.max(...boxes.map(({ bottom }) => bottom)) - Math.min(...boxes.map(({ top }) => top));
  const groups = [];
  for (const box of boxes) {
    const last = groups.at(-1);
    if (last && box.left <= last.right + TOUCHING * height) {
      last.strokes.push(box.stroke);
      last.right = Math.max(last.right, box.right);
      last.top = Math.min(last.top, box.top);
      last.bottom = Math.max(last.bottom, box.bottom);
    } else groups.push({ ...box, strokes: [box.stroke] });
  }
  return groups.map((group) => ({ ...group, middle: middleOf(group.strokes) }));
}

function boxOf(stroke) {
  const [xs, ys] = [stroke.map(({ x }) => x), stroke.map(({ y }) => y)];
  return { stroke, left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

/** The height of the centre of mass. */
function middleOf(strokes) {
  let [sum, mass] = [0, 0];
  for (const stroke of strokes) {
    for (const [from, to] of segments(stroke)) {
      const length = Math.hypot(to.x - from.x, to.y - from.y) + 1e-9; // a dot has a height, too
      sum += (length * (from.y + to.y)) / 2;
      mass += length;
    }
  }
  return sum / mass;
}

const segments = (stroke) =>
  stroke.length === 1 ? [[stroke[0], stroke[0]]] : stroke.slice(1).map((to, i) => [stroke[i], to]);

/** The median height of the groups that are no dots or dashes. */
function usualHeight(groups) {
  const heights = groups.map(({ top, bottom }) => bottom - top).sort((a, b) => a - b);
  const tall = heights.filter((height) => height > heights.at(-1) / 3);
  return Math.max(
    1e-9,
    tall[Math.floor(tall.length / 2)] ?? Math.max(...groups.map(({ left, right }) => right - left)),
  );
}

/** A round pen with a soft edge; where strokes cross, the ink is not doubled. */
function draw(pixels, width, stroke) {
  const reach = RADIUS + 0.5;
  for (const [a, b] of segments(stroke)) {
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const square = dx * dx + dy * dy;
    for (
      let y = Math.max(0, Math.floor(Math.min(a.y, b.y) - reach));
      y < Math.min(HEIGHT, Math.max(a.y, b.y) + reach);
      y++
    ) {
      for (
        let x = Math.max(0, Math.floor(Math.min(a.x, b.x) - reach));
        x < Math.min(width, Math.max(a.x, b.x) + reach);
        x++
      ) {
        const [fromX, fromY] = [x + 0.5 - a.x, y + 0.5 - a.y];
        const along = square === 0 ? 0 : clamp((fromX * dx + fromY * dy) / square, 0, 1);
        const distance = Math.hypot(fromX - along * dx, fromY - along * dy);
        const at = y * width + x;
        pixels[at] = Math.max(pixels[at], clamp(reach - distance, 0, 1));
      }
    }
  }
}

/** Between the anchors in proportion, beyond them at the usual scale. */
function between(anchors, x, scale) {
  const next = anchors.findIndex(([column]) => column >= x);
  if (next === 0) return anchors[0][1] + (x - anchors[0][0]) * scale;
  if (next < 0) return anchors.at(-1)[1] + (x - anchors.at(-1)[0]) * scale;
  const [[a, from], [b, to]] = [anchors[next - 1], anchors[next]];
  return b === a ? to : from + ((x - a) / (b - a)) * (to - from);
}
