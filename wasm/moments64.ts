// Deviations from the mean, variance and Euclidean norm of float64 along the middle axis of x[outer, axis, inner]. Sums keep what rounding loses, the mean is
// two numbers, and squares are taken in a unit where they would leave the range. A pair of rows, or of columns, fills the lanes.
import { lostOf } from "./sums";
import { bytes } from "./vectors";

/** The elements at an address and so many bytes behind it. */
@inline function pairOf(x: usize, gap: usize): v128 {
  return v128.load64_lane(x + gap, v128.load64_zero(x), 1);
}

@inline function isFinite(x: v128): v128 {
  return f64x2.lt(f64x2.abs(x), f64x2.splat(Infinity));
}

/** The sums of (x - center - rest) / unit, or of the squares of that, over two lines of n elements, `step` bytes apart, and the lines so many. */
function sumsOf(x: usize, gap: usize, step: usize, n: i32, center: v128, rest: v128, unit: v128, squared: bool): v128 {
  let sum = f64x2.splat(0), lost = sum;
  for (; n > 0; n--, x += step) {
    const distance = f64x2.div(f64x2.sub(f64x2.sub(pairOf(x, gap), center), rest), unit);
    const term = squared ? f64x2.mul(distance, distance) : distance, next = f64x2.add(sum, term);
    lost = f64x2.add(lost, lostOf(sum, term, next));
    sum = next;
  }
  return v128.bitselect(f64x2.add(sum, lost), sum, isFinite(lost));
}

/** The means; of what is divided first where the sum leaves the range. */
function meansOf(x: usize, gap: usize, step: usize, n: i32): v128 {
  const zero = f64x2.splat(0), count = f64x2.splat(<f64>n);
  const means = f64x2.div(sumsOf(x, gap, step, n, zero, zero, f64x2.splat(1), false), count), usable = isFinite(means);
  return n == 0 || i64x2.all_true(usable) ? means : v128.bitselect(means, sumsOf(x, gap, step, n, zero, zero, count, false), usable);
}

/** What float64 does not hold of the means. */
function restsOf(x: usize, gap: usize, step: usize, n: i32, means: v128): v128 {
  const sums = sumsOf(x, gap, step, n, means, f64x2.splat(0), f64x2.splat(1), false);
  return v128.and(f64x2.div(sums, f64x2.splat(<f64>n)), isFinite(sums));
}

/** A unit in which squares of the distances have a sum within the range: 1, or where that will not do the largest distance. */
function unitsFor(x: usize, gap: usize, step: usize, n: i32, center: v128, rest: v128, sums: v128): v128 {
  const one = f64x2.splat(1), infinity = f64x2.splat(Infinity), fits = v128.and(f64x2.gt(sums, f64x2.splat(1e-280)), f64x2.lt(sums, infinity));
  if (i64x2.all_true(fits)) return one;
  let most = f64x2.splat(0);
  for (; n > 0; n--, x += step) most = f64x2.max(most, f64x2.abs(f64x2.sub(f64x2.sub(pairOf(x, gap), center), rest)));
  const usable = v128.and(f64x2.gt(most, f64x2.splat(0)), f64x2.lt(most, infinity));
  return v128.bitselect(most, one, v128.andnot(usable, fits));
}

const CENTER = 0, VARIANCE = 1, NORM = 2;

@inline function storePair(out: usize, gap: usize, pair: v128): void {
  v128.store64_lane(out + gap, pair, 1);
  v128.store64_lane(out, pair, 0);
}

/** One of the three for two lines. @param by the divisor of a variance, the factor of a norm */
function momentOf(x: usize, out: usize, gap: usize, outGap: usize, step: usize, n: i32, what: i32, by: f64): void {
  let means = f64x2.splat(0), rests = means;
  if (what != NORM) {
    means = meansOf(x, gap, step, n);
    rests = restsOf(x, gap, step, n, means);
  }
  if (what == CENTER) {
    for (; n > 0; n--, x += step, out += step) storePair(out, gap, f64x2.sub(f64x2.sub(pairOf(x, gap), means), rests));
    return;
  }
  const one = f64x2.splat(1), factor = f64x2.splat(by);
  let sums = sumsOf(x, gap, step, n, means, rests, one, true);
  const units = unitsFor(x, gap, step, n, means, rests, sums);
  if (!i64x2.all_true(f64x2.eq(units, one))) sums = sumsOf(x, gap, step, n, means, rests, units, true);
  storePair(out, outGap, what == NORM ? f64x2.mul(f64x2.sqrt(sums), f64x2.mul(units, factor)) : f64x2.mul(f64x2.mul(units, f64x2.div(sums, factor)), units));
}

function moments(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, what: i32, by: f64): void {
  const row = bytes<f64>(axis), stride = bytes<f64>(inner), keeps = what == CENTER;
  if (inner == 1) {
    const apart = keeps ? row : 8;
    for (let o = 0; o < outer; o += 2, x += 2 * row, out += 2 * apart) {
      const single = o + 1 == outer;
      momentOf(x, out, single ? 0 : row, single ? 0 : apart, 8, axis, what, by);
    }
    return;
  }
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += keeps ? <usize>axis * stride : stride) {
    for (let c = 0; c < columns; c += 2) {
      const at = bytes<f64>(c), gap: usize = c + 1 == columns ? 0 : 8;
      momentOf(x + at, out + at, gap, gap, stride, axis, what, by);
    }
  }
}

export function centerF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  moments(x, out, outer, axis, inner, columns, CENTER, 1);
}

export function varianceF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, correction: f64): void {
  moments(x, out, outer, axis, inner, columns, VARIANCE, <f64>axis - correction);
}

export function normF64(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32, scale: f64): void {
  moments(x, out, outer, axis, inner, columns, NORM, scale);
}
