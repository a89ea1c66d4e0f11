/** The way back: the cone of cells that a path can have come through since the last saved band, by the same additions as on the way forward. */
import { entryOf } from './align-bands';
import { Constant, Problem, Unlabelled, at, emission, put } from './align-problem';
import { labelAt } from './sequence';

/** Where the two states of a cell came from. */
const enum Step { Stay = 0, FromBlank = 1, Skip = 2, BlankFromLabel = 4 }

/** One frame of `count` cells from `first` on, whose states begin at `b` and `l` (at cell 0 of the cone, or of the band); notes each step if asked to. */
@inline export function advance<T>(p: Problem, t: i32, blanks: usize, states: usize, first: i32, count: i32, steps: usize): void {
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

/** Writes the best path, which ends in the state `last`: of equal predecessors the state itself comes first, then the blank, then the label before. */
export function traceback<T>(p: Problem, last: i32): void {
  const every = p.every, width = every + 2, blanks = p.cone, states = blanks + (<usize>width << 3), shift = p.opens ? 1 : 0;
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
