/** Paper to write on: strokes of a pen, a finger or the mouse on a canvas. */
export class Paper {
  /** @type {import('./ink.mjs').Stroke[]} in pixels of the page, from the paper's corner */
  strokes = [];

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} changed called whenever the strokes have changed
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    /** The stroke that each finger is drawing. */
    this.pens = new Map();
    canvas.addEventListener('pointerdown', (event) => this.begin(event));
    canvas.addEventListener('pointermove', (event) => this.go(event));
    for (const end of ['pointerup', 'pointercancel'])
      canvas.addEventListener(end, ({ pointerId }) => this.pens.delete(pointerId));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  undo() {
    this.strokes.pop();
    this.redraw();
  }

  clear() {
    this.strokes = [];
    this.redraw();
  }

  begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const stroke = [this.placeOf(event)];
    this.pens.set(event.pointerId, stroke);
    this.strokes.push(stroke);
    this.redraw();
  }

  go(event) {
    const stroke = this.pens.get(event.pointerId);
    if (!stroke) return;
    // All places since the last frame, not only the newest one.
    const events = event.getCoalescedEvents?.() ?? [];
    stroke.push(...(events.length > 0 ? events : [event]).map((one) => this.placeOf(one)));
    this.redraw();
  }

  placeOf({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  redraw() {
    this.draw();
    this.changed();
  }

  draw() {
    const { canvas } = this;
    const context = fit(canvas, canvas.clientWidth, canvas.clientHeight);
    context.strokeStyle = context.fillStyle = color(canvas, '--ink');
    context.lineWidth = Math.max(4, canvas.clientHeight / 26);
    context.lineCap = context.lineJoin = 'round';
    for (const [first, ...rest] of this.strokes) {
      context.beginPath();
      context.moveTo(first.x, first.y);
      for (const { x, y } of rest.length > 0 ? rest : [first]) context.lineTo(x, y);
      context.stroke();
    }
  }
}

/** A canvas with as many pixels as the screen has for it, cleared; drawn on in the page's pixels. */
export function fit(canvas, width, height) {
  const ratio = globalThis.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  return context;
}

/** A colour of the style sheet. */
export const color = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();
