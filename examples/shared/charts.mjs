import * as vega from 'vega';

const INK = '#2b3a67';
const ACCENT = '#c8553d';
const QUIET = '#9aa1ac';

/**
 * The course of a training run as an SVG: the loss of every step, its running mean, and the held-out character error rate.
 *
 * @param {string} title
 * @param {{ losses: number[], evaluations: { step: number, characterErrorRate: number }[], plateauEnd: number | null }} history
 * @returns {Promise<string>}
 */
export function lossCurve(title, { losses, evaluations, plateauEnd }) {
  const scales = [
    { name: 'step', type: 'linear', domain: [0, Math.max(1, losses.length)], range: 'width' },
    { name: 'loss', type: 'log', domain: { data: 'loss', field: 'value' }, range: 'height', nice: true },
    { name: 'rate', type: 'linear', domain: [0, 1], range: 'height' },
  ];
  const along = (y, field) => ({ x: { scale: 'step', field: 'step' }, y: { scale: y, field } });
  const plateau =
    plateauEnd === null
      ? []
      : [
          {
            type: 'rule',
            encode: {
              enter: {
                x: { scale: 'step', value: plateauEnd },
                y: { value: 0 },
                y2: { signal: 'height' },
                stroke: { value: QUIET },
                strokeDash: { value: [2, 3] },
              },
            },
          },
          {
            type: 'text',
            encode: {
              enter: {
                x: { scale: 'step', value: plateauEnd, offset: 4 },
                y: { signal: 'height - 6' },
                text: { value: 'end of the blank plateau' },
                fill: { value: QUIET },
                fontSize: { value: 11 },
              },
            },
          },
        ];
  return render({
    width: 640,
    height: 300,
    padding: 8,
    background: 'white',
    title: { text: title, anchor: 'start', color: INK },
    data: [
      { name: 'loss', values: losses.map((value, i) => ({ step: i + 1, value })) },
      { name: 'mean', values: runningMean(losses).map((value, i) => ({ step: i + 1, value })) },
      {
        name: 'heldOut',
        values: evaluations.map(({ step, characterErrorRate }) => ({ step, value: Math.min(1, characterErrorRate) })),
      },
    ],
    scales,
    axes: [
      { orient: 'bottom', scale: 'step', title: 'step', tickCount: 8, format: 'd' },
      {
        orient: 'left',
        scale: 'loss',
        title: 'loss per label (nats)',
        titleColor: INK,
        grid: true,
        gridOpacity: 0.3,
        tickCount: 5,
      },
      { orient: 'right', scale: 'rate', title: 'held-out CER', titleColor: ACCENT, format: '%', tickCount: 5 },
    ],
    marks: [
      ...plateau,
      {
        type: 'line',
        from: { data: 'loss' },
        encode: {
          enter: {
            ...along('loss', 'value'),
            stroke: { value: INK },
            strokeOpacity: { value: 0.25 },
            strokeWidth: { value: 1 },
          },
        },
      },
      {
        type: 'line',
        from: { data: 'mean' },
        encode: { enter: { ...along('loss', 'value'), stroke: { value: INK }, strokeWidth: { value: 1.8 } } },
      },
      {
        type: 'line',
        from: { data: 'heldOut' },
        encode: { enter: { ...along('rate', 'value'), stroke: { value: ACCENT }, strokeWidth: { value: 1.8 } } },
      },
      {
        type: 'symbol',
        from: { data: 'heldOut' },
        encode: { enter: { ...along('rate', 'value'), fill: { value: ACCENT }, size: { value: 30 } } },
      },
    ],
  });
}

/**
 * How something was read, as an SVG: a picture of it, below it the probability of each class in each frame, and the labels over their frames.
 *
 * @param {object} reading
 * @param {string} reading.title
 * @param {{ cells: { x: number, y: number, ink: number }[], cell: [width: number, height: number], height: number }} reading.picture what was read: its
 *   cells, as dark as `ink` in [0, 1] says.
 * @param {ArrayLike<number>} reading.probabilities frames by classes.
 * @param {string[]} reading.names of the classes.
 * @param {number} reading.blank
 * @param {[width: number, height: number]} reading.cell of the table of probabilities.
 * @param {readonly import('tapegrad').LabelSpan[]} reading.spans the labels and their frames, by ctcAlign.
 * @returns {Promise<string>}
 */
export function alignmentPicture({ title, picture, probabilities, names, blank, cell: [wide, row], spans }) {
  const classes = names.length;
  const frames = probabilities.length / classes;
  const top = picture.height + 26; // room for the labels between the picture and the table
  const width = frames * wide;
  const cells = Array.from(probabilities, (p, i) => ({
    x: Math.floor(i / classes) * wide,
    y: top + (i % classes) * row,
    p: Number(p.toFixed(3)),
    blank: i % classes === blank,
  })).filter(({ p }) => p > 0.005);
  const rows = names.map((name, c) => ({ name, y: top + (c + 0.5) * row }));
  const read = spans.map(({ label, start, end }) => {
    const [left, right] = [start * wide, end * wide];
    return { label: names[label], left, right, middle: (left + right) / 2 };
  });
  const box = (w, h) => ({ x: { field: 'x' }, y: { field: 'y' }, width: { value: w }, height: { value: h } });
  return render({
    width,
    height: top + classes * row,
    padding: 8,
    background: 'white',
    title: { text: title, anchor: 'start', color: INK },
    data: [
      { name: 'picture', values: picture.cells },
      { name: 'cells', values: cells },
      { name: 'names', values: rows },
      { name: 'read', values: read },
    ],
    marks: [
      {
        type: 'rect',
        encode: {
          enter: {
            x: { value: 0 },
            y: { value: top },
            width: { value: width },
            height: { value: classes * row },
            fill: { value: '#f3f4f6' },
          },
        },
      },
      {
        type: 'rect',
        from: { data: 'picture' },
        encode: { enter: { ...box(...picture.cell), fill: { value: '#111' }, fillOpacity: { field: 'ink' } } },
      },
      {
        type: 'rect',
        from: { data: 'cells' },
        encode: {
          enter: {
            ...box(wide, row),
            fill: [{ test: 'datum.blank', value: QUIET }, { value: INK }],
            fillOpacity: { field: 'p' },
          },
        },
      },
      {
        type: 'rect',
        from: { data: 'read' },
        encode: {
          enter: {
            x: { field: 'left' },
            x2: { field: 'right' },
            y: { value: 0 },
            y2: { value: top + classes * row },
            fill: { value: ACCENT },
            fillOpacity: { value: 0.12 },
            stroke: { value: ACCENT },
            strokeOpacity: { value: 0.5 },
            strokeDash: { value: [3, 3] },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'read' },
        encode: {
          enter: {
            x: { field: 'middle' },
            y: { value: top - 7 },
            text: { field: 'label' },
            align: { value: 'center' },
            fill: { value: ACCENT },
            fontSize: { value: Math.min(15, row) },
            fontWeight: { value: 'bold' },
          },
        },
      },
      {
        type: 'text',
        from: { data: 'names' },
        encode: {
          enter: {
            x: { value: -6 },
            y: { field: 'y' },
            text: { field: 'name' },
            align: { value: 'right' },
            baseline: { value: 'middle' },
            fill: { value: '#444' },
            fontSize: { value: Math.min(11, row) },
          },
        },
      },
    ],
  });
}

function render(specification) {
  return new vega.View(vega.parse(specification), { renderer: 'none' }).toSVG();
}

function runningMean(values, memory = 0.95) {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    sum = memory * sum + (1 - memory) * value;
    weight = memory * weight + (1 - memory);
    return sum / weight;
  });
}
