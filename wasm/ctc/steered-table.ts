/**
 * What a steering has answered, in a table: from (state, label) to (factor, next state). It is only read by decoders, so those of several threads share it.
 */

/** The table: how many slots it has and fills, then its slots, an open-addressed hash. */
const enum Table { Slots = 0, Filled = 4, Bytes = 16 }
export const enum Answer { State = 0, Label = 8, Factor = 16, Next = 24, Bytes = 32 }
const enum Question { State = 0, Label = 8, Bytes = 16 }

let slots: usize, last: u32, questions: usize, mostAsked: i32;
/** Questions of the running call that the table could not answer. */
export let asked: i32 = 0;

/** What the running call asks, and where it lists what it has to ask for. */
export function consult(table: usize, asks: usize, most: i32): void {
  enterTable(table);
  questions = asks; mostAsked = most; asked = 0;
}

function enterTable(table: usize): void {
  slots = table + Table.Bytes;
  last = load<i32>(table, Table.Slots) - 1;
}

/** Bytes of a table. */
export function ctcBeamTableBytes(count: i32): f64 {
  return <f64>Table.Bytes + <f64>count * Answer.Bytes;
}

/** An empty table; `count` is a power of two. */
export function ctcBeamTableOpen(at: usize, count: i32): void {
  store<i32>(at, count, Table.Slots);
  store<i32>(at, 0, Table.Filled);
  memory.fill(at + Table.Bytes, 0xff, <usize>count * Answer.Bytes);
}

/** Where a state's answers begin, in the low bits, and how far apart they go on from slots that are taken, in the high ones. */
@inline export function hashOf(state: f64): u64 {
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

/** Puts all that one table holds into another one, which has room for it. */
export function ctcBeamTableMove(from: usize, to: usize): void {
  const count = load<i32>(from, Table.Slots);
  enterTable(to);
  for (let i = 0, at = from + Table.Bytes; i < count; i++, at += Answer.Bytes) {
    const state = load<f64>(at), label = load<i32>(at, Answer.Label);
    if (label != -1) memory.copy(slotOf(hashOf(state), state, label), at, Answer.Bytes);
  }
  store<i32>(to, load<i32>(from, Table.Filled), Table.Filled);
}

/** Puts answers into the table: float64 [count, 4], each a state, a label, a log weight and the next state. There must be room for them. */
export function ctcBeamLearn(at: usize, answers: usize, count: i32): void {
  enterTable(at);
  for (let i = 0; i < count; i++, answers += 32) {
    const state = load<f64>(answers), label = <i32>load<f64>(answers, 8), slot = slotOf(hashOf(state), state, label);
    if (load<i32>(slot, Answer.Label) == -1) store<i32>(at, load<i32>(at, Table.Filled) + 1, Table.Filled);
    store<f64>(slot, state);
    store<i32>(slot, label, Answer.Label);
    store<f64>(slot, NativeMath.exp(load<f64>(answers, 16)), Answer.Factor);
    store<f64>(slot, load<f64>(answers, 24), Answer.Next);
  }
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
