/**
 * CTC prefix beam search (A. Graves, "Sequence Transduction", 2012, and A. Hannun et al., "First-Pass Large Vocabulary Continuous Speech
 * Recognition", 2014) on probabilities in float64, relative to each frame's greatest and rescaled by powers of two: a candidate is one product.
 *
 * A decoder's state lies in one piece of memory and holds no address, so that it can be moved, saved, and go on from frame to frame. Prefixes
 * are nodes of a trie in an arena. What two alignments of one prefix meet in is settled from the child's side: every prefix in the beam looks
 * whether its parent is in the beam as well, so all else that is proposed is new, has one summand, and needs no look-up.
 *
 * Nothing is pruned but by the beam's width: with a full beam the least prefix that stays is a threshold, prefixes and classes are sorted, and
 * both loops stop where no product can reach it. What falls out is added up.
 */

@unmanaged
class Beam {
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
  /** Whether each node has a state and a weight beside it: see steered.ts. */
  steered: i32;
  /** Prefixes less likely than the best one by this factor are dropped; 0 for none. */
  drop: f64;
  /** The sum of each frame's greatest score, and what has been lost, scaled as the beam's probabilities are. */
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
/** What stands beside each node of a steered beam: the steering's state, and the factor of the step that led there. */
export const enum Step { State = 0, Factor = 8, Bytes = 16 }
/** In place of a candidate's label: the prefix stays as it is. */
const STAY: u32 = 0xffffffff;
/** Classes so far below a frame's greatest count nothing beside it: e^-700 is next to the least float64. */
export const NOTHING: f32 = 700;
/** Classes that share a vector of maxima: four maxima, of every fourth class each. */
const GROUP = 64;
/** Frames after which it is seen to that no more labels are open than there may be. */
export const LOOK_EVERY = 1024;
/** Candidates that are gathered before all but the best are dropped, as a multiple of the width. */
export const GATHERED = 6;

// Where the parts of the state lie that the running call works on.
export let b: Beam = changetype<Beam>(0);
let expStamps: usize, maxima: usize, entriesBefore: usize, stays: usize, heads: usize;
export let exps: usize, marks: usize, listed: usize, entries: usize, others: usize, children: usize, candidates: usize, nodes: usize, steps: usize, gains: usize, rows: usize, rests: usize;

@inline function up(bytes: usize): usize { return (bytes + 15) & ~15; }

function layOut(state: usize, width: usize, classes: usize, slots: usize, room: usize, steered: bool): usize {
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
  children = at; at += up(width << 3);
  candidates = at; at += (width * GATHERED) << 4;
  heads = at; at += up(slots << 2);
  nodes = at; at += room << 4;
  if (steered) {
    steps = at; at += room * Step.Bytes;
    gains = at; at += up(classes << 3);
    rows = at; at += up(classes << 2) * 2;
    rests = at; at += up((classes + 1) << 3);
  }
  return at - state;
}
@inline function slotsFor(room: i32): i32 { let slots = 256; while (slots < room) slots *= 2; return slots; }
export function enter(state: usize): void {
  b = changetype<Beam>(state);
  layOut(state, b.width, b.classes, b.heads, b.room, b.steered != 0);
}

/** Bytes of a state with room for so many nodes. */
export function ctcBeamBytes(width: i32, classes: i32, room: i32, steered: i32): f64 {
  return <f64>layOut(0, width, classes, slotsFor(room), room, steered != 0);
}

/** A decoder that has read nothing. */
export function ctcBeamOpen(state: usize, width: i32, classes: i32, blank: i32, horizon: i32, top: i32, drop: f64, steered: i32, room: i32): void {
  b = changetype<Beam>(state);
  b.width = width; b.classes = classes; b.blank = blank; b.horizon = horizon; b.top = top; b.drop = drop; b.steered = steered; b.room = room; b.heads = slotsFor(room);
  b.nodeCount = 0; b.count = 1; b.stamp = 0; b.scale = 0; b.done = 0; b.shifted = 0; b.lost = 0; b.countBefore = -1; b.unseen = 0;
  enter(state);
  memory.fill(expStamps, 0, <usize>classes << 2);
  memory.fill(marks, 0, <usize>classes << 2);
  memory.fill(heads, 0xff, <usize>b.heads << 2);
  create(-1, -1);
  store<i32>(node(0), 0, Node.Slot);
  store<i32>(entries, 0);
  store<f64>(entries, 1, Entry.InBlank);
  store<f64>(entries, 0, Entry.InLabel);
}

/** The same decoder in another piece of memory, with more room. */
export function ctcBeamMove(from: usize, to: usize, room: i32): void {
  enter(from);
  const old = b, oldNodes = nodes, oldEntries = entries, oldBefore = entriesBefore, oldSteps = steps, oldGains = gains;
  b = changetype<Beam>(to);
  memory.copy(to, from, offsetof<Beam>());
  b.room = room; b.heads = slotsFor(room);
  enter(to);
  memory.fill(expStamps, 0, <usize>b.classes << 2);
  memory.fill(marks, 0, <usize>b.classes << 2);
  b.stamp = 0;
  memory.copy(entries, oldEntries, <usize>old.count * Entry.Bytes);
  memory.copy(entriesBefore, oldBefore, <usize>max(old.countBefore, 0) * Entry.Bytes);
  memory.copy(nodes, oldNodes, <usize>old.nodeCount << 4);
  if (b.steered) {
    memory.copy(steps, oldSteps, <usize>old.nodeCount * Step.Bytes);
    memory.copy(gains, oldGains, <usize>old.classes << 3);
  }
  rehash();
}

@inline export function node(i: i32): usize { return nodes + (<usize>i << 4); }
@inline export function step(i: i32): usize { return steps + <usize>i * Step.Bytes; }
@inline export function entry(i: i32): usize { return entries + <usize>i * Entry.Bytes; }
@inline function entryBefore(i: i32): usize { return entriesBefore + <usize>i * Entry.Bytes; }
@inline export function candidate(i: i32): usize { return candidates + (<usize>i << 4); }
@inline function headOf(parent: i32, label: i32): usize {
  let h = <u32>parent * 0x9e3779b1 ^ <u32>label * 0x85ebca6b;
  h ^= h >> 15; h *= 0x2c1b3c6d; h ^= h >> 13;
  return heads + (<usize>(h & <u32>(b.heads - 1)) << 2);
}

function create(parent: i32, label: i32): i32 {
  const id = b.nodeCount++, at = node(id);
  store<i32>(at, parent, Node.Parent);
  store<i32>(at, label, Node.Label);
  store<i32>(at, -1, Node.Slot);
  if (b.steered) store<f64>(step(id), NaN); // not known yet
  if (parent >= 0) link(id, parent, label);
  return id;
}
@inline export function link(id: i32, parent: i32, label: i32): void {
  const head = headOf(parent, label);
  store<i32>(node(id), load<i32>(head), Node.Next);
  store<i32>(head, id);
}
function rehash(): void {
  memory.fill(heads, 0xff, <usize>b.heads << 2);
  for (let i = 0; i < b.nodeCount; i++) if (load<i32>(node(i)) >= 0) link(i, load<i32>(node(i)), load<i32>(node(i), Node.Label));
}

/** The node of a prefix and one more label: one that is there, as a prefix that fell out of the beam comes back to its own children. */
function child(parent: i32, label: i32): i32 {
  const id = find(parent, label);
  return id >= 0 ? id : create(parent, label);
}
export function find(parent: i32, label: i32): i32 {
  for (let i = load<i32>(headOf(parent, label)); i >= 0; i = load<i32>(node(i), Node.Next))
    if (load<i32>(node(i)) == parent && load<i32>(node(i), Node.Label) == label) return i;
  return -1;
}

/**
 * Drops the nodes that no prefix in the beam goes back to. With `cut`, also those before the last node that all share, whose labels go to
 * `labels`; returns how many these are.
 */
export function collect(cut: bool, labels: usize): i32 {
  const total = b.nodeCount, n = b.count;
  for (let i = 0; i < total; i++) store<i32>(node(i), 0, Node.Next);
  for (let k = 0; k < n; k++) mark(load<i32>(entry(k)));
  for (let k = 0; k < b.countBefore; k++) mark(load<i32>(entryBefore(k)));
  let root = 0, stable = 0;
  if (cut && n > 0) {
    root = shared();
    let depth = 0;
    for (let i = root; load<i32>(node(i)) >= 0; i = load<i32>(node(i))) depth++;
    stable = depth;
    for (let i = root; load<i32>(node(i)) >= 0; i = load<i32>(node(i))) { depth--; store<i32>(labels + (<usize>depth << 2), load<i32>(node(i), Node.Label)); }
    for (let i = load<i32>(node(root)); i >= 0; i = load<i32>(node(i))) store<i32>(node(i), 0, Node.Next);
    store<i32>(node(root), -1);
  }
  // Where each node goes, parents before children; then who is whose; then the move.
  let kept = 0;
  for (let i = 0; i < total; i++) if (load<i32>(node(i), Node.Next)) { kept++; store<i32>(node(i), kept, Node.Next); }
  for (let i = 0; i < total; i++) if (load<i32>(node(i), Node.Next) && load<i32>(node(i)) >= 0) store<i32>(node(i), load<i32>(node(load<i32>(node(i))), Node.Next) - 1);
  for (let k = 0; k < n; k++) store<i32>(entry(k), load<i32>(node(load<i32>(entry(k))), Node.Next) - 1);
  for (let k = 0; k < b.countBefore; k++) store<i32>(entryBefore(k), load<i32>(node(load<i32>(entryBefore(k))), Node.Next) - 1);
  for (let i = 0; i < total; i++) {
    const to = load<i32>(node(i), Node.Next) - 1;
    if (to < 0) continue;
    v128.store(node(to), v128.load(node(i)));
    if (b.steered) v128.store(step(to), v128.load(step(i)));
  }
  b.nodeCount = kept;
  rehash();
  return stable;
}

/** Marks a node and those before it. */
@inline function mark(id: i32): void {
  for (let i = id; i >= 0 && load<i32>(node(i), Node.Next) == 0; i = load<i32>(node(i))) store<i32>(node(i), 1, Node.Next);
}

/** The last node that all prefixes in the beam come through: nodes are numbered from the root on, so the later of two goes back first. */
function shared(): i32 {
  let at = load<i32>(entry(0));
  for (let k = 1; k < b.count; k++) {
    let other = load<i32>(entry(k));
    while (at != other) { if (at > other) at = load<i32>(node(at)); else other = load<i32>(node(other)); }
  }
  return at;
}

/**
 * Drops the prefixes that differ from the likeliest one in labels before the last `horizon` ones. Two readings of one place that are nearly alike would
 * stay in the beam for ever, and all that follows with them, twice. When this is done does not depend on pieces.
 */
export function decide(): void {
  b.unseen = 0;
  if (b.count == 0) return;
  let anchor = load<i32>(entry(0));
  for (let k = 0; k < b.horizon; k++) { anchor = load<i32>(node(anchor)); if (anchor < 0) return; }
  let kept = 0;
  for (let k = 0; k < b.count; k++) {
    const from = entry(k), id = load<i32>(from), to = entry(kept);
    let i = id;
    while (i > anchor) i = load<i32>(node(i));
    store<i32>(node(id), i == anchor ? kept : -1, Node.Slot);
    if (i == anchor) { if (k > kept) memory.copy(to, from, Entry.Bytes); kept++; }
    else b.lost += load<f64>(from, Entry.InBlank) + load<f64>(from, Entry.InLabel);
  }
  b.count = kept;
}

/** Cuts the state back to the labels that are still open; those before go to `labels` (int32). Returns how many there are. */
export function ctcBeamCut(state: usize, labels: usize): i32 {
  enter(state);
  return collect(true, labels);
}

/** How many labels `ctcBeamCut` would give. */
export function ctcBeamShared(state: usize): i32 {
  enter(state);
  let depth = 0;
  if (b.count > 0) for (let i = shared(); load<i32>(node(i)) >= 0; i = load<i32>(node(i))) depth++;
  return depth;
}

@inline export function probability(row: usize, c: i32, reference: f64): f64 {
  const at = exps + (<usize>c << 3), stamped = expStamps + (<usize>c << 2);
  if (load<u32>(stamped) == b.stamp) return load<f64>(at);
  const p = NativeMath.exp(<f64>load<f32>(row + (<usize>c << 2)) - reference);
  store<u32>(stamped, b.stamp);
  store<f64>(at, p);
  return p;
}

@inline function swap(x: usize, y: usize): void { const t = v128.load(x); v128.store(x, v128.load(y)); v128.store(y, t); }

/** Puts the `keep` greatest of `count` records (a float64 and 8 bytes more) first. */
export function select(base: usize, count: i32, keep: i32): void {
  let lo = 0, hi = count;
  while (hi - lo > 1) {
    const pivot = load<f64>(base + (<usize>((lo + hi) >> 1) << 4));
    let i = lo, j = hi - 1;
    while (i <= j) {
      while (load<f64>(base + (<usize>i << 4)) > pivot) i++;
      while (load<f64>(base + (<usize>j << 4)) < pivot) j--;
      if (i <= j) { swap(base + (<usize>i << 4), base + (<usize>j << 4)); i++; j--; }
    }
    if (keep <= j) hi = j + 1; else if (keep > i) lo = i; else return;
  }
}

/** Sorts records [lo, hi), the greatest first. */
export function sort(base: usize, lo: i32, hi: i32): void {
  while (hi - lo > 12) {
    const pivot = load<f64>(base + (<usize>((lo + hi) >> 1) << 4));
    let i = lo, j = hi - 1;
    while (i <= j) {
      while (load<f64>(base + (<usize>i << 4)) > pivot) i++;
      while (load<f64>(base + (<usize>j << 4)) < pivot) j--;
      if (i <= j) { swap(base + (<usize>i << 4), base + (<usize>j << 4)); i++; j--; }
    }
    if (j + 1 - lo < hi - i) { sort(base, lo, j + 1); lo = i; } else { sort(base, i, hi); hi = j + 1; }
  }
  for (let i = lo + 1; i < hi; i++) {
    const x = v128.load(base + (<usize>i << 4)), value = f64x2.extract_lane(x, 0);
    let j = i - 1;
    for (; j >= lo && load<f64>(base + (<usize>j << 4)) < value; j--) v128.store(base + (<usize>(j + 1) << 4), v128.load(base + (<usize>j << 4)));
    v128.store(base + (<usize>(j + 1) << 4), x);
  }
}

@inline export function offer(at: i32, value: f64, from: i32, label: u32): void {
  const to = candidate(at);
  store<f64>(to, value); store<i32>(to, from, 8); store<u32>(to, label, 12);
}

/** The greatest of a row, NaN if one is; stores the maxima of whole groups. */
@inline export function greatestOf(row: usize): f32 {
  const end = row + (<usize>b.classes << 2);
  let at = row, tops = f32x4.splat(-Infinity), odd = f32x4.splat(0);
  for (let to = maxima; at + (GROUP << 2) <= end; to += 16) {
    let x = v128.load(at), y = v128.load(at, 16);
    odd = v128.or(odd, v128.or(f32x4.ne(x, x), f32x4.ne(y, y)));
    for (const stop = at + (GROUP << 2) - 32; at < stop;) {
      at += 32;
      const v = v128.load(at), w = v128.load(at, 16);
      odd = v128.or(odd, v128.or(f32x4.ne(v, v), f32x4.ne(w, w)));
      x = f32x4.pmax(x, v); y = f32x4.pmax(y, w);
    }
    at += 32;
    x = f32x4.pmax(x, y);
    v128.store(to, x);
    tops = f32x4.pmax(tops, x);
  }
  for (; at + 16 <= end; at += 16) { const x = v128.load(at); odd = v128.or(odd, f32x4.ne(x, x)); tops = f32x4.pmax(tops, x); }
  if (v128.any_true(odd)) return NaN;
  let top = max(max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)), max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)));
  for (; at < end; at += 4) top = max(top, load<f32>(at));
  return top;
}

/** Four of a row's probabilities relative to its greatest, each at most 4e-7 too great, or 1e-38; 2^f is a minimax polynomial, lifted above it. */
@inline function boundOf(x: v128, top: v128, log2e: v128, least: v128, round: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128): v128 {
  const y = f32x4.pmax(f32x4.mul(f32x4.sub(x, top), log2e), least), rounded = f32x4.add(y, round), f = f32x4.sub(y, f32x4.sub(rounded, round));
  let p = f32x4.add(c4, f32x4.mul(c5, f));
  p = f32x4.add(c3, f32x4.mul(p, f));
  p = f32x4.add(c2, f32x4.mul(p, f));
  p = f32x4.add(c1, f32x4.mul(p, f));
  p = f32x4.add(c0, f32x4.mul(p, f));
  return i32x4.add(p, i32x4.shl(rounded, 23));
}

/** Not less than the sum of a frame's probabilities, relative to the greatest: what is conserved from frame to frame. */
@inline export function massOf(row: usize, greatest: f32): f64 {
  const end = row + (<usize>b.classes << 2), top = f32x4.splat(greatest), log2e = f32x4.splat(1.442695), least = f32x4.splat(-126), round = f32x4.splat(12582912);
  const c5 = f32x4.splat(0.00132765), c4 = f32x4.splat(0.00967554), c3 = f32x4.splat(0.05550714), c2 = f32x4.splat(0.24022122), c1 = f32x4.splat(0.69314702), c0 = f32x4.splat(1.0000003);
  let at = row, sums = f32x4.splat(0), others = sums;
  for (; at + 32 <= end; at += 32) {
    sums = f32x4.add(sums, boundOf(v128.load(at), top, log2e, least, round, c5, c4, c3, c2, c1, c0));
    others = f32x4.add(others, boundOf(v128.load(at, 16), top, log2e, least, round, c5, c4, c3, c2, c1, c0));
  }
  if (at + 16 <= end) { sums = f32x4.add(sums, boundOf(v128.load(at), top, log2e, least, round, c5, c4, c3, c2, c1, c0)); at += 16; }
  sums = f32x4.add(sums, others);
  let sum = <f64>f32x4.extract_lane(sums, 0) + <f64>f32x4.extract_lane(sums, 1) + <f64>f32x4.extract_lane(sums, 2) + <f64>f32x4.extract_lane(sums, 3);
  for (; at < end; at += 4) sum += NativeMath.exp(<f64>load<f32>(at) - <f64>greatest);
  // Roundings: of the scores' differences, of each exponential, and of the sum, which has classes / 8 terms a lane.
  return sum * (1 + 1e-6 * (1 + <f64>b.classes / 64));
}

/** What became of a piece of frames. */
export const enum Status { Done = 0, Full = 1, Bad = 2, Asks = 3 }

/**
 * Reads frames of float32 scores, `stride` bytes apart, from where the piece was left (`b.done`) to its end. Full: there is no room for
 * another frame's nodes, and `ctcBeamMove` has to make some; Bad: a score of frame `b.done` is NaN or Infinity.
 */
function advance(row: usize, stride: usize, frames: i32): Status {
  row += <usize>b.done * stride;
  for (; b.done < frames; b.done++, row += stride) {
    if (isFull()) return Status.Full;
    const greatest = greatestOf(row);
    if (!(greatest < Infinity)) return Status.Bad;
    if (greatest == -Infinity || b.count == 0) b.count = 0;
    else read(row, greatest);
    if (b.horizon > 0 && ++b.unseen == LOOK_EVERY) decide();
  }
  return Status.Done;
}

/** Whether there is no room for another frame's nodes, even without those that nothing goes back to. */
@inline export function isFull(): bool {
  if (b.nodeCount + b.width <= b.room) return false;
  collect(false, 0);
  return b.nodeCount + b.width > b.room >> 1;
}

// What `stay` has found: the sum and the greatest of the prefixes' probabilities before the frame, and what a candidate must reach.
export let before: f64 = 0, heaviest: f64 = 0, threshold: f64 = 0;

/** Offers all prefixes of the beam as they are; lists each one's children in the beam. */
@inline export function stay(row: usize, greatest: f32, steered: bool): void {
  const n = b.count, top = <f64>greatest, pBlank = probability(row, b.blank, top);
  let all: f64 = 0, least: f64 = Infinity;
  memory.fill(children, 0xff, <usize>n << 3);
  for (let i = 0; i < n; i++) {
    const e = entry(i), at = node(load<i32>(e)), label = load<i32>(at, Node.Label), inLabel = load<f64>(e, Entry.InLabel), total = load<f64>(e, Entry.InBlank) + inLabel;
    all += total;
    let stayInLabel: f64 = 0;
    if (label >= 0) {
      const p = probability(row, label, top), parent = load<i32>(at), j = parent >= 0 ? load<i32>(node(parent), Node.Slot) : -1;
      stayInLabel = inLabel * p;
      if (j >= 0) {
        // After an equal label only what ends in a blank may go on.
        const from = entry(j), same = load<i32>(node(parent), Node.Label) == label;
        const come = (same ? load<f64>(from, Entry.InBlank) : load<f64>(from, Entry.InBlank) + load<f64>(from, Entry.InLabel)) * p;
        stayInLabel += steered ? come * load<f64>(step(load<i32>(e)), Step.Factor) : come;
        store<i32>(children + (<usize>i << 3), load<i32>(children + (<usize>j << 3), 4));
        store<i32>(children + (<usize>j << 3), i, 4);
      }
    }
    const stayInBlank = total * pBlank, sum = stayInBlank + stayInLabel;
    store<f64>(stays + (<usize>i << 4), stayInBlank);
    store<f64>(stays + (<usize>i << 4), stayInLabel, 8);
    offer(i, sum, i, STAY);
    least = min(least, sum);
  }
  before = all;
  heaviest = load<f64>(entries, Entry.InBlank) + load<f64>(entries, Entry.InLabel); // the first is the likeliest
  threshold = n == b.width ? least : 0;
  if (b.drop > 0) for (let i = 0; i < n; i++) threshold = max(threshold, load<f64>(candidate(i)) * b.drop);
}

function read(row: usize, greatest: f32): void {
  const n = b.count, width = b.width;
  b.stamp++;
  b.shifted += <f64>greatest;
  stay(row, greatest, false);
  let least = threshold;
  const count = min(list(row, greatest, least > 0 ? least / heaviest : 0), b.top), likeliest = count > 0 ? load<f64>(listed) : 0;
  let offers = n;
  for (let i = 0; i < n; i++) {
    const e = entry(i), id = load<i32>(e), label = load<i32>(node(id), Node.Label), inBlank = load<f64>(e, Entry.InBlank), total = inBlank + load<f64>(e, Entry.InLabel);
    if (total * likeliest < least) break; // and those after it are lighter
    b.stamp++;
    for (let k = load<i32>(children + (<usize>i << 3), 4); k >= 0; k = load<i32>(children + (<usize>k << 3)))
      store<u32>(marks + (<usize>load<i32>(node(load<i32>(entry(k))), Node.Label) << 2), b.stamp);
    for (let k = 0; k < count; k++) {
      const at = listed + (<usize>k << 4), p = load<f64>(at), to = load<i32>(at, 8);
      if (total * p < least) break;
      if (load<u32>(marks + (<usize>to << 2)) == b.stamp) continue;
      const value = (to == label ? inBlank : total) * p;
      if (!(value > 0) || value < least) continue;
      if (offers == GATHERED * width) {
        select(candidates, offers, width);
        offers = width;
        least = load<f64>(candidate(0));
        for (let q = 1; q < width; q++) least = min(least, load<f64>(candidate(q)));
        if (value < least) continue;
      }
      offer(offers++, value, i, <u32>to);
    }
  }
  if (offers > width) { select(candidates, offers, width); offers = width; }
  sort(candidates, 0, offers);
  const mass = massOf(row, greatest);
  keep(offers, b.lost * mass, before * mass);
}

/**
 * Lists the classes, but for the blank, that are at least `share` of the greatest and may get into the beam: the likeliest first. Returns how many
 * there are. At most one more than the width: a prefix's own candidates with likelier classes, its children in the beam counted, fill the beam
 * before those with any other; one may be its own label, which only its blank-ended part can repeat.
 */
@inline function list(row: usize, greatest: f32, share: f64): i32 {
  const end = row + (<usize>b.classes << 2), most = b.width + 1;
  let limit = greatest + (share > 0 ? max(<f32>NativeMath.log(share) - 1e-3, -NOTHING) : -NOTHING);
  const groups = b.classes / GROUP;
  if (groups << 2 > most) limit = max(limit, limitOfGroups(groups, limit, most + 1));
  const four = f32x4.splat(limit);
  let count = 0, at = row;
  for (let g = 0; g < groups; g++, at += GROUP << 2)
    if (v128.any_true(f32x4.ge(v128.load(maxima + (<usize>g << 4)), four))) count = pick(row, at, at + (GROUP << 2), limit, count);
  count = pick(row, at, end, limit, count);
  if (count > most) { select(listed, count, most); count = most; }
  sort(listed, 0, count);
  for (let k = 0; k < count; k++) {
    const to = listed + (<usize>k << 4);
    store<f64>(to, probability(row, load<i32>(to, 8), <f64>greatest));
  }
  return count;
}

/** What at least so many groups have a class above, or `limit`. */
function limitOfGroups(groups: i32, limit: f32, wanted: i32): f32 {
  let count = 0;
  for (let at = maxima, end = maxima + (<usize>groups << 4); at < end; at += 4) {
    const x = load<f32>(at);
    if (x >= limit) { store<f64>(listed + (<usize>count << 4), x); count++; }
  }
  if (count <= wanted) return limit;
  select(listed, count, wanted);
  let least = load<f64>(listed);
  for (let k = 1; k < wanted; k++) least = min(least, load<f64>(listed + (<usize>k << 4)));
  return <f32>least;
}

/** Adds the classes of a stretch of a row that are at least `limit`. */
@inline function pick(row: usize, at: usize, end: usize, limit: f32, count: i32): i32 {
  const four = f32x4.splat(limit);
  for (; at < end; at += 16) {
    let bits = at + 16 <= end ? i32x4.bitmask(f32x4.ge(v128.load(at), four)) : 15 >> <i32>((at + 16 - end) >> 2);
    for (; bits; bits &= bits - 1) {
      const k = <i32>((at - row) >> 2) + ctz(bits), x = load<f32>(row + (<usize>k << 2));
      if (k == b.blank || !(x >= limit)) continue;
      const to = listed + (<usize>count << 4);
      store<f64>(to, x);
      store<i32>(to, k, 8);
      count++;
    }
  }
  return count;
}

/**
 * Makes the chosen candidates the beam.
 * @param lost what had been lost before, as it is after the frame
 * @param offered what all candidates of the frame had, the chosen among them.
 */
export function keep(offers: i32, lost: f64, offered: f64): void {
  for (let i = 0; i < b.count; i++) store<i32>(node(load<i32>(entry(i))), -1, Node.Slot);
  const best = offers > 0 ? load<f64>(candidates) : 0, floor = best * b.drop;
  let kept = 0, after: f64 = 0;
  for (let i = 0; i < offers; i++) {
    const from = candidate(i), value = load<f64>(from), source = load<i32>(from, 8), label = load<u32>(from, 12), to = others + <usize>kept * Entry.Bytes;
    if (!(value > floor)) break;
    const prefix = load<i32>(entry(source));
    if (label == STAY) {
      store<i32>(to, prefix);
      store<f64>(to, load<f64>(stays + (<usize>source << 4)), Entry.InBlank);
      store<f64>(to, load<f64>(stays + (<usize>source << 4), 8), Entry.InLabel);
    } else {
      store<i32>(to, child(prefix, label));
      store<f64>(to, 0, Entry.InBlank);
      store<f64>(to, value, Entry.InLabel);
    }
    store<i32>(node(load<i32>(to)), kept, Node.Slot);
    after += value;
    kept++;
  }
  memory.copy(entries, others, <usize>kept * Entry.Bytes);
  b.count = kept;
  b.lost = lost + max<f64>(offered - after, 0);
  // Below 2^-256, or above 2^256 where a steering pays much: back to about 1.
  if ((best < 8.636168555094445e-78 && best > 0) || best > 1.157920892373162e77) {
    const exponent = min(1023 - <i32>(reinterpret<u64>(best) >> 52 & 2047), 1000), factor = reinterpret<f64>(<u64>(exponent + 1023) << 52);
    for (let i = 0; i < kept; i++) {
      const e = entry(i);
      store<f64>(e, load<f64>(e, Entry.InBlank) * factor, Entry.InBlank);
      store<f64>(e, load<f64>(e, Entry.InLabel) * factor, Entry.InLabel);
    }
    b.lost *= factor;
    b.scale += exponent;
  }
}

/** Keeps the beam as it is before a piece. */
@inline export function remember(): void {
  b.done = 0;
  b.countBefore = b.count; b.scaleBefore = b.scale; b.unseenBefore = b.unseen; b.shiftedBefore = b.shifted; b.lostBefore = b.lost;
  memory.copy(entriesBefore, entries, <usize>b.count * Entry.Bytes);
}

/** Forgets what has been read of a piece that is not done; nodes that it has made stay until they are collected. */
export function ctcBeamUndo(state: usize): void {
  enter(state);
  if (b.countBefore < 0) return;
  for (let i = 0; i < b.count; i++) store<i32>(node(load<i32>(entry(i))), -1, Node.Slot);
  b.count = b.countBefore; b.scale = b.scaleBefore; b.unseen = b.unseenBefore; b.shifted = b.shiftedBefore; b.lost = b.lostBefore;
  memory.copy(entries, entriesBefore, <usize>b.count * Entry.Bytes);
  for (let i = 0; i < b.count; i++) store<i32>(node(load<i32>(entry(i))), i, Node.Slot);
}

/** A piece of one sequence; `fresh` where it has not been begun. Status goes to `status` (int32): what it is, and the frame. */
export function ctcBeam(state: usize, scores: usize, stride: usize, frames: i32, fresh: i32, status: usize): void {
  enter(state);
  if (fresh) remember();
  const what = advance(scores, stride, frames);
  if (what == Status.Done) b.countBefore = -1;
  store<i32>(status, what);
  store<i32>(status, b.done, 4);
}

/**
 * The first `count` prefixes of the beam, the likeliest first: natural logarithms of their probabilities to `scores` (float64; one more for
 * what has been lost), lengths to `lengths` (int32), and their labels, one after the other, to `labels`, unless that is 0. Returns how many
 * labels there are.
 */
export function ctcBeamRead(state: usize, count: i32, scores: usize, lengths: usize, labels: usize): i32 {
  enter(state);
  const shift = b.shifted - <f64>b.scale * NativeMath.LN2;
  let total = 0;
  for (let k = 0; k < count; k++) {
    const here = k < b.count, e = entry(k);
    store<f64>(scores + (<usize>k << 3), here ? NativeMath.log(load<f64>(e, Entry.InBlank) + load<f64>(e, Entry.InLabel)) + shift : -Infinity);
    let length = 0;
    if (here) for (let i = load<i32>(e); load<i32>(node(i)) >= 0; i = load<i32>(node(i))) length++;
    store<i32>(lengths + (<usize>k << 2), here ? length : -1);
    total += length;
    if (labels && here) {
      let at = labels + (<usize>total << 2);
      for (let i = load<i32>(e); load<i32>(node(i)) >= 0; i = load<i32>(node(i))) { at -= 4; store<i32>(at, load<i32>(node(i), Node.Label)); }
    }
  }
  store<f64>(scores + (<usize>count << 3), b.lost > 0 ? NativeMath.log(b.lost) + shift : -Infinity);
  return total;
}
