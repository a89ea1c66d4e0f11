/**
 * Exponentials of logits in float64, for sequences where the rounding of float32 ones does not average out: short ones, small losses, and frames
 * that repeat. Blocks look as ctc-blocks makes them, those made here relative to each frame's greatest logit and with 0 in the floor's place; what
 * the target uses of them is kept in float64 beside, less the floor.
 */
import { REACH, ROUNDER, blockBytes, exp4, floorOf, splat } from './ctc-blocks';
import { expPair, fillLogProbs, greatestOf } from './ctc-log-probs';
import { Sequence } from './ctc-sequence';
import { fromPairs, highPair, lowPair } from './lanes';

/** A little more than e^-80: what bounds from above the emissions that do not count. */
@inline const FLOOR: f64 = 1.81e-35;
/** Over so few frames the rounding of float32 exponentials does not average out. */
@inline const SHORT: i32 = 31;
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

/** Whether a sequence of so many frames is precise from the start. */
@inline export function isShort(frames: i32): bool { return frames <= SHORT; }

/** Which of the four numbers at `at` in block k are those of one of the eight frames before. */
@inline function repeats(block: usize, k: i32, size: usize, at: usize): v128 {
  const x = v128.load(block + at), y = k > 0 ? v128.load(block - size + at) : splat(-1), z = k > 1 ? v128.load(block - 2 * size + at) : splat(-1);
  const one = f32x4.eq(x, v128.shuffle<f32>(y, x, 3, 4, 5, 6)), two = f32x4.eq(x, v128.shuffle<f32>(y, x, 2, 3, 4, 5));
  const three = f32x4.eq(x, v128.shuffle<f32>(y, x, 1, 2, 3, 4)), four = f32x4.eq(x, y);
  const five = f32x4.eq(x, v128.shuffle<f32>(z, y, 3, 4, 5, 6)), six = f32x4.eq(x, v128.shuffle<f32>(z, y, 2, 3, 4, 5));
  const seven = f32x4.eq(x, v128.shuffle<f32>(z, y, 1, 2, 3, 4)), eight = f32x4.eq(x, z);
  return v128.or(v128.or(v128.or(one, two), v128.or(three, four)), v128.or(v128.or(five, six), v128.or(seven, eight)));
}

/**
 * Whether the rounding of float32 exponentials may show in a loss. It averages out over frames, but not where a loss is that of a few frames, nor
 * over frames that are the same: these are told by their normaliser being that of one of the eight frames before, or, where only some classes vary,
 * by others' being so: one class is looked at in every block. (Silence, where the blank has all of a frame, does not count.) Says in
 * `closed` which frames do not matter.
 */
export function roundingShows(sequence: Sequence): bool {
  const classes = sequence.classes, size = blockBytes(classes), count = (sequence.frames + 3) >> 2;
  const blankAt = <usize>sequence.blank << 4, normaliserAt = <usize>(classes + 1) << 4;
  let repeated = i32x4.splat(0), block = sequence.blocks, other = sequence.blank;
  for (let k = 0; k < count; k++, block += size) {
    other = other + 1 < classes ? other + 1 : 0;
    const at = <usize>other << 4, open = f32x4.lt(v128.load(block + blankAt), v128.load(block + normaliserAt));
    const same = v128.and(f32x4.gt(v128.load(block + at), floorOf(block, classes)), repeats(block, k, size, at));
    repeated = i32x4.sub(repeated, v128.and(open, v128.or(same, repeats(block, k, size, normaliserAt))));
  }
  const frames = i32x4.extract_lane(repeated, 0) + i32x4.extract_lane(repeated, 1) + i32x4.extract_lane(repeated, 2) + i32x4.extract_lane(repeated, 3);
  const many = frames > MANY_REPEATS || <f64>frames * LEAST_LOSS_PER_REPEAT > max<f64>(1, sequence.loss);
  sequence.closed = many ? 1 : NEARLY_ALL;
  return many || (sequence.loss > LEAST_LOSS && sequence.loss < GREATEST_LOSS);
}

/**
 * Fills the sequence's cache and its blocks, unless they hold float32 exponentials that are good enough.
 * False where only the log-domain tier can name what a value leads to.
 */
export function fillPrecisely(sequence: Sequence): bool {
  const stride = sequence.stride, classes = sequence.classes, slots = sequence.slotCount, distinct = sequence.distinct, certain = sequence.certain;
  const blockSize = blockBytes(classes), filled = !isShort(sequence.frames);
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
  let most = splat(0);
  for (let e = block; e < end; e += 16) most = f32x4.pmax(most, v128.load(e));
  return v128.any_true(f32x4.lt(most, f32x4.mul(v128.load(end, 16), splat(closed))));
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
