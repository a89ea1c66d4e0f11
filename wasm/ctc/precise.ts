/**
 * The rung between log.ts and the fast one (see route.ts): exponentials of logits in float64, for sequences where the rounding of float32 ones does not
 * average out: short ones, small losses, and frames that repeat. Blocks look as blocks.ts makes them, those made here relative to each frame's greatest
 * logit and with 0 in the floor's place; what the target uses of them is kept in float64 beside, less the floor.
 */
import { REACH, ROUNDER, blockBytes, column, exp4, floorOf, originsOf, splat } from './blocks';
import { cacheBytes, expPair, fillLogProbs, greatestOf } from './log-probs';
import { Sequence } from './sequence';
import { fromPairs, highPair, lowPair } from '../lanes';

/** A little more than e^-80: what bounds from above the emissions that do not count. */
@inline export const FLOOR: f64 = 1.81e-35;
/** Exponentials that are smaller than the greatest by e to this do not show in a normaliser's float32 rounding, however many they are. */
@inline const SMALL: f32 = 20;

/**
 * Fills blocks [begin, end) of the sequence's cache, and its blocks, unless they hold float32 exponentials that are good enough.
 * False where only the log-domain tier can name what a value leads to.
 */
export function fillPrecisely(sequence: Sequence, begin: i32, end: i32): bool {
  const stride = sequence.stride, classes = sequence.classes, slots = sequence.slotCount, distinct = sequence.distinct, certain = sequence.certain;
  const blockSize = blockBytes(classes), filled = sequence.filled;
  let block = sequence.blocks + <usize>begin * blockSize, kept = sequence.cache + cacheBytes(begin, slots), x = sequence.inputs + <usize>(begin << 2) * stride;
  for (let k = begin; k < end; k++, block += blockSize, x += 4 * stride) {
    const left = sequence.frames - (k << 2);
    const precise = !filled || isOpen(block, classes, sequence.closed);
    const x1 = left > 1 ? x + stride : certain, x2 = left > 2 ? x + 2 * stride : certain, x3 = left > 3 ? x + 3 * stride : certain;
    if (precise && filled && sequence.onlyTarget) {
      refine(sequence, block, kept, x, x1, x2, x3);
      kept += <usize>slots << 5;
      continue;
    }
    if (precise && !fillLogProbs(block, x, x1, x2, x3, classes)) return false;
    const floor = floorOf(block, classes), greatest = greatestOf(block, classes);
    for (let slot = 0; slot < slots; slot++, kept += 32) {
      const value = v128.load(block + load<u32>(distinct + (<usize>slot << 2))), e = f32x4.sub(value, floor);
      v128.store(kept, precise ? exponentials(lowPair(value), lowPair(greatest)) : lowPair(e));
      v128.store(kept, precise ? exponentials(highPair(value), highPair(greatest)) : highPair(e), 16);
    }
    if (precise) exponentiate(block, classes, greatest);
  }
  return true;
}

/**
 * Of a block of float32 exponentials, those of the target's classes in float64 into the cache, on the same scale; the normaliser has them as they are there.
 */
function refine(sequence: Sequence, block: usize, kept: usize, x0: usize, x1: usize, x2: usize, x3: usize): void {
  const classes = sequence.classes, end = block + (<usize>classes << 4), floor = floorOf(block, classes), sum = v128.load(end, 16), rest = v128.load(end, 32);
  const lowOrigin = originsOf(block, classes, 0), highOrigin = originsOf(block, classes, 2);
  let low = f64x2.add(lowPair(sum), lowPair(rest)), high = f64x2.add(highPair(sum), highPair(rest));
  for (let slot = 0; slot < sequence.slotCount; slot++, kept += 32) {
    const at = load<u32>(sequence.distinct + (<usize>slot << 2)), before = v128.load(block + at), isPossible = f32x4.gt(before, floor);
    const x = column(x0, x1, x2, x3, at >> 2);
    const a = v128.and(expPair(f64x2.sub(lowPair(x), lowOrigin)), i64x2.extend_low_i32x4_s(isPossible));
    const b = v128.and(expPair(f64x2.sub(highPair(x), highOrigin)), i64x2.extend_high_i32x4_s(isPossible));
    const old = v128.and(before, isPossible);
    low = f64x2.add(low, f64x2.sub(a, lowPair(old))); high = f64x2.add(high, f64x2.sub(b, highPair(old)));
    v128.store(kept, a); v128.store(kept, b, 16);
  }
  const all = fromPairs(low, high);
  v128.store(end, all, 16);
  v128.store(end, fromPairs(f64x2.sub(low, lowPair(all)), f64x2.sub(high, highPair(all))), 32);
}

/** Whether a block of exponentials has a frame in which no class has the share `closed`. */
@inline function isOpen(block: usize, classes: i32, closed: f32): bool {
  const end = block + (<usize>classes << 4);
  return v128.any_true(f32x4.lt(v128.load(end, 48), f32x4.mul(v128.load(end, 16), splat(closed))));
}

/** e^x of a class in two frames, relative to their greatest; 0 for what is impossible. */
@inline function exponentials(x: v128, greatest: v128): v128 {
  const distance = f64x2.sub(x, greatest), least = f64x2.splat(-REACH);
  return v128.and(expPair(f64x2.pmax(least, distance)), f64x2.gt(distance, least));
}

/** Makes of a block of logits one of exponentials. Those that are small beside the normaliser are good enough as float32. */
@inline function exponentiate(block: usize, classes: i32, greatest: v128): void {
  const end = block + (<usize>classes << 4), rounder = splat(ROUNDER), least = splat(-REACH), smaller = f32x4.sub(greatest, splat(SMALL));
  let low = f64x2.splat(0), high = low;
  for (let at = block; at < end; at += 16) {
    const x = v128.load(at);
    if (v128.any_true(f32x4.gt(x, smaller))) {
      const a = exponentials(lowPair(x), lowPair(greatest)), b = exponentials(highPair(x), highPair(greatest));
      v128.store(at, fromPairs(a, b));
      low = f64x2.add(low, a); high = f64x2.add(high, b);
    } else {
      const distance = f32x4.sub(x, greatest), e = v128.and(exp4(f32x4.pmax(least, distance), rounder), f32x4.gt(distance, least));
      v128.store(at, e);
      low = f64x2.add(low, lowPair(e)); high = f64x2.add(high, highPair(e));
    }
  }
  const sum = fromPairs(low, high);
  v128.store(end, splat(0));
  v128.store(end, sum, 16);
  v128.store(end, fromPairs(f64x2.sub(low, lowPair(sum)), f64x2.sub(high, highPair(sum))), 32);
}

/** What `loadEmissions` does, from the `kept` exponentials of a block. `floor` is added to all. */
export function loadPrecisely(forward: bool, floor: f64, kept: usize, slots: i32, emissions: usize, scale: f64): void {
  const lowScale = f64x2.replace_lane(f64x2.splat(1), 0, forward ? scale : 1), highScale = f64x2.replace_lane(f64x2.splat(1), 1, forward ? 1 : scale);
  const least = f64x2.splat(floor), end = kept + (<usize>slots << 5);
  for (let to = emissions; kept < end; kept += 32, to += 32) {
    v128.store(to, f64x2.mul(f64x2.add(v128.load(kept), least), lowScale));
    v128.store(to, f64x2.mul(f64x2.add(v128.load(kept, 16), least), highScale), 16);
  }
}
