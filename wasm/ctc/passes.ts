/**
 * The passes of the linear tiers over all frames, block by block: what recursion.ts does within a block, with the rescaling between blocks.
 */
import { blockBytes, floorOf } from './blocks';
import { TOP_EXPONENT, clampRescale, exponentOf, firstGauge, lastGauge, levelBackward, levelForward, powerOfTwo, weighProducts } from './gauge';
import { cacheBytes, loadLogProbs } from './log-probs';
import { loadPrecisely } from './precise';
import { clear, subtractPosterior, subtractPrecisely } from './posterior';
import { backwardBlock, forwardBlock, loadEmissions } from './recursion';
import { GREATEST_PRODUCT_SCALE, GREATEST_RESCALE, PRODUCT_HIGH, PRODUCT_LOW } from './route';
import { Sequence, Tier, align, cellsOf, endCell, firstCell } from './sequence';
import { followPath, lossOfPath, subtractSurely } from './sure';

/** An exponent sum that cannot occur. */
@inline export const NO_PATH: i32 = i32.MIN_VALUE;

@inline function cellAt(row: usize, i: i32): usize { return row + (<usize>i << 3); }
@inline export function rescaleAt(sequence: Sequence, k: i32): usize { return sequence.rescales + (<usize>k << 2); }

/** What a pass reads of block k. */
@inline function emissionsOf(forward: bool, upwards: bool, sequence: Sequence, block: usize, k: i32, scale: f64): void {
  const classes = sequence.classes, distinct = sequence.distinct, slots = sequence.slotCount, emissions = sequence.emissions;
  if (sequence.tier != Tier.Fast) loadPrecisely(forward, upwards ? sequence.floor : 0, sequence.cache + cacheBytes(k, slots), slots, emissions, scale);
  else if (sequence.logits) loadEmissions(forward, upwards, block, floorOf(block, classes), distinct, slots, emissions, scale);
  else loadLogProbs(forward && !upwards && !sequence.cached, forward, upwards, block, classes, distinct, slots, emissions,
    sequence.cache ? sequence.cache + cacheBytes(k, slots) : 0, scale);
}

/**
 * All frames forward: a lower bound of the probability, or, `upwards`, an upper one. Leaves the probability in `ending`, scaled by a power of
 * two, and returns that power's exponent, or NO_PATH where nothing survives, or what does is no number. With `follows`, blanks are kept beside labels, and
 * sure.ts follows the likeliest path.
 */
@inline export function forwardPass(gauged: bool, upwards: bool, follows: bool, sequence: Sequence): i32 {
  const labels = sequence.labels, frames = sequence.frames, size = blockBytes(sequence.classes), count = (frames + 3) >> 2;
  const history = sequence.history, cells = cellsOf(labels), blanks = sequence.blanks, bytes = align(<usize>cells << 3);
  const row = follows ? bytes : sequence.row, next = sequence.gradient ? row << 2 : 0;
  clear(blanks, bytes);
  clear(history, bytes);
  store<f64>(blanks, powerOfTwo(TOP_EXPONENT));
  if (follows) memory.copy(history + sequence.kept, blanks, bytes);
  let block = sequence.blocks, before = history, first = history + row, exponents = 0, rescale = 0, previousLo = 0, previousHi = cells;
  let greatest = powerOfTwo(TOP_EXPONENT), greatestBefore = greatest;
  for (let k = 0; k < count; k++, block += size) {
    const lo = firstCell(labels, frames, k << 2), hi = endCell(labels, (k << 2) + 3);
    if (gauged) {
      levelForward(sequence, k, before, previousLo, upwards);
      before = sequence.betas;
      greatest = powerOfTwo(TOP_EXPONENT); greatestBefore = greatest; rescale = 0;
    }
    for (let i = previousHi; i < hi; i += 2) v128.store(cellAt(before, i), f64x2.splat(0));
    const carry = lo > previousLo ? load<f64>(cellAt(before, lo - 1)) : 0;
    // The exponent follows the state one block late, so that no block waits for the maximum of the one before.
    rescale = clampRescale(exponentOf(greatestBefore) - rescale - TOP_EXPONENT);
    exponents += rescale;
    store<i32>(rescaleAt(sequence, k), rescale);
    greatestBefore = greatest;
    emissionsOf(true, upwards, sequence, block, k, powerOfTwo(-rescale));
    greatest = forwardBlock(gauged, upwards, follows, sequence.emissions, sequence.slotAt, sequence.skip, blanks, before, first, row, sequence.kept,
      sequence.ratios, carry, lo, hi);
    if (!(greatest > 0 && greatest < Infinity)) return NO_PATH;
    if (sequence.progress) atomic.store<i32>(sequence.progress, k + 1);
    if (follows && !followPath(sequence, k, before, first, k > 0 ? previousHi : 0, hi, exponents)) return NO_PATH;
    before = first + 3 * row; first += next;
    if (follows && !next) {
      memory.copy(history, before, bytes);
      memory.copy(history + sequence.kept, before + sequence.kept, bytes);
      before = history;
    }
    previousLo = lo; previousHi = hi;
  }
  const lastBlank = load<f64>(cellAt(blanks, labels));
  let lastLabel = labels > 0 ? load<f64>(cellAt(before, labels - 1)) : 0;
  if (gauged) lastLabel *= load<f64>(cellAt(sequence.ratios, labels));
  sequence.ending = lastBlank + lastLabel;
  if (follows) {
    sequence.loss = lossOfPath(sequence, lastBlank, lastLabel, exponents);
    if (sequence.loss != sequence.loss) return NO_PATH;
  }
  return sequence.ending > 0 ? exponents + (gauged ? lastGauge(sequence) : 0) : NO_PATH;
}

/**
 * What products of a block's last frame are divided by, in the scale before its rescaling by 2^-rescale; those of the others are in the scale after it. -1
 * where one of both is out of the range in which products keep their digits.
 */
@inline export function divisorOf(ending: f64, scale: i32, rescale: i32): f64 {
  if (scale > GREATEST_PRODUCT_SCALE || scale < -GREATEST_PRODUCT_SCALE) return -1;
  const half = scale >> 1, last = ending * powerOfTwo(half) * powerOfTwo(scale - half), early = last * powerOfTwo(-rescale);
  return min(last, early) > PRODUCT_LOW && max(last, early) < PRODUCT_HIGH ? last : -1;
}

/**
 * All frames backward, turning blocks into gradients on the way: an upper bound of the probability, in the scale of the forward one (whose
 * exponent is given), or -1 where a frame's products leave the safe range.
 *
 * Where it `stores`, it runs beside the pass forward, and `forwardExponents` is the block below which it may find that one's states. Then it sums products
 * up in the place of its own states, which it stores above, as it always does of cells with scales of their own; leaves blocks alone; and leaves the bound
 * in `ending` and returns its exponent.
 */
@inline export function backwardPass(gauged: bool, keeps: bool, stores: bool, sequence: Sequence, forwardExponents: i32): f64 {
  const labels = sequence.labels, frames = sequence.frames, size = blockBytes(sequence.classes), count = (frames + 3) >> 2;
  const blanks = sequence.blanks, betas = sequence.betas, row = sequence.row, bytes = align(<usize>cellsOf(labels) << 3);
  clear(blanks, bytes);
  clear(betas, bytes);
  if (!stores) {
    clear(sequence.sums, <usize>(sequence.slotCount + 1) << 5);
    sequence.filled = false;
  }
  store<f64>(cellAt(blanks, labels), powerOfTwo(TOP_EXPONENT));
  let exponents = 0, rescale = 0, forwardNow = forwardExponents - (gauged && !stores ? lastGauge(sequence) : 0), level = 0, previousLo = 0, previousHi = 0;
  let greatest = powerOfTwo(TOP_EXPONENT), greatestBefore = greatest;
  for (let k = count - 1; k >= 0; k--) {
    const frame = k << 2, block = sequence.blocks + <usize>k * size;
    const lo = firstCell(labels, frames, frame), hi = endCell(labels, frame + 3);
    if (gauged) {
      levelBackward(sequence, k, k == count - 1, stores, previousLo, k == count - 1 ? hi : previousHi);
      if (!stores) {
        level = levelOf(sequence, forwardExponents - forwardNow, exponents);
        if (!weighProducts(sequence, sequence, false, k, lo, hi, level)) return -1;
      }
      greatest = powerOfTwo(TOP_EXPONENT); greatestBefore = greatest; rescale = 0;
    }
    previousLo = lo; previousHi = hi;
    rescale = clampRescale(exponentOf(greatestBefore) - rescale - TOP_EXPONENT);
    greatestBefore = greatest;
    const inflow = load<f64>(cellAt(blanks, hi)) + (load<i64>(cellAt(sequence.skip, hi)) ? load<f64>(cellAt(betas, hi)) : 0);
    emissionsOf(false, true, sequence, block, k, powerOfTwo(-rescale));
    const states = <usize>(frame + 1) * row, places = sequence.history + states;
    if (stores && !gauged && (k < sequence.met || hasPassed(sequence, k, forwardExponents))) {
      clear(places, <usize>(sequence.slotCount + 1) << 5);
      greatest = backwardBlock(gauged, keeps, false, sequence.emissions, sequence.slotAt, sequence.skip, blanks, betas, sequence.alphas + states, row,
        sequence.kept, places, sequence.ratios, sequence.weights, inflow, lo, hi);
    } else {
      greatest = backwardBlock(gauged, keeps, stores, sequence.emissions, sequence.slotAt, sequence.skip, blanks, betas, places, row, sequence.kept,
        sequence.sums, sequence.ratios, sequence.weights, inflow, lo, hi);
    }
    if (stores) {
      store<i32>(rescaleAt(sequence, k), rescale);
      exponents += rescale;
      continue;
    }
    const last = divisorOf(sequence.ending, scaleOf(forwardExponents - forwardNow, exponents, level), rescale), early = last * powerOfTwo(-rescale);
    if (last < 0) return -1;
    exponents += rescale;
    forwardNow -= load<i32>(rescaleAt(sequence, k));
    const kept = sequence.cache + cacheBytes(k, sequence.slotCount);
    if (keeps) subtractSurely(sequence, k, block, kept, 1.0 / early, 1.0 / last);
    else if (sequence.tier == Tier.Precise) subtractPrecisely(sequence, block, kept, 1.0 / early, 1.0 / last);
    else subtractPosterior(sequence, block, 1.0 / early, 1.0 / last);
  }
  if (gauged) exponents += firstGauge(sequence, stores);
  const upper = load<f64>(blanks) + load<f64>(betas);
  if (!stores) return inScaleOf(upper, exponents, forwardExponents);
  sequence.ending = upper;
  return <f64>exponents;
}

/** Whether the pass forward has done block k, and so all below: looked up once for these. */
function hasPassed(sequence: Sequence, k: i32, limit: i32): bool {
  if (k >= limit || atomic.load<i32>(sequence.progress) <= k) return false;
  sequence.met = k + 1;
  return true;
}

/**
 * What the scales of both passes are together without the cells' own, less that of the probability; products add up to about 2^TOP_EXPONENT with it.
 * `ahead` is what the pass forward is rescaled by from here to its end, `exponents` what the pass backward has been by so far.
 */
@inline export function levelOf(sequence: Sequence, ahead: i32, exponents: i32): i32 { return ahead - exponents + exponentOf(sequence.ending); }

/** The scale of products, where theirs is `level` less. */
@inline export function scaleOf(ahead: i32, exponents: i32, level: i32): i32 { return ahead - exponents + TOP_EXPONENT - level; }

/** x * 2^(exponents - reference), or -1 where that is no number. */
export function inScaleOf(x: f64, exponents: i32, reference: i32): f64 {
  const shift = exponents - reference;
  return shift > GREATEST_RESCALE || shift < -GREATEST_RESCALE ? -1 : x * powerOfTwo(shift);
}
