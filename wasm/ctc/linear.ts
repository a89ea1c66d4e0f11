/**
 * What the rungs above the log domain (see route.ts) have in common: CTC in the linear domain, float64 states rescaled by powers of two, two adds and
 * a multiply a cell, with a certificate. Against log.ts that buys a factor of 10 to 25, with exponentials of logits in float64 still.
 *
 * Cell i holds the blank before label i and label i; cell `labels` holds the closing blank and a dummy label. Only cells that a path can
 * reach and still leave in time are touched. The forward pass rounds towards 0 what it cannot represent, so its probability is a lower
 * bound; the backward pass rounds upwards, so its probability is an upper bound. Where both agree to 1e-9, every frame's posterior is
 * within twice that of the exact one in L1; where they do not, cells get scales of their own (gauge.ts), or the log-domain tier takes the sequence.
 *
 * Recursion: A. Graves et al., "Connectionist Temporal Classification", ICML 2006, sections 4.1 and 4.2.
 */
import { blockBytes } from './blocks';
import { TOP_EXPONENT, exponentOf, gaugeBytes, powerOfTwo } from './gauge';
import { NORMALISED, cacheBytes, fillLogProbs, isNormalised, sumOfGreatest } from './log-probs';
import { NO_PATH, backwardPass, forwardPass, inScaleOf } from './passes';
import { FLOOR, fillPrecisely } from './precise';
import { GREATEST_CACHE, GREATEST_STATES, route } from './route';
import { Known, Sequence, Tier, align, cellsOf, labelAt, maySkip } from './sequence';
import { SURE_FLOOR, fillSurely, framesBytes } from './sure';
import { highPair, lowPair } from '../lanes';

@inline const LN2: f64 = 0.69314718055994530942;

/** Rows of states that are kept: of all frames for a gradient, else of a block and of the frame before. */
@inline function rowsOf(blocks: i32, withGradient: bool): usize { return withGradient ? <usize>(4 * blocks + 1) : 5; }

/** Bytes of a pass's states: of all frames for a gradient, else of a block and of the frame before. */
export function historyBytes(frames: i32, labels: i32, withGradient: bool): usize {
  return rowsOf((frames + 3) >> 2, withGradient) * align(<usize>cellsOf(labels) << 3);
}

/** Bytes of workspace that `linearSequence` needs beside the blocks; less where no sequence takes the sure rung. */
export function linearWorkspace(frames: i32, classes: i32, labels: i32, withGradient: bool, sure: bool = true): usize {
  const cells = cellsOf(labels), row = align(<usize>cells << 3), blocks = (frames + 3) >> 2, slots = align(<usize>(min(labels, classes) + 2) << 5);
  const tables: usize = 6 * row + align(<usize>(labels + 1) << 2) + align(<usize>blocks << 2) + 2 * slots + align(gaugeBytes(blocks, cells, withGradient))
    + align(framesBytes(blocks));
  const kept = min(align(cacheBytes(blocks, min(labels, classes) + 1)), GREATEST_CACHE);
  const history = historyBytes(frames, labels, withGradient);
  return tables + kept + history + (sure ? min(history, GREATEST_STATES) : 0);
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

/** Blocks [begin, end) of log-probabilities, again after a gradient has taken their place. */
export function fillWithLogProbs(sequence: Sequence, begin: i32, end: i32): bool {
  const stride = sequence.stride, classes = sequence.classes, certain = sequence.certain, size = blockBytes(classes);
  let block = sequence.blocks + <usize>begin * size, x = sequence.inputs + <usize>(begin << 2) * stride;
  for (let k = begin; k < end; k++, block += size, x += 4 * stride) {
    const left = sequence.frames - (k << 2);
    if (!fillLogProbs(block, x, left > 1 ? x + stride : certain, left > 2 ? x + 2 * stride : certain, left > 3 ? x + 3 * stride : certain, classes))
      return false;
  }
  return true;
}

/** Gives the sequence its tables and rows in the workspace. */
export function layOut(sequence: Sequence): void {
  const labels = sequence.labels, cells = cellsOf(labels), count = (sequence.frames + 3) >> 2, bytes = align(<usize>cells << 3);
  const slots = align(<usize>(min(labels, sequence.classes) + 2) << 5), tier = sequence.tier, withGradient = sequence.gradient != 0;
  sequence.blanks = sequence.workspace;
  sequence.betas = sequence.blanks + bytes;
  sequence.skip = sequence.betas + bytes;
  sequence.slotAt = sequence.skip + bytes;
  sequence.ratios = sequence.slotAt + bytes;
  sequence.weights = sequence.ratios + bytes;
  sequence.distinct = sequence.weights + bytes;
  sequence.rescales = sequence.distinct + align(<usize>(labels + 1) << 2);
  sequence.emissions = sequence.rescales + align(<usize>count << 2);
  sequence.sums = sequence.emissions + slots;
  sequence.gauges = sequence.sums + slots;
  sequence.rests = sequence.gauges + align(gaugeBytes(count, cells, withGradient));
  sequence.tops = sequence.rests + (<usize>count << 5);
  indexTarget(sequence);
  const kept = sequence.rests + align(framesBytes(count)), keptBytes = cacheBytes(count, sequence.slotCount);
  sequence.cache = tier != Tier.Fast || !sequence.logits && keptBytes <= GREATEST_CACHE ? kept : 0;
  sequence.cached = false;
  sequence.progress = 0;
  sequence.history = kept + (sequence.cache ? align(keptBytes) : 0);
  sequence.row = withGradient ? bytes : 0;
  sequence.kept = rowsOf(count, withGradient) * bytes;
  sequence.floor = tier == Tier.Sure ? SURE_FLOOR : FLOOR;
  const dummy = sequence.emissions + (<usize>sequence.slotCount << 5);
  v128.store(dummy, f64x2.splat(0)); v128.store(dummy, f64x2.splat(0), 16);
}

/** Fills the blocks by the sequence's rung, unless they are. False where only the log-domain tier can name what a value leads to. */
function fill(sequence: Sequence): bool {
  const count = (sequence.frames + 3) >> 2;
  if (sequence.tier == Tier.Sure) return fillSurely(sequence);
  if (sequence.tier == Tier.Precise) return fillPrecisely(sequence, 0, count);
  return sequence.filled || fillWithLogProbs(sequence, 0, count);
}

// Every kind of pass is a function of its own: engines compile functions one by one, when they are first called and again when they prove busy, and what an
// ordinary sequence needs should not wait for what only others do.
function plainLower(sequence: Sequence): i32 { return forwardPass(false, false, false, sequence); }
function gaugedLower(sequence: Sequence): i32 { return forwardPass(true, false, false, sequence); }
function plainUpper(sequence: Sequence): i32 { return forwardPass(false, true, false, sequence); }
function gaugedUpper(sequence: Sequence): i32 { return forwardPass(true, true, false, sequence); }
function sureForward(sequence: Sequence): i32 { return forwardPass(false, false, true, sequence); }
function plainBackward(sequence: Sequence, exponents: i32): f64 { return backwardPass(false, false, false, sequence, exponents); }
function gaugedBackward(sequence: Sequence, exponents: i32): f64 { return backwardPass(true, false, false, sequence, exponents); }
function sureBackward(sequence: Sequence, exponents: i32): f64 { return backwardPass(false, true, false, sequence, exponents); }

/** The pass forward that bounds the probability from below: see `forwardPass`. */
export function lowerPass(sequence: Sequence): i32 { return sequence.gauged ? gaugedLower(sequence) : plainLower(sequence); }

/** The one that bounds it from above. */
export function upperPass(sequence: Sequence): i32 { return sequence.gauged ? gaugedUpper(sequence) : plainUpper(sequence); }

/** The tier that takes the sequence by what the pass forward has found, whose exponent is given. */
export function routeByLoss(sequence: Sequence, exponents: i32): Tier {
  sequence.lower = exponents == NO_PATH ? 0 : sequence.ending;
  if (exponents != NO_PATH && sequence.tier != Tier.Sure) sequence.loss = lossOf(sequence, logScaled(sequence.lower, exponents - TOP_EXPONENT));
  return route(sequence, Known.Loss);
}

/**
 * Loss of one feasible sequence of at least one frame and, where it is wanted, the gradient, in place of the blocks, which are filled here unless they are
 * already. Returns the tier that has to take the sequence: unless that is its own, and `gauged` what it was, nothing that was written is valid.
 */
export function linearSequence(sequence: Sequence): Tier {
  layOut(sequence);
  if (!fill(sequence)) return route(sequence, Known.Special);
  const sure = sequence.tier == Tier.Sure, gauged = sequence.gauged;
  const exponents = sure ? sureForward(sequence) : lowerPass(sequence);
  const onward = routeByLoss(sequence, exponents);
  if (onward != sequence.tier || sequence.gauged != gauged) return onward;
  if (sequence.gradient) {
    sequence.upper = sure ? sureBackward(sequence, exponents) : gauged ? gaugedBackward(sequence, exponents) : plainBackward(sequence, exponents);
  } else {
    const upperExponents = upperPass(sequence);
    sequence.upper = inScaleOf(sequence.ending, upperExponents, exponents);
  }
  return route(sequence, Known.Bounds);
}
