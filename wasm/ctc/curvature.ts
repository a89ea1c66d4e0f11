/**
 * The second derivative of CTC: its Hessian times a direction, by the log-domain recursion on dual numbers (a value and its derivative along
 * the direction), in the time of the recursion itself. The Hessian is symmetric, so this is both the jvp and the vjp of the gradient.
 */
import { clearStates, fillRows, get, labelsOf, logAdd, logShare, normalise, read, set, write } from './log';
import { Sequence, align, cellsOf, endCell, firstCell, labelAt, lossByLengths, maySkip } from './sequence';

/** Bytes of workspace that `ctcCurvature` and `ctcCurvature64` need. */
export function ctcCurvatureWorkspace(frames: i32, classes: i32, labels: i32): usize {
  const row = <usize>cellsOf(labels) << 5;
  return 512 + 4 * align(<usize>(frames + 1) << 3) + align(<usize>classes << 3) + <usize>(frames + 3) * row;
}

/** Derivative of log(e^a + e^b) = `sum`, given those of a and b. */
@inline function logAddSlope(sum: f64, a: f64, slopeA: f64, slopeB: f64): f64 {
  if (sum == -Infinity) return 0;
  const share = NativeMath.exp(a - sum);
  return share * slopeA + (1.0 - share) * slopeB;
}

/** A row of duals: the values of all states, then their slopes. */
@inline function slopesOf(row: usize, cells: i32): usize { return row + (<usize>cells << 4); }

function clearDuals(row: usize, cells: i32): void {
  clearStates(row, 2 * cells);
  memory.fill(slopesOf(row, cells), 0, <usize>cells << 4);
}

/** Slope of every frame's normaliser: the direction's mean under the softmax (0 for log-probabilities). */
function normaliserSlopes(sequence: Sequence, directions: usize, greatest: usize, logSum: usize, slopes: usize, double: bool): void {
  for (let t = 0; t < sequence.frames; t++) {
    const x = sequence.inputs + <usize>t * sequence.stride, v = directions + <usize>t * sequence.stride;
    let slope: f64 = 0;
    if (sequence.logits) {
      for (let c = 0; c < sequence.classes; c++) {
        const p = NativeMath.exp(logShare(x, c, get(greatest, t), get(logSum, t), double));
        if (p > 0) slope += p * read(v, c, double);
      }
    }
    set(slopes, t, slope);
  }
}

/** All frames forward; row t + 1 of `history` receives frame t. Returns whether any path is possible. */
function forward(
  sequence: Sequence, directions: usize, history: usize, level: usize, normaliserSlope: usize, double: bool,
): bool {
  const labels = sequence.labels, frames = sequence.frames, targets = sequence.targets, cells = cellsOf(labels), step = <usize>cells << 5;
  clearDuals(history, cells);
  set(history, 0, 0);
  for (let t = 0; t < frames; t++) {
    const x = sequence.inputs + <usize>t * sequence.stride, v = directions + <usize>t * sequence.stride;
    const before = history + <usize>t * step, now = before + step, beforeLabels = labelsOf(before, cells), nowLabels = labelsOf(now, cells);
    const slopes = slopesOf(before, cells), labelSlopes = labelsOf(slopes, cells);
    const nowSlopes = slopesOf(now, cells), nowLabelSlopes = labelsOf(nowSlopes, cells);
    clearDuals(now, cells);
    const base = get(level, t), blank = read(x, sequence.blank, double) - base;
    const drift = get(normaliserSlope, t), blankSlope = read(v, sequence.blank, double) - drift;
    const lo = firstCell(labels, frames, t), hi = min(endCell(labels, t), labels + 1);
    let most: f64 = -Infinity;
    for (let i = lo; i < hi; i++) {
      const left = i > 0 ? get(beforeLabels, i - 1) : -Infinity, leftSlope = i > 0 ? get(labelSlopes, i - 1) : 0;
      const stay = get(before, i), staySlope = get(slopes, i), b = logAdd(stay, left);
      set(now, i, b + blank);
      if (b + blank != -Infinity) set(nowSlopes, i, logAddSlope(b, stay, staySlope, leftSlope) + blankSlope);
      most = max<f64>(most, b + blank);
      if (i == labels) break;
      const own = get(beforeLabels, i), label = labelAt(targets, i);
      let l = logAdd(own, stay), slope = logAddSlope(l, own, get(labelSlopes, i), staySlope);
      if (i > 0 && maySkip(targets, i)) {
        const wider = logAdd(l, left);
        slope = logAddSlope(wider, l, slope, leftSlope);
        l = wider;
      }
      l += read(x, label, double) - base;
      set(nowLabels, i, l);
      if (l != -Infinity) set(nowLabelSlopes, i, slope + read(v, label, double) - drift);
      most = max<f64>(most, l);
    }
    if (most == -Infinity) return false;
    for (let i = lo; i < hi; i++) { set(now, i, get(now, i) - most); set(nowLabels, i, get(nowLabels, i) - most); }
  }
  const last = history + <usize>frames * step;
  return logAdd(get(last, labels), labels > 0 ? get(labelsOf(last, cells), labels - 1) : -Infinity) > -Infinity;
}

/** All frames backward, writing the rows of the product. */
function backward(
  sequence: Sequence, directions: usize, history: usize, level: usize, greatest: usize, logSum: usize, normaliserSlope: usize, sumSlopes: usize,
  rows: usize, double: bool,
): void {
  const labels = sequence.labels, frames = sequence.frames, classes = sequence.classes, targets = sequence.targets;
  const cells = cellsOf(labels), step = <usize>cells << 5;
  const betas = rows, betaLabels = labelsOf(betas, cells), slopes = slopesOf(betas, cells), labelSlopes = labelsOf(slopes, cells);
  const products = rows + step, productLabels = labelsOf(products, cells);
  const productSlopes = slopesOf(products, cells), productLabelSlopes = labelsOf(productSlopes, cells);
  clearDuals(betas, cells);
  set(betas, labels, 0);
  memory.fill(sumSlopes, 0, <usize>classes << 3);
  for (let t = frames - 1; t >= 0; t--) {
    const x = sequence.inputs + <usize>t * sequence.stride, v = directions + <usize>t * sequence.stride;
    const g = sequence.gradient + <usize>t * sequence.stride;
    const alphas = history + <usize>(t + 1) * step, alphaLabels = labelsOf(alphas, cells);
    const alphaSlopes = slopesOf(alphas, cells), alphaLabelSlopes = labelsOf(alphaSlopes, cells);
    const base = get(level, t), blank = read(x, sequence.blank, double) - base;
    const drift = get(normaliserSlope, t), blankSlope = read(v, sequence.blank, double) - drift;
    const lo = firstCell(labels, frames, t), hi = min(endCell(labels, t), labels + 1);
    let most: f64 = -Infinity, mostState: f64 = -Infinity;
    for (let i = lo; i < hi; i++) {
      const stay = get(betas, i), staySlope = get(slopes, i), own = get(betaLabels, i), ownSlope = get(labelSlopes, i);
      const b = logAdd(stay, own), slope = logAddSlope(b, stay, staySlope, ownSlope), product = get(alphas, i) + b;
      set(products, i, product);
      set(productSlopes, i, product == -Infinity ? 0 : get(alphaSlopes, i) + slope);
      most = max<f64>(most, product);
      set(betas, i, b + blank);
      set(slopes, i, b + blank == -Infinity ? 0 : slope + blankSlope);
      mostState = max<f64>(mostState, b + blank);
      if (i == labels) { set(productLabels, i, -Infinity); set(productLabelSlopes, i, 0); break; }
      const next = get(betas, i + 1), nextSlope = get(slopes, i + 1), label = labelAt(targets, i);
      let l = logAdd(own, next), labelSlope = logAddSlope(l, own, ownSlope, nextSlope);
      if (i + 1 < labels && maySkip(targets, i + 1)) {
        const wider = logAdd(l, get(betaLabels, i + 1));
        labelSlope = logAddSlope(wider, l, labelSlope, get(labelSlopes, i + 1));
        l = wider;
      }
      const labelProduct = get(alphaLabels, i) + l;
      set(productLabels, i, labelProduct);
      set(productLabelSlopes, i, labelProduct == -Infinity ? 0 : get(alphaLabelSlopes, i) + labelSlope);
      most = max<f64>(most, labelProduct);
      l += read(x, label, double) - base;
      set(betaLabels, i, l);
      set(labelSlopes, i, l == -Infinity ? 0 : labelSlope + read(v, label, double) - drift);
      mostState = max<f64>(mostState, l);
    }
    let total: f64 = 0, mean: f64 = 0;
    for (let i = lo; i < hi; i++) {
      const b = NativeMath.exp(get(products, i) - most), l = NativeMath.exp(get(productLabels, i) - most);
      set(products, i, b); set(productLabels, i, l);
      total += b + l;
      mean += b * get(productSlopes, i) + l * get(productLabelSlopes, i);
      set(betas, i, get(betas, i) - mostState);
      set(betaLabels, i, get(betaLabels, i) - mostState);
    }
    const share = 1.0 / total;
    mean *= share;
    for (let i = lo; i < hi; i++) {
      const c = sequence.blank;
      set(sumSlopes, c, get(sumSlopes, c) + get(products, i) * share * (get(productSlopes, i) - mean));
      if (i == labels) break;
      const d = labelAt(targets, i);
      set(sumSlopes, d, get(sumSlopes, d) + get(productLabels, i) * share * (get(productLabelSlopes, i) - mean));
    }
    for (let i = hi; i < cells; i++) {
      set(betas, i, -Infinity); set(betaLabels, i, -Infinity); set(slopes, i, 0); set(labelSlopes, i, 0);
    }
    for (let c = 0; c < classes; c++) {
      let value = 0.0 - get(sumSlopes, c);
      if (sequence.logits) {
        const p = NativeMath.exp(logShare(x, c, get(greatest, t), get(logSum, t), double));
        if (p > 0) value += p * (read(v, c, double) - drift);
      }
      write(g, c, value, double);
      set(sumSlopes, c, 0);
    }
  }
}

@inline function lengthAt(lengths: usize, n: i32): i32 { return load<i32>(lengths + (<usize>n << 2)); }

@inline function curvature(
  inputs: usize, directions: usize, targets: usize, inputLengths: usize, targetLengths: usize, products: usize, workspace: usize,
  frames: i32, batch: i32, classes: i32, labels: i32, blank: i32, logits: bool, begin: i32, end: i32, double: bool,
): void {
  const rowBytes = <usize>classes << (double ? 3 : 2), sequence = changetype<Sequence>(workspace), column = align(<usize>(frames + 1) << 3);
  const level = workspace + 512, greatest = level + column, logSum = greatest + column, normaliserSlope = logSum + column;
  const sumSlopes = normaliserSlope + column, rows = sumSlopes + align(<usize>classes << 3);
  sequence.stride = rowBytes * <usize>batch;
  sequence.classes = classes;
  sequence.blank = blank;
  sequence.logits = logits;
  for (let n = begin; n < end; n++) {
    sequence.inputs = inputs + <usize>n * rowBytes;
    sequence.gradient = products + <usize>n * rowBytes;
    sequence.targets = targets + (<usize>n * labels << 2);
    sequence.frames = frames;
    sequence.labels = lengthAt(targetLengths, n);
    fillRows(sequence, 0, double);
    sequence.frames = lengthAt(inputLengths, n);
    const known = lossByLengths(sequence.frames, sequence.targets, sequence.labels), step = <usize>cellsOf(sequence.labels) << 5;
    if (known == known) continue;
    if (!normalise(sequence, level, greatest, logSum, double)) { fillRows(sequence, NaN, double); continue; }
    const direction = directions + <usize>n * rowBytes, history = rows + 2 * step;
    normaliserSlopes(sequence, direction, greatest, logSum, normaliserSlope, double);
    if (forward(sequence, direction, history, level, normaliserSlope, double))
      backward(sequence, direction, history, level, greatest, logSum, normaliserSlope, sumSlopes, rows, double);
  }
}

/**
 * For sequences [begin, end): the Hessian of each loss with respect to its inputs times `directions`, all float32 [frames][sequences][classes];
 * the other arguments as for `ctcLoss`. 0 past the end of a sequence and where no path is possible, NaN where an input is.
 */
export function ctcCurvature(
  inputs: usize, directions: usize, targets: usize, inputLengths: usize, targetLengths: usize, products: usize, workspace: usize,
  frames: i32, batch: i32, classes: i32, labels: i32, blank: i32, logits: bool, begin: i32, end: i32,
): void {
  curvature(inputs, directions, targets, inputLengths, targetLengths, products, workspace, frames, batch, classes, labels, blank, logits, begin,
    end, false);
}

/** `ctcCurvature` for float64. */
export function ctcCurvature64(
  inputs: usize, directions: usize, targets: usize, inputLengths: usize, targetLengths: usize, products: usize, workspace: usize,
  frames: i32, batch: i32, classes: i32, labels: i32, blank: i32, logits: bool, begin: i32, end: i32,
): void {
  curvature(inputs, directions, targets, inputLengths, targetLengths, products, workspace, frames, batch, classes, labels, blank, logits, begin,
    end, true);
}
