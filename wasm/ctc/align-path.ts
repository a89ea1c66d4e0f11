/** The way back: the cone of cells that a path can have come through since the last saved band, by the same additions as on the way forward. */
import { entryOf } from './align-bands';
import { Constant, Problem, Unlabelled, at, emission, put } from './align-problem';
import { labelAt } from './sequence';

/** Where the two states of a cell came from. */
const enum Step { Stay = 0, FromBlank = 1, Skip = 2, BlankFromLabel = 4 }

/**
 * One frame of the cells [from, end), whose states lie at `blanks` and `states`, cell 0's first; notes each step if asked to. What came from the cell
 * before them is left out.
 */
@inline export function advance<T>(p: Problem, t: i32, blanks: usize, states: usize, from: i32, end: i32, steps: usize): void {
  const row = p.scores + <usize>t * p.stride, blank = <f64>load<T>(row + load<u32>(p.classOf));
  let left: f64 = -Infinity;
  for (let i = from; i < end; i++) {
    const b = at(blanks, i), l = at(states, i), skipped = left + at(p.skip, i);
    // No branches: which one is the best is anybody's guess.
    let best = select<f64>(b, l, b > l), code = select<i32>(Step.FromBlank, Step.Stay, b > l);
    code = select<i32>(Step.Skip, code, skipped > best);
    best = select<f64>(skipped, best, skipped > best);
    put(states, i, best + emission<T>(p, row, i));
    put(blanks, i, select<f64>(left, b, left > b) + blank);
    if (steps) store<u8>(steps + i, code | select<i32>(Step.BlankFromLabel, 0, left > b));
    left = l;
  }
}

/** Writes the best path, which ends in the state `last`: of equal predecessors the state itself comes first, then the blank, then the label before. */
export function traceback<T>(p: Problem, last: i32): void {
  const every = p.every, width = every + 2, blanks = p.cone, states = blanks + (<usize>width << 3), shift = p.opens ? 1 : 0;
  let onLabel = <bool>(last & 1), cell = last >> 1;
  for (let index = (p.frames - 1) / every; index >= 0; index--) {
    const begin = index * every, end = min(begin + every, p.frames), entry = entryOf(p, index);
    const lo = <i32>load<u32>(entry), hi = <i32>load<u32>(entry, 4), from = load<usize>(entry, 8);
    const first = max(lo, cell - (end - begin));
    // Where cell 0 of the cone's rows would be.
    const ahead = <usize>first << 3, b = blanks - ahead, l = states - ahead, steps = p.steps - first;
    for (let i = first; i <= cell; i++) {
      const inside = i < hi;
      put(b, i, inside ? at(from, i - lo) : -Infinity);
      put(l, i, inside ? at(from, hi - lo + i - lo) : -Infinity);
    }
    // Of a frame, no cells count that the path cannot leave in time, nor those that the band has not come to.
    for (let t = begin; t < end; t++)
      advance<T>(p, t, b, l, max(first, cell - (end - t)), min(cell, hi + (t - begin)) + 1, steps + <usize>(t - begin) * width);
    for (let t = end - 1; t >= begin; t--) {
      const label = onLabel ? labelAt(p.targets, cell) : 0;
      store<i32>(p.path + (<usize>t << 2), !onLabel ? Unlabelled.Blank : label <= Constant.Opening ? Unlabelled.Outside : cell - shift);
      const code = load<u8>(steps + <usize>(t - begin) * width + cell);
      if (!onLabel) { if (code & Step.BlankFromLabel) { cell--; onLabel = true; } }
      else if (code & Step.Skip) cell--;
      else if (code & Step.FromBlank) onLabel = false;
    }
  }
}
