/**
 * CTC loss and its gradient for a range of sequences of a batch, laid out [frames][sequences][classes].
 *
 * A group of neighbouring sequences is brought into blocks together, so that the inputs are read in long runs; then every sequence goes through
 * the linear tier and, where its certificate fails, through the log-domain tier. Nothing depends on where the range begins or ends, so a
 * batch may be split over threads without changing a bit.
 */
import { scaled, blockBytes, clearRow, fillBlock, sequenceBlockBytes, writeRows } from './blocks';
import { linearSequence, linearWorkspace } from './linear';
import { fillLogProbs } from './log-probs';
import { logSequence32, logSequence64, logWorkspace } from './log';
import { resetRoute, route } from './route';
import { Known, Sequence, Tier, align, lossByLengths } from './sequence';

/** Sequences that are brought into blocks together, and the bytes of blocks that should stay in the second-level cache. */
@inline const GREATEST_GROUP: i32 = 16;
@inline const GROUP_BYTES: usize = 1 << 19;
/** Where the workspace has, behind a `Sequence`, the group's frames that are filled (int32) and shifts (float32); and then everything else. */
@inline const CANDIDATES: usize = 384;
@inline const SHIFTS: usize = CANDIDATES + (<usize>GREATEST_GROUP << 2);
@inline const HEADER: usize = SHIFTS + (<usize>GREATEST_GROUP << 2);

@inline function groupOf(frames: i32, classes: i32): i32 {
  return max(1, min(GREATEST_GROUP, <i32>(GROUP_BYTES / max(sequenceBlockBytes(frames, classes), 1))));
}

/** Bytes of workspace that `ctcLoss` needs: `withGradient` as it will be called. */
export function ctcLossWorkspace(frames: i32, classes: i32, labels: i32, withGradient: bool): usize {
  const blocks = <usize>groupOf(frames, classes) * sequenceBlockBytes(frames, classes);
  return HEADER + 3 * align(<usize>classes << 2)
    + max(blocks + linearWorkspace(frames, classes, labels, withGradient), logWorkspace(frames, classes, labels, withGradient));
}

/** Bytes of workspace that `ctcLoss64` needs. */
export function ctcLoss64Workspace(frames: i32, classes: i32, labels: i32, withGradient: bool): usize {
  return 512 + logWorkspace(frames, classes, labels, withGradient);
}

@inline function isLinear(tier: Tier): bool { return tier == Tier.Fast || tier == Tier.Precise || tier == Tier.Sure; }

@inline function lengthAt(lengths: usize, n: i32): i32 { return load<i32>(lengths + (<usize>n << 2)); }

/**
 * Losses (float64) and, unless `gradient` is 0, the gradient (float32, all of the range's rows) of sequences [begin, end) of `inputs`
 * (float32), logits or log-probabilities as they are. `targets` is int32 [sequences][labels], padded; lengths are int32 and checked by the
 * caller. `cotangents` (float64, one a sequence) scales the gradient; 0 stands for ones. `tiers` (int32) says which tier took each sequence; none
 * takes one above `least`.
 */
export function ctcLoss(
  inputs: usize, targets: usize, inputLengths: usize, targetLengths: usize, cotangents: usize, losses: usize, gradient: usize, tiers: usize,
  workspace: usize, frames: i32, batch: i32, classes: i32, labels: i32, blank: i32, logits: bool, begin: i32, end: i32,
  least: Tier,
): void {
  const rowBytes = <usize>classes << 2, stride = rowBytes * <usize>batch, group = groupOf(frames, classes);
  const blocksBytes = sequenceBlockBytes(frames, classes), blockSize = blockBytes(classes), wantGradient = gradient != 0;
  const sequence = changetype<Sequence>(workspace), candidates = workspace + CANDIDATES, shifts = workspace + SHIFTS;
  const certain = workspace + HEADER, spare = certain + align(rowBytes), slots = spare + align(rowBytes), blocks = slots + align(rowBytes);
  // A row past the end of a sequence emits a blank for certain, so that it changes no path's probability.
  for (let c = 0; c < classes; c++) store<f32>(certain + (<usize>c << 2), c == blank ? 0 : -Infinity);
  memory.fill(slots, 0xff, rowBytes);
  sequence.stride = stride;
  sequence.certain = certain;
  sequence.spare = spare;
  sequence.slots = slots;
  sequence.classes = classes;
  sequence.blank = blank;
  sequence.logits = logits;
  sequence.double = false;
  sequence.least = least;

  for (let first = begin; first < end; first += group) {
    const count = min(group, end - first);
    let longest = 0;
    for (let j = 0; j < count; j++) {
      const n = first + j, length = lengthAt(inputLengths, n);
      describe(sequence, n, inputs, targets, inputLengths, targetLengths, cotangents, gradient, rowBytes, labels);
      sequence.loss = lossByLengths(length, sequence.targets, sequence.labels);
      const tier = route(sequence, Known.Lengths), filled = tier == Tier.Fast;
      store<f64>(losses + (<usize>n << 3), sequence.loss);
      store<i32>(tiers + (<usize>n << 2), tier);
      store<i32>(candidates + (<usize>j << 2), filled ? length : 0);
      store<f32>(shifts + (<usize>j << 2), 0);
      if (filled) longest = max(longest, length);
    }
    for (let t = 0; t < longest; t += 4) {
      let block = blocks + <usize>(t >> 2) * blockSize, x = inputs + <usize>t * stride + <usize>first * rowBytes;
      for (let j = 0; j < count; j++, block += blocksBytes, x += rowBytes) {
        const length = lengthAt(candidates, j), left = length - t;
        if (left <= 0) continue;
        const x1 = left > 1 ? x + stride : certain, x2 = left > 2 ? x + 2 * stride : certain, x3 = left > 3 ? x + 3 * stride : certain;
        if (!(logits ? fillBlock(block, x, x1, x2, x3, classes, shifts + (<usize>j << 2)) : fillLogProbs(block, x, x1, x2, x3, classes))) {
          store<i32>(candidates + (<usize>j << 2), 0);
          store<i32>(tiers + (<usize>(first + j) << 2), route(sequence, Known.Special));
        }
      }
    }
    for (let j = 0; j < count; j++) {
      const n = first + j, tierAt = tiers + (<usize>n << 2);
      let tier = load<i32>(tierAt);
      if (!isLinear(tier)) continue;
      describe(sequence, n, inputs, targets, inputLengths, targetLengths, cotangents, gradient, rowBytes, labels);
      sequence.blocks = blocks + <usize>j * blocksBytes;
      sequence.workspace = blocks + <usize>group * blocksBytes;
      sequence.filled = tier == Tier.Fast;
      sequence.tier = tier;
      resetRoute(sequence);
      let gauged: bool;
      do {
        sequence.tier = tier;
        gauged = sequence.gauged;
        tier = linearSequence(sequence);
      } while (isLinear(tier) && (tier != sequence.tier || gauged != sequence.gauged));
      store<i32>(tierAt, tier);
      if (isLinear(tier)) store<f64>(losses + (<usize>n << 3), sequence.loss);
    }
    if (wantGradient) writeGroup(gradient, inputLengths, tiers, blocks, blocksBytes, spare, cotangents, first, count, frames, stride, classes, logits);
    for (let j = 0; j < count; j++) {
      const n = first + j;
      if (lengthAt(tiers, n) != Tier.Log) continue;
      describe(sequence, n, inputs, targets, inputLengths, targetLengths, cotangents, gradient, rowBytes, labels);
      sequence.workspace = blocks;
      logSequence32(sequence, wantGradient);
      store<f64>(losses + (<usize>n << 3), sequence.loss);
    }
  }
}

/**
 * Gradient rows of a group, from its blocks, in long runs again: zero past the end of every sequence and everywhere where lengths alone
 * decided. Sequences of the log-domain tier write their own frames later.
 */
function writeGroup(
  gradient: usize, inputLengths: usize, tiers: usize, blocks: usize, blocksBytes: usize, spare: usize, cotangents: usize, first: i32, count: i32,
  frames: i32, stride: usize, classes: i32, logits: bool,
): void {
  const rowBytes = <usize>classes << 2, blockSize = blockBytes(classes);
  for (let t = 0; t < frames; t += 4) {
    const rows = min(frames - t, 4);
    let block = blocks + <usize>(t >> 2) * blockSize, g = gradient + <usize>t * stride + <usize>first * rowBytes;
    for (let j = 0; j < count; j++, block += blocksBytes, g += rowBytes) {
      const tier = lengthAt(tiers, first + j), left = tier == Tier.Lengths ? 0 : lengthAt(inputLengths, first + j) - t;
      if (left > 0 && isLinear(tier))
        writeRows(block, g, left > 1 ? g + stride : spare, left > 2 ? g + 2 * stride : spare, left > 3 ? g + 3 * stride : spare, classes, logits,
          <f32>cotangentOf(cotangents, first + j));
      for (let row = max(left, 0); row < rows; row++) clearRow(g + <usize>row * stride, rowBytes);
    }
  }
}

@inline function cotangentOf(cotangents: usize, n: i32): f64 { return cotangents ? load<f64>(cotangents + (<usize>n << 3)) : 1; }

/** Points `sequence` at sequence n of a batch. */
function describe(
  sequence: Sequence, n: i32, inputs: usize, targets: usize, inputLengths: usize, targetLengths: usize, cotangents: usize, gradient: usize,
  rowBytes: usize, labels: i32,
): void {
  sequence.inputs = inputs + <usize>n * rowBytes;
  sequence.gradient = gradient ? gradient + <usize>n * rowBytes : 0;
  sequence.targets = targets + (<usize>n * labels << 2);
  sequence.frames = lengthAt(inputLengths, n);
  sequence.labels = lengthAt(targetLengths, n);
  sequence.cotangent = cotangentOf(cotangents, n);
}

/** Zero gradient rows: past the end of every sequence, and everywhere where lengths alone decided. */
function clearTails(
  gradient: usize, inputLengths: usize, tiers: usize, first: i32, count: i32, frames: i32, stride: usize, rowBytes: usize,
): void {
  let earliest = frames;
  for (let j = 0; j < count; j++)
    earliest = min(earliest, lengthAt(tiers, first + j) == Tier.Lengths ? 0 : lengthAt(inputLengths, first + j));
  for (let t = earliest; t < frames; t++) {
    for (let j = 0; j < count; j++) {
      const n = first + j;
      if (t >= lengthAt(inputLengths, n) || lengthAt(tiers, n) == Tier.Lengths) clearRow(gradient + <usize>t * stride + <usize>n * rowBytes, rowBytes);
    }
  }
}

/** `ctcLoss` for float64 inputs and gradient, by the log-domain tier. */
export function ctcLoss64(
  inputs: usize, targets: usize, inputLengths: usize, targetLengths: usize, cotangents: usize, losses: usize, gradient: usize, tiers: usize,
  workspace: usize, frames: i32, batch: i32, classes: i32, labels: i32, blank: i32, logits: bool, begin: i32, end: i32,
): void {
  const rowBytes = <usize>classes << 3, stride = rowBytes * <usize>batch;
  const sequence = changetype<Sequence>(workspace);
  sequence.stride = stride;
  sequence.classes = classes;
  sequence.blank = blank;
  sequence.logits = logits;
  sequence.double = true;
  sequence.least = Tier.Log;
  sequence.workspace = workspace + 512;
  for (let n = begin; n < end; n++) {
    describe(sequence, n, inputs, targets, inputLengths, targetLengths, cotangents, gradient, rowBytes, labels);
    sequence.loss = lossByLengths(sequence.frames, sequence.targets, sequence.labels);
    const tier = route(sequence, Known.Lengths);
    store<i32>(tiers + (<usize>n << 2), tier);
    if (tier == Tier.Log) logSequence64(sequence, gradient != 0);
    store<f64>(losses + (<usize>n << 3), sequence.loss);
    if (gradient) clearTails(gradient, inputLengths, tiers, n, 1, frames, stride, rowBytes);
  }
}

/** out = x times one factor a sequence (float32); x and out are [frames][batch][classes] and may be the same. */
export function ctcScale(x: usize, factors: usize, out: usize, frames: i32, batch: i32, classes: i32): void {
  const rowBytes = <usize>classes << 2, whole = rowBytes & ~15;
  let at: usize = 0;
  for (let t = 0; t < frames; t++) {
    for (let n = 0; n < batch; n++, at += rowBytes) {
      const factor = load<f32>(factors + (<usize>n << 2)), all = f32x4.splat(factor);
      let i: usize = 0;
      for (; i < whole; i += 16) v128.store(out + at + i, scaled(v128.load(x + at + i), all));
      for (; i < rowBytes; i += 4) store<f32>(out + at + i, f32x4.extract_lane(scaled(f32x4.splat(load<f32>(x + at + i)), all), 0));
    }
  }
}
