/**
 * The inner loops of linear.ts: four frames of CTC's recursion over a band of cells, in float64, two cells a vector. Cell i holds the blank before label i and label i.
 */
import { highPair, lowPair } from '../lanes';

/** Where states are bounded: forward ones below this become 0, backward ones are raised to it. Four frames of ordinary emissions below it are still normal numbers. */
@inline export const STATE_FLOOR: f64 = 1.3007557725152497e-259;
/** The same where blanks are kept, for sure.ts, with emissions that are far from ordinary: 2^-640 of the greatest state is e^-443. */
@inline const SURE_STATE_FLOOR: f64 = 4.909093465297727e-91;

@inline function both(x: f64): v128 { return f64x2.splat(x); }
@inline function add(a: v128, b: v128): v128 { return f64x2.add(a, b); }
@inline function mul(a: v128, b: v128): v128 { return f64x2.mul(a, b); }
/** [previous[1], current[0]]: every cell's left neighbour. */
@inline function leftOf(previous: v128, current: v128): v128 { return v128.shuffle<f64>(previous, current, 1, 2); }
/** [current[1], next[0]]: every cell's right neighbour. */
@inline function rightOf(current: v128, next: v128): v128 { return v128.shuffle<f64>(current, next, 1, 2); }
@inline function lowOf(a: v128, b: v128): v128 { return v128.shuffle<f64>(a, b, 0, 2); }
@inline function highOf(a: v128, b: v128): v128 { return v128.shuffle<f64>(a, b, 1, 3); }
@inline function greater(x: v128): f64 { return max<f64>(f64x2.extract_lane(x, 0), f64x2.extract_lane(x, 1)); }

/**
 * Four frames' emissions of the blank (slot 0), the distinct labels and, always 0, the dummy label, as float64: what both passes read. The
 * forward pass takes off what stands for "impossible" and rescales in its first frame, the backward pass in its first one, the last.
 */
@inline export function loadEmissions(forward: bool, upwards: bool, block: usize, floor: v128, distinct: usize, slots: i32, emissions: usize, scale: f64): void {
  const first = f64x2.replace_lane(both(1), 0, scale), last = f64x2.replace_lane(both(1), 1, scale);
  const end = distinct + (<usize>slots << 2);
  let at = distinct, to = emissions;
  do {
    const e = v128.load(block + load<u32>(at)), x = upwards ? e : f32x4.sub(e, floor);
    v128.store(to, forward ? mul(lowPair(x), first) : lowPair(x));
    v128.store(to, forward ? highPair(x) : mul(highPair(x), last), 16);
    at += 4; to += 32;
  } while (at < end);
}

/**
 * Four frames of the forward pass over cells [lo, hi). `slotAt` says where in `emissions` each cell's label lies.
 * `blanks` is updated in place, `before` is the labels' row of the frame before,
 * `history` the first of the four rows to be written (`row` bytes apart; 0 keeps only the newest); where blanks are `kept` as well, their rows are at
 * `kept` bytes behind. Where cells are `gauged`, `ratios` has what the left neighbour's states are multiplied by. Returns the greatest state.
 */
@inline export function forwardBlock(
  gauged: bool, upwards: bool, keeps: bool, emissions: usize, slotAt: usize, skip: usize, blanks: usize, before: usize, history: usize, row: usize,
  kept: usize, ratios: usize, carry: f64, lo: i32, hi: i32,
): f64 {
  const w0 = v128.load64_splat(emissions), w1 = v128.load64_splat(emissions, 8);
  const w2 = v128.load64_splat(emissions, 16), w3 = v128.load64_splat(emissions, 24);
  const tiny = both(keeps ? SURE_STATE_FLOOR : STATE_FLOOR);
  const history1 = history + row, history2 = history1 + row, history3 = history2 + row;
  let left0 = both(carry), left1 = both(0), left2 = both(0), left3 = both(0), greatest = both(0);
  const end = <usize>hi << 3;
  let i = <usize>lo << 3;
  do {
    const at = slotAt + (i >> 1), first = emissions + load<u32>(at), second = emissions + load<u32>(at, 4);
    const first01 = v128.load(first), second01 = v128.load(second);
    const mask = v128.load(skip + i), ratio = gauged ? v128.load(ratios + i) : mask;
    let b = v128.load(blanks + i), l = v128.load(before + i), s = leftOf(left0, l);
    left0 = l;
    if (gauged) s = mul(s, ratio);
    l = mul(add(add(b, l), v128.and(s, mask)), lowOf(first01, second01)); b = mul(add(b, s), w0);
    v128.store(history + i, l);
    if (keeps) v128.store(history + kept + i, b);
    s = leftOf(left1, l); left1 = l;
    if (gauged) s = mul(s, ratio);
    l = mul(add(add(b, l), v128.and(s, mask)), highOf(first01, second01)); b = mul(add(b, s), w1);
    v128.store(history1 + i, l);
    if (keeps) v128.store(history1 + kept + i, b);
    const first23 = v128.load(first, 16), second23 = v128.load(second, 16);
    s = leftOf(left2, l); left2 = l;
    if (gauged) s = mul(s, ratio);
    l = mul(add(add(b, l), v128.and(s, mask)), lowOf(first23, second23)); b = mul(add(b, s), w2);
    v128.store(history2 + i, l);
    if (keeps) v128.store(history2 + kept + i, b);
    s = leftOf(left3, l); left3 = l;
    if (gauged) s = mul(s, ratio);
    l = mul(add(add(b, l), v128.and(s, mask)), highOf(first23, second23)); b = mul(add(b, s), w3);
    b = upwards ? f64x2.pmax(b, tiny) : v128.and(b, f64x2.ge(b, tiny)); l = upwards ? f64x2.pmax(l, tiny) : v128.and(l, f64x2.ge(l, tiny));
    v128.store(history3 + i, l);
    if (keeps) v128.store(history3 + kept + i, b);
    v128.store(blanks + i, b);
    greatest = f64x2.pmax(greatest, f64x2.pmax(b, l));
    i += 16;
  } while (i < end);
  return greater(greatest);
}

/** A label's state times what the pass forward has left at `at`; or, of a pass that `stores` its states for later, the state itself, which is put there. */
@inline function meet(gauged: bool, stores: bool, at: usize, weight: v128, state: v128): v128 {
  if (stores) { v128.store(at, state); return state; }
  return mul(gauged ? mul(v128.load(at), weight) : v128.load(at), state);
}

/** Adds two cells' products of four frames to the sums of their labels. */
@inline function addProducts(first: usize, second: usize, g0: v128, g1: v128, g2: v128, g3: v128): void {
  v128.store(first, add(v128.load(first), lowOf(g0, g1)));
  v128.store(first, add(v128.load(first, 16), lowOf(g2, g3)), 16);
  v128.store(second, add(v128.load(second), highOf(g0, g1)));
  v128.store(second, add(v128.load(second, 16), highOf(g2, g3)), 16);
}

/**
 * Four frames of the backward pass over cells [lo, hi), from the last frame to the first. `blanks` and `labels` hold the states times
 * emission of the frame after and are updated in place; the products with the forward labels are added up in `sums`, laid out as
 * `emissions`; those of blanks as well where the pass forward `keeps` them, else the blank's sum is left alone. Where cells are `gauged`, `ratios` has what
 * the right neighbour's states are multiplied by, and `weights` what the products are. Where it `stores`, there are no products: the labels' states go to
 * `history`, for `productBlock`. `inflow` is what cell `hi` passes to its left neighbour. Returns the greatest state.
 */
@inline export function backwardBlock(
  gauged: bool, keeps: bool, stores: bool, emissions: usize, slotAt: usize, skip: usize, blanks: usize, labels: usize, history: usize, row: usize, kept: usize,
  sums: usize, ratios: usize, weights: usize, inflow: f64, lo: i32, hi: i32,
): f64 {
  const w0 = v128.load64_splat(emissions), w1 = v128.load64_splat(emissions, 8);
  const w2 = v128.load64_splat(emissions, 16), w3 = v128.load64_splat(emissions, 24);
  const tiny = both(keeps ? SURE_STATE_FLOOR : STATE_FLOOR);
  const history1 = history + row, history2 = history1 + row, history3 = history2 + row;
  let right3 = both(inflow), right2 = both(0), right1 = both(0), right0 = both(0), greatest = both(0);
  let blank3 = both(0), blank2 = blank3, blank1 = blank3, blank0 = blank3;
  const end = <usize>lo << 3;
  let i = <usize>hi << 3;
  do {
    i -= 16;
    const at = slotAt + (i >> 1), firstAt = <usize>load<u32>(at), secondAt = <usize>load<u32>(at, 4);
    const first23 = v128.load(emissions + firstAt, 16), second23 = v128.load(emissions + secondAt, 16);
    const mask = v128.load(skip + i), ratio = gauged ? v128.load(ratios + i) : mask, weight = gauged && !stores ? v128.load(weights + i) : mask;
    let b = v128.load(blanks + i), l = v128.load(labels + i);
    let h = add(b, v128.and(l, mask)), onward = rightOf(h, right3);
    right3 = h;
    let state = add(l, gauged ? mul(onward, ratio) : onward);
    const g3 = meet(gauged, stores, history3 + i, weight, state);
    b = add(b, l);
    if (keeps) blank3 = add(blank3, mul(v128.load(history3 + kept + i), b));
    b = mul(b, w3); l = mul(state, highOf(first23, second23));
    h = add(b, v128.and(l, mask)); onward = rightOf(h, right2); right2 = h;
    state = add(l, gauged ? mul(onward, ratio) : onward);
    const g2 = meet(gauged, stores, history2 + i, weight, state);
    b = add(b, l);
    if (keeps) blank2 = add(blank2, mul(v128.load(history2 + kept + i), b));
    b = mul(b, w2); l = mul(state, lowOf(first23, second23));
    const first01 = v128.load(emissions + firstAt), second01 = v128.load(emissions + secondAt);
    h = add(b, v128.and(l, mask)); onward = rightOf(h, right1); right1 = h;
    state = add(l, gauged ? mul(onward, ratio) : onward);
    const g1 = meet(gauged, stores, history1 + i, weight, state);
    b = add(b, l);
    if (keeps) blank1 = add(blank1, mul(v128.load(history1 + kept + i), b));
    b = mul(b, w1); l = mul(state, highOf(first01, second01));
    h = add(b, v128.and(l, mask)); onward = rightOf(h, right0); right0 = h;
    state = add(l, gauged ? mul(onward, ratio) : onward);
    const g0 = meet(gauged, stores, history + i, weight, state);
    b = add(b, l);
    if (keeps) blank0 = add(blank0, mul(v128.load(history + kept + i), b));
    b = f64x2.pmax(mul(b, w0), tiny); l = f64x2.pmax(mul(state, lowOf(first01, second01)), tiny);
    v128.store(blanks + i, b); v128.store(labels + i, l);
    greatest = f64x2.pmax(greatest, f64x2.pmax(b, l));
    if (!stores) addProducts(sums + firstAt, sums + secondAt, g0, g1, g2, g3);
  } while (i > end);
  if (keeps) {
    v128.store(sums, add(lowOf(blank0, blank1), highOf(blank0, blank1)));
    v128.store(sums, add(lowOf(blank2, blank3), highOf(blank2, blank3)), 16);
  }
  return greater(greatest);
}

/**
 * The products of four frames' states over cells [lo, hi), of `alphas` that `forwardBlock` has left and `betas` that `backwardBlock` has stored, added to
 * `sums` in the order in which that one adds them.
 */
@inline export function productBlock(
  gauged: bool, slotAt: usize, alphas: usize, betas: usize, row: usize, sums: usize, weights: usize, lo: i32, hi: i32,
): void {
  const end = <usize>lo << 3;
  let i = <usize>hi << 3;
  do {
    i -= 16;
    const at = slotAt + (i >> 1), weight = gauged ? v128.load(weights + i) : both(0), a = alphas + i, b = betas + i;
    const g3 = meet(gauged, false, a + 3 * row, weight, v128.load(b + 3 * row)), g2 = meet(gauged, false, a + 2 * row, weight, v128.load(b + 2 * row));
    const g1 = meet(gauged, false, a + row, weight, v128.load(b + row)), g0 = meet(gauged, false, a, weight, v128.load(b));
    addProducts(sums + load<u32>(at), sums + load<u32>(at, 4), g0, g1, g2, g3);
  } while (i > end);
}
