/**
 * A scale of its own for every cell: in long sequences, or where labels are far less likely than the blank, states differ along the target by more than
 * float64's exponents hold. Cell i's states are 2 to its gauge as large as they are written down. Before every block each cell's greater state is brought to
 * 2^TOP_EXPONENT and its gauge changed for that; what passes from one cell to the next is multiplied by the ratio of their scales, and a product of both
 * passes by that of theirs to the whole's.
 *
 * Scales are powers of two, so that bounds stay bounds and nothing rounds. A state that is too small beside its own cell's, or a neighbour's that is too
 * small beside this one's, is rounded as anywhere: towards 0 by a pass that bounds from below, upwards by one that bounds from above.
 */
import { STATE_FLOOR } from './recursion';
import { GREATEST_RESCALE } from './route';
import { Sequence, cellsOf, endCell, firstCell } from './sequence';

/** Exponent that the greatest state is steered to; the product of two states and eight frames' growth stay finite. */
@inline export const TOP_EXPONENT: i32 = 340;
/**
 * How many bits a cell's gauge may be below that of the one before it, in a pass's direction: a state gets larger by so many and an emission's 14 in a
 * frame, so that it is below 2^660 at the end of its block.
 */
@inline const STEEPEST: i32 = 64;
@inline const NO_LIMIT: i32 = i32.MIN_VALUE >> 1;
/** The greatest power of two that products are weighted with: times the greatest state it is finite. */
@inline const GREATEST_WEIGHT: i32 = 360;

@inline export function exponentOf(x: f64): i32 { return <i32>(reinterpret<i64>(x) >>> 52 & 2047) - 1023; }
/** 2^k for -1022 <= k <= 1023. */
@inline export function powerOfTwo(k: i32): f64 { return reinterpret<f64>(<i64>(k + 1023) << 52); }
@inline export function clampRescale(k: i32): i32 { return min(max(k, -GREATEST_RESCALE), GREATEST_RESCALE); }

/** 2^k, or what bounds that from below, or (Infinity then) from above. */
@inline function boundOfPower(k: i32, upwards: bool): f64 {
  if (k < -1022) return upwards ? powerOfTwo(-1022) : 0;
  return k > 1023 ? (upwards ? Infinity : powerOfTwo(1023)) : powerOfTwo(k);
}

/** The gauge that brings a cell's greater state to the top; not so far below that of the cell which it gets more from that this would overflow. */
@inline function gaugeFor(most: f64, old: i32, upstream: i32): i32 { return max(old + clampRescale(exponentOf(most) - TOP_EXPONENT), upstream - STEEPEST); }

@inline function atLeast(state: f64, upwards: bool): f64 { return upwards ? max<f64>(state, STATE_FLOOR) : state; }

/** Bytes of the gauges, an int32 a cell: of the pass forward in every block (without a gradient, in two that take turns), and of the pass backward. */
export function gaugeBytes(blocks: i32, cells: i32, withGradient: bool): usize {
  const rows: usize = withGradient ? <usize>blocks + 1 : 2;
  return rows * (<usize>cells << 2);
}

@inline function rowAt(sequence: Sequence, row: i32): usize { return sequence.gauges + <usize>row * (<usize>cellsOf(sequence.labels) << 2); }
@inline function gaugesOf(sequence: Sequence, k: i32): usize { return rowAt(sequence, sequence.gradient ? k : k & 1); }
/** Those of the pass backward: one row behind, or, where they are stored, one for every block, in place of the pass forward's. */
@inline function backwardGauges(sequence: Sequence, k: i32, stored: bool): usize { return rowAt(sequence, stored ? k : (sequence.frames + 3) >> 2); }

/**
 * Levels the states of the pass forward for block k, of cells from `from` up to all that it reaches. `before` is the labels' row of the frame before; what is
 * levelled of it goes to `sequence.betas`, for the row itself belongs to its own block.
 */
export function levelForward(sequence: Sequence, k: i32, before: usize, from: i32, upwards: bool): void {
  const now = gaugesOf(sequence, k), then = gaugesOf(sequence, k - 1), blanks = sequence.blanks, levelled = sequence.betas, labels = sequence.labels;
  const reached = k > 0 ? endCell(labels, (k << 2) - 1) : 0, reach = endCell(labels, (k << 2) + 3);
  let left = k > 0 ? NO_LIMIT : 0;
  for (let i = from; i < reach; i++) {
    const at = <usize>i << 3;
    let gauge = left, label: f64 = 0;
    if (i < reached) {
      const b = load<f64>(blanks + at), l = load<f64>(before + at), most = max<f64>(b, l);
      if (most > 0) {
        const old = load<i32>(then + (<usize>i << 2));
        gauge = gaugeFor(most, old, left);
        const factor = boundOfPower(old - gauge, false);
        store<f64>(blanks + at, atLeast(b * factor, upwards));
        label = atLeast(l * factor, upwards);
      }
    }
    store<f64>(levelled + at, label);
    store<i32>(now + (<usize>i << 2), gauge);
    store<f64>(sequence.ratios + at, i > from ? boundOfPower(left - gauge, upwards) : 1);
    left = gauge;
  }
}

/** The gauge of the last cell at the end of the pass forward. */
export function lastGauge(sequence: Sequence): i32 {
  return load<i32>(gaugesOf(sequence, ((sequence.frames + 3) >> 2) - 1) + (<usize>sequence.labels << 2));
}

/**
 * The same for the pass backward, before block k. Its states so far are those of cells [reached, end), the first ones if it `isFirst`. Where it `stores` its
 * states, the gauges of every block are kept as well.
 */
export function levelBackward(sequence: Sequence, k: i32, isFirst: bool, stores: bool, reached: i32, end: i32): void {
  const labels = sequence.labels, own = backwardGauges(sequence, k, stores), then = backwardGauges(sequence, k + 1, stores);
  const reach = firstCell(labels, sequence.frames, k << 2);
  let right = isFirst ? 0 : NO_LIMIT;
  for (let i = end - 1; i >= reach; i--) {
    const at = <usize>i << 3;
    let gauge = isFirst ? 0 : right;
    if (!isFirst && i >= reached) {
      const b = load<f64>(sequence.blanks + at), l = load<f64>(sequence.betas + at), most = max<f64>(b, l);
      if (most > 0) {
        const old = load<i32>(then + (<usize>i << 2));
        gauge = gaugeFor(most, old, right);
        const factor = boundOfPower(old - gauge, false);
        store<f64>(sequence.blanks + at, atLeast(b * factor, true));
        store<f64>(sequence.betas + at, atLeast(l * factor, true));
      }
    }
    store<i32>(own + (<usize>i << 2), gauge);
    store<f64>(sequence.ratios + at, i < end - 1 && i < labels ? boundOfPower(right - gauge, true) : 1);
    right = i > labels ? NO_LIMIT : gauge;
  }
}

/**
 * Whether the pass forward has not come to label i by the end of block k: equal neighbours take longer than `endCell` knows. Its gauge says nothing then, and
 * products are 0 by any weight.
 */
function isUnreached(sequence: Sequence, k: i32, i: i32): bool {
  const row = sequence.row, at = sequence.history + <usize>((k << 2) + 1) * row + (<usize>i << 3);
  return load<f64>(at) == 0 && load<f64>(at + row) == 0 && load<f64>(at + 2 * row) == 0 && load<f64>(at + 3 * row) == 0;
}

/**
 * Sets the weights of block k's products, in cells [lo, hi), from the gauges of both passes. `scale` is what the scales of both passes are without the
 * cells' own, less that of the probability. Returns false where one is too great.
 */
export function weighProducts(sequence: Sequence, backward: Sequence, stored: bool, k: i32, lo: i32, hi: i32, scale: i32): bool {
  const forward = gaugesOf(sequence, k), own = backwardGauges(backward, k, stored), labels = sequence.labels;
  for (let i = lo; i < hi; i++) {
    const at = <usize>i << 2;
    // Beyond the labels nothing is read forward.
    let weight = i < labels ? load<i32>(forward + at) + load<i32>(own + at) - scale : 0;
    if (weight > GREATEST_WEIGHT) {
      if (!isUnreached(sequence, k, i)) return false;
      weight = NO_LIMIT;
    }
    store<f64>(sequence.weights + (at << 1), boundOfPower(weight, false));
  }
  return true;
}

/** The gauge of the first cell at the end of the pass backward. */
@inline export function firstGauge(sequence: Sequence, stored: bool): i32 { return load<i32>(backwardGauges(sequence, 0, stored)); }
