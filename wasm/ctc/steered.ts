/**
 * Beam search with a steering: an automaton over labels whose log weights count beside the network's scores. A prefix's probability has the
 * weights of its labels multiplied in, so candidates are compared by what they are worth in all.
 *
 * A kernel cannot call JavaScript. What the steering has said lies in a table, from (state, label) to (factor, next state); a frame that lacks
 * answers lists all of its questions, changes nothing, and is read again when they are in the table. Only candidates that could get into the
 * beam are asked for: `gains` holds the most that a step by each class may be worth.
 */
import { before, EXACTLY, hasChild, heaviest, isFull, keep, leftOut, markChildren, offer, order, remember, Status, stay, threshold } from './beam';
import { select } from './beam-order';
import { greatestOf } from './beam-scores';
import { asLost, b, candidate, candidates, enter, Entry, entry, exps, GATHERED, kin, Kin, listed, marks, Node, node, rests, stays, Step, step } from './beam-state';
import { decide, LOOK_EVERY } from './beam-trie';
import { addUp, addUpExactly, addUpNothing, Bounds, canGoOn, growth, list, listForemost, lookAtBeam, most, mostOfOne, Row, rowAt } from './steered-bounds';
import { answerTo, asked, consult, placeOf } from './steered-table';

/** A piece of one sequence, as `ctcBeam` reads it. Asks: `status` has the number of questions in its third word; those there was room for lie in `asks`. */
export function ctcBeamSteered(state: usize, scores: usize, stride: usize, frames: i32, fresh: i32, status: usize, table: usize, asks: usize, mostAsked: i32): void {
  enter(state);
  consult(table, asks, mostAsked);
  if (fresh) remember();
  b.changed = 1;
  const what = advance(scores, stride, frames);
  if (what == Status.Done) b.countBefore = -1;
  store<i32>(status, what);
  store<i32>(status, b.done, 4);
  store<i32>(status, min(asked, mostAsked), 8);
}

function advance(row: usize, stride: usize, frames: i32): Status {
  row += <usize>b.done * stride;
  for (; b.done < frames; b.done++, row += stride) {
    if (isFull()) return Status.Full;
    const greatest = greatestOf(row);
    if (!(greatest < Infinity)) return Status.Bad;
    if (greatest == -Infinity || b.count == 0) b.count = 0;
    else {
      let best = b.steered == Bounds.Low ? read(row, greatest, LIKELY, false) : 0;
      if (asked == 0 && best < LIKELY) best = read(row, greatest, POSSIBLE, true);
      // All that may be is out of sight below a class that may not: read the frame without what nothing may use.
      if (asked == 0 && best < POSSIBLE) reread(row);
      if (asked) return Status.Asks;
    }
    if (b.horizon > 0 && ++b.unseen == LOOK_EVERY) decide();
  }
  return Status.Done;
}

/** What a frame's best candidate must be worth: for sums that may be off by 1e-37 for each class, and for any that are made in float64. */
const LIKELY: f64 = 1e-20, POSSIBLE: f64 = 1e-200;

/**
 * Reads a frame. Returns the best candidate; changes the beam only if nothing had to be asked, and that is `enough`.
 * @param isExact for sums that no share of is made up.
 */
function read(row: usize, greatest: f32, enough: f64, isExact: bool): f64 {
  const n = b.count, width = b.width, isBounded = b.steered != Bounds.None;
  b.stamp++;
  stay(row, greatest, true);
  let least = threshold;
  if (b.changed) lookAtBeam();
  if (!isBounded) addUpNothing(row); else if (isExact) addUpExactly(row, greatest); else addUp(row, greatest);
  let offers = n, stayed = n, count = 0, open = 0, given: f64 = 0;
  if (heaviest * mostOfOne < least) given = before * most;
  else {
    // By the class that may be worth most first, as in beam.ts. The other classes have to be looked at only when that has raised what counts.
    count = b.top < b.classes ? -1 : listForemost(row, greatest, isExact);
    const isListed = count < 0;
    if (isListed) count = list(row, greatest, isBounded && least > 0 ? least / heaviest : 0, 0, isExact);
    let reached: f64 = Infinity;
    for (const key = count > 0 ? load<f64>(listed) : 0, to = load<i32>(listed, 8); open < n && count > 0; open++) {
      const e = entry(open), id = load<i32>(e), inBlank = load<f64>(e, Entry.InBlank), total = inBlank + load<f64>(e, Entry.InLabel);
      if (total * key < least) break; // and those after it are lighter
      const from = to == load<i32>(kin(open), Kin.Label) ? inBlank : total;
      let value: f64 = 0;
      if (from > 0 && !hasChild(open, to)) {
        const state = load<f64>(step(id)), answer = answerTo(placeOf(state), state, to);
        if (answer) {
          value = from * load<f64>(exps + (<usize>to << 3)) * load<f64>(answer, Step.Factor);
          if (value > 0 && value >= least) offer(offers++, value, open, <u32>answer);
          else given += value > 0 || load<f64>(answer, Step.Factor) == 0 ? value : VANISHED;
        }
      }
      reached = min(reached, max(value, load<f64>(candidate(open))));
    }
    given += totalOf(open, n) * most;
    if (open == width) least = max(least, reached);
    if (open > 0 && !isListed) count = list(row, greatest, isBounded && least > 0 ? least / heaviest : 0, 1, isExact);
    sumRests(count);
    if (!isBounded && hasUnlisted(row, count)) given = VANISHED;
  }
  const second = count > 1 ? load<f64>(listed, 16) : 0;
  for (let i = 0; i < open; i++) {
    const e = entry(i), id = load<i32>(e), inBlank = load<f64>(e, Entry.InBlank), total = inBlank + load<f64>(e, Entry.InLabel);
    if (total * second < least || count == 1) { given += totalOf(i, open) * load<f64>(rests, 8); break; }
    const label = load<i32>(kin(i), Kin.Label), state = load<f64>(step(id)), place = placeOf(state);
    markChildren(i);
    let k = 1;
    for (; k < count; k++) {
      const at = listed + (<usize>k << 4), key = load<f64>(at), to = load<i32>(at, 8);
      if (total * key < least) break;
      if (load<u32>(marks + (<usize>to << 2)) == b.stamp) continue;
      const from = to == label ? inBlank : total;
      if (to == label && !(inBlank > 0)) continue;
      if (to == label && inBlank * key < least) { given += inBlank * key; continue; }
      const answer = answerTo(place, state, to);
      if (!answer) continue;
      const value = from * load<f64>(exps + (<usize>to << 3)) * load<f64>(answer, Step.Factor);
      if (!(value > 0)) { if (load<f64>(answer, Step.Factor) > 0) given += VANISHED; continue; }
      if (value < least) { given += value; continue; }
      if (offers == GATHERED * width) {
        given += choose(offers);
        offers = width;
        stayed = 0;
        least = load<f64>(candidate(0));
        for (let q = 1; q < width; q++) least = min(least, load<f64>(candidate(q)));
        if (value < least) { given += value; continue; }
      }
      offer(offers++, value, i, <u32>answer);
    }
    given += total * load<f64>(rests + (<usize>k << 3));
  }
  if (asked) return 0;
  order(stayed, offers);
  const best = max(stayed > 0 ? load<f64>(candidates) : 0, offers > stayed ? load<f64>(candidate(stayed)) : 0);
  if (best < enough) return best;
  // Beside more than that it would be rounded off.
  if (given < VANISHED * 1e20 && (hasVanished(row) || (isBounded && most < POSSIBLE && canGoOn(row)))) given += VANISHED;
  b.shifted += <f64>greatest;
  if (isBounded) keep(stayed, offers, (b.lost > 0 ? b.lost * growth : 0) + asLost(given), EXACTLY);
  else {
    // Nothing bounds what may still become of anything that was given up.
    const gave = given > 0 || b.lost > 0;
    keep(stayed, offers, 0, EXACTLY);
    b.lost = gave || leftOut > 0 ? Infinity : 0;
  }
  return best;
}

/**
 * More than any number of products that were too small for float64, and less than 1e-16 of what can be told apart from a beam. They must not count as
 * nothing: a steep frame can make up for any factor.
 */
const VANISHED: f64 = 1e-290;

/** What is given up of a prefix of 1 from each listed class on; nothing where there are no bounds. */
@inline function sumRests(count: i32): void {
  if (b.steered == Bounds.None) { memory.fill(rests, 0, <usize>(count + 1) << 3); return; }
  let sum: f64 = 0;
  for (let k = 0; k < count; k++) sum += load<f64>(listed + (<usize>k << 4));
  let rest = max(most - sum, 0);
  store<f64>(rests + (<usize>count << 3), rest);
  for (let k = count - 1; k >= 0; k--) { rest += load<f64>(listed + (<usize>k << 4)); store<f64>(rests + (<usize>k << 3), rest); }
}

/** What prefixes [from, to) have together. */
@inline function totalOf(from: i32, to: i32): f64 {
  let sum: f64 = 0;
  for (; from < to; from++) sum += load<f64>(entry(from), Entry.InBlank) + load<f64>(entry(from), Entry.InLabel);
  return sum;
}

/** Keeps the `width` greatest of the candidates; the sum of the others. What is lost is added up as it goes: a difference of sums would round it off. */
function choose(offers: i32): f64 {
  select(candidates, offers, b.width);
  let sum: f64 = 0;
  for (let i = b.width; i < offers; i++) sum += load<f64>(candidate(i));
  return sum;
}

/** Whether a part of a prefix that stays was too small for float64, or nearly. */
function hasVanished(row: usize): bool {
  const isBlankPossible = load<f32>(row + (<usize>b.blank << 2)) > -Infinity;
  for (let i = 0; i < b.count; i++) {
    const at = stays + (<usize>i << 4), label = load<i32>(kin(i), Kin.Label);
    if (isBlankPossible && load<f64>(at) < VANISHED) return true;
    if (label >= 0 && load<f64>(at, 8) < VANISHED && load<f32>(row + (<usize>label << 2)) > -Infinity) return true;
  }
  return false;
}

/** Whether a class that could be is not among the `count` that are listed. */
function hasUnlisted(row: usize, count: i32): bool {
  let possible = 0;
  for (let c = 0; c < b.classes; c++) if (c != b.blank && load<f32>(row + (<usize>c << 2)) > -Infinity) possible++;
  return possible > count;
}

/** Reads a frame again without the classes that no prefix in the beam may go on by. */
function reread(row: usize): void {
  const n = b.count, classes = b.classes;
  for (let c = 0; c < classes; c++) {
    const score = load<f32>(row + (<usize>c << 2));
    let usable = c == b.blank;
    for (let i = 0; i < n && score > -Infinity; i++) {
      const id = load<i32>(entry(i)), from = load<f64>(step(id));
      if (load<i32>(kin(i), Kin.Label) == c) usable = true;
      if (c == b.blank) continue;
      const answer = answerTo(placeOf(from), from, c);
      if (answer && load<f64>(answer, Step.Factor) > 0) usable = true;
    }
    store<f32>(rowAt(Row.Usable) + (<usize>c << 2), usable ? score : -Infinity);
  }
  if (asked) return;
  const usable = rowAt(Row.Usable), greatest = greatestOf(usable), lost = b.lost;
  if (greatest == -Infinity) { b.count = 0; return; }
  read(usable, greatest, 0, true);
  if (asked) return;
  if (lost > 0) b.lost = Infinity; // what was lost may have had a use for the others
}

/** Gives a node its state and factor, once they are known; `before` is its parent's state. */
@inline function nameAfter(id: i32, before: f64): void {
  const answer = answerTo(placeOf(before), before, load<i32>(node(id), Node.Label));
  if (answer) v128.store(step(id), v128.load(answer));
}

/** States and factors of all nodes anew, from the root's on: numbers that a steering gives its states may differ from process to process. */
export function ctcBeamRename(state: usize, first: f64, table: usize, status: usize, asks: usize, mostAsked: i32): void {
  enter(state);
  consult(table, asks, mostAsked);
  for (let id = 0; id < b.nodeCount; id++) {
    const parent = load<i32>(node(id)), at = step(id);
    store<f64>(at, parent < 0 ? first : NaN);
    store<f64>(at, 1, Step.Factor);
    if (parent >= 0 && !isNaN(load<f64>(step(parent)))) nameAfter(id, load<f64>(step(parent)));
  }
  store<i32>(status, min(asked, mostAsked));
}

/** The states of the first `count` prefixes of the beam, float64. */
export function ctcBeamStates(state: usize, count: i32, states: usize): void {
  enter(state);
  for (let k = 0; k < min(count, b.count); k++) store<f64>(states + (<usize>k << 3), load<f64>(step(load<i32>(entry(k)))));
}
