/**
 * What a steering has answered, in a table: from (state, label) to (factor, next state). It is only read by decoders, so those of several threads share it.
 *
 * Of a steering with few states all is known from the beginning. Then there is a row of factors for each state as well: the most that each class may gain in it.
 */
/**
 * The table: how many slots it has and fills, and of how many states and classes all is known, 0 of none; then its slots, an open-addressed hash; then the
 * states' rows, float32.
 */
const enum Table { Slots = 0, Filled = 4, States = 8, Classes = 12, Bytes = 16 }
export const enum Answer { State = 0, Label = 8, Factor = 16, Next = 24, Bytes = 32 }
const enum Question { State = 0, Label = 8, Bytes = 16 }

let slots: usize, last: u32, states: u32, classes: u32, rows: usize, questions: usize, mostAsked: i32;
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
  rows = slots + <usize>(last + 1) * Answer.Bytes;
}

@inline export function rowBytes(classes: usize): usize { return ((classes << 2) + 15) & ~15; }

/** Bytes of a table. */
export function ctcBeamTableBytes(slots: i32, states: i32, classes: i32): f64 {
  return <f64>Table.Bytes + <f64>slots * Answer.Bytes + <f64>states * <f64>rowBytes(classes);
}

/** An empty table; `slots` is a power of two, and more than states times classes where all is going to be known. */
export function ctcBeamTableOpen(at: usize, slots: i32, states: i32, classes: i32): void {
  store<i32>(at, slots, Table.Slots);
  store<i32>(at, 0, Table.Filled);
  store<i32>(at, states, Table.States);
  store<i32>(at, classes, Table.Classes);
  enterTable(at);
  memory.fill(at + Table.Bytes, 0xff, <usize>slots * Answer.Bytes);
  memory.fill(rows, 0, <usize>states * rowBytes(classes));
}

/** Whether every state of which all is known has a row. */
@inline export function hasRows(): bool { return states > 0; }
@inline function isKnown(state: f64): bool { return state >= 0 && state < <f64>states && trunc(state) == state; }

/** The row of a state; `other` for one that there should not be. */
@inline export function rowOf(state: f64, other: usize): usize { return isKnown(state) ? rows + <usize>state * rowBytes(classes) : other; }

/** More than any factor is rounded to float32 by; and more than what is too small for it. */
const UPWARDS: f64 = 1 + 1e-7;
export const SMALL: f64 = 1e-37;

/** A factor in float32, not less than it is. */
@inline export function upwards(factor: f64): f32 { return factor == 0 ? 0 : <f32>(factor * UPWARDS + SMALL); }

/**
 * Where a state's answers begin, in the low bits, and how far apart they go on from slots that are taken, in the high ones. Where all is known, every state has
 * slots of its own.
 */
@inline export function hashOf(state: f64): u64 {
  if (isKnown(state)) return <u64>(<u32>state * classes);
  const bits = reinterpret<u64>(state), h = (bits ^ bits >> 29) * 0xbf58476d1ce4e5b9;
  return h ^ h >> 32;
}

/** Answers of one state lie side by side, by their labels. */
@inline function firstSlot(hash: u64, label: i32): usize {
  return slots + (<usize>((<u32>hash + <u32>label) & last) << 5);
}

/** The slot of an answer, or the empty one where it would go: its label is -1. */
function slotOf(hash: u64, state: f64, label: i32): usize {
  const apart = <u32>(hash >> 32) | 1;
  let i = <u32>hash + <u32>label, at = firstSlot(hash, label), held = load<i32>(at, Answer.Label);
  while (held != -1 && (held != label || load<f64>(at) != state)) {
    i += apart;
    at = slots + (<usize>(i & last) << 5);
    held = load<i32>(at, Answer.Label);
  }
  return at;
}

/** Puts all that one table holds into another one, which has room for it and is for as many states and classes. */
export function ctcBeamTableMove(from: usize, to: usize): void {
  const count = load<i32>(from, Table.Slots);
  enterTable(to);
  for (let i = 0, at = from + Table.Bytes; i < count; i++, at += Answer.Bytes)
    if (load<i32>(at, Answer.Label) != -1) learn(load<f64>(at), load<i32>(at, Answer.Label), load<f64>(at, Answer.Factor), load<f64>(at, Answer.Next));
  store<i32>(to, load<i32>(from, Table.Filled), Table.Filled);
}

/** Puts answers into the table: float64 [count, 4], each a state, a label, a log weight and the next state. There must be room for them. */
export function ctcBeamLearn(at: usize, answers: usize, count: i32): void {
  enterTable(at);
  let filled = load<i32>(at, Table.Filled);
  for (let i = 0; i < count; i++, answers += 32)
    filled += learn(load<f64>(answers), <i32>load<f64>(answers, 8), NativeMath.exp(load<f64>(answers, 16)), load<f64>(answers, 24));
  store<i32>(at, filled, Table.Filled);
}

/** Returns how many slots it takes. */
function learn(state: f64, label: i32, factor: f64, next: f64): i32 {
  const slot = slotOf(hashOf(state), state, label), taken = load<i32>(slot, Answer.Label) == -1 ? 1 : 0;
  store<f64>(slot, state);
  store<i32>(slot, label, Answer.Label);
  store<f64>(slot, factor, Answer.Factor);
  store<f64>(slot, next, Answer.Next);
  const row = rowOf(state, 0);
  if (row && <u32>label < classes) store<f32>(row + (<usize>label << 2), upwards(factor));
  return taken;
}

/** An answer, or 0 where it has to be asked for first; `hash` is the state's. */
@inline export function answerTo(hash: u64, state: f64, label: i32): usize {
  const at = firstSlot(hash, label);
  return load<i32>(at, Answer.Label) == label && load<f64>(at) == state ? at : search(hash, state, label);
}

function search(hash: u64, state: f64, label: i32): usize {
  const slot = slotOf(hash, state, label);
  if (load<i32>(slot, Answer.Label) != -1) return slot;
  if (asked < mostAsked) {
    const at = questions + <usize>asked * Question.Bytes;
    store<f64>(at, state);
    store<f64>(at, <f64>label, Question.Label);
  }
  asked++;
  return 0;
}
