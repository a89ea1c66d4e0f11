/**
 * The highest rung of the ladder (see route.ts) for log-probabilities: their blocks, as blocks.ts makes them of logits: transposed, four frames a vector.
 * They have no normaliser in which the rounding of their exponentials would cancel, so these are taken in float64, and only of the classes that the
 * target uses.
 *
 * In the classes' places are the log-probabilities themselves; in the floor's, what counts as impossible at and below it; in the remainder's
 * the greatest of each frame, which its emissions are relative to.
 */
import {
  REACH, ROUNDER, blockBytes, column, evenPairs, exp4, floorOf, highHalves, lowHalves, oddPairs, splat,
} from './blocks';
import { Sequence } from './sequence';
import { highPair, lowPair, sumPair } from '../lanes';

/** How far from 1 a frame's probabilities may add up to count as normalised. */
@inline export const NORMALISED: f32 = 4.0e-6;
@inline const LOG2_E: f64 = 1.4426950408889634;
@inline const LN2: f64 = 0.69314718055994530942;
/** 1.5 * 2^52, which leaves the nearest integer in a sum's low bits, and the bias of float64's exponent. */
@inline const ROUNDER64: f64 = 6755399441055744.0 + 1023.0;

/** a + b x */
@inline function linear(x: v128, a: f64, b: f64): v128 { return f64x2.add(f64x2.splat(a), f64x2.mul(x, f64x2.splat(b))); }

/**
 * e^x for -700 < x <= 0, to a relative error of 1.2e-12, so that what it shares among the frames of a long sequence is not seen: the minimax
 * polynomial of degree 8 on half a binade with the lowest two terms held at 1 + x, so that small ones are exact.
 */
@inline export function expPair(x: v128): v128 {
  const rounded = f64x2.add(f64x2.mul(x, f64x2.splat(LOG2_E)), f64x2.splat(ROUNDER64)), n = f64x2.sub(rounded, f64x2.splat(ROUNDER64));
  const r = f64x2.sub(x, f64x2.mul(n, f64x2.splat(LN2))), rr = f64x2.mul(r, r);
  const high = f64x2.add(linear(r, 0.001388919699809032, 0.00019908937119091284), f64x2.mul(rr, f64x2.splat(2.470835094746601e-05)));
  const middle = linear(r, 0.04166666440589786, 0.008333281810956671), low = linear(r, 0.5000000000426653, 0.16666666784432305);
  const p = f64x2.add(low, f64x2.mul(rr, f64x2.add(middle, f64x2.mul(rr, high))));
  return f64x2.mul(f64x2.add(f64x2.splat(1), f64x2.add(r, f64x2.mul(rr, p))), i64x2.shl(rounded, 52));
}

/** Bytes for the exponentials of `slots` classes in `blocks` blocks, to be kept from the first pass to the second. */
@inline export function cacheBytes(blocks: i32, slots: i32): usize { return <usize>blocks * <usize>slots << 5; }

/** Each frame's greatest log-probability. */
@inline export function greatestOf(block: usize, classes: i32): v128 { return v128.load(block + (<usize>(classes + 2) << 4)); }

/**
 * Fills the block at `block` from four rows. Returns false where a value is NaN or +Infinity, or where finite ones add up to that: then only the
 * log-domain tier can say what comes of it.
 */
export function fillLogProbs(block: usize, x0: usize, x1: usize, x2: usize, x3: usize, classes: i32): bool {
  const end = block + (<usize>classes << 4), quads = block + (<usize>(classes & ~3) << 4);
  let sum = splat(0), greatest = splat(-Infinity), e = block, at: usize = 0;
  for (; e < quads; e += 64, at += 16) {
    const a = v128.load(x0 + at), b = v128.load(x1 + at), c = v128.load(x2 + at), d = v128.load(x3 + at);
    const ab = evenPairs(a, b), AB = oddPairs(a, b), cd = evenPairs(c, d), CD = oddPairs(c, d);
    const t0 = lowHalves(ab, cd), t1 = highHalves(ab, cd), t2 = lowHalves(AB, CD), t3 = highHalves(AB, CD);
    v128.store(e, t0); v128.store(e, t1, 16); v128.store(e, t2, 32); v128.store(e, t3, 48);
    greatest = f32x4.pmax(f32x4.pmax(greatest, f32x4.pmax(t1, t0)), f32x4.pmax(t2, t3));
    sum = f32x4.add(sum, f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
  }
  for (; e < end; e += 16, at += 4) {
    const x = column(x0, x1, x2, x3, at);
    v128.store(e, x);
    greatest = f32x4.pmax(greatest, x);
    sum = f32x4.add(sum, x);
  }
  // Impossible frames, in which all is -Infinity, are relative to 0.
  greatest = v128.andnot(greatest, f32x4.eq(greatest, splat(-Infinity)));
  v128.store(end, f32x4.sub(greatest, splat(REACH)));
  v128.store(end, greatest, 32);
  return i32x4.all_true(f32x4.lt(sum, splat(Infinity)));
}

/**
 * What `loadEmissions` does for logits. Exponentials are kept in `cache`, for the second pass to find, unless that is 0.
 * @param first whether this is the first pass over the block.
 */
export function loadLogProbs(
  first: bool, forward: bool, upwards: bool, block: usize, classes: i32, distinct: usize, slots: i32, emissions: usize, cache: usize, scale: f64,
): void {
  const floor = floorOf(block, classes), greatest = greatestOf(block, classes), lowGreatest = lowPair(greatest), highGreatest = highPair(greatest);
  const lowScale = f64x2.replace_lane(f64x2.splat(1), 0, forward ? scale : 1), highScale = f64x2.replace_lane(f64x2.splat(1), 1, forward ? 1 : scale);
  const end = distinct + (<usize>slots << 2);
  for (let at = distinct, to = emissions; at < end; at += 4, to += 32) {
    let low: v128, high: v128;
    const x = v128.load(block + load<u32>(at));
    if (first || !cache) {
      const least = f32x4.pmax(floor, x);
      low = expPair(f64x2.sub(lowPair(least), lowGreatest)); high = expPair(f64x2.sub(highPair(least), highGreatest));
    } else {
      low = v128.load(cache); high = v128.load(cache, 16);
    }
    if (cache) {
      if (first) { v128.store(cache, low); v128.store(cache, high, 16); }
      cache += 32;
    }
    if (!upwards) {
      const possible = f32x4.gt(x, floor);
      low = v128.and(low, i64x2.extend_low_i32x4_s(possible)); high = v128.and(high, i64x2.extend_high_i32x4_s(possible));
    }
    v128.store(to, f64x2.mul(low, lowScale)); v128.store(to, f64x2.mul(high, highScale), 16);
  }
}

/** The logarithm of what all frames' emissions are relative to. */
export function sumOfGreatest(sequence: Sequence): f64 {
  const size = blockBytes(sequence.classes), count = (sequence.frames + 3) >> 2;
  let sum = f64x2.splat(0), block = sequence.blocks;
  for (let k = 0; k < count; k++, block += size) {
    const greatest = greatestOf(block, sequence.classes);
    sum = f64x2.add(sum, f64x2.add(lowPair(greatest), highPair(greatest)));
  }
  return sumPair(sum);
}

/** Whether log-probabilities add up to 1 in all frames but for their own rounding. */
export function isNormalised(sequence: Sequence): bool {
  const size = blockBytes(sequence.classes), count = (sequence.frames + 3) >> 2;
  for (let k = 0; k < count; k++) {
    const block = sequence.blocks + <usize>k * size, end = block + (<usize>sequence.classes << 4);
    let sum = splat(-1);
    for (let e = block; e < end; e += 16) sum = f32x4.add(sum, exp4(f32x4.pmin(splat(1), f32x4.pmax(splat(-REACH), v128.load(e))), splat(ROUNDER)));
    if (!i32x4.all_true(f32x4.lt(f32x4.abs(sum), splat(NORMALISED)))) return false;
  }
  return true;
}
