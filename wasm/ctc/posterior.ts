/**
 * The end of the linear tiers: a block of emissions becomes one of the gradient. Whatever the tier, a gradient is the emission less the posterior, up to a
 * factor for each frame that takes the normaliser's place.
 */
import { floorOf, splat } from './blocks';
import { Sequence } from './sequence';
import { fromPairs, highPair, lowPair } from '../lanes';

/** Zeroes a multiple of 16 bytes; memory.fill is a call out of WebAssembly, which short rows feel. */
@inline export function clear(at: usize, bytes: usize): void {
  const end = at + bytes;
  for (; at < end; at += 16) v128.store(at, i64x2.splat(0));
}

/** The blank's part of a gradient: its emission less what the labels' posteriors leave of the normaliser. */
@inline function restOf(emission: v128, left: v128): v128 { return f64x2.sub(emission, f64x2.pmax(f64x2.splat(0), left)); }

/**
 * Turns one block of emissions into one of the gradient, up to a factor for each frame that takes the normaliser's place: subtracts the
 * posterior of every distinct label (`sums`, cleared for the next block) and of the blank, which has what the labels leave.
 */
@inline export function subtractPosterior(sequence: Sequence, block: usize, early: f64, last: f64): void {
  const classes = sequence.classes, distinct = sequence.distinct, sums = sequence.sums;
  const normaliserAt = block + (<usize>(classes + 1) << 4), blankEmission = block + (<usize>sequence.blank << 4);
  const impossible = f32x4.le(v128.load(blankEmission), floorOf(block, classes));
  let normaliser = splat(1), lowZ = f64x2.splat(1), highZ = lowZ;
  if (sequence.logits) {
    const remainder = v128.load(normaliserAt, 16);
    normaliser = v128.load(normaliserAt);
    lowZ = f64x2.add(lowPair(normaliser), lowPair(remainder)); highZ = f64x2.add(highPair(normaliser), highPair(remainder));
  } else {
    clear(block, <usize>classes << 4);
  }
  const low = f64x2.mul(lowZ, f64x2.splat(early)), high = f64x2.mul(highZ, f64x2.replace_lane(f64x2.splat(early), 1, last));
  const end = distinct + (<usize>sequence.slotCount << 2);
  let sum = sums + 32, at = distinct + 4;
  if (at < end) do {
    const a = f64x2.mul(v128.load(sum), low), b = f64x2.mul(v128.load(sum, 16), high);
    v128.store(sum, f64x2.splat(0)); v128.store(sum, f64x2.splat(0), 16);
    lowZ = f64x2.sub(lowZ, a); highZ = f64x2.sub(highZ, b);
    const place = block + load<u32>(at), e = v128.load(place);
    v128.store(place, fromPairs(f64x2.sub(lowPair(e), a), f64x2.sub(highPair(e), b)));
    at += 4; sum += 32;
  } while (at < end);
  const e = v128.load(blankEmission), rest = fromPairs(restOf(lowPair(e), lowZ), restOf(highPair(e), highZ));
  v128.store(blankEmission, v128.bitselect(e, rest, impossible));
  v128.store(normaliserAt, f32x4.div(splat(1), normaliser));
}

/** The same where emissions are `kept` in float64, less the floor. */
export function subtractPrecisely(sequence: Sequence, block: usize, kept: usize, early: f64, last: f64): void {
  const classes = sequence.classes, distinct = sequence.distinct, sums = sequence.sums, end = sequence.slotCount;
  const normaliserAt = block + (<usize>(classes + 1) << 4), blankEmission = block + (<usize>sequence.blank << 4);
  const floor = floorOf(block, classes), lowFloor = lowPair(floor), highFloor = highPair(floor), blank = v128.load(blankEmission);
  const normaliser = v128.load(normaliserAt), remainder = v128.load(normaliserAt, 16);
  let lowZ = f64x2.add(lowPair(normaliser), lowPair(remainder)), highZ = f64x2.add(highPair(normaliser), highPair(remainder));
  const low = f64x2.mul(lowZ, f64x2.splat(early)), high = f64x2.mul(highZ, f64x2.replace_lane(f64x2.splat(early), 1, last));
  for (let slot = 1; slot < end; slot++) {
    const sum = sums + (<usize>slot << 5), e = kept + (<usize>slot << 5);
    const a = f64x2.mul(v128.load(sum), low), b = f64x2.mul(v128.load(sum, 16), high);
    v128.store(sum, f64x2.splat(0)); v128.store(sum, f64x2.splat(0), 16);
    lowZ = f64x2.sub(lowZ, a); highZ = f64x2.sub(highZ, b);
    const x = f64x2.add(v128.load(e), lowFloor), y = f64x2.add(v128.load(e, 16), highFloor);
    v128.store(block + load<u32>(distinct + (<usize>slot << 2)), fromPairs(f64x2.sub(x, a), f64x2.sub(y, b)));
  }
  const e = v128.load(kept), f = v128.load(kept, 16), impossible = f32x4.eq(fromPairs(e, f), splat(0));
  const rest = fromPairs(restOf(f64x2.add(e, lowFloor), lowZ), restOf(f64x2.add(f, highFloor), highZ));
  v128.store(blankEmission, v128.bitselect(blank, rest, impossible));
  v128.store(normaliserAt, f32x4.div(splat(1), normaliser));
}
