/**
 * One sequence over several threads, to the same bits as on one (linear.ts): for batches of fewer sequences than there are threads.
 *
 * The passes forward and backward do not need each other until their states are multiplied. So threads fill the blocks, a part each; one goes forward
 * while another goes backward, both keeping their states, until they meet: from there on the latter finds the former's, and multiplies as it goes. Then
 * threads share the blocks again, to multiply where that is left, to subtract and to write the rows. Every number is made by the instructions that make it on one thread, in their order. What comes next is decided in between, by route.ts.
 * Where that is neither the fast nor the precise rung, nothing is kept, and `ctcLoss` takes the sequence from the beginning.
 *
 * The caller runs, for each task of a step from 0 on with a thread of its own: `ctcAloneFill` for all parts, `ctcAloneReady`, `ctcAlonePass` for both passes,
 * `ctcAloneDecide`, `ctcAloneFinish` for all parts, `ctcAloneClose`.
 */
import { blockBytes, clearRow, fillBlock, sequenceBlockBytes, writeRows } from './blocks';
import { firstGauge, gaugeBytes, lastGauge, powerOfTwo, weighProducts } from './gauge';
import { fillWithLogProbs, historyBytes, layOut, linearWorkspace, lowerPass, routeByLoss, upperPass } from './linear';
import { cacheBytes, loadLogProbs } from './log-probs';
import { backwardPass, divisorOf, inScaleOf, levelOf, rescaleAt, scaleOf } from './passes';
import { clear, subtractPosterior, subtractPrecisely } from './posterior';
import { fillPrecisely } from './precise';
import { productBlock } from './recursion';
import { resetRoute, route } from './route';
import { Known, Sequence, Tier, align, cellsOf, endCell, firstCell, lossByLengths } from './sequence';

/** What the caller does next. */
const enum Next {
  /** `ctcLoss` takes the sequence. */
  Leave = 0,
  /** The step after this one. */
  Go = 1,
  /** Once more from `ctcAloneFill`: on another rung, or with a scale for every cell. */
  Again = 2,
}

/** Bytes of a `Sequence`, of which the workspace has one for the pass forward, then one for the pass backward, then what follows. */
@inline const SEQUENCE_BYTES: usize = 512;

/** What there is beside the sequence. */
@unmanaged
class Alone {
  /** The exponents of both passes' results. */
  forward: i32;
  backward: i32;
  /** Blocks that the pass forward has done. */
  progress: i32;
  /** Whether a task has met what it cannot do. */
  failed: bool;
  parts: i32;
  /** Rows of the gradient. */
  rows: i32;
  /** The shift of float32 exponentials after every block (float32). */
  shifts: usize;
  /** Each part's sequence, sums and weights, and their size. */
  places: usize;
  placeBytes: usize;
}

@inline function forwardOf(at: usize): Sequence { return changetype<Sequence>(at); }
@inline function backwardOf(at: usize): Sequence { return changetype<Sequence>(at + SEQUENCE_BYTES); }
@inline function aloneOf(at: usize): Alone { return changetype<Alone>(at + 2 * SEQUENCE_BYTES); }

@inline function blocksOf(sequence: Sequence): i32 { return (sequence.frames + 3) >> 2; }
/** The first block of a part. */
@inline function firstBlock(sequence: Sequence, part: i32, parts: i32): i32 { return <i32>(<i64>blocksOf(sequence) * part / parts); }

@inline function slotBytes(labels: i32, classes: i32): usize { return align(<usize>(min(labels, classes) + 2) << 5); }
@inline function rowBytesOf(labels: i32): usize { return align(<usize>cellsOf(labels) << 3); }

/** Bytes of workspace for one sequence in so many parts, `withGradient` as it will be called. */
export function ctcAloneWorkspace(frames: i32, classes: i32, labels: i32, withGradient: bool, parts: i32): usize {
  const blocks = (frames + 3) >> 2, slots = slotBytes(labels, classes), row = rowBytesOf(labels), gauges = align(gaugeBytes(blocks, cellsOf(labels), withGradient));
  const backward: usize = 3 * row + slots + align(<usize>blocks << 2) + gauges + historyBytes(frames, labels, withGradient);
  return 3 * SEQUENCE_BYTES + 3 * align(<usize>classes << 2) + align(<usize>blocks << 2) + <usize>parts * (SEQUENCE_BYTES + slots + row)
    + sequenceBlockBytes(frames, classes) + backward + linearWorkspace(frames, classes, labels, withGradient, false);
}

/** Prepares sequence n of a batch, whose arguments are those of `ctcLoss`, in the workspace `at`. */
export function ctcAloneOpen(
  at: usize, inputs: usize, targets: usize, inputLengths: usize, targetLengths: usize, cotangents: usize, gradient: usize, frames: i32, batch: i32,
  classes: i32, labels: i32, blank: i32, logits: bool, n: i32, least: Tier, parts: i32,
): Next {
  const sequence = forwardOf(at), alone = aloneOf(at), rowBytes = <usize>classes << 2, word = <usize>n << 2;
  sequence.inputs = inputs + <usize>n * rowBytes;
  sequence.stride = rowBytes * <usize>batch;
  sequence.gradient = gradient ? gradient + <usize>n * rowBytes : 0;
  sequence.targets = targets + word * labels;
  sequence.frames = load<i32>(inputLengths + word);
  sequence.labels = load<i32>(targetLengths + word);
  sequence.cotangent = cotangents ? load<f64>(cotangents + (word << 1)) : 1;
  sequence.classes = classes;
  sequence.blank = blank;
  sequence.logits = logits;
  sequence.double = false;
  sequence.least = least;
  sequence.loss = lossByLengths(sequence.frames, sequence.targets, sequence.labels);
  sequence.tier = route(sequence, Known.Lengths);
  if (sequence.tier != Tier.Fast && sequence.tier != Tier.Precise) return Next.Leave;
  resetRoute(sequence);
  const count = blocksOf(sequence);
  sequence.certain = at + 3 * SEQUENCE_BYTES;
  sequence.spare = sequence.certain + align(rowBytes);
  sequence.slots = sequence.spare + align(rowBytes);
  alone.parts = parts;
  alone.rows = frames;
  alone.shifts = sequence.slots + align(rowBytes);
  alone.places = alone.shifts + align(<usize>count << 2);
  alone.placeBytes = SEQUENCE_BYTES + slotBytes(sequence.labels, classes) + rowBytesOf(sequence.labels);
  sequence.blocks = alone.places + <usize>parts * alone.placeBytes;
  sequence.workspace = sequence.blocks + sequenceBlockBytes(sequence.frames, classes);
  sequence.filled = false;
  for (let c = 0; c < classes; c++) store<f32>(sequence.certain + (<usize>c << 2), c == blank ? 0 : -Infinity);
  memory.fill(sequence.slots, 0xff, rowBytes);
  begin(at);
  return Next.Go;
}

/** Gives both passes tables and rows for the rung that the sequence is on. */
function begin(at: usize): void {
  const sequence = forwardOf(at), other = backwardOf(at), labels = sequence.labels, count = blocksOf(sequence), row = rowBytesOf(labels);
  const withGradient = sequence.gradient != 0;
  layOut(sequence);
  memory.copy(at + SEQUENCE_BYTES, at, offsetof<Sequence>());
  other.blanks = sequence.history + historyBytes(sequence.frames, labels, withGradient);
  other.betas = other.blanks + row;
  other.ratios = other.betas + row;
  other.emissions = other.ratios + row;
  other.rescales = other.emissions + slotBytes(labels, sequence.classes);
  other.gauges = other.rescales + align(<usize>count << 2);
  other.history = other.gauges + align(gaugeBytes(count, cellsOf(labels), withGradient));
  memory.copy(other.emissions + (<usize>sequence.slotCount << 5), sequence.emissions + (<usize>sequence.slotCount << 5), 32);
  const alone = aloneOf(at);
  alone.failed = false;
  alone.progress = 0;
  sequence.progress = changetype<usize>(alone) + offsetof<Alone>('progress');
  other.progress = withGradient ? sequence.progress : 0;
  other.alphas = sequence.history;
  other.met = 0;
}

/** A copy of the sequence for a part, with sums and weights of its own; nobody else's emissions are touched with it. */
function placeOf(at: usize, part: i32): Sequence {
  const alone = aloneOf(at), place = alone.places + <usize>part * alone.placeBytes, mine = changetype<Sequence>(place);
  memory.copy(place, at, offsetof<Sequence>());
  mine.sums = place + SEQUENCE_BYTES;
  mine.emissions = mine.sums;
  mine.weights = mine.sums + slotBytes(mine.labels, mine.classes);
  return mine;
}

/** Fills a part of the blocks. */
export function ctcAloneFill(at: usize, part: i32): void {
  const sequence = placeOf(at, part), alone = aloneOf(at), first = firstBlock(sequence, part, alone.parts), end = firstBlock(sequence, part + 1, alone.parts);
  const done = sequence.tier == Tier.Precise ? fillPrecisely(sequence, first, end)
    : sequence.filled || (sequence.logits ? fillWithLogits(sequence, alone.shifts, first, end) : fillAndKeep(sequence, first, end));
  if (!done) alone.failed = true;
}

/** One block of logits, from the shift that the one before has left. */
@inline function fillWithShift(sequence: Sequence, k: i32, shifts: usize, before: f32): bool {
  const stride = sequence.stride, certain = sequence.certain, left = sequence.frames - (k << 2), shiftAt = shifts + (<usize>k << 2);
  const x = sequence.inputs + <usize>(k << 2) * stride;
  store<f32>(shiftAt, before);
  return fillBlock(sequence.blocks + <usize>k * blockBytes(sequence.classes), x, left > 1 ? x + stride : certain, left > 2 ? x + 2 * stride : certain,
    left > 3 ? x + 3 * stride : certain, sequence.classes, shiftAt);
}

/** Blocks [begin, end) of logits, as if those before had left the shift at 0. */
function fillWithLogits(sequence: Sequence, shifts: usize, begin: i32, end: i32): bool {
  let shift: f32 = 0;
  for (let k = begin; k < end; k++) {
    if (!fillWithShift(sequence, k, shifts, shift)) return false;
    shift = load<f32>(shifts + (<usize>k << 2));
  }
  return true;
}

/** Fills once more what depends on a shift that an earlier part has left: in each part the first blocks, up to where the shift is the same either way. */
function mendShifts(sequence: Sequence, shifts: usize, parts: i32): bool {
  const count = blocksOf(sequence);
  for (let part = 1; part < parts; part++) {
    const first = firstBlock(sequence, part, parts), end = firstBlock(sequence, part + 1, parts);
    let shift: f32 = first > 0 ? load<f32>(shifts + (<usize>(first - 1) << 2)) : 0, assumed: f32 = 0;
    for (let k = first; k < min(end, count) && shift != assumed; k++) {
      assumed = load<f32>(shifts + (<usize>k << 2));
      if (!fillWithShift(sequence, k, shifts, shift)) return false;
      shift = load<f32>(shifts + (<usize>k << 2));
    }
  }
  return true;
}

/** Blocks [begin, end) of log-probabilities, and their exponentials if these are kept. */
function fillAndKeep(sequence: Sequence, begin: i32, end: i32): bool {
  if (!fillWithLogProbs(sequence, begin, end)) return false;
  const classes = sequence.classes, slots = sequence.slotCount, size = blockBytes(classes);
  if (sequence.cache) {
    for (let k = begin; k < end; k++)
      loadLogProbs(true, true, false, sequence.blocks + <usize>k * size, classes, sequence.distinct, slots, sequence.emissions,
        sequence.cache + cacheBytes(k, slots), 1);
  }
  return true;
}

/** When all parts are filled. */
export function ctcAloneReady(at: usize): Next {
  const sequence = forwardOf(at), alone = aloneOf(at);
  if (alone.failed) return Next.Leave;
  if (sequence.tier == Tier.Fast) {
    if (sequence.logits && !sequence.filled && !mendShifts(sequence, alone.shifts, alone.parts)) return Next.Leave;
    sequence.filled = true;
    const cached = !sequence.logits && sequence.cache != 0;
    sequence.cached = cached;
    backwardOf(at).cached = cached;
  }
  return Next.Go;
}

/**
 * The pass forward (part 0); the pass backward, or without a gradient the one forward that bounds from above (part 1). The pass backward looks for the other's
 * states only in the first blocks, `meeting` of them.
 */
export function ctcAlonePass(at: usize, part: i32, meeting: i32): void {
  const sequence = forwardOf(at), other = backwardOf(at), alone = aloneOf(at);
  if (part == 0) alone.forward = lowerPass(sequence);
  else if (!other.gradient) alone.backward = upperPass(other);
  else alone.backward = <i32>(other.gauged ? backwardPass(true, false, true, other, meeting) : backwardPass(false, false, true, other, meeting));
}

/** When both passes are done. */
export function ctcAloneDecide(at: usize): Next {
  const sequence = forwardOf(at), other = backwardOf(at), alone = aloneOf(at), tier = sequence.tier, gauged = sequence.gauged;
  let onward = routeByLoss(sequence, alone.forward);
  if (onward == tier && sequence.gauged == gauged) {
    if (sequence.gradient) sequence.filled = false;
    sequence.upper = sequence.gradient && !allInRange(at) ? -1 : inScaleOf(other.ending, alone.backward, alone.forward);
    onward = route(sequence, Known.Bounds);
    if (onward == tier && sequence.gauged == gauged) return Next.Go;
  }
  if (onward != Tier.Fast && onward != Tier.Precise) return Next.Leave;
  sequence.tier = onward;
  begin(at);
  return Next.Again;
}

/** What the pass forward is rescaled by from block k's end to its own. */
function aheadOf(sequence: Sequence, k: i32): i32 {
  let ahead = sequence.gauged ? lastGauge(sequence) : 0;
  for (let i = blocksOf(sequence) - 1; i > k; i--) ahead += load<i32>(rescaleAt(sequence, i));
  return ahead;
}

/** What the pass backward is rescaled by before block k. */
function behindOf(sequence: Sequence, k: i32): i32 {
  let exponents = 0;
  for (let i = blocksOf(sequence) - 1; i > k; i--) exponents += load<i32>(rescaleAt(sequence, i));
  return exponents;
}

/** What a block's products are divided by: `divisorOf` by what both passes are rescaled by on either side of it. */
@inline function divisorBetween(sequence: Sequence, ahead: i32, behind: i32, rescale: i32): f64 {
  return divisorOf(sequence.ending, scaleOf(ahead, behind, sequence.gauged ? levelOf(sequence, ahead, behind) : 0), rescale);
}

/** Whether products keep their digits in every block. */
function allInRange(at: usize): bool {
  const sequence = forwardOf(at), other = backwardOf(at), last = blocksOf(sequence) - 1;
  let ahead = aheadOf(sequence, last), behind = 0;
  for (let k = last; k >= 0; k--) {
    const rescale = load<i32>(rescaleAt(other, k));
    if (divisorBetween(sequence, ahead, behind, rescale) < 0) return false;
    behind += rescale;
    ahead += load<i32>(rescaleAt(sequence, k));
  }
  return true;
}

function subtract(sequence: Sequence, block: usize, k: i32, early: f64, last: f64): void {
  if (sequence.tier == Tier.Precise) subtractPrecisely(sequence, block, sequence.cache + cacheBytes(k, sequence.slotCount), early, last);
  else subtractPosterior(sequence, block, early, last);
}

/** Makes gradients of a part's blocks, and writes their rows; the last part also those past the end. */
export function ctcAloneFinish(at: usize, part: i32): void {
  const sequence = placeOf(at, part), other = backwardOf(at), alone = aloneOf(at), parts = alone.parts, stride = sequence.stride, gauged = sequence.gauged;
  const first = firstBlock(sequence, part, parts), end = firstBlock(sequence, part + 1, parts), frames = sequence.frames, labels = sequence.labels;
  const classes = sequence.classes, row = sequence.row, size = blockBytes(classes), spare = sequence.spare, sums = sequence.sums;
  let ahead = aheadOf(sequence, end - 1), behind = behindOf(other, end - 1);
  clear(sums, <usize>(sequence.slotCount + 1) << 5);
  for (let k = end - 1; k >= first; k--) {
    const frame = k << 2, left = frames - frame, lo = firstCell(labels, frames, frame), hi = endCell(labels, frame + 3);
    const block = sequence.blocks + <usize>k * size, states = <usize>(frame + 1) * row, rescale = load<i32>(rescaleAt(other, k));
    if (gauged) {
      if (!weighProducts(sequence, other, true, k, lo, hi, levelOf(sequence, ahead, behind))) { alone.failed = true; return; }
      productBlock(true, sequence.slotAt, sequence.history + states, other.history + states, row, sums, sequence.weights, lo, hi);
    } else if (k < other.met) sequence.sums = other.history + states;
    else productBlock(false, sequence.slotAt, sequence.history + states, other.history + states, row, sums, sequence.weights, lo, hi);
    const last = divisorBetween(sequence, ahead, behind, rescale), early = last * powerOfTwo(-rescale);
    subtract(sequence, block, k, 1.0 / early, 1.0 / last);
    behind += rescale;
    ahead += load<i32>(rescaleAt(sequence, k));
    const g = sequence.gradient + <usize>frame * stride;
    writeRows(block, g, left > 1 ? g + stride : spare, left > 2 ? g + 2 * stride : spare, left > 3 ? g + 3 * stride : spare, classes, sequence.logits,
      <f32>sequence.cotangent);
  }
  if (part == parts - 1)
    for (let t = frames; t < alone.rows; t++) clearRow(sequence.gradient + <usize>t * stride, <usize>classes << 2);
}

/** Writes the loss (float64) and the tier, unless `ctcLoss` has to take the sequence after all. */
export function ctcAloneClose(at: usize, loss: usize, tier: usize): Next {
  const sequence = forwardOf(at);
  if (aloneOf(at).failed) return Next.Leave;
  store<f64>(loss, sequence.loss);
  store<i32>(tier, sequence.tier);
  return Next.Go;
}
