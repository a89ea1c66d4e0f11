/**
 * How much of an alignment all alignments share: the posterior, at each frame that the path spends on a label, of being in that very label, where
 * `ctcPosterior` has that of its class. One pass forward and one backward over the lattice; only states on the path are kept.
 *
 * States are probabilities, relative to each frame's greatest emission and rescaled by powers of two. A float64 reaches e^-700 below a
 * frame's greatest state; where that is not enough, the path's own states vanish or the two passes do not come to the same, and both are
 * done again with logarithms.
 */
import { Problem, at, put } from './align-problem';
import { logAdd } from './log';

/** What both passes must agree to. */
const AGREEMENT: f64 = 1e-8;
/** A state on the path below this has lost digits. */
const FAINT: f64 = 1e-280;

/** The logarithm of all that the frames' emissions have been divided by. */
let shift: f64 = 0;

@inline function zero(logs: bool): f64 { return logs ? -Infinity : 0; }
@inline function one(logs: bool): f64 { return logs ? 0 : 1; }
@inline function plus(a: f64, b: f64, logs: bool): f64 { return logs ? logAdd(a, b) : a + b; }
@inline function times(a: f64, b: f64, logs: bool): f64 { return logs ? a + b : a * b; }
@inline function logOf(a: f64, logs: bool): f64 { return logs ? a : NativeMath.log(a); }
@inline function emission(p: Problem, i: i32): f64 { return load<f64>(p.emissions + load<u32>(p.slotAt + (<usize>i << 2))); }
@inline function maySkip(p: Problem, i: i32): bool { return at(p.skip, i) == 0; }

/** Emissions of a frame by slots, times `scale`. */
function fill<T>(p: Problem, t: i32, constants: v128, closing: f64, scale: f64, logs: bool): void {
  const row = p.scores + <usize>t * p.stride;
  let top = p.constant;
  for (let s = 0; s < p.classSlots; s++) top = max(top, <f64>load<T>(row + load<u32>(p.classOf + (<usize>s << 2))));
  if (top == -Infinity) top = 0;
  for (let s = 0; s < p.classSlots; s++) putEmission(p, s, <f64>load<T>(row + load<u32>(p.classOf + (<usize>s << 2))) - top, scale, logs);
  putEmission(p, p.classSlots, f64x2.extract_lane(constants, 0) - top, scale, logs);
  putEmission(p, p.classSlots + 1, f64x2.extract_lane(constants, 1) - top, scale, logs);
  putEmission(p, p.classSlots + 2, closing - top, scale, logs);
  putEmission(p, p.classSlots + 3, -Infinity, scale, logs);
  shift += top;
}
@inline function putEmission(p: Problem, slot: i32, x: f64, scale: f64, logs: bool): void {
  store<f64>(p.emissions + (<usize>slot << 5), logs ? x : NativeMath.exp(x) * scale);
}

/** The power of two that brings a frame's greatest state back to about 1; its logarithm goes to the shift. */
@inline function rescale(greatest: f64, logs: bool): f64 {
  if (logs || (greatest > 1e-60 && greatest < 1e60) || greatest == 0) return 1;
  const exponent = <i32>(reinterpret<u64>(greatest) >> 52 & 2047) - 1023;
  shift += <f64>exponent * NativeMath.LN2;
  return reinterpret<f64>(<u64>(1023 - exponent) << 52);
}

@inline function clear(p: Problem, logs: bool): void {
  for (let i = 0; i < p.labels + 2; i++) { put(p.blanks, i, zero(logs)); put(p.states, i, zero(logs)); }
}
/** Cells that can be reached by frame t, and whose end can still be reached from it. */
@inline function firstOf(p: Problem, t: i32): i32 { return max(0, p.labels - (p.closes ? 2 : 1) - (p.frames - 1 - t)); }
@inline function endOf(p: Problem, t: i32): i32 { return min(p.labels + 1, t + 2); }
/** The cell of the label that the path is at, -1 if it is at none of the target's. */
@inline function cellOf(p: Problem, t: i32): i32 {
  const index = load<i32>(p.path + (<usize>t << 2));
  return index < 0 ? -1 : index + (p.opens ? 1 : 0);
}

/** Writes the logarithm of the path's state at each frame, all alignments up to there; returns that of the whole, NaN if a state is too faint. */
function forward<T>(p: Problem, constants: v128, closing: f64, posterior: usize, logs: bool): f64 {
  clear(p, logs);
  put(p.opens ? p.states : p.blanks, 0, one(logs));
  shift = 0;
  let scale: f64 = 1;
  for (let t = 0; t < p.frames; t++) {
    fill<T>(p, t, constants, closing, scale, logs);
    const blank = load<f64>(p.emissions), first = firstOf(p, t);
    let greatest: f64 = 0;
    for (let i = endOf(p, t) - 1; i >= first; i--) {
      const b = at(p.blanks, i), left = i > 0 ? at(p.states, i - 1) : zero(logs);
      let l = plus(at(p.states, i), b, logs);
      if (maySkip(p, i)) l = plus(l, left, logs);
      l = times(l, emission(p, i), logs);
      const stay = times(plus(b, left, logs), blank, logs);
      put(p.states, i, l); put(p.blanks, i, stay);
      if (!logs) greatest = max(greatest, max(l, stay));
    }
    const cell = cellOf(p, t);
    if (cell >= 0) {
      const x = at(p.states, cell);
      if (!logs && !(x > FAINT * greatest)) return NaN;
      put(posterior, t, logOf(x, logs) + shift);
    }
    scale = rescale(greatest, logs);
  }
  const n = p.labels - (p.closes ? 1 : 0);
  let sum = at(p.blanks, n);
  if (n > 0) sum = plus(sum, at(p.states, n - 1), logs);
  if (p.closes) sum = plus(sum, at(p.states, n), logs);
  // The last frame's scale has not been used.
  return logOf(times(sum, logs ? 0 : scale, logs), logs) + shift;
}

/** Adds what may follow the path's states; returns the logarithm of the whole, NaN if a state is too faint. */
function backward<T>(p: Problem, constants: v128, closing: f64, posterior: usize, logs: bool): f64 {
  clear(p, logs);
  shift = 0;
  const n = p.labels - (p.closes ? 1 : 0);
  let scale: f64 = 1;
  for (let t = p.frames - 1; t >= -1; t--) {
    const first = max(firstOf(p, t), 0), end = endOf(p, t);
    let greatest: f64 = 0;
    if (t == p.frames - 1) {
      put(p.blanks, n, one(logs));
      if (n > 0) put(p.states, n - 1, one(logs));
      if (p.closes) put(p.states, n, one(logs));
      greatest = 1;
    } else
      for (let i = first; i < end; i++) {
        const l = at(p.states, i), next = at(p.states, i + 1), after = at(p.blanks, i + 1);
        put(p.blanks, i, plus(at(p.blanks, i), l, logs));
        let x = plus(l, after, logs);
        if (maySkip(p, i + 1)) x = plus(x, next, logs);
        put(p.states, i, x);
        if (!logs) greatest = max(greatest, max(x, at(p.blanks, i)));
      }
    if (t < 0) break;
    const cell = cellOf(p, t);
    if (cell >= 0) {
      const x = at(p.states, cell);
      if (!logs && !(x > FAINT * greatest)) return NaN;
      put(posterior, t, at(posterior, t) + logOf(x, logs) + shift);
    }
    scale = rescale(greatest, logs);
    fill<T>(p, t, constants, closing, scale, logs);
    const blank = load<f64>(p.emissions);
    for (let i = first; i < end; i++) {
      put(p.states, i, times(at(p.states, i), emission(p, i), logs));
      put(p.blanks, i, times(at(p.blanks, i), blank, logs));
    }
  }
  return logOf(p.opens ? at(p.states, 0) : at(p.blanks, 0), logs) + shift;
}

/** The posteriors of a path, float64, one a frame; 0 where it is at no label. The tables of emissions are not usable afterwards. */
export function occupancy<T>(p: Problem, posterior: usize): void {
  const at0 = p.emissions + (<usize>p.classSlots << 5);
  const constants = f64x2.replace_lane(f64x2.splat(load<f64>(at0)), 1, load<f64>(at0, 32)), closing = load<f64>(at0, 64);
  let whole = forward<T>(p, constants, closing, posterior, false);
  const back = isNaN(whole) ? NaN : backward<T>(p, constants, closing, posterior, false);
  if (!(abs(whole - back) <= AGREEMENT * max<f64>(1, 1e-3 * <f64>p.frames))) {
    whole = forward<T>(p, constants, closing, posterior, true);
    backward<T>(p, constants, closing, posterior, true);
  }
  for (let t = 0; t < p.frames; t++) put(posterior, t, cellOf(p, t) >= 0 ? min<f64>(1, NativeMath.exp(at(posterior, t) - whole)) : 0);
}
