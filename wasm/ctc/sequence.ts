/**
 * What the tiers of CTC share: one sequence's problem, and the arithmetic of its lattice. Cell i holds the blank before label i and label i;
 * cell `labels` holds the closing blank and a dummy label.
 */

/** The rungs of the ladder, as the kernels report them for every sequence; route.ts says which takes what. */
export const enum Tier {
  /** The lengths alone decide: no frames, or fewer than the target needs. */
  Lengths = 0,
  /** On probabilities, with float32 exponentials of logits. */
  Fast = 1,
  /** The same with float64 exponentials. */
  Precise = 2,
  /** The same for what is all but certain. */
  Sure = 3,
  /** On logarithms. */
  Log = 4,
}

/** When `route` is asked, by what has come to be known of the sequence. */
export const enum Known {
  /** `loss`, if lengths alone decide it, else NaN. */
  Lengths,
  /** A score that has no exponential: NaN, or an infinity that no path explains. */
  Special,
  /** `lower` and `loss`, from the pass forward. */
  Loss,
  /** `upper`: all passes are done. */
  Bounds,
}

/** One sequence, as all tiers see it. Lives in the caller's workspace. */
@unmanaged
export class Sequence {
  /** Address of the first frame's inputs, and the distance of two frames, in bytes. */
  inputs: usize;
  stride: usize;
  /** Address of the first frame's gradient row, laid out as the inputs; 0 where only the loss is wanted. */
  gradient: usize;
  /** int32 labels. */
  targets: usize;
  /** A row of inputs that emits a blank for certain: what stands past the end. */
  certain: usize;
  /** A gradient row that may be overwritten, in place of rows past the end. */
  spare: usize;
  /** One int32 for every class, -1 between sequences. */
  slots: usize;
  /** Emissions, or log-probabilities, in blocks of four frames, for the linear tier. */
  blocks: usize;
  workspace: usize;
  frames: i32;
  labels: i32;
  classes: i32;
  blank: i32;
  /** Whether the inputs are logits, to be normalised over the classes, or log-probabilities, taken as they are. */
  logits: bool;
  /** Whether inputs and gradient are float64. */
  double: bool;
  /**
   * Whether the blocks hold what the fast rung has put there; of float32 exponentials that are to be made precise, the share of a frame that one class must
   * have for these to do, and whether they do for all classes that the target does not use.
   */
  filled: bool;
  closed: f32;
  onlyTarget: bool;
  cotangent: f64;
  /** The result: minus the logarithm of the probability. */
  loss: f64;

  // What `route` decides by, and has decided.
  /** The rung that the sequence is on, and the highest that it may take: Fast, but for tests. */
  tier: Tier;
  least: Tier;
  /** Bounds of the probability, in one scale. */
  lower: f64;
  upper: f64;
  /** Frames that are the same as one before, and that are alike. */
  repeated: i32;
  alike: i32;

  // The linear tier's tables and states, in its workspace.
  /** All ones for cells that a path may enter from their left neighbour's label, else 0 (8 bytes a cell). */
  skip: usize;
  /** 32 times the slot of each cell's label. Slot 0 is the blank, the one after the last is the dummy label's. */
  slotAt: usize;
  /** Each slot's place in a block, in bytes. */
  distinct: usize;
  slotCount: i32;
  /** Whether every cell has a scale of its own: see gauge.ts, with these in its tables. */
  gauged: bool;
  gauges: usize;
  ratios: usize;
  weights: usize;
  /** One block's emissions, and its posteriors, as float64 [slot][4]. */
  emissions: usize;
  sums: usize;
  /** Exponentials [block][slot][4], float64: of log-probabilities, as the first pass leaves them for the second, and of precise logits; 0 for none. */
  cache: usize;
  /** Whether exponentials of log-probabilities are there before the first pass. */
  cached: bool;
  /** States: the blanks' of one frame, the labels' of one frame backward, and of all frames forward. */
  blanks: usize;
  betas: usize;
  history: usize;
  /** Bytes of a frame's row in `history`; 0 keeps only the newest. Where those of the blanks are kept as well, they are at `kept` behind. */
  row: usize;
  kept: usize;
  /** Where a pass forward says how many blocks it has done, for a pass backward that runs beside it; 0 for none. */
  progress: usize;
  /** Of that one: the other's states, and the block below which it has left sums of products in the place of its own. */
  alphas: usize;
  met: i32;
  /** The probability at the end of a pass forward, scaled. */
  ending: f64;
  /** Each block's rescaling in the forward pass, as an exponent. */
  rescales: usize;
  /** What bounds emissions from above that do not count. */
  floor: f64;

  // What sure.ts knows.
  /** Each frame's likeliest class, and the emissions of all others. */
  tops: usize;
  rests: usize;
  /** Where the likeliest path is: labels that are read, and whether it is on the last of these; and the scale there. */
  place: i32;
  onLabel: bool;
  scaleBefore: i32;
  /** The probability that has joined the path, and the normalisers' product less 1. */
  others: f64;
  surplus: f64;
}

@inline export function align(bytes: usize): usize { return (bytes + 63) & ~63; }

/** Cells of a target: one a label, the closing one, and padding that keeps vector reads inside. */
@inline export function cellsOf(labels: i32): i32 { return ((labels + 2) & ~1) + 2; }

/** First cell that can still reach the end from `frame` (even). */
@inline export function firstCell(labels: i32, frames: i32, frame: i32): i32 { return max(labels - frames + frame, 0) & ~1; }

/** One past the last cell that `frame` can have reached (even). */
@inline export function endCell(labels: i32, frame: i32): i32 { return (min(frame, labels) + 2) & ~1; }

@inline export function labelAt(targets: usize, i: i32): i32 { return load<i32>(targets + (<usize>i << 2)); }

/** Whether a path may go from label i - 1 to label i without the blank between them. */
@inline export function maySkip(targets: usize, i: i32): bool { return labelAt(targets, i) != labelAt(targets, i - 1); }

/** Frames that the target needs at least: its labels, and a blank between equal neighbours. */
export function framesNeeded(targets: usize, labels: i32): i32 {
  let needed = labels;
  for (let i = 1; i < labels; i++) if (!maySkip(targets, i)) needed++;
  return needed;
}

/** What lengths alone say about a sequence's loss; NaN where the inputs decide. */
export function lossByLengths(frames: i32, targets: usize, labels: i32): f64 {
  if (frames == 0) return labels == 0 ? 0 : Infinity;
  return frames < framesNeeded(targets, labels) ? Infinity : NaN;
}
