/**
 * Which tier takes a sequence: all rules and all thresholds, here and nowhere else.
 *
 * The tiers are a ladder. Each rung is faster than the one below it and as right where it is used; what a rung cannot do, or cannot vouch for, goes
 * down to one that can. From the bottom:
 *
 *   Log      log.ts      the plain recursion, on logarithms: correct on anything
 *   Sure     sure.ts     the recursion on probabilities (linear.ts, recursion.ts), of logits that are all but certain of the target: some 8 times faster
 *   Precise  precise.ts  the same with exponentials of logits in float64: 10 to 25 times faster than the log domain
 *   Fast     blocks.ts   the same with exponentials in float32, 1.4 to 1.7 times; of log-probabilities, which need float64, those of log-probs.ts
 *   Lengths  sequence.ts nothing to compute
 *
 * `route` is asked four times, whenever something more is known. First rule that holds:
 *
 *   Known    Rule                                               Threshold                        Tier     Why
 *   Lengths  no frames, or fewer than the target needs          -                                Lengths  0 or Infinity, whatever the scores are
 *            float64 scores                                     -                                Log      the other rungs have float32's digits
 *            logits, few frames                                 SHORT                            Precise  rounding has no frames to average out over
 *            logits, many frames, exponentials fit              LONG, GREATEST_CACHE             Precise  rounding adds up in the odds of distant alignments
 *            all others                                         -                                Fast
 *   Special  a score is NaN or infinite as none should be       -                                Log      it says what comes of them
 *   Loss     no path left                                       -                                Levels   below the range of the states, or impossible
 *            logits, a loss next to 0                           VANISHING, .._PER_FRAME          Sure*    digits are lost to numbers next to 1
 *            Fast logits, frames repeat                         MANY_REPEATS, LEAST_LOSS_PER_..  Precise* their roundings are the same and add up
 *            Fast logits, frames are alike in some class        ALIKE_BITS, ONE_ALIKE_IN         Precise* the same
 *            Fast logits, frames have a longer period           LONGEST_PERIOD, ONE_PERIODIC_IN  Precise* the same
 *            Fast logits, the loss of a few frames              LEAST_LOSS, GREATEST_LOSS        Precise* rounding has few frames to average out over
 *   Bounds   upper and lower bound of the probability disagree  AGREEMENT                        Levels   the certificate fails: something was out of range
 *            their scales are too far apart to compare          GREATEST_RESCALE                 Levels   the same; with a gradient only
 *            a frame's products leave float64's safe range      PRODUCT_LOW, _HIGH, .._SCALE     Levels   then there is no upper bound; the same
 *
 * Levels: the same once more, of logits on Precise*, with a scale for every cell (gauge.ts); from there, and from Sure, Log. Sequences of more than
 * UNGAUGED_FRAMES have these scales from the beginning.
 *
 *   * where the exponentials fit GREATEST_CACHE, and for Sure the blanks' states GREATEST_STATES; otherwise Log. Of a sequence that becomes precise by its
 *     frames with a loss of LARGE_LOSS_PER_FRAME, the classes that the target does not use stay as they are.
 *
 * docs/ctc.md has the same table. test/ctc/route.test.ts has a problem on either side of every threshold; test/ctc/ladder.test.ts holds the rungs against
 * each other.
 */
import { cacheBytes } from './log-probs';
import { countRepeats, isPeriodic } from './repeats';
import { Known, Sequence, Tier, align, cellsOf } from './sequence';

/** Over so few frames the rounding of float32 exponentials does not average out. */
@inline const SHORT: i32 = 31;
/** Over more than these, what is left of it adds up in the odds of alignments that differ in most frames. */
@inline const LONG: i32 = 2048;
/** The most that a sequence's kept exponentials may take, in bytes. (Those of log-probabilities are computed again beyond that.) */
@inline export const GREATEST_CACHE: usize = 1 << 26;
/** The most that the blanks' states of a sequence may take, where they are kept. */
@inline export const GREATEST_STATES: usize = 1 << 27;

/** Below this, and as much for every fifty frames, a loss from logits and its gradient have lost digits to numbers next to 1; the sure rung keeps them. */
@inline const VANISHING: f64 = 1.0e-6;
@inline const VANISHING_PER_FRAME: f64 = 2.0e-8;

/** The loss per repeated frame in which a rounding of 1.5e-7 is lost, and the repeats that show in a gradient whatever the loss. */
@inline const LEAST_LOSS_PER_REPEAT: f64 = 5;
@inline const MANY_REPEATS: i32 = 64;
/** Numbers of a frame are alike if they agree in all but these bits, and show if one in so many frames has such. */
@inline const ALIKE_BITS: i32 = 13;
@inline const ONE_ALIKE_IN: i32 = 6;
/** Longer periods are not looked for, and a period is one if so large a part of the frames keeps to it. */
@inline const LONGEST_PERIOD: i32 = 256;
@inline const ONE_PERIODIC_IN: i32 = 4;
/** Losses in which the rounding of a few frames' exponentials may show: those of other frames are next to 0, or average out. */
@inline const LEAST_LOSS: f64 = 0.4;
@inline const GREATEST_LOSS: f64 = 8;
/**
 * How much of a frame one class has, where frames do not repeat, for the rounding of its and the others' exponentials to be small beside that of
 * the result: such frames of a sequence that becomes precise stay as they are.
 */
@inline const NEARLY_ALL: f32 = 1.0 - 1.0 / 32.0;

/** Greatest relative disagreement between the two probabilities that is accepted. */
@inline const AGREEMENT: f64 = 1.0e-9;
/**
 * Products of two states must have a normaliser in this range to keep their digits, and its exponent must be one of float64's. As states are steered to
 * 2^340, and follow two blocks late, in each of which they grow by 2^63 at most, only the lower end can be reached.
 */
@inline export const PRODUCT_LOW: f64 = 1.0e-250;
@inline export const PRODUCT_HIGH: f64 = 1.0e305;
@inline export const GREATEST_PRODUCT_SCALE: i32 = 1800;
/** Exponents of one power of two: how far a block is rescaled, and how far apart the scales of two probabilities may be that are compared. */
@inline export const GREATEST_RESCALE: i32 = 900;

/** Within the linear tiers: longer sequences have a scale for every cell. */
@inline const UNGAUGED_FRAMES: i32 = 2048;
/**
 * What the float32 exponentials of classes that the target does not use can add to a loss is 1e-7 of their share of every frame: of as large a loss, not
 * enough to be seen.
 */
@inline const LARGE_LOSS_PER_FRAME: f64 = 4;

/** Forgets what `route` has decided for another sequence. */
export function resetRoute(sequence: Sequence): void {
  sequence.gauged = sequence.frames > UNGAUGED_FRAMES;
  sequence.onlyTarget = false;
}

/** The tier for a sequence by what is known of it; its own where nothing speaks against that. */
export function route(sequence: Sequence, known: Known): Tier {
  const frames = sequence.frames, tier = sequence.tier, loss = sequence.loss;
  switch (known) {
    case Known.Lengths:
      if (loss == loss) return Tier.Lengths;
      if (sequence.double || sequence.least == Tier.Log) return Tier.Log;
      if (!sequence.logits) return Tier.Fast;
      if (frames <= SHORT) return Tier.Precise;
      return (frames > LONG || sequence.least == Tier.Precise) && fits(sequence, min(sequence.labels, sequence.classes) + 1) ? Tier.Precise : Tier.Fast;
    case Known.Loss:
      if (!(sequence.lower > 0)) return levelled(sequence);
      if (!sequence.logits || tier == Tier.Sure) return tier;
      if (loss < VANISHING + VANISHING_PER_FRAME * <f64>frames) {
        sequence.gauged = false;
        return fits(sequence, sequence.slotCount) && stateBytes(frames, sequence.labels) <= GREATEST_STATES ? Tier.Sure : Tier.Log;
      }
      if (tier != Tier.Fast || !roundingShows(sequence)) return tier;
      sequence.onlyTarget = loss > LARGE_LOSS_PER_FRAME * <f64>frames;
      return fits(sequence, sequence.slotCount) ? Tier.Precise : Tier.Log;
    case Known.Bounds:
      return abs(sequence.upper / sequence.lower - 1.0) <= AGREEMENT ? tier : levelled(sequence);
    default:
      return Tier.Log;
  }
}

/** The tier of a sequence that was out of range: once more with a scale for every cell, then the log domain. */
function levelled(sequence: Sequence): Tier {
  if (sequence.gauged || sequence.tier == Tier.Sure) return Tier.Log;
  sequence.gauged = true;
  if (!sequence.logits) return Tier.Fast;
  return fits(sequence, sequence.slotCount) ? Tier.Precise : Tier.Log;
}

/** Bytes of the blanks' states of all frames. */
@inline function stateBytes(frames: i32, labels: i32): usize { return <usize>(frames + 4) * align(<usize>cellsOf(labels) << 3); }

/** Whether the exponentials of so many classes may be kept for all frames. */
@inline function fits(sequence: Sequence, slots: i32): bool { return cacheBytes((sequence.frames + 3) >> 2, slots) <= GREATEST_CACHE; }

/**
 * Whether the rounding of float32 exponentials may show. It averages out over frames, but not where a loss is that of a few frames, nor over frames
 * that are the same or alike: see repeats.ts. Says in `closed` which frames do not matter.
 */
function roundingShows(sequence: Sequence): bool {
  countRepeats(sequence, ALIKE_BITS);
  const frames = sequence.frames, repeated = sequence.repeated, loss = sequence.loss;
  const many = repeated > MANY_REPEATS || <f64>repeated * LEAST_LOSS_PER_REPEAT > max<f64>(1, loss)
    || sequence.alike * ONE_ALIKE_IN > frames || isPeriodic(sequence, SHORT >> 1, LONGEST_PERIOD, ONE_PERIODIC_IN);
  sequence.closed = many ? 1 : NEARLY_ALL;
  return many || (loss > LEAST_LOSS && loss < GREATEST_LOSS);
}
