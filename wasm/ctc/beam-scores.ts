/** What a frame's scores say: the greatest, the sum, and the classes that may matter. */
import { select, sort } from './beam-order';
import { b, exps, expStamps, GROUP, listed, maxima } from './beam-state';

/** Classes so far below a frame's greatest count nothing beside it: e^-700 is next to the least float64. */
export const NOTHING: f32 = 700;

@inline export function probability(row: usize, c: i32, reference: f64): f64 {
  const at = exps + (<usize>c << 3), stamped = expStamps + (<usize>c << 2);
  if (load<u32>(stamped) == b.stamp) return load<f64>(at);
  const p = NativeMath.exp(<f64>load<f32>(row + (<usize>c << 2)) - reference);
  store<u32>(stamped, b.stamp);
  store<f64>(at, p);
  return p;
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
  let top = highestOf(tops);
  for (; at < end; at += 4) top = max(top, load<f32>(at));
  return top;
}

@inline function highestOf(x: v128): f32 {
  return max(max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)), max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)));
}
@inline export function sumOf(x: v128): f64 {
  return <f64>f32x4.extract_lane(x, 0) + <f64>f32x4.extract_lane(x, 1) + <f64>f32x4.extract_lane(x, 2) + <f64>f32x4.extract_lane(x, 3);
}

/** The greatest of the row that was surveyed last. */
export let surveyed: f32 = 0;

/** How far from 0 it may be for `survey`. */
const WINDOW: f32 = 16;

/**
 * Looks once, where there are many classes, for what is else found in two looks: the sum of a row's probabilities by `roughly`, and, to `surveyed`, the greatest score;
 * stores the maxima of whole groups. Returns 0 for a row that has to be looked at by `greatestOf`: a score is NaN or Infinity, or the greatest beyond the window.
 */
export function survey(row: usize): f64 {
  const end = row + (<usize>b.classes << 2);
  let at = row, tops = f32x4.splat(-Infinity), sums = f32x4.splat(0);
  for (let to = maxima; at + (GROUP << 2) <= end; to += 16) {
    let x = f32x4.splat(-Infinity), some = f32x4.splat(0), others = some;
    for (const stop = at + (GROUP << 2); at < stop; at += 32) {
      const v = v128.load(at), w = v128.load(at, 16);
      x = f32x4.pmax(x, f32x4.pmax(v, w));
      some = f32x4.add(some, roughly(v)); others = f32x4.add(others, roughly(w));
    }
    v128.store(to, x);
    tops = f32x4.pmax(tops, x);
    sums = f32x4.add(sums, f32x4.add(some, others));
  }
  for (; at + 16 <= end; at += 16) { const x = v128.load(at); tops = f32x4.pmax(tops, x); sums = f32x4.add(sums, roughly(x)); }
  let top = highestOf(tops), sum = sumOf(sums) * LEAD;
  for (; at < end; at += 4) { const x = load<f32>(at); top = max(top, x); sum += roughlyOne(x); }
  surveyed = top;
  // A NaN is in the sum as well. Beyond the window, the sum means nothing.
  return sum < Infinity && abs(top) <= WINDOW ? sum : 0;
}

/** What `roughly` leaves out: a factor. */
const LEAD: f64 = 0.0551758;

/**
 * e^x of four numbers, but for LEAD; with it, each is at most 1.6e-4 too great, or 1e-38. A minimax polynomial of what is left of x log2(e) beside a whole number,
 * lifted above it. NaN stays NaN.
 */
@inline function roughly(x: v128): v128 {
  const round = f32x4.splat(12582912 + 127), y = f32x4.pmax(f32x4.mul(x, f32x4.splat(1.442695)), f32x4.splat(-126));
  const rounded = f32x4.add(y, round), f = f32x4.sub(y, f32x4.sub(rounded, round));
  let p = f32x4.add(f32x4.splat(4.3973856), f);
  p = f32x4.add(f32x4.splat(12.565525), f32x4.mul(p, f));
  p = f32x4.add(f32x4.splat(18.123940), f32x4.mul(p, f));
  return f32x4.mul(p, i32x4.shl(rounded, 23));
}

@inline function roughlyOne(x: f32): f64 { return <f64>f32x4.extract_lane(roughly(f32x4.splat(x)), 0) * LEAD; }

/** Four of a row's probabilities relative to its greatest, each at most 4e-7 too great, or 1e-38; 2^f is a minimax polynomial, lifted above it. */
@inline export function boundOf(x: v128, top: v128, log2e: v128, least: v128, round: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128): v128 {
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

/**
 * The same of a row of which `survey` has given the sum: what is too great is a share of the classes that are not among the `count` that are listed. As nothing gets into the
 * beam by those, that share is one of what is lost.
 */
export function massBeside(row: usize, greatest: f32, sum: f64, count: i32): f64 {
  let exact = probability(row, b.blank, <f64>greatest), bounds = roughlyOne(load<f32>(row + (<usize>b.blank << 2)));
  for (let k = 0; k < count; k++) {
    const at = listed + (<usize>k << 4);
    exact += load<f64>(at);
    bounds += roughlyOne(load<f32>(row + (<usize>load<i32>(at, 8) << 2)));
  }
  // Roundings: of the products, up to 33 where it counts, and of the sums, which have 9 terms and then one for each group.
  return exact + (sum * (1 + 1e-6 * (3 + <f64>b.classes / 1000)) - bounds) * NativeMath.exp(-<f64>greatest);
}

/**
 * Lists the classes, but for the blank, that are at least `share` of the greatest and may get into the beam: the likeliest first. Returns how many
 * there are. At most one more than the width: a prefix's own candidates with likelier classes, its children in the beam counted, fill the beam
 * before those with any other; one may be its own label, which only its blank-ended part can repeat.
 */
@inline export function list(row: usize, greatest: f32, share: f64): i32 {
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
