/**
 * What a steering has answered, in a table: from (state, label) to (next state, factor), as nodes have them (`Step`). It is only read by decoders, so those of
 * several threads share it.
 *
 * Of a steering with few states all is known from the beginning: nothing is searched for then, and there is a row of factors for each state as well, the most
 * that each class may gain in it.
 */
import { Step } from './beam-state';

/**
 * The table: how many slots it has and fills, and how many states and classes where all is known of them, else 0 states; then its slots, an open-addressed hash.
 * Where all is known, there are none, but the answers, [classes, states], as a frame has few classes; and the states' rows, float32.
 */
const enum Table { Slots = 0, Filled = 4, States = 8, Classes = 12, Bytes = 16 }
const enum Slot { State = 0, Label = 8, Answer = 16, Bytes = 32 }
const enum Question { State = 0, Label = 8, Bytes = 16 }

let slots: usize, last: u32, states: u32, classes: u32, known: usize, rows: usize, questions: usize, mostAsked: i32;
/** Questions of the running call that the table could not answer. */
export let asked: i32 = 0;

/** What the running call asks, and where it lists what it has to ask for. */
export function consult(table: usize, asks: usize, most: i32): void {
  enterTable(table);
  questions = asks; mostAsked = most; asked = 0;
}

function enterTable(table: usize): void {
  slots = table + Table.Bytes;
  last = load<u32>(table, Table.Slots) - 1;
  states = load<u32>(table, Table.States); classes = load<u32>(table, Table.Classes);
  known = slots + <usize>(last + 1) * Slot.Bytes;
  rows = known + <usize>states * <usize>classes * Step.Bytes;
}

@inline export function rowBytes(classes: usize): usize { return ((classes << 2) + 15) & ~15; }

/** Bytes of a table. */
export function ctcBeamTableBytes(slots: i32, states: i32, classes: i32): f64 {
  return <f64>Table.Bytes + <f64>slots * Slot.Bytes + <f64>states * <f64>(<usize>classes * Step.Bytes + rowBytes(classes));
}

/** An empty table; `slots` is a power of two, or 0 where all is going to be known. */
export function ctcBeamTableOpen(at: usize, slots: i32, states: i32, classes: i32): void {
  store<i32>(at, slots, Table.Slots);
  store<i32>(at, 0, Table.Filled);
  store<i32>(at, states, Table.States);
  store<i32>(at, classes, Table.Classes);
  enterTable(at);
  memory.fill(at + Table.Bytes, 0xff, <usize>slots * Slot.Bytes);
  memory.fill(known, 0, <usize>states * (<usize>classes * Step.Bytes + rowBytes(classes)));
}

/** Whether all is known. Then states are whole numbers, and there is a row for each. */
@inline export function hasRows(): bool { return states > 0; }
/** The number of such a state: added to 2^52, it is in the sum's low bits. */
@inline export function numberOf(state: f64): u32 { return <u32>reinterpret<u64>(state + 4503599627370496.0); }
@inline export function rowAt(number: u32): usize { return rows + <usize>number * rowBytes(classes); }

/** More than any factor is rounded to float32 by; and more than what is too small for it. */
const UPWARDS: f64 = 1 + 1e-7;
export const SMALL: f64 = 1e-37;

/** A factor in float32, not less than it is. */
@inline export function upwards(factor: f64): f32 { return factor == 0 ? 0 : <f32>(factor * UPWARDS + SMALL); }

/**
 * Where a state's answers are: the first one's address where all is known. Else its low bits say where they begin, side by side by their labels, and its high
 * ones how far apart they go on from slots that are taken.
 */
@inline export function placeOf(state: f64): u64 { return hasRows() ? <u64>(known + <usize>numberOf(state) * Step.Bytes) : hashOf(state); }
@inline function hashOf(state: f64): u64 {
  const bits = reinterpret<u64>(state), h = (bits ^ bits >> 29) * 0xbf58476d1ce4e5b9;
  return h ^ h >> 32;
}

@inline function firstSlot(hash: u64, label: i32): usize {
  return slots + (<usize>((<u32>hash + <u32>label) & last) << 5);
}

/** The slot of an answer, or the empty one where it would go: its label is -1. */
function slotOf(hash: u64, state: f64, label: i32): usize {
  const apart = <u32>(hash >> 32) | 1;
  let i = <u32>hash + <u32>label, at = firstSlot(hash, label), held = load<i32>(at, Slot.Label);
  while (held != -1 && (held != label || load<f64>(at) != state)) {
    i += apart;
    at = slots + (<usize>(i & last) << 5);
    held = load<i32>(at, Slot.Label);
  }
  return at;
}

/** Puts all that one table holds into a larger one. */
export function ctcBeamTableMove(from: usize, to: usize): void {
  const count = load<i32>(from, Table.Slots);
  enterTable(to);
  for (let i = 0, at = from + Table.Bytes; i < count; i++, at += Slot.Bytes) {
    const label = load<i32>(at, Slot.Label);
    if (label == -1) continue;
    const state = load<f64>(at);
    memory.copy(slotOf(hashOf(state), state, label), at, Slot.Bytes);
  }
  store<i32>(to, load<i32>(from, Table.Filled), Table.Filled);
}

/** Puts answers into the table: float64 [count, 4], each a state, a label, a log weight and the next state. There must be room for them. */
export function ctcBeamLearn(at: usize, answers: usize, count: i32): void {
  enterTable(at);
  let filled = load<i32>(at, Table.Filled);
  for (let i = 0; i < count; i++, answers += 32) {
    const state = load<f64>(answers), label = <i32>load<f64>(answers, 8), factor = NativeMath.exp(load<f64>(answers, 16)), place = placeOf(state);
    let answer: usize;
    if (hasRows()) {
      answer = answerOf(place, label);
      store<f32>(rowAt(numberOf(state)) + (<usize>label << 2), upwards(factor));
    } else {
      const slot = slotOf(place, state, label);
      if (load<i32>(slot, Slot.Label) == -1) filled++;
      store<f64>(slot, state);
      store<i32>(slot, label, Slot.Label);
      answer = slot + Slot.Answer;
    }
    store<f64>(answer, load<f64>(answers, 24));
    store<f64>(answer, factor, Step.Factor);
  }
  store<i32>(at, filled, Table.Filled);
}

/** An answer where all is known. */
@inline function answerOf(place: u64, label: i32): usize { return <usize>place + <usize>label * <usize>states * Step.Bytes; }

/** An answer, or 0 where it has to be asked for first; `place` is the state's. */
@inline export function answerTo(place: u64, state: f64, label: i32): usize {
  if (hasRows()) return answerOf(place, label);
  const at = firstSlot(place, label);
  return load<i32>(at, Slot.Label) == label && load<f64>(at) == state ? at + Slot.Answer : search(place, state, label);
}
/** The label that an answer is to. */
@inline export function labelOf(answer: usize): i32 {
  return hasRows() ? <i32>(<u32>(answer - known) / Step.Bytes / states) : load<i32>(answer - (Slot.Answer - Slot.Label));
}

function search(hash: u64, state: f64, label: i32): usize {
  const slot = slotOf(hash, state, label);
  if (load<i32>(slot, Slot.Label) != -1) return slot + Slot.Answer;
  if (asked < mostAsked) {
    const at = questions + <usize>asked * Question.Bytes;
    store<f64>(at, state);
    store<f64>(at, <f64>label, Question.Label);
  }
  asked++;
  return 0;
}
