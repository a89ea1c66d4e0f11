/**
 * Frames of logits that come again, exactly or nearly, from their blocks of float32 exponentials (blocks.ts): over these the rounding of exponentials
 * does not average out.
 */
import { blockBytes, floorOf } from './blocks';
import { Sequence } from './sequence';

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

/**
 * Whether one frame in `oneIn` repeats with the period, of more than eight frames and at most `longest`, after which the normaliser of the frame
 * `early` comes again.
 */
export function isPeriodic(sequence: Sequence, early: i32, longest: i32, oneIn: i32): bool {
  const frames = sequence.frames, blankAt = <usize>sequence.blank << 4, at = <usize>(sequence.classes + 1) << 4;
  const wanted = frameAt(sequence, early, at), last = min(frames - 1 - early, longest);
  let period = 9, count = 0;
  while (period <= last && frameAt(sequence, early + period, at) != wanted) period++;
  if (period > last) return false;
  for (let t = period; t < frames; t++) {
    const z = frameAt(sequence, t, at);
    if (z == frameAt(sequence, t - period, at) && frameAt(sequence, t, blankAt) < z) count++;
  }
  return count * oneIn > frames;
}

@inline function sumLanes(x: v128): i32 {
  return i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3);
}

/**
 * Counts the frames that are the same as another, told by their normaliser being that of one of the eight frames before; and those that are alike, if
 * only in some classes: there the greatest emission agrees with that of one of the eight before in all but its last `bits`, or that of a class, of which
 * one is looked at in every block. (Silence, where the blank has all of a frame, does not count.)
 */
export function countRepeats(sequence: Sequence, bits: i32): void {
  const classes = sequence.classes, size = blockBytes(classes), count = (sequence.frames + 3) >> 2;
  const blankAt = <usize>sequence.blank << 4, normaliserAt = <usize>(classes + 1) << 4, greatestAt = <usize>(classes + 3) << 4;
  let repeated = i32x4.splat(0), alike = repeated, block = sequence.blocks, other = sequence.blank;
  for (let k = 0; k < count; k++, block += size) {
    other = other + 1 < classes ? other + 1 : 0;
    const at = <usize>other << 4, open = f32x4.lt(v128.load(block + blankAt), v128.load(block + normaliserAt));
    const possible = f32x4.gt(v128.load(block + at), floorOf(block, classes));
    const near = v128.or(repeats(block, k, size, greatestAt, bits), v128.and(possible, repeats(block, k, size, at, bits)));
    repeated = i32x4.sub(repeated, v128.and(open, repeats(block, k, size, normaliserAt, 0)));
    alike = i32x4.sub(alike, v128.and(open, near));
  }
  sequence.repeated = sumLanes(repeated);
  sequence.alike = sumLanes(alike);
}
