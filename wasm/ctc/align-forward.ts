/** The way forward: four frames a pass over a band of cells, two cells a vector. */
import { save, saveEvery } from './align-bands';
import { advance } from './align-path';
import { Problem, at, paddedCells, put } from './align-problem';
import { shortfall, shortfallsAt } from './align-rest';

@inline function leftOf(previous: v128, current: v128): v128 { return v128.shuffle<f64>(previous, current, 1, 2); }
@inline function lowOf(a: v128, b: v128): v128 { return v128.shuffle<f64>(a, b, 0, 2); }
@inline function highOf(a: v128, b: v128): v128 { return v128.shuffle<f64>(a, b, 1, 3); }

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

/** The state that a best path ends in: twice the cell, and 1 for its label. Of equal ones a free end comes first, then the label, then the blank. */
export function endOf(p: Problem): i32 {
  const n = p.labels - <i32>p.closes;
  let end = n << 1, best = at(p.blanks, n);
  if (n > 0 && at(p.states, n - 1) >= best) { end = n - 1 << 1 | 1; best = at(p.states, n - 1); }
  // The free end may have no frame.
  return p.closes && at(p.states, n) >= best ? n << 1 | 1 : end;
}
@inline function scoreOf(p: Problem, state: i32): f64 { return at(state & 1 ? p.states : p.blanks, state >> 1); }

/** In place of `delta`, once a pass can prove nothing any more: its score is wanted still, and that does not take a wide band. */
const NARROW: f64 = 30;

/**
 * The score of the best path within a band. A cell at an edge of the band is cut where it is more than `delta` below the frame's best, or where
 * not even the greatest rest would bring it to `bound`.
 */
export function forward<T>(p: Problem, delta: f64, bound: f64): f64 {
  const labels = p.labels, frames = p.frames, cells = labels + 1, padded = paddedCells(labels), target = labels - (p.closes ? 2 : 1);
  let lo = 0, hi = 1, lost: f64 = -Infinity, to = p.saved, t = 0;
  p.every = saveEvery(frames, labels);
  for (let i = 0; i < padded; i++) { put(p.blanks, i, -Infinity); put(p.states, i, -Infinity); }
  // With a free start, the path is in it before the first frame: it may stay there, or leave at once.
  put(p.opens ? p.states : p.blanks, 0, 0);
  for (; t + 4 <= frames; t += 4) {
    if (t % p.every == 0) to = save(p, t, lo, hi, to);
    fill<T>(p, p.scores + <usize>t * p.stride);
    hi = min(hi + 4, cells);
    const best = block(p.emissions, p.slotAt, p.skip, p.blanks, p.states, lo & ~1, (hi + 1) & ~1);
    // A cell before `need` cannot reach the end any more.
    const need = target - (frames - t - 4), future = at(p.rest, t + 4), row = shortfallsAt(p, t + 4), threshold = best - delta;
    for (; lo < hi; lo++) {
      const x = max(at(p.blanks, lo), at(p.states, lo)), most = x + future + shortfall(row, p.stretch, lo);
      if (lo >= need) { if (x >= threshold && most >= bound) break; lost = max(lost, most); }
      put(p.blanks, lo, -Infinity); put(p.states, lo, -Infinity);
    }
    for (; hi > lo; hi--) {
      const x = max(at(p.blanks, hi - 1), at(p.states, hi - 1)), most = x + future + shortfall(row, p.stretch, hi - 1);
      if (x >= threshold && most >= bound) break;
      lost = max(lost, most);
      put(p.blanks, hi - 1, -Infinity); put(p.states, hi - 1, -Infinity);
    }
    if (lo >= hi) { p.lost = lost; return -Infinity; }
    if (delta < Infinity && lost > best + future) delta = NARROW;
  }
  if (t < frames && t % p.every == 0) to = save(p, t, lo, hi, to);
  for (; t < frames; t++) {
    hi = min(hi + 1, cells);
    advance<T>(p, t, p.blanks, p.states, lo, hi, 0);
  }
  p.lost = lost;
  return scoreOf(p, endOf(p));
}
