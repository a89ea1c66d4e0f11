/** Prefixes as nodes of a trie in an arena: how they are found, dropped, and settled. */
import { asLost, b, enter, Entry, entry, entryBefore, heads, Node, node, step } from './beam-state';

/** Frames after which it is seen to that no more labels are open than there may be. */
export const LOOK_EVERY = 1024;

@inline function headOf(parent: i32, label: i32): usize {
  let h = <u32>parent * 0x9e3779b1 ^ <u32>label * 0x85ebca6b;
  h ^= h >> 15; h *= 0x2c1b3c6d; h ^= h >> 13;
  return heads + (<usize>(h & <u32>(b.heads - 1)) << 2);
}

export function create(parent: i32, label: i32): i32 {
  const id = b.nodeCount++, at = node(id);
  store<i32>(at, parent, Node.Parent);
  store<i32>(at, label, Node.Label);
  store<i32>(at, -1, Node.Slot);
  if (parent >= 0) link(id, parent, label);
  return id;
}
@inline export function link(id: i32, parent: i32, label: i32): void {
  const head = headOf(parent, label);
  store<i32>(node(id), load<i32>(head), Node.Next);
  store<i32>(head, id);
}
export function rehash(): void {
  memory.fill(heads, 0xff, <usize>b.heads << 2);
  for (let i = 0; i < b.nodeCount; i++) if (load<i32>(node(i)) >= 0) link(i, load<i32>(node(i)), load<i32>(node(i), Node.Label));
}

/** The node of a prefix and one more label: one that is there, as a prefix that fell out of the beam comes back to its own children. */
export function child(parent: i32, label: i32): i32 {
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
 * `labels`; returns how many these are. Most nodes are dropped, so that only those that stay are looked at.
 */
export function collect(cut: bool, labels: usize): i32 {
  const n = b.count, words = b.nodeCount + 31 >> 5;
  const stable = cut && n > 0 ? cutAt(shared(), labels) : 0;
  // A bit for each node that stays, in place of the hash, which is made anew.
  const marks = heads, end = heads + (<usize>words << 2);
  memory.fill(marks, 0, <usize>words << 2);
  for (let k = 0; k < n; k++) mark(marks, load<i32>(entry(k)));
  for (let k = 0; k < b.countBefore; k++) mark(marks, load<i32>(entryBefore(k)));
  // Where each node goes, parents before children; then who is whose; then the move.
  let kept = 0;
  for (let word = marks, first = 0; word < end; word += 4, first += 32)
    for (let bits = load<u32>(word); bits; bits &= bits - 1) {
      const at = node(first + <i32>ctz(bits)), parent = load<i32>(at);
      store<i32>(at, kept++, Node.Next);
      if (parent >= 0) store<i32>(at, load<i32>(node(parent), Node.Next));
    }
  for (let k = 0; k < n; k++) store<i32>(entry(k), load<i32>(node(load<i32>(entry(k))), Node.Next));
  for (let k = 0; k < b.countBefore; k++) store<i32>(entryBefore(k), load<i32>(node(load<i32>(entryBefore(k))), Node.Next));
  b.nodeCount = 0;
  for (let word = marks, first = 0; word < end; word += 4, first += 32)
    for (let bits = load<u32>(word); bits; bits &= bits - 1) {
      const i = first + <i32>ctz(bits), to = b.nodeCount++;
      v128.store(node(to), v128.load(node(i)));
      if (b.steered) v128.store(step(to), v128.load(step(i)));
    }
  rehash();
  return stable;
}

/** Makes a node the root. The labels on the way to it go to `labels`; returns how many there are. */
function cutAt(root: i32, labels: usize): i32 {
  const depth = depthOf(root);
  spell(root, labels + (<usize>depth << 2));
  store<i32>(node(root), -1);
  return depth;
}

/** How many labels lead to a node from the root. */
export function depthOf(id: i32): i32 {
  let depth = 0;
  for (let i = id; load<i32>(node(i)) >= 0; i = load<i32>(node(i))) depth++;
  return depth;
}
/** Writes these labels, so that they end at `end`. */
export function spell(id: i32, end: usize): void {
  for (let i = id; load<i32>(node(i)) >= 0; i = load<i32>(node(i))) { end -= 4; store<i32>(end, load<i32>(node(i), Node.Label)); }
}

/** Marks a node and those before it. */
@inline function mark(marks: usize, id: i32): void {
  for (let i = id; i >= 0; i = load<i32>(node(i))) {
    const word = marks + (<usize>(i >> 5) << 2), bits = load<u32>(word), bit = 1 << (i & 31);
    if (bits & bit) return;
    store<u32>(word, bits | bit);
  }
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
    else b.lost += asLost(load<f64>(from, Entry.InBlank) + load<f64>(from, Entry.InLabel));
  }
  b.count = kept;
  b.changed = 1;
}

/** Cuts the state back to the labels that are still open; those before go to `labels` (int32). Returns how many there are. */
export function ctcBeamCut(state: usize, labels: usize): i32 {
  enter(state);
  return collect(true, labels);
}

/** How many labels `ctcBeamCut` would give. */
export function ctcBeamShared(state: usize): i32 {
  enter(state);
  return b.count > 0 ? depthOf(shared()) : 0;
}
