/**
 * The rung of the ladder (see route.ts) for logits that are all but certain of the target: the recursion on probabilities, as precise.ts has it, but with all
 * digits of what is left to the certainty. There the loss is log Z - log P, of a normaliser Z and of paths P that are both next to 1, and the gradient of
 * the class that has all of a frame is the difference of two numbers next to 1. So neither is formed:
 *
 *  - Emissions are relative to each frame's greatest. The path through these has the probability 1, and Z - 1 and P - 1 are sums of small positive
 *    numbers: of the other classes in any frame, and of what joins the likeliest path from states that are not on it.
 *  - Blanks are kept beside labels, so that the posterior of every class is a sum of its own; and the likeliest class of a frame has as gradient what the
 *    others leave.
 *
 * What is impossible for float64 is below e^-700, which no float32 shows: there is no floor here that a gradient could feel. Gradients below float32's
 * normal numbers are 0.
 */
import { blockBytes, splat } from './blocks';
import { TOP_EXPONENT, powerOfTwo } from './gauge';
import { expPair, fillLogProbs, greatestOf } from './log-probs';
import { Sequence, align, cellsOf, labelAt, maySkip } from './sequence';
import { fromPairs, highPair, lowPair } from '../lanes';

/** Exponentials of less than minus this count as 0; and a little more than one of that, which bounds them from above. */
@inline const FARTHEST: f64 = 700;
@inline export const SURE_FLOOR: f64 = 1.0e-304;
/** The least normal float32, 2^-126. */
@inline const LEAST_NORMAL: f64 = 1.1754943508222875e-38;
/** Scales of states that are worth following. */
@inline const GREATEST_SCALE: i32 = 600;
/** How far what joins the path may be from the probability that the pass forward has found. */
@inline const SAME: f64 = 1.0e-9;

/** Two pairs as four float32, those below the normal numbers as 0: processors take a hundred times as long with them. */
@inline function normals(low: v128, high: v128): v128 {
  const least = f64x2.splat(LEAST_NORMAL);
  return fromPairs(v128.and(low, f64x2.ge(f64x2.abs(low), least)), v128.and(high, f64x2.ge(f64x2.abs(high), least)));
}

/** Bytes of what is known of the frames of so many blocks: the likeliest class (int32), and the emissions of all others together (float64). */
@inline export function framesBytes(blocks: i32): usize { return <usize>blocks * 48; }

@inline function topsOf(sequence: Sequence, k: i32): usize { return sequence.tops + (<usize>k << 4); }
@inline function restsOf(sequence: Sequence, k: i32): usize { return sequence.rests + (<usize>k << 5); }

/** e^x of a class in two frames, relative to their greatest. */
@inline function exponentials(x: v128, greatest: v128): v128 {
  const distance = f64x2.sub(x, greatest), least = f64x2.splat(-FARTHEST);
  return v128.and(expPair(f64x2.pmax(least, distance)), f64x2.gt(distance, least));
}

@inline function lowMask(mask: v128): v128 { return i64x2.extend_low_i32x4_s(mask); }
@inline function highMask(mask: v128): v128 { return i64x2.extend_high_i32x4_s(mask); }

/** Fills the sequence's cache, its blocks and what is known of its frames. False where a frame has no class that is likelier than all others. */
export function fillSurely(sequence: Sequence): bool {
  const stride = sequence.stride, classes = sequence.classes, slots = sequence.slotCount, certain = sequence.certain, size = blockBytes(classes);
  let block = sequence.blocks, kept = sequence.cache, x = sequence.inputs, k = 0;
  for (let left = sequence.frames; left > 0; left -= 4, block += size, x += 4 * stride, k++) {
    const x1 = left > 1 ? x + stride : certain, x2 = left > 2 ? x + 2 * stride : certain, x3 = left > 3 ? x + 3 * stride : certain;
    if (!fillLogProbs(block, x, x1, x2, x3, classes)) return false;
    const greatest = greatestOf(block, classes), low = lowPair(greatest), high = highPair(greatest), end = block + (<usize>classes << 4);
    for (let slot = 0; slot < slots; slot++, kept += 32) {
      const value = v128.load(block + load<u32>(sequence.distinct + (<usize>slot << 2)));
      v128.store(kept, exponentials(lowPair(value), low)); v128.store(kept, exponentials(highPair(value), high), 16);
    }
    let top = i32x4.splat(0), count = top, restLow = f64x2.splat(0), restHigh = restLow, c = 0;
    for (let at = block; at < end; at += 16, c++) {
      const value = v128.load(at), isTop = f32x4.eq(value, greatest);
      const a = exponentials(lowPair(value), low), b = exponentials(highPair(value), high);
      v128.store(at, normals(a, b));
      top = v128.bitselect(i32x4.splat(c), top, isTop);
      count = i32x4.sub(count, isTop);
      restLow = f64x2.add(restLow, v128.andnot(a, lowMask(isTop))); restHigh = f64x2.add(restHigh, v128.andnot(b, highMask(isTop)));
    }
    if (!i32x4.all_true(i32x4.eq(count, i32x4.splat(1)))) return false;
    v128.store(topsOf(sequence, k), top);
    v128.store(restsOf(sequence, k), restLow); v128.store(restsOf(sequence, k), restHigh, 16);
    v128.store(end, splat(0));
  }
  sequence.place = 0;
  sequence.onLabel = false;
  sequence.others = 0;
  sequence.surplus = 0;
  sequence.scaleBefore = 0;
  return true;
}

/** A state of a row, which knows those of cells below `reached`. */
@inline function stateAt(row: usize, i: i32, reached: i32): f64 { return i < reached ? load<f64>(row + (<usize>i << 3)) : 0; }

/**
 * Goes along the likeliest path through block k, whose states' rows begin at `first`; `before` is that of the frame before. Adds what joins it from other
 * states, and what frames have beside their likeliest class. Returns false where that path does not spell the target.
 */
export function followPath(sequence: Sequence, k: i32, before: usize, first: usize, reachedBefore: i32, reached: i32, exponents: i32): bool {
  const targets = sequence.targets, kept = sequence.kept, row = align(<usize>cellsOf(sequence.labels) << 3);
  const scaleBefore = sequence.scaleBefore - TOP_EXPONENT, scaleNow = exponents - TOP_EXPONENT;
  if (abs(scaleBefore) > GREATEST_SCALE || abs(scaleNow) > GREATEST_SCALE) return false;
  let place = sequence.place, onLabel = sequence.onLabel, previous = before, end = reachedBefore, scale = powerOfTwo(scaleBefore);
  for (let f = 0; f < 4; f++) {
    const top = load<i32>(topsOf(sequence, k) + (<usize>f << 2)), rest = load<f64>(restsOf(sequence, k) + (<usize>f << 3));
    let joining: f64 = 0;
    if (top == sequence.blank) {
      if (onLabel) joining = stateAt(previous + kept, place, end);
      else if (place > 0) joining = stateAt(previous, place - 1, end);
      onLabel = false;
    } else if (onLabel && top == labelAt(targets, place - 1)) {
      joining = stateAt(previous + kept, place - 1, end);
      if (place > 1 && maySkip(targets, place - 1)) joining += stateAt(previous, place - 2, end);
    } else {
      if (place == sequence.labels || top != labelAt(targets, place)) return false;
      joining = stateAt(previous, place, end);
      if (onLabel) joining += stateAt(previous + kept, place, end);
      else if (place > 0 && maySkip(targets, place)) joining += stateAt(previous, place - 1, end);
      place++;
      onLabel = true;
    }
    sequence.others += joining * scale;
    sequence.surplus += rest + sequence.surplus * rest;
    previous = first + <usize>f * row; end = reached; scale = powerOfTwo(scaleNow);
  }
  sequence.place = place;
  sequence.onLabel = onLabel;
  sequence.scaleBefore = exponents;
  return true;
}

/** The end of the path: the loss, from the last states of the closing blank and of the last label. NaN where they are not what the path ends in. */
export function lossOfPath(sequence: Sequence, lastBlank: f64, lastLabel: f64, exponents: i32): f64 {
  const scale = powerOfTwo(exponents - TOP_EXPONENT), others = sequence.others + (sequence.onLabel ? lastBlank : lastLabel) * scale;
  const all = 1.0 + others;
  if (sequence.place != sequence.labels || !(abs((lastBlank + lastLabel) * scale - all) <= SAME * all)) return NaN;
  return max<f64>(NativeMath.log1p((sequence.surplus - others) / all), 0);
}

/** A block's gradient, as `subtractPrecisely` has it; of the likeliest class, what the others leave. */
export function subtractSurely(sequence: Sequence, k: i32, block: usize, kept: usize, early: f64, last: f64): void {
  const classes = sequence.classes, sums = sequence.sums, tops = v128.load(topsOf(sequence, k)), one = f64x2.splat(1);
  let lowRest = v128.load(restsOf(sequence, k)), highRest = v128.load(restsOf(sequence, k), 16);
  const lowZ = f64x2.add(one, lowRest), highZ = f64x2.add(one, highRest);
  const low = f64x2.mul(lowZ, f64x2.splat(early)), high = f64x2.mul(highZ, f64x2.replace_lane(f64x2.splat(early), 1, last));
  for (let slot = 0; slot < sequence.slotCount; slot++) {
    const sum = sums + (<usize>slot << 5), e = kept + (<usize>slot << 5), at = load<u32>(sequence.distinct + (<usize>slot << 2));
    const isTop = i32x4.eq(tops, i32x4.splat(<i32>(at >> 4)));
    const a = f64x2.mul(v128.load(sum), low), b = f64x2.mul(v128.load(sum, 16), high);
    v128.store(sum, f64x2.splat(0)); v128.store(sum, f64x2.splat(0), 16);
    lowRest = f64x2.sub(lowRest, v128.andnot(a, lowMask(isTop))); highRest = f64x2.sub(highRest, v128.andnot(b, highMask(isTop)));
    v128.store(block + at, normals(f64x2.sub(v128.load(e), a), f64x2.sub(v128.load(e, 16), b)));
  }
  const rest = f32x4.neg(normals(lowRest, highRest));
  store<f32>(block + (<usize>i32x4.extract_lane(tops, 0) << 4), f32x4.extract_lane(rest, 0));
  store<f32>(block + (<usize>i32x4.extract_lane(tops, 1) << 4), f32x4.extract_lane(rest, 1), 4);
  store<f32>(block + (<usize>i32x4.extract_lane(tops, 2) << 4), f32x4.extract_lane(rest, 2), 8);
  store<f32>(block + (<usize>i32x4.extract_lane(tops, 3) << 4), f32x4.extract_lane(rest, 3), 12);
  v128.store(block + (<usize>(classes + 1) << 4), f32x4.div(splat(1), fromPairs(lowZ, highZ)));
}
