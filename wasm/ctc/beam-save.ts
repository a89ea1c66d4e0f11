/**
 * Decoders as they are kept in files: the prefixes of the beam and the nodes that they go back to, nothing else of a state. Whatever is restored is
 * checked first, as it may have come from anywhere.
 */
import { b, enter, Entry, entry, Node, node } from './beam-state';
import { collect, find, link, LOOK_EVERY } from './beam-trie';

/** What a saved decoder begins with; its prefixes (as `Entry`) and its nodes follow. */
const enum Saved { Count = 0, Nodes = 4, Scale = 8, Unseen = 12, Shifted = 16, Lost = 24, LostScale = 32, Bytes = 40 }
const enum SavedNode { Parent = 0, Label = 4, Bytes = 8 }

@inline function bytesOf(count: i32, nodes: i32): f64 { return Saved.Bytes + <f64>count * Entry.Bytes + <f64>nodes * SavedNode.Bytes; }

/** Bytes that a decoder takes when saved. */
export function ctcBeamSavedBytes(state: usize): f64 {
  enter(state);
  collect(false, 0);
  return bytesOf(b.count, b.nodeCount);
}

/** Saves a decoder, right after `ctcBeamSavedBytes`. */
export function ctcBeamSave(state: usize, to: usize): void {
  enter(state);
  store<i32>(to, b.count, Saved.Count); store<i32>(to, b.nodeCount, Saved.Nodes);
  store<i32>(to, b.scale, Saved.Scale); store<i32>(to, b.unseen, Saved.Unseen);
  store<f64>(to, b.shifted, Saved.Shifted); store<f64>(to, b.lost, Saved.Lost);
  store<u64>(to, b.lostScale, Saved.LostScale);
  to += Saved.Bytes;
  for (let i = 0; i < b.count; i++, to += Entry.Bytes) {
    store<u64>(to, load<u32>(entry(i)));
    store<f64>(to, load<f64>(entry(i), Entry.InBlank), Entry.InBlank);
    store<f64>(to, load<f64>(entry(i), Entry.InLabel), Entry.InLabel);
  }
  for (let i = 0; i < b.nodeCount; i++, to += SavedNode.Bytes) store<u64>(to, load<u64>(node(i)));
}

/** Nodes of a saved decoder of so many bytes; -1 if it cannot be one. */
export function ctcBeamSavedNodes(saved: usize, bytes: f64): i32 {
  if (bytes < Saved.Bytes) return -1;
  const count = load<i32>(saved, Saved.Count), nodes = load<i32>(saved, Saved.Nodes);
  return count >= 0 && nodes >= min(count, 1) && bytesOf(count, nodes) == bytes ? nodes : -1;
}

/** Puts a saved decoder, whose size has been checked, into one that has just been opened with room for it. Returns 0 if it is none. */
export function ctcBeamRestore(saved: usize, state: usize): i32 {
  enter(state);
  const count = load<i32>(saved, Saved.Count), nodes = load<i32>(saved, Saved.Nodes), shifted = load<f64>(saved, Saved.Shifted), lost = load<f64>(saved, Saved.Lost);
  const unseen = load<i32>(saved, Saved.Unseen), lostScale = load<i32>(saved, Saved.LostScale);
  if (unseen < 0 || unseen >= LOOK_EVERY || count > b.width || nodes > b.room || !isFinite(shifted) || !(lost >= 0) || lostScale < 0) return 0;
  if (lost == Infinity && !b.steered) return 0;
  const prefixes = saved + Saved.Bytes;
  if (!plant(prefixes + <usize>count * Entry.Bytes, nodes)) return 0;
  let least: f64 = Infinity;
  for (let i = 0, from = prefixes; i < count; i++, from += Entry.Bytes) {
    const id = load<i32>(from), inBlank = load<f64>(from, Entry.InBlank), inLabel = load<f64>(from, Entry.InLabel), total = inBlank + inLabel;
    if (id < 0 || id >= nodes || load<i32>(node(id), Node.Slot) >= 0) return 0;
    // From the likeliest to the least; nothing ends in the label of the empty prefix.
    if (!(inBlank >= 0 && inLabel >= 0 && total > 0 && total < Infinity && total <= least)) return 0;
    if (load<i32>(node(id), Node.Label) < 0 && inLabel > 0) return 0;
    store<i32>(node(id), i, Node.Slot);
    memory.copy(entry(i), from, Entry.Bytes);
    least = total;
  }
  b.count = count; b.scale = load<i32>(saved, Saved.Scale); b.unseen = unseen; b.shifted = shifted; b.lost = lost; b.lostScale = lostScale;
  return 1;
}

/** The trie: parents before children, labels that are classes, none twice. The root has the label before it, or none. */
function plant(from: usize, count: i32): bool {
  b.nodeCount = count;
  if (count == 0) return true;
  const root = load<i32>(from, SavedNode.Label);
  if (load<i32>(from) != -1 || root < -1 || root >= b.classes || root == b.blank) return false;
  store<i32>(node(0), root, Node.Label);
  store<i32>(node(0), -1, Node.Slot);
  for (let i = 1; i < count; i++) {
    const at = from + <usize>i * SavedNode.Bytes, parent = load<i32>(at), label = load<i32>(at, SavedNode.Label);
    if (parent < 0 || parent >= i || label < 0 || label >= b.classes || label == b.blank || find(parent, label) >= 0) return false;
    store<i32>(node(i), parent, Node.Parent);
    store<i32>(node(i), label, Node.Label);
    store<i32>(node(i), -1, Node.Slot);
    link(i, parent, label);
  }
  return true;
}
