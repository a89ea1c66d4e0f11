/**
 * The lowest rung of the ladder (see route.ts): CTC's recursion as the paper has it, in the log domain and float64, correct on any input. It is what
 * the other rungs are held against, and itself against test/ctc/reference.ts. A cell costs three exponentials and a logarithm.
 *
 * States are kept relative to the greatest one of their frame, and a frame's posterior is normalised by its own sum, so that rounding does
 * not grow with the length of the loss.
 */
import { Sequence, align, cellsOf, endCell, firstCell, labelAt, maySkip } from './sequence';

@inline export function read(row: usize, i: i32, double: bool): f64 {
  return double ? load<f64>(row + (<usize>i << 3)) : <f64>load<f32>(row + (<usize>i << 2));
}
@inline export function write(row: usize, i: i32, value: f64, double: bool): void {
  if (double) store<f64>(row + (<usize>i << 3), value); else store<f32>(row + (<usize>i << 2), <f32>value);
}
@inline export function get(row: usize, i: i32): f64 { return load<f64>(row + (<usize>i << 3)); }
@inline export function set(row: usize, i: i32, value: f64): void { store<f64>(row + (<usize>i << 3), value); }

/** log(e^a + e^b). */
export function logAdd(a: f64, b: f64): f64 {
  const high = max<f64>(a, b), low = min<f64>(a, b);
  return low == -Infinity ? high : high + NativeMath.log1p(NativeMath.exp(low - high));
}

/** Bytes of workspace that the log-domain functions need. */
export function logWorkspace(frames: i32, classes: i32, labels: i32, withGradient: bool): usize {
  const row = <usize>cellsOf(labels) << 4;
  return (withGradient ? <usize>(frames + 2) : 3) * row + 3 * align(<usize>(frames + 1) << 3) + align(<usize>classes << 3) + 2 * row + 256;
}

/** Fills `count` float64 with minus infinity. */
export function clearStates(at: usize, count: i32): void {
  for (let i = 0; i < count; i++) set(at, i, -Infinity);
}

/**
 * What every frame's emissions are relative to: the greatest input that the target uses (0 if that is -Infinity), so that their distances keep
 * their digits whatever else the frame holds. For logits also the normaliser, as the greatest input and the logarithm of the sum relative to
 * it. Returns false where a frame holds NaN, or has no distribution: +Infinity, or logits that are all -Infinity.
 */
export function normalise(sequence: Sequence, level: usize, greatest: usize, logSum: usize, double: bool): bool {
  let x = sequence.inputs;
  for (let t = 0; t < sequence.frames; t++, x += sequence.stride) {
    let top: f64 = -Infinity, at = 0;
    for (let c = 0; c < sequence.classes; c++) {
      const value = read(x, c, double);
      if (value != value) return false;
      if (value > top) { top = value; at = c; }
    }
    if (top == Infinity || (sequence.logits && top == -Infinity)) return false;
    let used = read(x, sequence.blank, double);
    for (let i = 0; i < sequence.labels; i++) used = max<f64>(used, read(x, labelAt(sequence.targets, i), double));
    set(level, t, used == -Infinity ? 0 : used);
    if (!sequence.logits) continue;
    let rest: f64 = 0;
    for (let c = 0; c < sequence.classes; c++) if (c != at) rest += NativeMath.exp(read(x, c, double) - top);
    set(greatest, t, top);
    set(logSum, t, NativeMath.log1p(rest));
  }
  return true;
}

/** The logarithm of a softmax. */
@inline export function logShare(x: usize, c: i32, greatest: f64, logSum: f64, double: bool): f64 {
  return (read(x, c, double) - greatest) - logSum;
}

/** A frame's states, blanks then labels. */
@inline export function labelsOf(row: usize, cells: i32): usize { return row + (<usize>cells << 3); }

/**
 * All frames forward. Row t + 1 of `history` (`step` bytes apart; where it is 0, two rows take turns) receives frame t's states relative to
 * their greatest. Returns the logarithm of the probability.
 */
function forward(sequence: Sequence, history: usize, keep: bool, level: usize, greatest: usize, logSum: usize, double: bool): f64 {
  const labels = sequence.labels, frames = sequence.frames, targets = sequence.targets, cells = cellsOf(labels);
  const step = <usize>cells << 4;
  clearStates(history, 2 * cells);
  if (!keep) clearStates(history + step, 2 * cells);
  set(history, 0, 0);
  let before = history, offset: f64 = 0, x = sequence.inputs;
  for (let t = 0; t < frames; t++, x += sequence.stride) {
    const now = keep ? history + <usize>(t + 1) * step : history + <usize>((t + 1) & 1) * step;
    clearStates(now, 2 * cells);
    const nowLabels = labelsOf(now, cells), beforeLabels = labelsOf(before, cells);
    const base = get(level, t), blank = read(x, sequence.blank, double) - base;
    const lo = firstCell(labels, frames, t), hi = min(endCell(labels, t), labels + 1);
    let most: f64 = -Infinity;
    for (let i = lo; i < hi; i++) {
      const left = i > 0 ? get(beforeLabels, i - 1) : -Infinity, stay = get(before, i);
      const b = logAdd(stay, left) + blank;
      set(now, i, b);
      most = max<f64>(most, b);
      if (i == labels) break;
      let l = logAdd(get(beforeLabels, i), stay);
      if (i > 0 && maySkip(targets, i)) l = logAdd(l, left);
      l += read(x, labelAt(targets, i), double) - base;
      set(nowLabels, i, l);
      most = max<f64>(most, l);
    }
    if (most == -Infinity) return -Infinity;
    for (let i = lo; i < hi; i++) { set(now, i, get(now, i) - most); set(nowLabels, i, get(nowLabels, i) - most); }
    offset += most + (sequence.logits ? (base - get(greatest, t)) - get(logSum, t) : base);
    before = now;
  }
  const ending = logAdd(get(before, labels), labels > 0 ? get(labelsOf(before, cells), labels - 1) : -Infinity);
  return ending + offset;
}

/** Writes one value to all classes of all of the sequence's gradient rows. */
export function fillRows(sequence: Sequence, value: f64, double: bool): void {
  let g = sequence.gradient;
  for (let t = 0; t < sequence.frames; t++, g += sequence.stride)
    for (let c = 0; c < sequence.classes; c++) write(g, c, value, double);
}

/** A gradient times a cotangent. What is 0 stays +0, also beside an infinite or negative cotangent. */
function writeScaled(row: usize, i: i32, value: f64, cotangent: f64, double: bool): void {
  if (double) return write(row, i, value == 0 ? 0 : value * cotangent, true);
  const small = <f32>value;
  write(row, i, small == 0 ? 0 : small * <f32>cotangent, false);
}

/** All frames backward, writing the gradient rows. */
function backward(sequence: Sequence, history: usize, level: usize, greatest: usize, logSum: usize, sums: usize, rows: usize, double: bool): void {
  const labels = sequence.labels, frames = sequence.frames, classes = sequence.classes, targets = sequence.targets;
  const cells = cellsOf(labels), step = <usize>cells << 4, cotangent = sequence.cotangent;
  const betas = rows, betaLabels = labelsOf(betas, cells), products = rows + step, productLabels = labelsOf(products, cells);
  clearStates(betas, 2 * cells);
  set(betas, labels, 0);
  for (let c = 0; c < classes; c++) set(sums, c, 0);
  for (let t = frames - 1; t >= 0; t--) {
    const x = sequence.inputs + <usize>t * sequence.stride, g = sequence.gradient + <usize>t * sequence.stride;
    const alphas = history + <usize>(t + 1) * step, alphaLabels = labelsOf(alphas, cells);
    const base = get(level, t), blank = read(x, sequence.blank, double) - base;
    const lo = firstCell(labels, frames, t), hi = min(endCell(labels, t), labels + 1);
    let most: f64 = -Infinity, mostState: f64 = -Infinity;
    // Cells past the reachable ones still hold what later frames left there.
    for (let i = lo; i < hi; i++) {
      const b = logAdd(get(betas, i), get(betaLabels, i)), product = get(alphas, i) + b;
      set(products, i, product);
      most = max<f64>(most, product);
      set(betas, i, b + blank);
      mostState = max<f64>(mostState, b + blank);
      if (i == labels) { set(productLabels, i, -Infinity); break; }
      let l = logAdd(get(betaLabels, i), get(betas, i + 1));
      if (i + 1 < labels && maySkip(targets, i + 1)) l = logAdd(l, get(betaLabels, i + 1));
      const labelProduct = get(alphaLabels, i) + l;
      set(productLabels, i, labelProduct);
      most = max<f64>(most, labelProduct);
      l += read(x, labelAt(targets, i), double) - base;
      set(betaLabels, i, l);
      mostState = max<f64>(mostState, l);
    }
    let total: f64 = 0;
    for (let i = lo; i < hi; i++) {
      const b = NativeMath.exp(get(products, i) - most), l = NativeMath.exp(get(productLabels, i) - most);
      set(products, i, b); set(productLabels, i, l);
      total += b + l;
    }
    for (let i = lo; i < hi; i++) {
      set(betas, i, get(betas, i) - mostState);
      set(betaLabels, i, get(betaLabels, i) - mostState);
      set(sums, sequence.blank, get(sums, sequence.blank) + get(products, i));
      if (i < labels) { const c = labelAt(targets, i); set(sums, c, get(sums, c) + get(productLabels, i)); }
    }
    // Later frames' states of unreachable cells are in another scale from here on; no path uses them again.
    for (let i = hi; i < cells; i++) { set(betas, i, -Infinity); set(betaLabels, i, -Infinity); }
    const share = 1.0 / total;
    if (sequence.logits) {
      // A frame adds up to 0: the likeliest class has what the others leave, digits and all where it is next to 1.
      const top = get(greatest, t), sum = get(logSum, t);
      let likeliest = 0, rest: f64 = 0;
      while (read(x, likeliest, double) != top) likeliest++;
      for (let c = 0; c < classes; c++) {
        if (c == likeliest) continue;
        const value = NativeMath.exp(logShare(x, c, top, sum, double)) - get(sums, c) * share;
        rest += value;
        writeScaled(g, c, value, cotangent, double);
      }
      writeScaled(g, likeliest, 0.0 - rest, cotangent, double);
    } else {
      for (let c = 0; c < classes; c++) writeScaled(g, c, 0.0 - get(sums, c) * share, cotangent, double);
    }
    for (let c = 0; c < classes; c++) set(sums, c, 0);
  }
}

/**
 * Loss and, where it is wanted, gradient of one sequence, by definition: +Infinity and gradient 0 where no path is possible, NaN where an
 * input of the sequence is NaN.
 */
function solve(sequence: Sequence, wantGradient: bool, double: bool): void {
  const frames = sequence.frames, cells = cellsOf(sequence.labels), column = align(<usize>(frames + 1) << 3);
  const level = sequence.workspace, greatest = level + column, logSum = greatest + column, sums = logSum + column;
  const rows = sums + align(<usize>sequence.classes << 3), history = rows + (<usize>cells << 5);
  if (!normalise(sequence, level, greatest, logSum, double)) {
    sequence.loss = NaN;
    if (wantGradient) fillRows(sequence, NaN, double);
    return;
  }
  const logProbability = forward(sequence, history, wantGradient, level, greatest, logSum, double);
  if (logProbability == -Infinity) {
    sequence.loss = Infinity;
    if (wantGradient) fillRows(sequence, 0, double);
    return;
  }
  sequence.loss = sequence.logits ? max<f64>(0.0 - logProbability, 0) : 0.0 - logProbability;
  if (wantGradient) backward(sequence, history, level, greatest, logSum, sums, rows, double);
}

/** `solve` for float32 inputs; with its gradient where the sequence has one. */
export function logSequence32(sequence: Sequence, wantGradient: bool): void { solve(sequence, wantGradient, false); }

/** `solve` for float64 inputs. */
export function logSequence64(sequence: Sequence, wantGradient: bool): void { solve(sequence, wantGradient, true); }
