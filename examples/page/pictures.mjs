import { HEIGHT } from '../digits/lines.mjs';
import { BLANK, STRIDE } from '../digits/model.mjs';
import { color, fit } from './paper.mjs';

const ROW = 13;
const GUTTER = 18;
const MOST_ZOOM = 7;

/**
 * The line as the network sees it, and below it the probability of each class in each frame, with the labels over their frames.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Awaited<ReturnType<typeof import('../digits/evaluation.mjs').explain>> | null} reading
 */
export function drawSeen(canvas, reading) {
  const room = canvas.parentElement.clientWidth;
  const columns = reading ? Math.ceil(reading.line.width / STRIDE) * STRIDE : 96;
  const style = getComputedStyle(canvas.parentElement);
  const width = room - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
  const zoom = Math.min(MOST_ZOOM, (width - GUTTER) / columns);
  const classes = BLANK + 1;
  const top = HEIGHT * zoom + 22;
  const height = top + classes * ROW + 2;
  canvas.style.height = `${height}px`;
  const context = fit(canvas, width, height);
  const [ink, soft, blue, red, paper] = ['--ink', '--soft', '--blue', '--red', '--page'].map((name) =>
    color(canvas, name),
  );
  context.fillStyle = paper;
  context.fillRect(GUTTER, 0, columns * zoom, HEIGHT * zoom);
  context.fillRect(GUTTER, top, columns * zoom, classes * ROW);
  context.fillStyle = soft;
  context.font = '11px system-ui, sans-serif';
  context.textBaseline = 'middle';
  for (let label = 0; label < classes; label++)
    context.fillText(label === BLANK ? '–' : String(label), 2, top + (label + 0.5) * ROW);
  if (!reading) return;

  const { line, probabilities, labels, spans } = reading;
  context.fillStyle = ink;
  line.pixels.forEach((value, i) => {
    if (value < 0.02) return;
    context.globalAlpha = value;
    context.fillRect(GUTTER + (i % line.width) * zoom, Math.floor(i / line.width) * zoom, zoom + 0.3, zoom + 0.3);
  });
  probabilities.forEach((probability, i) => {
    if (probability < 0.005) return;
    context.globalAlpha = probability;
    context.fillStyle = i % classes === BLANK ? soft : blue;
    context.fillRect(
      GUTTER + Math.floor(i / classes) * STRIDE * zoom,
      top + (i % classes) * ROW,
      STRIDE * zoom - 1,
      ROW - 1,
    );
  });
  context.textAlign = 'center';
  context.font = '600 15px system-ui, sans-serif';
  context.strokeStyle = context.fillStyle = red;
  spans.forEach(({ start, end }, i) => {
    const [left, right] = [start, end].map((frame) => GUTTER + frame * STRIDE * zoom);
    context.globalAlpha = 0.12;
    context.fillRect(left, 0, right - left, height);
    context.globalAlpha = 1;
    context.strokeRect(left + 0.5, 0.5, right - left - 1, height - 1);
    context.fillText(String(labels[i]), (left + right) / 2, HEIGHT * zoom + 11);
  });
}

/** Loss on the left axis, a logarithmic one, held-out character error rate on the right one. */
const LOSSES = [0.03, 0.1, 0.3, 1, 3, 10, 30];
const NAMESPACE = 'http://www.w3.org/2000/svg';

/**
 * The course of a training run.
 *
 * @param {SVGElement} svg
 * @param {{ steps: number, losses: number[], evaluations: { step: number, characterErrorRate: number }[] }} run
 */
export function drawCurve(svg, { steps, losses, evaluations }) {
  const { width, height } = svg.getBoundingClientRect();
  const [left, right, top, bottom] = [34, width - 46, 20, height - 20];
  const across = (step) => left + ((right - left) * step) / Math.max(1, steps);
  const mean = runningMean(losses);
  const low = Math.min(1, ...mean.map((loss) => loss * 0.8));
  const high = Math.max(5, ...mean.map((loss) => loss * 1.2));
  const up = (loss) => {
    const share = Math.log(Math.min(Math.max(loss, low), high) / low) / Math.log(high / low);
    return bottom - share * (bottom - top);
  };
  const rateUp = (rate) => bottom - Math.min(1, rate) * (bottom - top);
  const parts = LOSSES.filter((loss) => loss > low && loss < high).flatMap((loss) => [
    make('line', { class: 'grid', x1: left, x2: right, y1: up(loss), y2: up(loss) }),
    make('text', { x: left - 6, y: up(loss) + 4, 'text-anchor': 'end' }, String(loss)),
  ]);
  for (const rate of [0, 0.5, 1]) parts.push(make('text', { x: right + 6, y: rateUp(rate) + 4 }, `${100 * rate} %`));
  parts.push(
    make('line', { class: 'grid', x1: left, x2: right, y1: bottom, y2: bottom }),
    make('text', { class: 'key', x: left, y: 11 }, 'loss per label'),
    make('text', { class: 'key error-key', x: right + 40, y: 11, 'text-anchor': 'end' }, 'held-out CER'),
    make('text', { x: left, y: height - 4 }, '0'),
    make('text', { x: right, y: height - 4, 'text-anchor': 'end' }, `${steps} steps`),
    line(
      'loss',
      losses.map((loss, i) => [across(i + 1), up(loss)]),
    ),
    line(
      'mean',
      mean.map((loss, i) => [across(i + 1), up(loss)]),
    ),
    line(
      'error',
      evaluations.map(({ step, characterErrorRate }) => [across(step), rateUp(characterErrorRate)]),
    ),
    ...evaluations.map(({ step, characterErrorRate }) =>
      make('circle', { cx: across(step), cy: rateUp(characterErrorRate), r: 3 }),
    ),
  );
  svg.replaceChildren(...parts);
}

function make(name, attributes, text = '') {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

const line = (kind, points) =>
  make('polyline', { class: kind, points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ') });

function runningMean(values, memory = 0.95) {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    sum = memory * sum + (1 - memory) * value;
    weight = memory * weight + (1 - memory);
    return sum / weight;
  });
}
