/**
 * The best alignment of a target (Viterbi over CTC's lattice) in float64: two cells a vector, four frames a pass over a band of cells, and a
 * proof that the band was wide enough.
 *
 * Cell i holds the blank before label i and label i; cell `labels` holds the closing blank and a dummy label. Nothing is kept of where a
 * state came from: every few frames the band is saved, and the way back, which moves at most one cell a frame, computes again the cone of
 * cells that it can have come through, by the same additions in the same order.
 *
 * Lattice: A. Graves et al., "Connectionist Temporal Classification", ICML 2006, section 4.1, with maxima in place of sums. Free ends and
 * wildcards are labels that every frame emits at the same cost (L. Kuerzinger et al., "CTC-Segmentation of Large Corpora", 2020).
 */
import { align, labelAt } from './sequence';

/** Labels that are no classes: any run of frames in the target, and the runs before and after it. */
const enum Constant { Wildcard = -1, Opening = -2, Closing = -3 }

/** What the path holds at frames that emit no label. */
const enum Unlabelled { Blank = -1, Outside = -2 }

/** One sequence: its scores, tables and states, all in the task's workspace. */
@unmanaged
class Problem {
  scores: usize;
  /** Bytes from one frame to the next. */
  stride: usize;
  frames: i32;
  classes: i32;
  /** Labels, those for free ends included. */
  labels: i32;
  opens: bool;
  closes: bool;
  /** int32, one a cell. */
  targets: usize;
  /** Slot 0 is the blank's; then come the target's classes, then what costs the same at every frame; the last one is the dummy label's. */
  classSlots: i32;
  slots: i32;
  /** Bytes from a frame's first score to that of each class slot. */
  classOf: usize;
  /** 32 times the slot of each cell's label. */
  slotAt: usize;
  /** 0 where a path may enter a cell from its left neighbour's label, else -Infinity; float64. */
  skip: usize;
  /** Four frames' emissions, float64 [slot][4]. */
  emissions: usize;
  /** The states of one frame: ending in each cell's blank, in its label. */
  blanks: usize;
  states: usize;
  /** The sum over the frames from t on of each one's greatest score, float64. */
  rest: usize;
  /** The greatest constant that a frame may cost instead of one of its scores. */
  constant: f64;
  /** Every `every` frames, from 0 on: the band's first cell, its end, and where its states are saved. */
  directory: usize;
  every: i32;
  saved: usize;
  savedEnd: usize;
  /** The cone: two rows of float64, and a byte for each step. */
  cone: usize;
  steps: usize;
  path: usize;
  /** The greatest that anything cut off could have come to. */
  lost: f64;
}

@inline function at(base: usize, i: i32): f64 { return load<f64>(base + (<usize>i << 3)); }
@inline function put(base: usize, i: i32, x: f64): void { store<f64>(base + (<usize>i << 3), x); }
@inline function leftOf(previous: v128, current: v128): v128 { return v128.shuffle<f64>(previous, current, 1, 2); }
@inline function lowOf(a: v128, b: v128): v128 { return v128.shuffle<f64>(a, b, 0, 2); }
@inline function highOf(a: v128, b: v128): v128 { return v128.shuffle<f64>(a, b, 1, 3); }

/** Cells with the padding that vector reads may touch. */
@inline function paddedCells(labels: i32): i32 { return labels + 9; }

/** Frames between saved bands: more of them cost memory, fewer make the cones larger. */
@inline function saveEvery(frames: i32): i32 { return frames < 4000 ? 16 : frames < 40_000 ? 64 : 128; }

const MUCH: f64 = 160 * 1024 * 1024;
const MOST: f64 = 800 * 1024 * 1024;
/** Frames between saved bands above which more memory is taken instead. */
const WIDE: i32 = 4096;

/** The greatest distance of saved bands that a problem of this size can come to: where nothing is cut, and MUCH, or if need be MOST, is full. */
function widest(frames: i32, labels: i32): i32 {
  let every = saveEvery(frames);
  while (allSaved(frames, labels, every) > (every < WIDE ? MUCH : MOST)) every *= 2;
  return every;
}
@inline function allSaved(frames: i32, labels: i32, every: i32): f64 { return (<f64>(frames / every) + 1) * 16 * <f64>(labels + 1) + 64; }

/** Bytes for saved bands. */
function savedBytes(frames: i32, labels: i32): f64 {
  const limit = allSaved(frames, labels, widest(frames, labels)) > MUCH ? MOST : MUCH;
  return min(allSaved(frames, labels, saveEvery(frames)), limit);
}

/** Bytes of workspace for sequences of at most so many frames and labels, as a float64: it may be more than there is memory. */
export function ctcAlignWorkspace(frames: i32, classes: i32, labels: i32): f64 {
  const all = labels + 2, cells = <f64>paddedCells(all), every = <f64>widest(frames, all);
  return 4096 + cells * (4 + 4 + 8 + 8 + 8) + <f64>min(all, classes) * (4 + 32) + 32 * 8 + <f64>classes * 4
    + <f64>frames * 8 + (<f64>(frames / saveEvery(frames)) + 4) * 16 + (every + 4) * (16 + every) + savedBytes(frames, all);
}

/** Fills the tables of a target. `places` holds -1 for every class, and does so again afterwards. */
function index(p: Problem, targets: usize, labels: i32, blank: i32, size: usize, places: usize, opening: f64, closing: f64, wildcard: f64): void {
  const count = p.labels, shift = p.opens ? 1 : 0, cells = paddedCells(count);
  if (p.opens) store<i32>(p.targets, Constant.Opening);
  memory.copy(p.targets + (shift << 2), targets, <usize>labels << 2);
  if (p.closes) store<i32>(p.targets + (<usize>(count - 1) << 2), Constant.Closing);
  let slots = 1;
  store<u32>(p.classOf, <u32>(<usize>blank * size));
  for (let i = 0; i < count; i++) {
    const label = labelAt(p.targets, i);
    if (label < 0) continue;
    const place = places + (<usize>label << 2);
    let slot = load<i32>(place);
    if (slot < 0) {
      slot = slots++;
      store<i32>(place, slot);
      store<u32>(p.classOf + (<usize>slot << 2), <u32>(<usize>label * size));
    }
    store<u32>(p.slotAt + (<usize>i << 2), slot << 5);
  }
  p.classSlots = slots;
  p.slots = slots + 4;
  p.constant = -Infinity;
  for (let i = 0; i < count; i++) {
    const label = labelAt(p.targets, i);
    if (label >= 0) { store<i32>(places + (<usize>label << 2), -1); continue; }
    p.constant = max(p.constant, label == Constant.Wildcard ? wildcard : label == Constant.Opening ? opening : closing);
    store<u32>(p.slotAt + (<usize>i << 2), (slots + ~label) << 5);
  }
  for (let k = 0; k < 4; k++) {
    const to = p.emissions + (<usize>(slots + k) << 5), x = f64x2.splat(k == 0 ? wildcard : k == 1 ? opening : k == 2 ? closing : -Infinity);
    v128.store(to, x); v128.store(to, x, 16);
  }
  for (let i = 0; i < cells; i++) {
    if (i >= count) store<u32>(p.slotAt + (<usize>i << 2), (slots + 3) << 5);
    const free = i > 0 && i < count && (labelAt(p.targets, i) != labelAt(p.targets, i - 1) || labelAt(p.targets, i) < 0);
    put(p.skip, i, free ? 0 : -Infinity);
  }
}

/** The emission of one cell's label at one frame. */
@inline function emission<T>(p: Problem, row: usize, i: i32): f64 {
  const slot = <i32>(load<u32>(p.slotAt + (<usize>i << 2)) >> 5);
  return slot < p.classSlots ? <f64>load<T>(row + load<u32>(p.classOf + (<usize>slot << 2))) : load<f64>(p.emissions + (<usize>slot << 5));
}

/** Emissions of the four frames from `row` on. */
@inline function fill<T>(p: Problem, row: usize): void {
  const r1 = row + p.stride, r2 = r1 + p.stride, r3 = r2 + p.stride, end = p.classOf + (<usize>p.classSlots << 2);
  let to = p.emissions;
  for (let from = p.classOf; from < end; from += 4, to += 32) {
    const c = <usize>load<u32>(from);
    store<f64>(to, <f64>load<T>(row + c)); store<f64>(to, <f64>load<T>(r1 + c), 8);
    store<f64>(to, <f64>load<T>(r2 + c), 16); store<f64>(to, <f64>load<T>(r3 + c), 24);
  }
}

/** The greatest of a row of scores, NaN if one is. */
@inline function greatestOf<T>(row: usize, classes: i32): f64 {
  let c = 0, top: f64 = -Infinity;
  if (sizeof<T>() == 4) {
    let tops = f32x4.splat(-Infinity);
    for (; c + 4 <= classes; c += 4) tops = f32x4.max(tops, v128.load(row + (<usize>c << 2)));
    top = <f64>max(max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)), max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)));
  }
  for (; c < classes; c++) top = max(top, <f64>load<T>(row + <usize>c * sizeof<T>()));
  return top;
}

/**
 * Fills `rest`. Where the target uses few classes, each frame counts with the greatest of theirs; else with the greatest of all, which is
 * found faster and bounds as well. Returns the sum of magnitudes, for rounding; NaN where a score is NaN or +Infinity.
 */
function bounds<T>(p: Problem): f64 {
  const few = p.classSlots * 4 < p.classes;
  let sum: f64 = 0, magnitude: f64 = 0;
  put(p.rest, p.frames, 0);
  for (let t = p.frames - 1; t >= 0; t--) {
    const row = p.scores + <usize>t * p.stride, all = greatestOf<T>(row, p.classes);
    if (!(all < Infinity)) return NaN;
    let top = all;
    if (few) {
      top = -Infinity;
      for (let s = 0; s < p.classSlots; s++) top = max(top, <f64>load<T>(row + load<u32>(p.classOf + (<usize>s << 2))));
    }
    top = max(top, p.constant);
    sum += top;
    magnitude += abs(top);
    put(p.rest, t, sum);
  }
  return magnitude;
}

/** Four frames of the cells [lo, hi), both even; returns the greatest state. */
function block(emissions: usize, slotAt: usize, skip: usize, blanks: usize, states: usize, lo: i32, hi: i32): f64 {
  const w0 = v128.load64_splat(emissions), w1 = v128.load64_splat(emissions, 8), w2 = v128.load64_splat(emissions, 16), w3 = v128.load64_splat(emissions, 24);
  let left0 = f64x2.splat(-Infinity), left1 = left0, left2 = left0, left3 = left0, greatest = left0;
  const end = <usize>hi << 3;
  for (let i = <usize>lo << 3; i < end; i += 16) {
    const where = slotAt + (i >> 1), first = emissions + load<u32>(where), second = emissions + load<u32>(where, 4);
    const a = v128.load(first), a1 = v128.load(second), c = v128.load(first, 16), c1 = v128.load(second, 16), mask = v128.load(skip + i);
    let b = v128.load(blanks + i), l = v128.load(states + i), s = leftOf(left0, l);
    left0 = l; l = f64x2.add(f64x2.pmax(f64x2.pmax(l, b), f64x2.add(s, mask)), lowOf(a, a1)); b = f64x2.add(f64x2.pmax(b, s), w0);
    s = leftOf(left1, l);
    left1 = l; l = f64x2.add(f64x2.pmax(f64x2.pmax(l, b), f64x2.add(s, mask)), highOf(a, a1)); b = f64x2.add(f64x2.pmax(b, s), w1);
    s = leftOf(left2, l);
    left2 = l; l = f64x2.add(f64x2.pmax(f64x2.pmax(l, b), f64x2.add(s, mask)), lowOf(c, c1)); b = f64x2.add(f64x2.pmax(b, s), w2);
    s = leftOf(left3, l);
    left3 = l; l = f64x2.add(f64x2.pmax(f64x2.pmax(l, b), f64x2.add(s, mask)), highOf(c, c1)); b = f64x2.add(f64x2.pmax(b, s), w3);
    v128.store(blanks + i, b); v128.store(states + i, l);
    greatest = f64x2.pmax(greatest, f64x2.pmax(b, l));
  }
  return max(f64x2.extract_lane(greatest, 0), f64x2.extract_lane(greatest, 1));
}

@inline function entryOf(p: Problem, index: i32): usize { return p.directory + (<usize>index << 4); }

/** Saves the band before `frame`; where there is no room, every other saved band is dropped first. Returns where the next one goes. */
function save(p: Problem, frame: i32, lo: i32, hi: i32, to: usize): usize {
  const bytes = <usize>(hi - lo) << 3;
  while (to + 2 * bytes > p.savedEnd) {
    const count = (frame - 1) / p.every + 1;
    to = p.saved;
    for (let k = 0; 2 * k < count; k++) {
      const from = entryOf(p, 2 * k), width = <usize>(load<u32>(from, 4) - load<u32>(from)) << 4;
      memory.copy(to, load<usize>(from, 8), width);
      store<u64>(entryOf(p, k), load<u64>(from));
      store<usize>(entryOf(p, k), to, 8);
      to += width;
    }
    p.every *= 2;
    if (frame % p.every != 0) return to;
  }
  const entry = entryOf(p, frame / p.every);
  store<u32>(entry, lo); store<u32>(entry, hi, 4); store<usize>(entry, to, 8);
  memory.copy(to, p.blanks + (<usize>lo << 3), bytes);
  memory.copy(to + bytes, p.states + (<usize>lo << 3), bytes);
  return to + 2 * bytes;
}

/** The state that a best path ends in: twice the cell, and 1 for its label. Of equal ones a free end comes first, then the label, then the blank. */
function endOf(p: Problem): i32 {
  const n = p.labels - <i32>p.closes;
  let end = n << 1, best = at(p.blanks, n);
  if (n > 0 && at(p.states, n - 1) >= best) { end = n - 1 << 1 | 1; best = at(p.states, n - 1); }
  // The free end may have no frame.
  return p.closes && at(p.states, n) >= best ? n << 1 | 1 : end;
}
@inline function scoreOf(p: Problem, state: i32): f64 { return at(state & 1 ? p.states : p.blanks, state >> 1); }

/**
 * The score of the best path within a band. A cell at an edge of the band is cut where it is more than `delta` below the frame's best, or where
 * not even the greatest rest would bring it to `bound`.
 */
function forward<T>(p: Problem, delta: f64, bound: f64): f64 {
  const labels = p.labels, frames = p.frames, cells = labels + 1, padded = paddedCells(labels), target = labels - (p.closes ? 2 : 1);
  let lo = 0, hi = 1, lost: f64 = -Infinity, to = p.saved, t = 0;
  p.every = saveEvery(frames);
  for (let i = 0; i < padded; i++) { put(p.blanks, i, -Infinity); put(p.states, i, -Infinity); }
  // With a free start, the path is in it before the first frame: it may stay there, or leave at once.
  put(p.opens ? p.states : p.blanks, 0, 0);
  for (; t + 4 <= frames; t += 4) {
    if (t % p.every == 0) to = save(p, t, lo, hi, to);
    fill<T>(p, p.scores + <usize>t * p.stride);
    hi = min(hi + 4, cells);
    const best = block(p.emissions, p.slotAt, p.skip, p.blanks, p.states, lo & ~1, (hi + 1) & ~1);
    // A cell before `need` cannot reach the end any more.
    const need = target - (frames - t - 4), future = at(p.rest, t + 4), threshold = max(best - delta, bound - future);
    for (; lo < hi; lo++) {
      const x = max(at(p.blanks, lo), at(p.states, lo));
      if (lo >= need) { if (x >= threshold) break; lost = max(lost, x + future); }
      put(p.blanks, lo, -Infinity); put(p.states, lo, -Infinity);
    }
    for (; hi > lo; hi--) {
      const x = max(at(p.blanks, hi - 1), at(p.states, hi - 1));
      if (x >= threshold) break;
      lost = max(lost, x + future);
      put(p.blanks, hi - 1, -Infinity); put(p.states, hi - 1, -Infinity);
    }
    if (lo >= hi) { p.lost = lost; return -Infinity; }
  }
  if (t < frames && t % p.every == 0) to = save(p, t, lo, hi, to);
  for (; t < frames; t++) {
    hi = min(hi + 1, cells);
    advance<T>(p, t, p.blanks, p.states, lo, hi - lo, 0);
  }
  p.lost = lost;
  return scoreOf(p, endOf(p));
}

/** Where the two states of a cell came from. */
const enum Step { Stay = 0, FromBlank = 1, Skip = 2, BlankFromLabel = 4 }

/** One frame of `count` cells from `first` on, whose states begin at `b` and `l` (at cell 0 of the cone, or of the band); notes each step if asked to. */
@inline function advance<T>(p: Problem, t: i32, blanks: usize, states: usize, first: i32, count: i32, steps: usize): void {
  const row = p.scores + <usize>t * p.stride, blank = <f64>load<T>(row + load<u32>(p.classOf)), base = steps ? 0 : first;
  let left: f64 = -Infinity;
  for (let k = 0; k < count; k++) {
    const b = at(blanks, base + k), l = at(states, base + k), skipped = left + at(p.skip, first + k);
    let best = l, code: i32 = Step.Stay;
    if (b > best) { best = b; code = Step.FromBlank; }
    if (skipped > best) { best = skipped; code = Step.Skip; }
    put(states, base + k, best + emission<T>(p, row, first + k));
    best = b;
    if (left > best) { best = left; code |= Step.BlankFromLabel; }
    put(blanks, base + k, best + blank);
    left = l;
    if (steps) store<u8>(steps + k, code);
  }
}

/** Writes the best path: of equal predecessors the state itself comes first, then the blank, then the label before. */
function traceback<T>(p: Problem): void {
  const every = p.every, width = every + 2, blanks = p.cone, states = blanks + (<usize>width << 3), shift = p.opens ? 1 : 0;
  const last = endOf(p);
  let onLabel = <bool>(last & 1), cell = last >> 1;
  for (let index = (p.frames - 1) / every; index >= 0; index--) {
    const begin = index * every, end = min(begin + every, p.frames), entry = entryOf(p, index);
    const lo = <i32>load<u32>(entry), hi = <i32>load<u32>(entry, 4), from = load<usize>(entry, 8);
    const first = max(lo, cell - (end - begin)), count = cell - first + 1;
    for (let k = 0; k < count; k++) {
      const i = first + k, inside = i < hi;
      put(blanks, k, inside ? at(from, i - lo) : -Infinity);
      put(states, k, inside ? at(from, hi - lo + i - lo) : -Infinity);
    }
    for (let t = begin; t < end; t++) advance<T>(p, t, blanks, states, first, count, p.steps + <usize>(t - begin) * width);
    for (let t = end - 1; t >= begin; t--) {
      const label = onLabel ? labelAt(p.targets, cell) : 0;
      store<i32>(p.path + (<usize>t << 2), !onLabel ? Unlabelled.Blank : label <= Constant.Opening ? Unlabelled.Outside : cell - shift);
      const code = load<u8>(p.steps + <usize>(t - begin) * width + (cell - first));
      if (!onLabel) { if (code & Step.BlankFromLabel) { cell--; onLabel = true; } }
      else if (code & Step.Skip) cell--;
      else if (code & Step.FromBlank) onLabel = false;
    }
  }
}

/** What a sequence's row of `results` holds, float64: the score, passes over the lattice (0 where lengths decide), and the place of a bad score. */
const RESULTS: usize = 32;

/** Below the frame's best, what is cut in the first pass. */
const DELTA: f64 = 300;

function solve<T>(p: Problem, result: usize): void {
  const magnitude = bounds<T>(p);
  if (isNaN(magnitude)) {
    for (let t = 0; t < p.frames; t++) for (let c = 0; c < p.classes; c++)
      if (!(<f64>load<T>(p.scores + <usize>t * p.stride + <usize>c * sizeof<T>()) < Infinity)) { store<f64>(result, t, 16); store<f64>(result, c, 24); store<f64>(result, NaN); return; }
  }
  let score: f64 = -Infinity, passes: f64 = 0;
  if (magnitude < Infinity) {
    // Sums round differently in different orders.
    const rounding = 2.3e-16 * <f64>(p.frames + 1) * magnitude;
    score = forward<T>(p, DELTA, -Infinity);
    passes = 1;
    if (p.lost > score - rounding - 2.3e-16 * <f64>p.frames * abs(score)) {
      score = score > -Infinity ? forward<T>(p, Infinity, score - rounding - 4.6e-16 * <f64>p.frames * abs(score)) : forward<T>(p, Infinity, -Infinity);
      passes = 2;
    }
  }
  store<f64>(result, score);
  store<f64>(result, passes, 8);
  if (score > -Infinity) traceback<T>(p);
}

/** Best alignments of the sequences [begin, end). Costs of free ends are NaN where the ends are not free; a label of -1 is a wildcard. */
function alignAll<T>(
  scores: usize, targets: usize, inputLengths: usize, targetLengths: usize, paths: usize, results: usize, workspace: usize,
  frames: i32, frameStride: usize, sequenceStride: usize, classes: i32, width: i32, blank: i32, opening: f64, closing: f64, wildcard: f64, begin: i32, end: i32,
): void {
  const places = workspace, p = changetype<Problem>(align(workspace + (<usize>classes << 2))), tables = align(changetype<usize>(p) + offsetof<Problem>());
  memory.fill(places, 0xff, <usize>classes << 2);
  p.classes = classes;
  p.stride = frameStride * sizeof<T>();
  p.opens = !isNaN(opening);
  p.closes = !isNaN(closing);
  for (let n = begin; n < end; n++) {
    const labels = load<i32>(targetLengths + (<usize>n << 2)), target = targets + (<usize>n * width << 2);
    p.frames = load<i32>(inputLengths + (<usize>n << 2));
    p.labels = labels + <i32>p.opens + <i32>p.closes;
    p.scores = scores + <usize>n * sequenceStride * sizeof<T>();
    p.path = paths + (<usize>n * frames << 2);
    const result = results + <usize>n * RESULTS;
    memory.fill(result, 0, RESULTS);
    if (!holds(p.frames, target, labels)) { store<f64>(result, -Infinity); continue; }
    if (p.frames == 0) continue;
    const cells = <usize>paddedCells(p.labels), every = <usize>widest(p.frames, p.labels);
    p.targets = tables;
    p.classOf = p.targets + align(cells << 2);
    p.slotAt = p.classOf + align(<usize>(min(p.labels, classes) + 2) << 2);
    p.skip = p.slotAt + align(cells << 2);
    p.blanks = p.skip + align(cells << 3);
    p.states = p.blanks + align(cells << 3);
    p.emissions = p.states + align(cells << 3);
    p.rest = p.emissions + (<usize>(min(p.labels, classes) + 6) << 5);
    p.directory = p.rest + align(<usize>(p.frames + 1) << 3);
    p.cone = p.directory + (<usize>(p.frames / saveEvery(p.frames) + 2) << 4);
    p.steps = p.cone + ((every + 2) << 4);
    p.saved = align(p.steps + every * (every + 2));
    p.savedEnd = p.saved + <usize>savedBytes(p.frames, p.labels);
    index(p, target, labels, blank, sizeof<T>(), places, opening, closing, wildcard);
    solve<T>(p, result);
  }
}

/** Whether so many frames can hold the target: its labels, and a blank between equal neighbours. */
function holds(frames: i32, targets: usize, labels: i32): bool {
  let needed = labels;
  for (let i = 1; i < labels && needed <= frames; i++) if (labelAt(targets, i) == labelAt(targets, i - 1) && labelAt(targets, i) >= 0) needed++;
  return needed <= frames;
}

/** Of float32 scores. Strides are in elements. */
export function ctcAlign(
  scores: usize, targets: usize, inputLengths: usize, targetLengths: usize, paths: usize, results: usize, workspace: usize,
  frames: i32, frameStride: usize, sequenceStride: usize, classes: i32, width: i32, blank: i32, opening: f64, closing: f64, wildcard: f64, begin: i32, end: i32,
): void {
  alignAll<f32>(scores, targets, inputLengths, targetLengths, paths, results, workspace, frames, frameStride, sequenceStride, classes, width, blank, opening, closing, wildcard, begin, end);
}

/** Of float64 scores. */
export function ctcAlign64(
  scores: usize, targets: usize, inputLengths: usize, targetLengths: usize, paths: usize, results: usize, workspace: usize,
  frames: i32, frameStride: usize, sequenceStride: usize, classes: i32, width: i32, blank: i32, opening: f64, closing: f64, wildcard: f64, begin: i32, end: i32,
): void {
  alignAll<f64>(scores, targets, inputLengths, targetLengths, paths, results, workspace, frames, frameStride, sequenceStride, classes, width, blank, opening, closing, wildcard, begin, end);
}
