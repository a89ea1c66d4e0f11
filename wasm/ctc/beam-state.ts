/** A beam decoder's state: one piece of memory without addresses, and where its parts lie. */

@unmanaged
export class Beam {
  width: i32; classes: i32; blank: i32;
  /** Nodes that there is room for, and slots of the hash of children (a power of two). */
  room: i32; heads: i32;
  nodeCount: i32; count: i32;
  stamp: u32;
  scale: i32;
  /** Frames of the piece that have been read. */
  done: i32;
  /** Labels that may stay open, 0 for any number; frames since that was last seen to. */
  horizon: i32;
  unseen: i32;
  /** Classes a frame that may lengthen a prefix, the likeliest. */
  top: i32;
  /** Not 0 where each node has a state and a weight beside it; then what is known of their bounds: see steered-bounds.ts. */
  steered: i32;
  /** Whether other prefixes than before may be in the beam. */
  changed: i32;
  /** Prefixes less likely than the best one by this factor are dropped; 0 for none. */
  drop: f64;
  /** Beside `scale`, of what has been lost: that may be out of all proportion to the beam. */
  lostScale: i32;
  lostScaleBefore: i32;
  /** The sum of each frame's greatest score, and what has been lost: times 2^lostScale, it is scaled as the beam's probabilities are. */
  shifted: f64;
  lost: f64;
  /** The beam before the piece that is being read, for `ctcBeamUndo`: -1 prefixes between pieces. */
  countBefore: i32;
  scaleBefore: i32;
  unseenBefore: i32;
  shiftedBefore: f64;
  lostBefore: f64;
}

export const enum Node { Parent = 0, Label = 4, Next = 8, Slot = 12, Bytes = 16 }
export const enum Entry { Node = 0, InBlank = 8, InLabel = 16, Bytes = 24 }
/** Of each prefix in the beam: its last label, one of its children in the beam, and the next one of its parent's; -1 for none. */
export const enum Kin { Next = 0, Child = 4, Label = 8, Bytes = 16 }
/** What stands beside each node of a steered beam: the steering's state, and the factor of the step that led there. */
export const enum Step { State = 0, Factor = 8, Bytes = 16 }

/** Candidates that are gathered before all but the best are dropped, as a multiple of the width. */
export const GATHERED = 6;
/** Rows of a steering's states that are known to have been looked at. */
export const SEEN = 64;
/** Classes that share a vector of maxima: four maxima, of every fourth class each. */
export const GROUP = 64;

// Where the parts of the state lie that the running call works on.
export let b: Beam = changetype<Beam>(0);
export let expStamps: usize, maxima: usize, entriesBefore: usize, stays: usize, heads: usize;
export let exps: usize, marks: usize, listed: usize, entries: usize, others: usize, children: usize, candidates: usize, nodes: usize, steps: usize, gains: usize, rows: usize, rests: usize, seen: usize;

@inline function up(bytes: usize): usize { return (bytes + 15) & ~15; }

export function layOut(state: usize, width: usize, classes: usize, slots: usize, room: usize, steered: bool): usize {
  let at = state + up(offsetof<Beam>());
  exps = at; at += up(classes << 3);
  expStamps = at; at += up(classes << 2);
  marks = at; at += up(classes << 2);
  maxima = at; at += (classes / GROUP) << 4;
  listed = at; at += classes << 4;
  entries = at; at += up(width * Entry.Bytes);
  entriesBefore = at; at += up(width * Entry.Bytes);
  others = at; at += up(width * Entry.Bytes);
  stays = at; at += width << 4;
  children = at; at += width * Kin.Bytes;
  candidates = at; at += (width * GATHERED) << 4;
  heads = at; at += up(slots << 2);
  nodes = at; at += room << 4;
  if (steered) {
    steps = at; at += room * Step.Bytes;
    gains = at; at += up(classes << 3);
    rows = at; at += up(classes << 2) * 7;
    rests = at; at += up((classes + 1) << 3);
    seen = at; at += SEEN << 2;
  }
  return at - state;
}
@inline export function slotsFor(room: i32): i32 { let slots = 256; while (slots < room) slots *= 2; return slots; }
export function enter(state: usize): void {
  b = changetype<Beam>(state);
  layOut(state, b.width, b.classes, b.heads, b.room, b.steered != 0);
}

/** A probability of the beam, scaled as what has been lost is. */
@inline export function asLost(p: f64): f64 {
  return b.lostScale == 0 ? p : b.lostScale > 1000 ? 0 : p * reinterpret<f64>(<u64>(1023 - b.lostScale) << 52);
}

@inline export function node(i: i32): usize { return nodes + (<usize>i << 4); }
@inline export function step(i: i32): usize { return steps + <usize>i * Step.Bytes; }
@inline export function entry(i: i32): usize { return entries + <usize>i * Entry.Bytes; }
@inline export function entryBefore(i: i32): usize { return entriesBefore + <usize>i * Entry.Bytes; }
@inline export function kin(i: i32): usize { return children + (<usize>i << 4); }
@inline export function candidate(i: i32): usize { return candidates + (<usize>i << 4); }
