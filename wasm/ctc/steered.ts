/**
 * Beam search with a steering: an automaton over labels whose log weights count beside the network's scores. A prefix's probability has the
 * weights of its labels multiplied in, so candidates are compared by what they are worth in all.
 *
 * A kernel cannot call JavaScript. What the steering has said lies in a table, from (state, label) to (factor, next state); a frame that lacks
 * answers lists all of its questions, changes nothing, and is read again when they are in the table. Only candidates that could get into the
 * beam are asked for: `gains` holds the most that a step by each class may be worth.
 *
 * The table is only read here, so decoders on several threads share it.
 */
import { EXACTLY, heaviest, isFull, keep, offer, remember, Status, stay, threshold } from './beam';
import { select, sort } from './beam-order';
import { greatestOf, massOf, NOTHING, probability } from './beam-scores';
import { asLost, b, candidate, candidates, children, enter, Entry, entry, exps, gains, GATHERED, listed, marks, Node, node, rests, rows, stays, Step, step } from './beam-state';
import { decide, LOOK_EVERY } from './beam-trie';

/** The table: how many slots it has and fills, then its slots, an open-addressed hash. */
const enum Table { Slots = 0, Filled = 4, Bytes = 16 }
const enum Answer { State = 0, Label = 8, Factor = 16, Next = 24, Bytes = 32 }
const enum Question { State = 0, Label = 8, Bytes = 16 }

let table: usize, questions: usize, asked: i32, mostAsked: i32;

/** Bytes of a table. */
export function ctcBeamTableBytes(slots: i32): f64 {
  return <f64>Table.Bytes + <f64>slots * Answer.Bytes;
}

/** An empty table; `slots` is a power of two. */
export function ctcBeamTableOpen(at: usize, slots: i32): void {
  store<i32>(at, slots, Table.Slots);
  store<i32>(at, 0, Table.Filled);
  memory.fill(at + Table.Bytes, 0xff, <usize>slots * Answer.Bytes);
}

/** The slot of an answer, or the empty one where it would go: its label is -1. */
function slotOf(state: f64, label: i32): usize {
  const bits = reinterpret<u64>(state), last = load<i32>(table) - 1;
  let h = (bits ^ (bits >> 29) ^ <u64>label * 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
  h ^= h >> 32;
  let i = <i32>h & last, at = table + Table.Bytes + <usize>i * Answer.Bytes, held = load<i32>(at, Answer.Label);
  while (held != -1 && (held != label || load<f64>(at) != state)) {
    i = (i + 1) & last;
    at = table + Table.Bytes + <usize>i * Answer.Bytes;
    held = load<i32>(at, Answer.Label);
  }
  return at;
}

/** Puts all that one table holds into another one, which has room for it. */
export function ctcBeamTableMove(from: usize, to: usize): void {
  const slots = load<i32>(from, Table.Slots);
  table = to;
  for (let i = 0, at = from + Table.Bytes; i < slots; i++, at += Answer.Bytes)
    if (load<i32>(at, Answer.Label) != -1) memory.copy(slotOf(load<f64>(at), load<i32>(at, Answer.Label)), at, Answer.Bytes);
  store<i32>(to, load<i32>(from, Table.Filled), Table.Filled);
}

/** Puts answers into the table: float64 [count, 4], each a state, a label, a log weight and the next state. There must be room for them. */
export function ctcBeamLearn(at: usize, answers: usize, count: i32): void {
  table = at;
  for (let i = 0; i < count; i++, answers += 32) {
    const label = <i32>load<f64>(answers, 8), slot = slotOf(load<f64>(answers), label);
    if (load<i32>(slot, Answer.Label) == -1) store<i32>(at, load<i32>(at, Table.Filled) + 1, Table.Filled);
    store<f64>(slot, load<f64>(answers));
    store<i32>(slot, label, Answer.Label);
    store<f64>(slot, NativeMath.exp(load<f64>(answers, 16)), Answer.Factor);
    store<f64>(slot, load<f64>(answers, 24), Answer.Next);
  }
}

/** An answer, or 0 where it has to be asked for first. */
@inline function answerTo(state: f64, label: i32): usize {
  const slot = slotOf(state, label);
  if (load<i32>(slot, Answer.Label) != -1) return slot;
  if (asked < mostAsked) {
    const at = questions + <usize>asked * Question.Bytes;
    store<f64>(at, state);
    store<f64>(at, <f64>label, Question.Label);
  }
  asked++;
  return 0;
}

/** Rows of float32 behind the gains: their logarithms without the blank, those above 0, and two to work in. */
const enum Row { Gains = 0, Growth = 1, Work = 2, Usable = 3 }
@inline function rowAt(which: Row): usize { return rows + <usize>which * <usize>(((b.classes << 2) + 15) & ~15); }
/** What `steered` says: whether every class has a bound. */
const BOUNDED = 1, UNBOUNDED = 2;

/**
 * Steers a decoder that has just been opened or restored: the first state, and log bounds of what a step by each class may gain (float64 [C];
 * Infinity where nothing is known).
 */
export function ctcBeamSteer(state: usize, first: f64, bounds: usize): void {
  enter(state);
  store<f64>(step(0), first);
  store<f64>(step(0), 1, Step.Factor);
  b.steered = BOUNDED;
  for (let c = 0; c < b.classes; c++) {
    const bound = load<f64>(bounds + (<usize>c << 3)), at = <usize>c << 2;
    store<f64>(gains + (<usize>c << 3), NativeMath.exp(bound));
    store<f32>(rowAt(Row.Gains) + at, c == b.blank ? -Infinity : <f32>bound);
    store<f32>(rowAt(Row.Growth) + at, c == b.blank ? 0 : <f32>max<f64>(bound, 0));
    if (c != b.blank && bound == Infinity) b.steered = UNBOUNDED;
  }
}

/** A piece of one sequence, as `ctcBeam` reads it. Asks: `status` has the number of questions in its third word; those there was room for lie in `asks`. */
export function ctcBeamSteered(state: usize, scores: usize, stride: usize, frames: i32, fresh: i32, status: usize, known: usize, asks: usize, most: i32): void {
  enter(state);
  table = known; questions = asks; mostAsked = most; asked = 0;
  if (fresh) remember();
  const what = advance(scores, stride, frames);
  if (what == Status.Done) b.countBefore = -1;
  store<i32>(status, what);
  store<i32>(status, b.done, 4);
  store<i32>(status, min(asked, most), 8);
}

function advance(row: usize, stride: usize, frames: i32): Status {
  row += <usize>b.done * stride;
  for (; b.done < frames; b.done++, row += stride) {
    if (isFull()) return Status.Full;
    const greatest = greatestOf(row);
    if (!(greatest < Infinity)) return Status.Bad;
    if (greatest == -Infinity || b.count == 0) b.count = 0;
    else {
      const known = b.nodeCount, best = read(row, greatest, false);
      // All that may be is out of sight below a class that may not: read the frame without what nothing may use.
      if (asked == 0 && best < 1e-200) reread(row);
      if (asked == 0) name(known);
      if (asked) return Status.Asks;
    }
    if (b.horizon > 0 && ++b.unseen == LOOK_EVERY) decide();
  }
  return Status.Done;
}

/**
 * Reads a frame. Returns the best candidate; changes the beam only if nothing had to be asked, and unless that is out of sight.
 * @param anyway even then.
 */
function read(row: usize, greatest: f32, anyway: bool): f64 {
  const n = b.count, width = b.width, top = <f64>greatest;
  b.stamp++;
  stay(row, greatest, true);
  let least = threshold;
  const isBounded = b.steered == BOUNDED, all = isBounded ? massOfBound(row, top) : Infinity;
  const count = list(row, top, isBounded && least > 0 ? least / heaviest : 0, isBounded), likeliest = count > 0 ? load<f64>(listed) : 0;
  // What is given up from each listed class on.
  let rest: f64 = 0;
  if (isBounded) {
    let sum: f64 = 0;
    for (let k = 0; k < count; k++) sum += load<f64>(listed + (<usize>k << 4));
    rest = max(all - sum, 0);
    store<f64>(rests + (<usize>count << 3), rest);
    for (let k = count - 1; k >= 0; k--) { rest += load<f64>(listed + (<usize>k << 4)); store<f64>(rests + (<usize>k << 3), rest); }
  } else if (hasUnlisted(row, count)) rest = Infinity;
  let offers = n, given: f64 = hasVanished(row) || (isBounded && all < 1e-200 && canGoOn(row)) ? VANISHED : 0, gave = given > 0;
  for (let i = 0; i < n; i++) {
    const e = entry(i), id = load<i32>(e), label = load<i32>(node(id), Node.Label), inBlank = load<f64>(e, Entry.InBlank), total = inBlank + load<f64>(e, Entry.InLabel);
    if (isBounded && total * likeliest < least) { given += total * rest; continue; }
    const state = load<f64>(step(id));
    b.stamp++;
    for (let k = load<i32>(children + (<usize>i << 3), 4); k >= 0; k = load<i32>(children + (<usize>k << 3)))
      store<u32>(marks + (<usize>load<i32>(node(load<i32>(entry(k))), Node.Label) << 2), b.stamp);
    let k = 0;
    for (; k < count; k++) {
      const at = listed + (<usize>k << 4), key = load<f64>(at), to = load<i32>(at, 8);
      if (isBounded && total * key < least) break;
      if (load<u32>(marks + (<usize>to << 2)) == b.stamp) continue;
      const from = to == label ? inBlank : total;
      if (isBounded && from * key < least) { given += from * key; continue; }
      let value = from * load<f64>(exps + (<usize>to << 3));
      if (!(value > 0)) { if (from > 0) { gave = true; given += VANISHED; } continue; }
      const answer = answerTo(state, to);
      if (!answer) continue;
      value *= load<f64>(answer, Answer.Factor);
      if (!(value > 0)) { if (load<f64>(answer, Answer.Factor) > 0) { gave = true; given += VANISHED; } continue; }
      if (value < least) { gave = true; given += value; continue; }
      if (offers == GATHERED * width) {
        given += choose(offers);
        offers = width;
        gave = true;
        least = load<f64>(candidate(0));
        for (let q = 1; q < width; q++) least = min(least, load<f64>(candidate(q)));
        if (value < least) { given += value; continue; }
      }
      offer(offers++, value, i, <u32>to);
    }
    if (isBounded) given += total * load<f64>(rests + (<usize>k << 3));
  }
  if (asked) return 0;
  if (offers > width) { given += choose(offers); offers = width; gave = true; }
  sort(candidates, 0, offers);
  const best = offers > 0 ? load<f64>(candidates) : 0;
  if (best < 1e-200 && !anyway) return best;
  b.shifted += top;
  if (isBounded) keep(offers, (b.lost > 0 ? b.lost * growth(row, greatest) : 0) + asLost(given), EXACTLY);
  else {
    // Nothing bounds what may still become of anything that was given up.
    gave = gave || rest > 0 || b.lost > 0;
    keep(offers, 0, EXACTLY);
    if (b.count < offers && load<f64>(candidate(b.count)) > 0) gave = true;
    b.lost = gave ? Infinity : 0;
  }
  return best;
}

/**
 * More than any number of products that were too small for float64, and less than 1e-16 of what can be told apart from a beam. They must not count as
 * nothing: a steep frame can make up for any factor.
 */
const VANISHED: f64 = 1e-290;

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
    const at = stays + (<usize>i << 4), label = load<i32>(node(load<i32>(entry(i))), Node.Label);
    if (isBlankPossible && load<f64>(at) < VANISHED) return true;
    if (label >= 0 && load<f64>(at, 8) < VANISHED && load<f32>(row + (<usize>label << 2)) > -Infinity) return true;
  }
  return false;
}

/** Whether there is a class that may lengthen a prefix, however unlikely. */
function canGoOn(row: usize): bool {
  const by = rowAt(Row.Work);
  for (let c = 0; c < b.classes; c++) if (c != b.blank && load<f32>(by + (<usize>c << 2)) > -Infinity) return true;
  return false;
}

/** The scores and a row, added up, in the row to work in. */
@inline function addTo(row: usize, which: Row): usize {
  const by = rowAt(which), to = rowAt(Row.Work), classes = b.classes;
  let c = 0;
  for (; c + 4 <= classes; c += 4) v128.store(to + (<usize>c << 2), f32x4.add(v128.load(row + (<usize>c << 2)), v128.load(by + (<usize>c << 2))));
  for (; c < classes; c++) store<f32>(to + (<usize>c << 2), load<f32>(row + (<usize>c << 2)) + load<f32>(by + (<usize>c << 2)));
  return to;
}

/** Not less than what steps by all classes but the blank can be worth, relative to `top`; leaves each class's in the row to work in. */
function massOfBound(row: usize, top: f64): f64 {
  const most = addTo(row, Row.Gains), greatest = greatestOf(most);
  return greatest == -Infinity ? 0 : massOf(most, greatest) * NativeMath.exp(<f64>greatest - top) * (1 + 1e-5);
}

/** Not less than what any prefix can become in this frame: each class's probability by the most that it may gain, or by 1 where it stays. */
function growth(row: usize, greatest: f32): f64 {
  const most = addTo(row, Row.Growth), top = greatestOf(most);
  return massOf(most, top) * NativeMath.exp(<f64>top - <f64>greatest) * (1 + 1e-5);
}

/**
 * Lists the classes, but for the blank, that may reach `share` of the top: by what they are worth at most, the greatest first. Where there are
 * no bounds, by their probabilities.
 */
function list(row: usize, top: f64, share: f64, isBounded: bool): i32 {
  const classes = b.classes, by = isBounded ? rowAt(Row.Work) : row, limit = <f32>(top + (share > 0 ? max(NativeMath.log(share) - 1e-3, -NOTHING) : -NOTHING)), four = f32x4.splat(limit);
  let count = 0;
  for (let c = 0; c < classes; c += 4) {
    let bits = c + 4 <= classes ? i32x4.bitmask(f32x4.ge(v128.load(by + (<usize>c << 2)), four)) : 15 >> (c + 4 - classes);
    for (let k = c; bits; k++, bits >>= 1) {
      if (!(bits & 1) || k == b.blank || !(load<f32>(by + (<usize>k << 2)) >= limit)) continue;
      const at = listed + (<usize>count << 4);
      count++;
      store<f64>(at, probability(row, k, top));
      store<i32>(at, k, 8);
    }
  }
  if (count > b.top) { select(listed, count, b.top); count = b.top; }
  if (isBounded)
    for (let k = 0; k < count; k++) {
      const at = listed + (<usize>k << 4);
      store<f64>(at, load<f64>(at) * load<f64>(gains + (<usize>load<i32>(at, 8) << 3)));
    }
  sort(listed, 0, count);
  return count;
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
      const id = load<i32>(entry(i));
      if (load<i32>(node(id), Node.Label) == c) usable = true;
      if (c == b.blank) continue;
      const answer = answerTo(load<f64>(step(id)), c);
      if (answer && load<f64>(answer, Answer.Factor) > 0) usable = true;
    }
    store<f32>(rowAt(Row.Usable) + (<usize>c << 2), usable ? score : -Infinity);
  }
  if (asked) return;
  const usable = rowAt(Row.Usable), greatest = greatestOf(usable), lost = b.lost;
  if (greatest == -Infinity) { b.count = 0; return; }
  read(usable, greatest, true);
  if (asked) return;
  if (lost > 0) b.lost = Infinity; // what was lost may have had a use for the others
}

/** Gives the nodes that the frame has made, from number `first` on, their states and factors, which are all known by now. */
@inline function name(first: i32): void {
  for (let id = first; id < b.nodeCount; id++) {
    const at = step(id), answer = slotOf(load<f64>(step(load<i32>(node(id)))), load<i32>(node(id), Node.Label));
    store<f64>(at, load<f64>(answer, Answer.Next));
    store<f64>(at, load<f64>(answer, Answer.Factor), Step.Factor);
  }
}

/** States and factors of all nodes anew, from the root's on: numbers that a steering gives its states may differ from process to process. */
export function ctcBeamRename(state: usize, first: f64, known: usize, status: usize, asks: usize, most: i32): void {
  enter(state);
  table = known; questions = asks; mostAsked = most; asked = 0;
  for (let id = 0; id < b.nodeCount; id++) {
    const parent = load<i32>(node(id)), at = step(id);
    store<f64>(at, parent < 0 ? first : NaN);
    store<f64>(at, 1, Step.Factor);
    if (parent < 0 || isNaN(load<f64>(step(parent)))) continue;
    const answer = answerTo(load<f64>(step(parent)), load<i32>(node(id), Node.Label));
    if (!answer) continue;
    store<f64>(at, load<f64>(answer, Answer.Next));
    store<f64>(at, load<f64>(answer, Answer.Factor), Step.Factor);
  }
  store<i32>(status, min(asked, most));
}

/** The states of the first `count` prefixes of the beam, float64. */
export function ctcBeamStates(state: usize, count: i32, states: usize): void {
  enter(state);
  for (let k = 0; k < min(count, b.count); k++) store<f64>(states + (<usize>k << 3), load<f64>(step(load<i32>(entry(k)))));
}
