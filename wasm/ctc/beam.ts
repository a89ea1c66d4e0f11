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
import { select, settle } from './beam-order';
import { greatestOf, list, massBeside, massOf, probability, survey, surveyed } from './beam-scores';
import {
  asLost, b, Beam, candidate, candidates, children, enter, entries, entriesBefore, Entry, entry, expStamps, gains, rests, GATHERED, GROUP, heads, kin, Kin, layOut, listed, marks, Node, node,
  nodes, others, slotsFor, stays, Step, step, steps,
} from './beam-state';
import { child, collect, create, decide, depthOf, LOOK_EVERY, rehash, spell } from './beam-trie';
import { labelOf } from './steered-table';

/** In place of a candidate's label: the prefix stays as it is. */
const STAY: u32 = 0xffffffff;

/** In place of what was offered to `keep`. */
export const EXACTLY: f64 = -1;

/** Bytes of a state with room for so many nodes. */
export function ctcBeamBytes(width: i32, classes: i32, room: i32, steered: i32): f64 {
  return <f64>layOut(0, width, classes, slotsFor(room), room, steered != 0);
}

/** A decoder that has read nothing. */
export function ctcBeamOpen(state: usize, width: i32, classes: i32, blank: i32, horizon: i32, top: i32, drop: f64, steered: i32, room: i32): void {
  const own = changetype<Beam>(state);
  memory.fill(state, 0, offsetof<Beam>());
  own.width = width; own.classes = classes; own.blank = blank; own.horizon = horizon; own.top = top; own.drop = drop; own.steered = steered;
  own.room = room; own.heads = slotsFor(room); own.count = 1; own.countBefore = -1;
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
  memory.copy(to, from, offsetof<Beam>());
  changetype<Beam>(to).room = room;
  changetype<Beam>(to).heads = slotsFor(room);
  enter(to);
  memory.fill(expStamps, 0, <usize>b.classes << 2);
  memory.fill(marks, 0, <usize>b.classes << 2);
  b.stamp = 0;
  memory.copy(entries, oldEntries, <usize>old.count * Entry.Bytes);
  memory.copy(entriesBefore, oldBefore, <usize>max(old.countBefore, 0) * Entry.Bytes);
  memory.copy(nodes, oldNodes, <usize>old.nodeCount << 4);
  if (b.steered) {
    memory.copy(steps, oldSteps, <usize>old.nodeCount * Step.Bytes);
    memory.copy(gains, oldGains, rests - gains); // and the rows behind them
  }
  rehash();
}

@inline export function offer(at: i32, value: f64, from: i32, label: u32): void {
  const to = candidate(at);
  store<f64>(to, value); store<i32>(to, from, 8); store<u32>(to, label, 12);
}

/** What became of a piece of frames. */
export const enum Status { Done = 0, Full = 1, Bad = 2, Asks = 3 }

/**
 * Reads frames of float32 scores, `stride` bytes apart, from where the piece was left (`b.done`) to its end. Full: there is no room for
 * another frame's nodes, and `ctcBeamMove` has to make some; Bad: a score of frame `b.done` is NaN or Infinity.
 */
function advance(row: usize, stride: usize, frames: i32): Status {
  const isWide = b.classes >= GROUP;
  row += <usize>b.done * stride;
  for (; b.done < frames; b.done++, row += stride) {
    if (isFull()) return Status.Full;
    const sum = isWide ? survey(row) : 0, greatest = sum > 0 ? surveyed : greatestOf(row);
    if (!(greatest < Infinity)) return Status.Bad;
    if (greatest == -Infinity || b.count == 0) b.count = 0;
    else read(row, greatest, sum);
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
  memory.fill(children, 0xff, <usize>n * Kin.Bytes);
  for (let i = 0; i < n; i++) {
    const e = entry(i), at = node(load<i32>(e)), label = load<i32>(at, Node.Label), inLabel = load<f64>(e, Entry.InLabel), total = load<f64>(e, Entry.InBlank) + inLabel;
    all += total;
    store<i32>(kin(i), label, Kin.Label);
    let stayInLabel: f64 = 0;
    if (label >= 0) {
      const p = probability(row, label, top), parent = load<i32>(at), j = parent >= 0 ? load<i32>(node(parent), Node.Slot) : -1;
      stayInLabel = inLabel * p;
      if (j >= 0) {
        // After an equal label only what ends in a blank may go on.
        const from = entry(j), same = load<i32>(node(parent), Node.Label) == label;
        const come = (same ? load<f64>(from, Entry.InBlank) : load<f64>(from, Entry.InBlank) + load<f64>(from, Entry.InLabel)) * p;
        stayInLabel += steered ? come * load<f64>(step(load<i32>(e)), Step.Factor) : come;
        store<i32>(kin(i), load<i32>(kin(j), Kin.Child), Kin.Next);
        store<i32>(kin(j), i, Kin.Child);
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

function read(row: usize, greatest: f32, surveyedSum: f64): void {
  const n = b.count, width = b.width;
  b.stamp++;
  b.shifted += <f64>greatest;
  stay(row, greatest, false);
  let least = threshold;
  const count = min(list(row, greatest, least > 0 ? least / heaviest : 0), b.top), likeliest = count > 0 ? load<f64>(listed) : 0;
  let offers = n, stayed = n, open = 0, reached: f64 = Infinity;
  // By the likeliest class first: every prefix that stays or goes on by it takes a place in the beam, which the other candidates have to be worth.
  for (const to = load<i32>(listed, 8); open < n; open++) {
    const e = entry(open), total = load<f64>(e, Entry.InBlank) + load<f64>(e, Entry.InLabel);
    if (total * likeliest < least || count == 0) break; // and those after it are lighter
    let value: f64 = 0;
    if (!hasChild(open, to)) {
      value = (to == load<i32>(kin(open), Kin.Label) ? load<f64>(e, Entry.InBlank) : total) * likeliest;
      if (value > 0 && value >= least) offer(offers++, value, open, <u32>to);
    }
    reached = min(reached, max(value, load<f64>(candidate(open))));
  }
  if (open == width) least = max(least, reached);
  const second = count > 1 ? load<f64>(listed, 16) : 0;
  for (let i = 0; i < open; i++) {
    const e = entry(i), label = load<i32>(kin(i), Kin.Label), inBlank = load<f64>(e, Entry.InBlank), total = inBlank + load<f64>(e, Entry.InLabel);
    if (total * second < least) break;
    markChildren(i);
    for (let k = 1; k < count; k++) {
      const at = listed + (<usize>k << 4), p = load<f64>(at), to = load<i32>(at, 8);
      if (total * p < least) break;
      if (load<u32>(marks + (<usize>to << 2)) == b.stamp) continue;
      const value = (to == label ? inBlank : total) * p;
      if (!(value > 0) || value < least) continue;
      if (offers == GATHERED * width) {
        select(candidates, offers, width);
        offers = width;
        stayed = 0;
        least = load<f64>(candidate(0));
        for (let q = 1; q < width; q++) least = min(least, load<f64>(candidate(q)));
        if (value < least) continue;
      }
      offer(offers++, value, i, <u32>to);
    }
  }
  order(stayed, offers);
  const mass = surveyedSum > 0 ? massBeside(row, greatest, surveyedSum, count) : massOf(row, greatest);
  keep(stayed, offers, b.lost * mass, before * mass);
}

/** Whether the prefix of a place and a label more is in the beam. */
@inline export function hasChild(i: i32, label: i32): bool {
  for (let k = load<i32>(kin(i), Kin.Child); k >= 0; k = load<i32>(kin(k), Kin.Next)) if (load<i32>(kin(k), Kin.Label) == label) return true;
  return false;
}
/** Marks all labels for which it is. */
@inline export function markChildren(i: i32): void {
  b.stamp++;
  for (let k = load<i32>(kin(i), Kin.Child); k >= 0; k = load<i32>(kin(k), Kin.Next)) store<u32>(marks + (<usize>load<i32>(kin(k), Kin.Label) << 2), b.stamp);
}

/** So many more than there are places are sooner put in order than left out. */
const FEW = 16;

/** Puts candidates in order: the prefixes that stay, and as many of the others as may be kept. Both nearly are, as most have changed by the same factor. */
@inline export function order(stayed: i32, offers: i32): void {
  const others = candidate(stayed), count = offers - stayed;
  settle(candidates, stayed);
  const isMany = count > b.width + FEW;
  if (isMany) select(others, count, b.width);
  settle(others, isMany ? b.width : count);
}

/** What `keep` has left out. */
export let leftOut: f64 = 0;

/**
 * Makes the greatest candidates the beam.
 * @param stayed where the second of two sequences begins, each of which is in order.
 * @param lost what had been lost before, as it is after the frame
 * @param offered what all candidates of the frame had, these among them; or EXACTLY where `lost` has all but these in it.
 */
export function keep(stayed: i32, offers: i32, lost: f64, offered: f64): void {
  for (let i = 0; i < b.count; i++) store<i32>(node(load<i32>(entry(i))), -1, Node.Slot);
  let one = candidate(0), two = candidate(stayed), kept = 0, after: f64 = 0;
  const oneEnd = two, twoEnd = candidate(offers), best = max(one < oneEnd ? load<f64>(one) : 0, two < twoEnd ? load<f64>(two) : 0), floor = best * b.drop;
  for (const width = b.width; kept < width; kept++) {
    const a = one < oneEnd ? load<f64>(one) : 0, c = two < twoEnd ? load<f64>(two) : 0, value = max(a, c);
    if (!(value > floor)) break;
    const from = a >= c ? one : two, source = load<i32>(from, 8), way = load<u32>(from, 12), to = others + <usize>kept * Entry.Bytes, prefix = load<i32>(entry(source));
    if (a >= c) one += 16; else two += 16;
    if (way == STAY) {
      store<i32>(to, prefix);
      store<f64>(to, load<f64>(stays + (<usize>source << 4)), Entry.InBlank);
      store<f64>(to, load<f64>(stays + (<usize>source << 4), 8), Entry.InLabel);
    } else {
      const known = b.nodeCount, id = child(prefix, b.steered ? labelOf(way) : way);
      store<i32>(to, id);
      if (b.steered && id == known) v128.store(step(id), v128.load(way));
      b.changed = 1;
      store<f64>(to, 0, Entry.InBlank);
      store<f64>(to, value, Entry.InLabel);
    }
    store<i32>(node(load<i32>(to)), kept, Node.Slot);
    after += value;
  }
  let rest: f64 = 0;
  if (offered == EXACTLY) {
    for (; one < oneEnd; one += 16) rest += load<f64>(one);
    for (; two < twoEnd; two += 16) rest += load<f64>(two);
  }
  leftOut = rest;
  memory.copy(entries, others, <usize>kept * Entry.Bytes);
  if (kept < b.count) b.changed = 1;
  b.count = kept;
  b.lost = lost + asLost(offered == EXACTLY ? rest : max<f64>(offered - after, 0));
  // Above 2^700: 700 more go to its scale.
  if (b.lost > 5.260135901548374e210 && b.lost < Infinity) { b.lost *= 1.90109156629516e-211; b.lostScale += 700; }
  // Below 2^-256, or above 2^256 where a steering pays much: back to about 1.
  if ((best < 8.636168555094445e-78 && best > 0) || best > 1.157920892373162e77) {
    const exponent = min(1023 - <i32>(reinterpret<u64>(best) >> 52 & 2047), 1000), factor = reinterpret<f64>(<u64>(exponent + 1023) << 52);
    for (let i = 0; i < kept; i++) {
      const e = entry(i);
      store<f64>(e, load<f64>(e, Entry.InBlank) * factor, Entry.InBlank);
      store<f64>(e, load<f64>(e, Entry.InLabel) * factor, Entry.InLabel);
    }
    if (exponent > 0 && b.lost > 1) b.lostScale += exponent;
    else b.lost *= factor;
    b.scale += exponent;
  }
}

/** Keeps the beam as it is before a piece. */
@inline export function remember(): void {
  b.done = 0;
  b.countBefore = b.count; b.scaleBefore = b.scale; b.unseenBefore = b.unseen; b.shiftedBefore = b.shifted; b.lostBefore = b.lost;
  b.lostScaleBefore = b.lostScale;
  memory.copy(entriesBefore, entries, <usize>b.count * Entry.Bytes);
}

/** Forgets what has been read of a piece that is not done; nodes that it has made stay until they are collected. */
export function ctcBeamUndo(state: usize): void {
  enter(state);
  if (b.countBefore < 0) return;
  for (let i = 0; i < b.count; i++) store<i32>(node(load<i32>(entry(i))), -1, Node.Slot);
  b.count = b.countBefore; b.scale = b.scaleBefore; b.unseen = b.unseenBefore; b.shifted = b.shiftedBefore; b.lost = b.lostBefore;
  b.lostScale = b.lostScaleBefore;
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
 * Natural logarithms of the probabilities of the first `count` prefixes of the beam, the likeliest first, and of what has been lost, to `scores` (float64
 * [count + 1]). Returns how many prefixes there are.
 */
export function ctcBeamRead(state: usize, count: i32, scores: usize): i32 {
  enter(state);
  const shift = b.shifted - <f64>b.scale * NativeMath.LN2, found = min(count, b.count);
  for (let k = 0; k < count; k++) {
    const e = entry(k);
    store<f64>(scores + (<usize>k << 3), k < found ? NativeMath.log(load<f64>(e, Entry.InBlank) + load<f64>(e, Entry.InLabel)) + shift : -Infinity);
  }
  store<f64>(scores + (<usize>count << 3), b.lost > 0 ? NativeMath.log(b.lost) + <f64>b.lostScale * NativeMath.LN2 + shift : -Infinity);
  return found;
}

/**
 * The labels of some prefixes of the beam, of those at `places` (int32 [count]): how many, to `lengths`, int32 [count]; and one prefix's after the other's, to
 * `labels` (int32 [room]), as long as there is room.
 */
export function ctcBeamLabels(state: usize, places: usize, count: i32, lengths: usize, labels: usize, room: i32): void {
  enter(state);
  for (const end = places + (<usize>count << 2); places < end; places += 4, lengths += 4) {
    const id = load<i32>(entry(load<i32>(places))), length = depthOf(id);
    store<i32>(lengths, length);
    room -= length;
    if (room < 0) continue;
    labels += <usize>length << 2;
    spell(id, labels);
  }
}
