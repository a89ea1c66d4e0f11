/**
 * What a steering's bounds say about a frame: the most that each class, and all of them together, may be worth. Sums over the classes are for what is
 * lost; they are never less than what they stand for.
 */
import { select, sort } from './beam-order';
import { boundOf, greatestOf, massOf, NOTHING, probability, sumOf } from './beam-scores';
import { b, enter, entry, gains, listed, others, rows, seen, SEEN, step, Step } from './beam-state';
import { hasRows, numberOf, rowAt as rowOf, SMALL, upwards } from './steered-table';

/** What is known of a steering: `Beam.steered`. */
export const enum Bounds {
  /** There is a class that may gain anything. */
  None = 1,
  /** Every class has a bound. */
  Given = 2,
  /** And none is so high that float32 could not hold it beside a frame's probabilities. */
  Low = 3
}

/** The highest bound, a logarithm, that is low. */
const LOW: f64 = 20;

/**
 * Rows of float32 behind the gains: their logarithms without the blank, those above 0, what each class may be worth in the frame (in logarithms or not), the
 * scores of classes with a use, the first two as factors, and the most that any prefix of the beam may gain.
 */
export const enum Row { Gains = 0, Growth = 1, Worth = 2, Usable = 3, GainFactors = 4, GrowthFactors = 5, BeamFactors = 6 }
@inline export function rowAt(which: Row): usize { return rows + <usize>which * <usize>(((b.classes << 2) + 15) & ~15); }

/**
 * Steers a decoder that has just been opened or restored: the first state, and log bounds of what a step by each class may gain (float64 [C];
 * Infinity where nothing is known).
 */
export function ctcBeamSteer(state: usize, first: f64, bounds: usize): void {
  enter(state);
  store<f64>(step(0), first);
  store<f64>(step(0), 1, Step.Factor);
  let highest: f64 = 0;
  for (let c = 0; c < b.classes; c++) {
    const bound = load<f64>(bounds + (<usize>c << 3)), at = <usize>c << 2, isBlank = c == b.blank;
    const gain = NativeMath.exp(bound);
    store<f64>(gains + (<usize>c << 3), gain);
    store<f32>(rowAt(Row.Gains) + at, isBlank ? -Infinity : <f32>bound);
    store<f32>(rowAt(Row.Growth) + at, isBlank ? 0 : <f32>max<f64>(bound, 0));
    store<f32>(rowAt(Row.GainFactors) + at, isBlank ? 0 : upwards(gain));
    store<f32>(rowAt(Row.GrowthFactors) + at, isBlank ? 1 : upwards(max<f64>(gain, 1)));
    if (!isBlank) highest = max(highest, bound);
  }
  b.steered = highest == Infinity ? Bounds.None : highest > LOW ? Bounds.Given : Bounds.Low;
  // Then nothing is known of any: they are listed by their probabilities.
  for (let c = 0; b.steered == Bounds.None && c < b.classes; c++) {
    store<f64>(gains + (<usize>c << 3), Infinity);
    store<f32>(rowAt(Row.Gains) + (<usize>c << 2), c == b.blank ? -Infinity : 0);
  }
}

/**
 * Not less than what steps by all classes but the blank can be worth, relative to the frame's greatest; and than what any prefix can become: each class's
 * probability by the most that it may gain, or by 1 where it stays.
 */
export let most: f64 = 0, growth: f64 = 0;
/** The same of the step that may be worth most. */
export let mostOfOne: f64 = 0;
/** As `addUp` has it in its row. */
let foremost: f32 = 0;

/** Adds them up. Low bounds are factors of the probabilities, each of which may be SMALL too great. */
export function addUp(row: usize, greatest: f32): void {
  const classes = b.classes, by = factors(), growing = rowAt(Row.GrowthFactors), worth = rowAt(Row.Worth);
  const top = f32x4.splat(greatest), log2e = f32x4.splat(1.442695), least = f32x4.splat(-126), round = f32x4.splat(12582912);
  const c5 = f32x4.splat(0.00132765), c4 = f32x4.splat(0.00967554), c3 = f32x4.splat(0.05550714), c2 = f32x4.splat(0.24022122), c1 = f32x4.splat(0.69314702), c0 = f32x4.splat(1.0000003);
  const end = <usize>(classes >> 2) << 4;
  for (let at: usize = 0; at < end; at += 16) v128.store(worth + at, boundOf(v128.load(row + at), top, log2e, least, round, c5, c4, c3, c2, c1, c0));
  let gained = f32x4.splat(0), grown = gained, highest = gained, at: usize = 0;
  for (; at < end; at += 16) {
    const p = v128.load(worth + at), gain = f32x4.mul(p, v128.load(by + at));
    v128.store(worth + at, gain);
    highest = f32x4.pmax(highest, gain);
    gained = f32x4.add(gained, gain);
    grown = f32x4.add(grown, f32x4.mul(p, v128.load(growing + at)));
  }
  most = sumOf(gained); growth = sumOf(grown);
  foremost = max(max(f32x4.extract_lane(highest, 0), f32x4.extract_lane(highest, 1)), max(f32x4.extract_lane(highest, 2), f32x4.extract_lane(highest, 3)));
  mostOfOne = foremost;
  for (const last = <usize>classes << 2; at < last; at += 4) {
    const p = NativeMath.exp(<f64>load<f32>(row + at) - <f64>greatest);
    const gain = p * <f64>load<f32>(by + at);
    store<f32>(worth + at, upwards(gain));
    foremost = max(foremost, upwards(gain));
    most += gain; mostOfOne = max(mostOfOne, gain);
    growth += p * <f64>load<f32>(growing + at);
  }
  // Roundings: of the scores' differences, up to 87, of each exponential and product, and of the sums, which have classes / 4 terms a lane.
  const roundings = 1 + 1e-6 * (12 + <f64>classes / 32);
  most = (most + SMALL) * roundings; mostOfOne = (mostOfOne + SMALL) * roundings; growth *= roundings;
}

/** The most that a step by each class may gain: of any state, or, where all is known of them, of those of the beam. */
@inline function factors(): usize { return hasRows() ? rowAt(Row.BeamFactors) : rowAt(Row.GainFactors); }

/** Looks what the prefixes of the beam may gain, after it has changed. */
export function lookAtBeam(): void {
  b.changed = 0;
  if (!hasRows() || b.steered != Bounds.Low) return;
  // The rows of its states, most of them once.
  memory.fill(seen, 0xff, SEEN << 2);
  let end = others;
  for (let i = 0; i < b.count; i++) {
    const number = numberOf(load<f64>(step(load<i32>(entry(i))))), mark = seen + (<usize>(number & SEEN - 1) << 2);
    store<usize>(end, rowOf(number));
    end += load<u32>(mark) == number ? 0 : 4;
    store<u32>(mark, number);
  }
  const to = rowAt(Row.BeamFactors), bytes = <usize>b.classes << 2;
  let at: usize = 0;
  // Four vectors of a row at a time: one alone would wait for itself, row by row.
  for (; at + 48 < bytes; at += 64) {
    let h0 = f32x4.splat(0), h1 = h0, h2 = h0, h3 = h0;
    for (let from = others; from < end; from += 4) {
      const row = load<usize>(from) + at;
      h0 = f32x4.pmax(h0, v128.load(row)); h1 = f32x4.pmax(h1, v128.load(row, 16)); h2 = f32x4.pmax(h2, v128.load(row, 32)); h3 = f32x4.pmax(h3, v128.load(row, 48));
    }
    v128.store(to + at, h0); v128.store(to + at, h1, 16); v128.store(to + at, h2, 32); v128.store(to + at, h3, 48);
  }
  for (; at < bytes; at += 16) {
    let highest = f32x4.splat(0);
    for (let from = others; from < end; from += 4) highest = f32x4.pmax(highest, v128.load(load<usize>(from) + at));
    v128.store(to + at, highest);
  }
}

/** The same for any bounds, and without anything that is too great by more than its share: in logarithms. */
export function addUpExactly(row: usize, greatest: f32): void {
  growth = massWith(row, greatest, Row.Growth); most = massWith(row, greatest, Row.Gains); mostOfOne = Infinity;
}

/** Where there are no bounds, any step may be worth anything. */
export function addUpNothing(row: usize): void { most = 0; mostOfOne = Infinity; addTo(row, Row.Gains); }

/** Scores and a row of logarithms, added up, as a mass relative to `greatest`. */
function massWith(row: usize, greatest: f32, which: Row): f64 {
  const to = addTo(row, which), top = greatestOf(to);
  return top == -Infinity ? 0 : massOf(to, top) * NativeMath.exp(<f64>top - <f64>greatest) * (1 + 1e-5);
}

/** What each class may be worth, in logarithms. */
function addTo(row: usize, which: Row): usize {
  const by = rowAt(which), to = rowAt(Row.Worth), end = <usize>b.classes << 2;
  let at: usize = 0;
  for (; at + 16 <= end; at += 16) v128.store(to + at, f32x4.add(v128.load(row + at), v128.load(by + at)));
  for (; at < end; at += 4) store<f32>(to + at, load<f32>(row + at) + load<f32>(by + at));
  return to;
}

/** Whether there is a class that may lengthen a prefix, however unlikely. */
export function canGoOn(row: usize): bool {
  const by = rowAt(Row.Gains);
  for (let at: usize = 0, end = <usize>b.classes << 2; at < end; at += 4) if (load<f32>(row + at) + load<f32>(by + at) > -Infinity) return true;
  return false;
}

/** A class in the list, with the most that a step by it may be worth. */
@inline function enlist(place: i32, row: usize, greatest: f32, c: i32): void {
  const to = listed + (<usize>place << 4);
  store<f64>(to, probability(row, c, <f64>greatest));
  store<i32>(to, c, 8);
}
@inline function weigh(place: i32, isExact: bool): void {
  const at = listed + (<usize>place << 4), c = <usize>load<i32>(at, 8);
  store<f64>(at, load<f64>(at) * (isExact ? load<f64>(gains + (c << 3)) : <f64>load<f32>(factors() + (c << 2))));
}

/** How far below the greatest probabilities are told apart in float32, as a logarithm. */
const NOTHING_SINGLE: f32 = 80;

function highestOf(row: usize, bytes: usize): f32 {
  let top: f32 = -Infinity;
  for (let at: usize = 0; at < bytes; at += 4) top = max(top, load<f32>(row + at));
  return top;
}

/** Lists the class whose step may be worth most. Returns how many there are: 0 where there is no step at all, -1 where it is too unlikely to tell. */
export function listForemost(row: usize, greatest: f32, isExact: bool): i32 {
  const worth = rowAt(Row.Worth), end = <usize>b.classes << 2, top = isExact ? highestOf(worth, end) : foremost;
  if (!(top > (isExact ? -Infinity : 0))) return 0;
  const four = f32x4.splat(top);
  let at: usize = 0;
  while (at + 16 <= end && !v128.any_true(f32x4.eq(v128.load(worth + at), four))) at += 16;
  while (load<f32>(worth + at) != top) at += 4;
  if (!isExact && load<f32>(row + at) < greatest - NOTHING_SINGLE) return -1;
  enlist(0, row, greatest, <i32>(at >> 2));
  weigh(0, isExact);
  return 1;
}

/**
 * Lists the classes, but for the blank, that may reach `share` of the greatest by what they are worth at most, the greatest first; after the first one,
 * where that is listed.
 */
export function list(row: usize, greatest: f32, share: f64, from: i32, isExact: bool): i32 {
  const worth = rowAt(Row.Worth), end = <usize>b.classes << 2, first = from > 0 ? load<i32>(listed, 8) : -1;
  const limit = isExact ? greatest + <f32>(share > 0 ? max(NativeMath.log(share) - 1e-3, -NOTHING) : -NOTHING) : <f32>(share * (1 - 1e-6)), four = f32x4.splat(limit);
  let count = from;
  for (let at: usize = 0; at < end; at += 16) {
    let bits = at + 16 <= end ? i32x4.bitmask(f32x4.ge(v128.load(worth + at), four)) : 15 >> <i32>(at + 16 - end >> 2);
    for (; bits; bits &= bits - 1) {
      const c = <i32>(at >> 2) + ctz(bits), own = load<f32>(worth + (<usize>c << 2));
      if (c == b.blank || c == first || !(own >= limit) || !(isExact || (own > 0 && load<f32>(row + (<usize>c << 2)) >= greatest - NOTHING))) continue;
      enlist(count, row, greatest, c);
      count++;
    }
  }
  if (count > b.top) { select(listed, count, b.top); count = b.top; }
  for (let k = from; k < count; k++) weigh(k, isExact);
  sort(listed, from, count);
  return count;
}
