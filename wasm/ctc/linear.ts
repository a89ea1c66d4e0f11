/**
 * What both rungs above the log domain (see route.ts) have in common: CTC in the linear domain, float64 states rescaled by powers of two, two adds and
 * a multiply a cell, with a certificate. Against log.ts that buys a factor of 10 to 25, with exponentials of logits in float64 still.
 *
 * Cell i holds the blank before label i and label i; cell `labels` holds the closing blank and a dummy label. Only cells that a path can
 * reach and still leave in time are touched. The forward pass rounds towards 0 what it cannot represent, so its probability is a lower
 * bound; the backward pass rounds upwards, so its probability is an upper bound. Where both agree to 1e-9, every frame's posterior is
 * within twice that of the exact one in L1; where they do not, the caller takes the log-domain tier.
 *
 * Recursion: A. Graves et al., "Connectionist Temporal Classification", ICML 2006, sections 4.1 and 4.2.
 */
import { blockBytes, floorOf, splat } from './blocks';
import { NORMALISED, cacheBytes, isNormalised, loadLogProbs, roughEmission, sumOfGreatest } from './log-probs';
import { fillPrecisely, loadPrecisely } from './precise';
import { backwardBlock, forwardBlock, loadEmissions } from './recursion';
import {
  GREATEST_CACHE, GREATEST_PRODUCT_SCALE, GREATEST_RESCALE, PRODUCT_HIGH, PRODUCT_LOW, UNTILTED_BITS, UNTILTED_FRAMES, route,
} from './route';
import { Known, Sequence, Tier, align, cellsOf, endCell, firstCell, labelAt, maySkip } from './sequence';
import { fromPairs, highPair, lowPair, sumPair } from '../lanes';

/** Exponent that the greatest state is steered to; the product of two states and eight frames' growth stay finite. */
@inline const TOP_EXPONENT: i32 = 340;
/** An exponent sum that cannot occur. */
@inline const NO_PATH: i32 = i32.MIN_VALUE;
@inline const LN2: f64 = 0.69314718055994530942;

@inline function exponentOf(x: f64): i32 { return <i32>(reinterpret<i64>(x) >>> 52 & 2047) - 1023; }
/** 2^k for -1022 <= k <= 1023. */
@inline function powerOfTwo(k: i32): f64 { return reinterpret<f64>(<i64>(k + 1023) << 52); }
@inline function clampRescale(k: i32): i32 { return min(max(k, -GREATEST_RESCALE), GREATEST_RESCALE); }
/** Bytes of workspace that `linearSequence` needs beside the blocks. */
export function linearWorkspace(frames: i32, classes: i32, labels: i32, withGradient: bool): usize {
  const row = align(<usize>cellsOf(labels) << 3), blocks = (frames + 3) >> 2, slots = align(<usize>(min(labels, classes) + 2) << 5);
  const tables: usize = 4 * row + align(<usize>(labels + 1) << 2) + align(<usize>blocks << 2) + 2 * slots;
  const kept = min(align(cacheBytes(blocks, min(labels, classes) + 1)), GREATEST_CACHE);
  return tables + kept + (withGradient ? <usize>(4 * blocks + 1) : <usize>1) * row;
}

/** Roughly how likely the class at `at` in a block is, in each of its frames; `scale` is one over the normalisers of logits. */
@inline function shareOf(sequence: Sequence, block: usize, at: usize, scale: v128): v128 {
  return sequence.logits ? f32x4.mul(scale, v128.load(block + at)) : roughEmission(block, at, sequence.classes);
}

/**
 * The tilt: a weight for every step to a new label that levels states along the target, so that the paths that matter stay near the
 * greatest state. All paths take `labels` such steps, so it cancels. From the growth rate of a two-state model with the sequence's mean
 * emissions; 1 where float64's range does without.
 */
function chooseTilt(sequence: Sequence): f64 {
  const targets = sequence.targets, labels = sequence.labels, frames = sequence.frames, blocks = sequence.blocks;
  const whole = frames >> 2, blockSize = blockBytes(sequence.classes), blankAt = <usize>sequence.blank << 4;
  if (labels == 0 || whole == 0) return 1;
  const blockStep = max(1, whole >> 3), labelStep = max(1, labels >> 3);
  let blankSum = splat(0), labelSum = splat(0), blockCount = 0, labelCount = 0;
  for (let k = 0; k < whole; k += blockStep, blockCount++) {
    const block = blocks + <usize>k * blockSize;
    const scale = f32x4.div(splat(1), v128.load(block + (<usize>(sequence.classes + 1) << 4)));
    blankSum = f32x4.add(blankSum, shareOf(sequence, block, blankAt, scale));
    for (let i = 0; i < labels; i += labelStep, labelCount++)
      labelSum = f32x4.add(labelSum, shareOf(sequence, block, <usize>labelAt(targets, i) << 4, scale));
  }
  const blank = (sumPair(lowPair(blankSum)) + sumPair(highPair(blankSum))) / <f64>(4 * blockCount) + 1.0e-9;
  const label = (sumPair(lowPair(labelSum)) + sumPair(highPair(labelSum))) / <f64>(4 * labelCount) + 1.0e-9;
  const bits = <f64>labels * <f64>abs(exponentOf(blank / label));
  if (frames <= UNTILTED_FRAMES && bits < UNTILTED_BITS) return 1;
  const share = min<f64>(0.9, <f64>labels / <f64>frames);
  let low: f64 = -20, high: f64 = 20;
  for (let k = 0; k < 24; k++) {
    const middle = 0.5 * (low + high), z = NativeMath.exp(middle), trace = blank + label + label * z;
    const root = sqrt<f64>(trace * trace - 4.0 * blank * label);
    const slope = label * z * (1.0 + trace / root) / (trace + root);
    if (slope < share) low = middle; else high = middle;
  }
  return NativeMath.exp(0.5 * (low + high));
}

/** Logarithm of the product of all frames' normalisers, of logits. */
function logNormaliser(sequence: Sequence): f64 {
  const size = blockBytes(sequence.classes), count = (sequence.frames + 3) >> 2;
  let exponents = 0, product: f64 = 1, end = sequence.blocks + (<usize>sequence.classes << 4);
  for (let k = 0; k < count; k++, end += size) {
    const z = v128.load(end, 16), rest = v128.load(end, 32);
    const pair = f64x2.mul(f64x2.add(lowPair(z), lowPair(rest)), f64x2.add(highPair(z), highPair(rest)));
    product *= f64x2.extract_lane(pair, 0) * f64x2.extract_lane(pair, 1);
    const exponent = exponentOf(product);
    product *= powerOfTwo(-exponent);
    exponents += exponent;
  }
  return NativeMath.log(product) + <f64>exponents * LN2;
}

/** log(x * 2^exponent), with all its digits also next to 0. */
function logScaled(x: f64, exponent: i32): f64 {
  const top = exponentOf(0.75 * x) + 1;
  return NativeMath.log(x * powerOfTwo(-top)) + <f64>(top + exponent) * LN2;
}

/** The loss that belongs to a forward probability. */
function lossOf(sequence: Sequence, logProbability: f64): f64 {
  const loss = sequence.logits ? logNormaliser(sequence) - logProbability : 0.0 - (sumOfGreatest(sequence) + logProbability);
  // The rounding of normalised log-probabilities must not show as a negative loss.
  return !sequence.logits && loss < 0 && loss > -NORMALISED * <f64>sequence.frames && isNormalised(sequence) ? 0 : loss;
}

/** The blank's part of a gradient: its emission less what the labels' posteriors leave of the normaliser. */
@inline function restOf(emission: v128, left: v128): v128 { return f64x2.sub(emission, f64x2.pmax(f64x2.splat(0), left)); }

/**
 * Turns one block of emissions into one of the gradient, up to a factor for each frame that takes the normaliser's place: subtracts the
 * posterior of every distinct label (`sums`, cleared for the next block) and of the blank, which has what the labels leave.
 */
@inline function subtractPosterior(sequence: Sequence, block: usize, early: f64, last: f64): void {
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
function subtractPrecisely(sequence: Sequence, block: usize, kept: usize, early: f64, last: f64): void {
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

/** Zeroes a multiple of 16 bytes; memory.fill is a call out of WebAssembly, which short rows feel. */
@inline function clear(at: usize, bytes: usize): void {
  const end = at + bytes;
  for (; at < end; at += 16) v128.store(at, i64x2.splat(0));
}

/** Fills the tables of the sequence's target. */
function indexTarget(sequence: Sequence): void {
  const targets = sequence.targets, labels = sequence.labels, slots = sequence.slots, cells = cellsOf(labels);
  const skip = sequence.skip, slotAt = sequence.slotAt, distinct = sequence.distinct;
  let count = 1;
  store<u32>(distinct, sequence.blank << 4);
  for (let i = 0; i < labels; i++) {
    const at = <usize>i << 2, label = labelAt(targets, i), place = slots + (<usize>label << 2);
    let slot = load<i32>(place);
    if (slot < 0) {
      slot = count++;
      store<i32>(place, slot);
      store<u32>(distinct + (<usize>slot << 2), label << 4);
    }
    store<u32>(slotAt + at, slot << 5);
    store<i64>(skip + (at << 1), i > 0 && maySkip(targets, i) ? -1 : 0);
  }
  for (let i = 0; i < labels; i++) store<i32>(slots + (<usize>labelAt(targets, i) << 2), -1);
  for (let i = labels; i < cells; i++) {
    store<u32>(slotAt + (<usize>i << 2), count << 5);
    store<i64>(skip + (<usize>i << 3), 0);
  }
  sequence.slotCount = count;
}

@inline function cellAt(row: usize, i: i32): usize { return row + (<usize>i << 3); }

/** Logarithm of the tilt's weight of a whole path. */
@inline function logTilt(sequence: Sequence): f64 { return sequence.tilt == 1 ? 0 : <f64>sequence.labels * NativeMath.log(sequence.tilt); }

/** What a pass reads of block k. */
@inline function emissionsOf(forward: bool, upwards: bool, sequence: Sequence, block: usize, k: i32, scale: f64): void {
  const classes = sequence.classes, distinct = sequence.distinct, slots = sequence.slotCount, emissions = sequence.emissions;
  if (sequence.tier == Tier.Precise) loadPrecisely(forward, upwards, sequence.cache + cacheBytes(k, slots), slots, emissions, scale);
  else if (sequence.logits) loadEmissions(forward, upwards, block, floorOf(block, classes), distinct, slots, emissions, scale);
  else loadLogProbs(forward && !upwards, forward, upwards, block, classes, distinct, slots, emissions,
    sequence.cache ? sequence.cache + cacheBytes(k, slots) : 0, scale);
}

/**
 * All frames forward: a lower bound of the probability, or, `upwards`, an upper one. Leaves the probability in `ending`, scaled by a power of
 * two, and returns that power's exponent, or NO_PATH where nothing survives.
 */
@inline function forwardPass(tilted: bool, upwards: bool, sequence: Sequence): i32 {
  const labels = sequence.labels, frames = sequence.frames, size = blockBytes(sequence.classes), count = (frames + 3) >> 2;
  const history = sequence.history, row = sequence.row, blanks = sequence.blanks, cells = cellsOf(labels), tilt = sequence.tilt;
  clear(blanks, <usize>cells << 3);
  clear(history, <usize>cells << 3);
  store<f64>(blanks, powerOfTwo(TOP_EXPONENT));
  let block = sequence.blocks, before = history, first = history + row, exponents = 0, rescale = 0, previousLo = 0, previousHi = cells;
  let greatest = powerOfTwo(TOP_EXPONENT), greatestBefore = greatest;
  for (let k = 0; k < count; k++, block += size) {
    const lo = firstCell(labels, frames, k << 2), hi = endCell(labels, (k << 2) + 3);
    for (let i = previousHi; i < hi; i += 2) v128.store(cellAt(before, i), f64x2.splat(0));
    const carry = lo > previousLo ? load<f64>(cellAt(before, lo - 1)) : 0;
    // The exponent follows the state one block late, so that no block waits for the maximum of the one before.
    rescale = clampRescale(exponentOf(greatestBefore) - rescale - TOP_EXPONENT);
    exponents += rescale;
    store<i32>(sequence.rescales + (<usize>k << 2), rescale);
    greatestBefore = greatest;
    emissionsOf(true, upwards, sequence, block, k, powerOfTwo(-rescale));
    greatest = forwardBlock(tilted, upwards, sequence.emissions, sequence.slotAt, sequence.skip, blanks, before, first, row, carry, tilt, lo, hi);
    if (!(greatest > 0)) return NO_PATH;
    before = first + 3 * row; first += 4 * row;
    previousLo = lo; previousHi = hi;
  }
  sequence.ending = load<f64>(cellAt(blanks, labels));
  if (labels > 0) sequence.ending += tilt * load<f64>(cellAt(before, labels - 1));
  return sequence.ending > 0 ? exponents : NO_PATH;
}

/**
 * All frames backward, turning blocks into gradients on the way: an upper bound of the probability, in the scale of the forward one (whose
 * exponent is given), or -1 where a frame's products leave the safe range.
 */
@inline function backwardPass(tilted: bool, sequence: Sequence, forwardExponents: i32): f64 {
  const labels = sequence.labels, frames = sequence.frames, size = blockBytes(sequence.classes), count = (frames + 3) >> 2;
  const blanks = sequence.blanks, betas = sequence.betas, row = sequence.row, bytes = <usize>cellsOf(labels) << 3;
  clear(blanks, bytes);
  clear(betas, bytes);
  clear(sequence.sums, <usize>(sequence.slotCount + 1) << 5);
  store<f64>(cellAt(blanks, labels), powerOfTwo(TOP_EXPONENT));
  let exponents = 0, rescale = 0, forwardNow = forwardExponents;
  let greatest = powerOfTwo(TOP_EXPONENT), greatestBefore = greatest;
  for (let k = count - 1; k >= 0; k--) {
    const frame = k << 2, block = sequence.blocks + <usize>k * size;
    const lo = firstCell(labels, frames, frame), hi = endCell(labels, frame + 3);
    rescale = clampRescale(exponentOf(greatestBefore) - rescale - TOP_EXPONENT);
    greatestBefore = greatest;
    const inflow = load<f64>(cellAt(blanks, hi)) + (load<i64>(cellAt(sequence.skip, hi)) ? load<f64>(cellAt(betas, hi)) : 0);
    emissionsOf(false, true, sequence, block, k, powerOfTwo(-rescale));
    greatest = backwardBlock(tilted, sequence.emissions, sequence.slotAt, sequence.skip, blanks, betas,
      sequence.history + <usize>(frame + 1) * row, row, sequence.sums, inflow, sequence.tilt, lo, hi);
    // Products of the last frame are in the scale before this block's rescaling, those of the others in the scale after it.
    const scale = forwardExponents - forwardNow - exponents + TOP_EXPONENT;
    if (scale > GREATEST_PRODUCT_SCALE || scale < -GREATEST_PRODUCT_SCALE) return -1;
    const half = scale >> 1;
    const last = sequence.ending * powerOfTwo(half) * powerOfTwo(scale - half), early = last * powerOfTwo(-rescale);
    if (!(min(last, early) > PRODUCT_LOW && max(last, early) < PRODUCT_HIGH)) return -1;
    exponents += rescale;
    forwardNow -= load<i32>(sequence.rescales + (<usize>k << 2));
    if (sequence.tier == Tier.Precise) subtractPrecisely(sequence, block, sequence.cache + cacheBytes(k, sequence.slotCount), 1.0 / early, 1.0 / last);
    else subtractPosterior(sequence, block, 1.0 / early, 1.0 / last);
  }
  return inScaleOf(load<f64>(blanks) + load<f64>(betas), exponents, forwardExponents);
}

/** x * 2^(exponents - reference), or -1 where that is no number. */
function inScaleOf(x: f64, exponents: i32, reference: i32): f64 {
  const shift = exponents - reference;
  return shift > GREATEST_RESCALE || shift < -GREATEST_RESCALE ? -1 : x * powerOfTwo(shift);
}

/**
 * Loss of one feasible sequence of at least one frame and, where it is wanted, the gradient, in place of the blocks; of a precise sequence, the
 * blocks are filled here. Returns the tier that has to take the sequence: unless that is its own, nothing that was written is valid.
 */
export function linearSequence(sequence: Sequence): Tier {
  const labels = sequence.labels, count = (sequence.frames + 3) >> 2, bytes = align(<usize>cellsOf(labels) << 3);
  const slots = align(<usize>(min(labels, sequence.classes) + 2) << 5);
  sequence.blanks = sequence.workspace;
  sequence.betas = sequence.blanks + bytes;
  sequence.skip = sequence.betas + bytes;
  sequence.slotAt = sequence.skip + bytes;
  sequence.distinct = sequence.slotAt + bytes;
  sequence.rescales = sequence.distinct + align(<usize>(labels + 1) << 2);
  sequence.emissions = sequence.rescales + align(<usize>count << 2);
  sequence.sums = sequence.emissions + slots;
  indexTarget(sequence);
  const kept = sequence.sums + slots, keptBytes = cacheBytes(count, sequence.slotCount), precise = sequence.tier == Tier.Precise;
  sequence.cache = precise || !sequence.logits && keptBytes <= GREATEST_CACHE ? kept : 0;
  sequence.history = kept + (sequence.cache ? align(keptBytes) : 0);
  sequence.row = sequence.gradient ? bytes : 0;
  const dummy = sequence.emissions + (<usize>sequence.slotCount << 5);
  v128.store(dummy, f64x2.splat(0)); v128.store(dummy, f64x2.splat(0), 16);
  if (precise && !fillPrecisely(sequence)) return route(sequence, Known.Special);
  sequence.tilt = chooseTilt(sequence);
  const tilted = sequence.tilt != 1;

  const exponents = tilted ? forwardPass(true, false, sequence) : forwardPass(false, false, sequence);
  sequence.lower = exponents == NO_PATH ? 0 : sequence.ending;
  if (exponents != NO_PATH) sequence.loss = lossOf(sequence, logScaled(sequence.lower, exponents - TOP_EXPONENT) - logTilt(sequence));
  const onward = route(sequence, Known.Loss);
  if (onward != sequence.tier) return onward;
  if (sequence.gradient) {
    sequence.upper = tilted ? backwardPass(true, sequence, exponents) : backwardPass(false, sequence, exponents);
  } else {
    const upperExponents = tilted ? forwardPass(true, true, sequence) : forwardPass(false, true, sequence);
    sequence.upper = inScaleOf(sequence.ending, upperExponents, exponents);
  }
  return route(sequence, Known.Bounds);
}
