/**
 * Exponentials of logits in float64, for sequences where the rounding of float32 ones does not average out: short ones, small losses, and frames
 * that repeat. Blocks look as blocks.ts makes them, those made here relative to each frame's greatest logit and with 0 in the floor's place; what
 * the target uses of them is kept in float64 beside, less the floor.
 */
import { REACH, ROUNDER, blockBytes, exp4, floorOf, splat } from './blocks';
import { GREATEST_CACHE, cacheBytes, expPair, fillLogProbs, greatestOf } from './log-probs';
import { Sequence } from './sequence';
import { fromPairs, highPair, lowPair } from '../lanes';

/** A little more than e^-80: what bounds from above the emissions that do not count. */
@inline const FLOOR: f64 = 1.81e-35;
/** Over so few frames the rounding of float32 exponentials does not average out. */
@inline const SHORT: i32 = 31;
/** Over more than these, what is left of it adds up in the odds of alignments that differ in most frames. */
@inline const LONG: i32 = 2048;
/**
 * How much of a frame one class has, where frames do not repeat, for the rounding of its and the others' exponentials to be small beside that of
 * the result.
 */
@inline const NEARLY_ALL: f32 = 1.0 - 1.0 / 32.0;
/** Exponentials that are smaller than the greatest by e to this do not show in a normaliser's float32 rounding, however many they are. */
@inline const SMALL: f32 = 20;
/** Losses in which the rounding of a few frames' exponentials may show: those of other frames are next to 0, or average out. */
@inline const LEAST_LOSS: f64 = 0.4;
@inline const GREATEST_LOSS: f64 = 8;
/** The loss per repeated frame in which a rounding of 1.5e-7 is lost, and the repeats that show in a gradient whatever the loss. */
@inline const LEAST_LOSS_PER_REPEAT: f64 = 5;
@inline const MANY_REPEATS: i32 = 64;
/** Longer periods are not looked for, and a period is one if so large a part of the frames keeps to it. */
@inline const LONGEST_PERIOD: i32 = 256;
@inline const ONE_PERIODIC_IN: i32 = 4;
/** Numbers of a frame are alike if they agree in all but these bits, and show if one in so many frames has such. */
@inline const ALIKE_BITS: i32 = 13;
@inline const ONE_ALIKE_IN: i32 = 6;

/** Whether a sequence is precise from the start: a short one, and a long one if its exponentials can be kept. */
@inline export function startsPrecise(frames: i32, classes: i32, labels: i32): bool {
  return frames <= SHORT || frames > LONG && cacheBytes((frames + 3) >> 2, min(labels, classes) + 1) <= GREATEST_CACHE;
}

/** The numbers at `at` in block k, without their last `bits`; in blocks before the first there are none. */
@inline function keysOf(block: usize, k: i32, at: usize, bits: i32): v128 {
  return k < 0 ? i32x4.splat(-1) : i32x4.shr_u(i32x4.add(v128.load(block + at), i32x4.splat((1 << bits) >> 1)), bits);
}

/** Which of the four numbers at `at` in block k are those of one of the eight frames before, but for their last `bits`. */
@inline function repeats(block: usize, k: i32, size: usize, at: usize, bits: i32): v128 {
  const x = keysOf(block, k, at, bits), y = keysOf(block - size, k - 1, at, bits), z = keysOf(block - 2 * size, k - 2, at, bits);
  const one = i32x4.eq(x, v128.shuffle<i32>(y, x, 3, 4, 5, 6)), two = i32x4.eq(x, v128.shuffle<i32>(y, x, 2, 3, 4, 5));
  const three = i32x4.eq(x, v128.shuffle<i32>(y, x, 1, 2, 3, 4)), four = i32x4.eq(x, y);
  const five = i32x4.eq(x, v128.shuffle<i32>(z, y, 3, 4, 5, 6)), six = i32x4.eq(x, v128.shuffle<i32>(z, y, 2, 3, 4, 5));
  const seven = i32x4.eq(x, v128.shuffle<i32>(z, y, 1, 2, 3, 4)), eight = i32x4.eq(x, z);
  return v128.or(v128.or(v128.or(one, two), v128.or(three, four)), v128.or(v128.or(five, six), v128.or(seven, eight)));
}

/** The number at `at` in its block of one frame. */
@inline function frameAt(sequence: Sequence, t: i32, at: usize): f32 {
  return load<f32>(sequence.blocks + <usize>(t >> 2) * blockBytes(sequence.classes) + at + (<usize>(t & 3) << 2));
}

/** Whether frames repeat with the period, of more than eight, after which an early one's normaliser comes again. */
function isPeriodic(sequence: Sequence): bool {
  const frames = sequence.frames, blankAt = <usize>sequence.blank << 4, at = <usize>(sequence.classes + 1) << 4, early = SHORT >> 1;
  const wanted = frameAt(sequence, early, at), last = min(frames - 1 - early, LONGEST_PERIOD);
  let period = 9, count = 0;
  while (period <= last && frameAt(sequence, early + period, at) != wanted) period++;
  if (period > last) return false;
  for (let t = period; t < frames; t++) {
    const z = frameAt(sequence, t, at);
    if (z == frameAt(sequence, t - period, at) && frameAt(sequence, t, blankAt) < z) count++;
  }
  return count * ONE_PERIODIC_IN > frames;
}

@inline function sumLanes(x: v128): i32 {
  return i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3);
}

/**
 * Whether the rounding of float32 exponentials may show. It averages out over frames, but not where a loss is that of a few frames, nor over frames
 * that are the same: these are told by their normaliser being that of one of the eight frames before, or of one a longer period before. Nor where
 * frames are alike, if only in some classes: there the greatest emission is like that of one of the eight before, or that of a class, of which one
 * is looked at in every block. (Silence, where the blank has all of a frame, does not count.) Says in `closed` which frames do not matter.
 */
export function roundingShows(sequence: Sequence): bool {
  const classes = sequence.classes, size = blockBytes(classes), count = (sequence.frames + 3) >> 2;
  const blankAt = <usize>sequence.blank << 4, normaliserAt = <usize>(classes + 1) << 4, greatestAt = <usize>(classes + 3) << 4;
  let repeated = i32x4.splat(0), alike = repeated, block = sequence.blocks, other = sequence.blank;
  for (let k = 0; k < count; k++, block += size) {
    other = other + 1 < classes ? other + 1 : 0;
    const at = <usize>other << 4, open = f32x4.lt(v128.load(block + blankAt), v128.load(block + normaliserAt));
    const possible = f32x4.gt(v128.load(block + at), floorOf(block, classes));
    const near = v128.or(repeats(block, k, size, greatestAt, ALIKE_BITS), v128.and(possible, repeats(block, k, size, at, ALIKE_BITS)));
    repeated = i32x4.sub(repeated, v128.and(open, repeats(block, k, size, normaliserAt, 0)));
    alike = i32x4.sub(alike, v128.and(open, near));
  }
  const frames = sumLanes(repeated);
  const many = frames > MANY_REPEATS || <f64>frames * LEAST_LOSS_PER_REPEAT > max<f64>(1, sequence.loss)
    || sumLanes(alike) * ONE_ALIKE_IN > sequence.frames || isPeriodic(sequence);
  sequence.closed = many ? 1 : NEARLY_ALL;
  return many || (sequence.loss > LEAST_LOSS && sequence.loss < GREATEST_LOSS);
}

/**
 * Fills the sequence's cache and its blocks, unless they hold float32 exponentials that are good enough.
 * False where only the log-domain tier can name what a value leads to.
 */
export function fillPrecisely(sequence: Sequence): bool {
  const stride = sequence.stride, classes = sequence.classes, slots = sequence.slotCount, distinct = sequence.distinct, certain = sequence.certain;
  const blockSize = blockBytes(classes), filled = sequence.filled;
  let block = sequence.blocks, kept = sequence.cache, x = sequence.inputs;
  for (let left = sequence.frames; left > 0; left -= 4, block += blockSize, x += 4 * stride) {
    const precise = !filled || isOpen(block, classes, sequence.closed);
    const x1 = left > 1 ? x + stride : certain, x2 = left > 2 ? x + 2 * stride : certain, x3 = left > 3 ? x + 3 * stride : certain;
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

/** What `loadEmissions` does, from the `kept` exponentials of a block. */
export function loadPrecisely(forward: bool, upwards: bool, kept: usize, slots: i32, emissions: usize, scale: f64): void {
  const lowScale = f64x2.replace_lane(f64x2.splat(1), 0, forward ? scale : 1), highScale = f64x2.replace_lane(f64x2.splat(1), 1, forward ? 1 : scale);
  const least = f64x2.splat(upwards ? FLOOR : 0), end = kept + (<usize>slots << 5);
  for (let to = emissions; kept < end; kept += 32, to += 32) {
    v128.store(to, f64x2.mul(f64x2.add(v128.load(kept), least), lowScale));
    v128.store(to, f64x2.mul(f64x2.add(v128.load(kept, 16), least), highScale), 16);
  }
}
