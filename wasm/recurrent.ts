// Whole sequences through LSTM and GRU cells, and their vjps: a product by packed weights and one pass over gates and states for each frame.
//
// Frames come first, [frames, batch, ...], and are read from the end where `reverse`. States are [cells and the like, frames + 1, batch, hidden]: what
// stands before a frame and what stands behind it are neighbours, the start is the first that is read. Each sequence ends at its own count of frames;
// beyond it the states stay. Rows [first, last) of the batch are computed: they are independent of the others.
//
// Where `place` is not 0, a library forms the products: only the frame in that place is computed, counted from 1 in the order of walking, its product being
// there already (`gates` of the LSTM, `scratch` of the GRU) or formed from the result (the vjps'). The caller sees to the start.
import { expNegative, tanh as tanhInlined } from "./math";
import { addProduct, stripsBytes } from "./matmul-packed";
import { address } from "./matmul-tile";
import { addRun } from "./runs";
import { storeVector, vectorAt } from "./vectors";

/** Bytes of scratch memory for any of these functions. */
export function recurrentScratch(rows: i32, hidden: i32): usize {
  return stripsBytes(rows, 4 * hidden) + (<usize>(rows * 3 * hidden) << 2);
}

// Calls of these cost less than what they bring: each would be inlined four times.
function tanh(x: v128): v128 {
  return tanhInlined(x);
}

/** 1 / (1 + e^-x), without overflow. */
function sigmoid(x: v128): v128 {
  const one = f32x4.splat(1), e = expNegative(f32x4.neg(f32x4.abs(x)));
  return f32x4.div(v128.bitselect(e, one, f32x4.lt(x, f32x4.splat(0))), f32x4.add(one, e));
}

/** y (1 - y): a sigmoid's derivative by its result. */
@inline function slope(y: v128): v128 {
  return f32x4.mul(y, f32x4.sub(f32x4.splat(1), y));
}

/** 1 - y^2: a hyperbolic tangent's. */
@inline function slopeOfTanh(y: v128): v128 {
  return f32x4.sub(f32x4.splat(1), f32x4.mul(y, y));
}

/** The bias, and `also` where it is not 0, in each of the rows, or added to what they hold. */
function startRows(out: usize, bias: usize, also: usize, rows: i32, width: i32, add: bool): void {
  const bytes = <usize>width << 2;
  for (let r = 0; r < rows; r++, out += bytes) {
    if (add) addRun(bias, out, width);
    else memory.copy(out, bias, bytes);
    if (also != 0) {
      addRun(also, out, width);
      also += bytes;
    }
  }
}

@inline function isOver(counts: usize, n: i32, t: i32): bool {
  return t >= load<i32>(address(counts, n));
}

/** Copies the rows of sequences that are over in a frame. */
function copyOver(from: usize, to: usize, counts: usize, first: i32, last: i32, t: i32, row: usize): void {
  for (let n = first; n < last; n++, from += row, to += row) if (isOver(counts, n, t)) memory.copy(to, from, row);
}

/** Adds a frame's product to what is passed on, of the sequences that are not over: 0 times an infinite weight is NaN. */
function passProduct(at: usize, panels: usize, carried: usize, counts: usize, scratch: usize, first: i32, last: i32, t: i32, hidden: i32, width: i32): void {
  const rows = last - first, row = <usize>hidden << 2, kept = scratch + stripsBytes(rows, 4 * hidden);
  copyOver(carried, kept, counts, first, last, t, row);
  addProduct(at, panels, carried, scratch, rows, hidden, width);
  copyOver(kept, carried, counts, first, last, t, row);
}

/** Gate order i, f, g, o. `gates` [frames, batch, 4 hidden] receives what they let through, for the vjp. States are h and c. */
export function lstm(
  projected: usize, panels: usize, bias: usize, start: usize, counts: usize, states: usize, gates: usize, scratch: usize,
  frames: i32, batch: i32, hidden: i32, reverse: bool, first: i32, last: i32, place: i32,
): void {
  const row = <usize>hidden << 2, slot = <usize>batch * row, cells = <usize>(frames + 1) * slot, rows = last - first, width = 4 * hidden;
  const begin = states + (reverse ? <usize>frames * slot : 0) + <usize>first * row;
  if (place == 0) {
    memory.copy(begin, start + <usize>first * row, <usize>rows * row);
    memory.copy(begin + cells, start + slot + <usize>first * row, <usize>rows * row);
  }
  for (let k = max(place - 1, 0); k < (place == 0 ? frames : place); k++) {
    const t = reverse ? frames - 1 - k : k, at = address(gates, (t * batch + first) * width);
    let before = states + <usize>(reverse ? t + 1 : t) * slot + <usize>first * row, after = states + <usize>(reverse ? t : t + 1) * slot + <usize>first * row;
    startRows(at, bias, address(projected, (t * batch + first) * width), rows, width, place != 0);
    if (place == 0) addProduct(before, panels, at, scratch, rows, width, hidden);
    let gate = at;
    for (let n = first; n < last; n++, before += row, after += row, gate += 4 * row) {
      if (isOver(counts, n, t)) {
        memory.copy(after, before, row);
        memory.copy(after + cells, before + cells, row);
        continue;
      }
      for (let j = 0; j < hidden; j += 4) {
        const left = hidden - j, to = <usize>j << 2, own = gate + to;
        const i = sigmoid(vectorAt<f32>(own, left)), f = sigmoid(vectorAt<f32>(own + row, left));
        const g = tanh(vectorAt<f32>(own + 2 * row, left)), o = sigmoid(vectorAt<f32>(own + 3 * row, left));
        const c = f32x4.add(f32x4.mul(f, vectorAt<f32>(before + cells + to, left)), f32x4.mul(i, g));
        storeVector<f32>(own, i, left);
        storeVector<f32>(own + row, f, left);
        storeVector<f32>(own + 2 * row, g, left);
        storeVector<f32>(own + 3 * row, o, left);
        storeVector<f32>(after + cells + to, c, left);
        storeVector<f32>(after + to, f32x4.mul(o, tanh(c)), left);
      }
    }
  }
}

/**
 * From the cotangent g of the states: `projected` receives that of the gates before their functions, which is the projected input's and the product's,
 * `start` [2, batch, hidden] that of the first states. `panels` are the weights [4 hidden, hidden], not transposed.
 */
export function lstmVjp(
  g: usize, states: usize, gates: usize, panels: usize, counts: usize, projected: usize, start: usize, scratch: usize,
  frames: i32, batch: i32, hidden: i32, reverse: bool, first: i32, last: i32, place: i32,
): void {
  const row = <usize>hidden << 2, slot = <usize>batch * row, cells = <usize>(frames + 1) * slot, rows = last - first, width = 4 * hidden;
  // What is passed on to the frame before is kept in `start`.
  const carried = start + <usize>first * row;
  if (place == 0) {
    memory.fill(carried, 0, <usize>rows * row);
    memory.fill(carried + slot, 0, <usize>rows * row);
  }
  for (let k = place == 0 ? frames - 1 : frames - place; k >= (place == 0 ? 0 : max(frames - place, 0)); k--) {
    const t = reverse ? frames - 1 - k : k, skipped = <usize>first * row;
    let before = states + <usize>(reverse ? t + 1 : t) * slot + skipped;
    const behind = <usize>(reverse ? t : t + 1) * slot + skipped;
    let after = states + behind, given = g + behind, held = carried;
    const at = address(projected, (t * batch + first) * width);
    let gate = address(gates, (t * batch + first) * width), out = at;
    for (let n = first; n < last; n++, before += row, after += row, given += row, held += row, gate += 4 * row, out += 4 * row) {
      addRun(given, held, hidden);
      addRun(given + cells, held + slot, hidden);
      if (isOver(counts, n, t)) {
        memory.fill(out, 0, 4 * row);
        continue;
      }
      for (let j = 0; j < hidden; j += 4) {
        const left = hidden - j, to = <usize>j << 2, own = gate + to, into = out + to;
        const i = vectorAt<f32>(own, left), f = vectorAt<f32>(own + row, left), c = vectorAt<f32>(own + 2 * row, left), o = vectorAt<f32>(own + 3 * row, left);
        const shown = tanh(vectorAt<f32>(after + cells + to, left)), dh = vectorAt<f32>(held + to, left);
        const dc = f32x4.add(vectorAt<f32>(held + slot + to, left), f32x4.mul(f32x4.mul(dh, o), slopeOfTanh(shown)));
        storeVector<f32>(into, f32x4.mul(f32x4.mul(dc, c), slope(i)), left);
        storeVector<f32>(into + row, f32x4.mul(f32x4.mul(dc, vectorAt<f32>(before + cells + to, left)), slope(f)), left);
        storeVector<f32>(into + 2 * row, f32x4.mul(f32x4.mul(dc, i), slopeOfTanh(c)), left);
        storeVector<f32>(into + 3 * row, f32x4.mul(f32x4.mul(dh, shown), slope(o)), left);
        storeVector<f32>(held + slot + to, f32x4.mul(dc, f), left);
        storeVector<f32>(held + to, f32x4.splat(0), left);
      }
    }
    if (place == 0) passProduct(at, panels, carried, counts, scratch, first, last, t, hidden, width);
  }
  if (place != 0 && place <= frames) return;
  const begin = g + (reverse ? <usize>frames * slot : 0) + <usize>first * row;
  addRun(begin, carried, rows * hidden);
  addRun(begin + cells, carried + slot, rows * hidden);
}

/**
 * Gate order r, z, n. `gates` [frames, batch, 4 hidden] receives r, z, n, and the product and bias that r is multiplied with, for the vjp. The only
 * state is h.
 */
export function gru(
  projected: usize, panels: usize, bias: usize, start: usize, counts: usize, states: usize, gates: usize, scratch: usize,
  frames: i32, batch: i32, hidden: i32, reverse: bool, first: i32, last: i32, place: i32,
): void {
  const row = <usize>hidden << 2, slot = <usize>batch * row, rows = last - first, width = 3 * hidden;
  const products = place == 0 ? scratch + stripsBytes(rows, 4 * hidden) : scratch, skipped = <usize>first * row;
  if (place == 0) memory.copy(states + (reverse ? <usize>frames * slot : 0) + skipped, start + skipped, <usize>rows * row);
  for (let k = max(place - 1, 0); k < (place == 0 ? frames : place); k++) {
    const t = reverse ? frames - 1 - k : k;
    let before = states + <usize>(reverse ? t + 1 : t) * slot + skipped, after = states + <usize>(reverse ? t : t + 1) * slot + skipped;
    startRows(products, bias, 0, rows, width, place != 0);
    if (place == 0) addProduct(before, panels, products, scratch, rows, width, hidden);
    let x = address(projected, (t * batch + first) * width), product = products, gate = address(gates, (t * batch + first) * 4 * hidden);
    for (let n = first; n < last; n++, before += row, after += row, x += 3 * row, product += 3 * row, gate += 4 * row) {
      if (isOver(counts, n, t)) {
        memory.copy(after, before, row);
        continue;
      }
      for (let j = 0; j < hidden; j += 4) {
        const left = hidden - j, to = <usize>j << 2, own = gate + to;
        const r = sigmoid(f32x4.add(vectorAt<f32>(x + to, left), vectorAt<f32>(product + to, left)));
        const z = sigmoid(f32x4.add(vectorAt<f32>(x + row + to, left), vectorAt<f32>(product + row + to, left)));
        const held = vectorAt<f32>(product + 2 * row + to, left);
        const c = tanh(f32x4.add(vectorAt<f32>(x + 2 * row + to, left), f32x4.mul(r, held)));
        storeVector<f32>(own, r, left);
        storeVector<f32>(own + row, z, left);
        storeVector<f32>(own + 2 * row, c, left);
        storeVector<f32>(own + 3 * row, held, left);
        storeVector<f32>(after + to, f32x4.add(c, f32x4.mul(z, f32x4.sub(vectorAt<f32>(before + to, left), c))), left);
      }
    }
  }
}

/** As `lstmVjp`; the cotangents of the projected input and of the product differ in n, so there is a tensor of each. The weights are [3 hidden, hidden]. */
export function gruVjp(
  g: usize, states: usize, gates: usize, panels: usize, counts: usize, projected: usize, recurrent: usize, start: usize, scratch: usize,
  frames: i32, batch: i32, hidden: i32, reverse: bool, first: i32, last: i32, place: i32,
): void {
  const row = <usize>hidden << 2, slot = <usize>batch * row, rows = last - first, width = 3 * hidden, skipped = <usize>first * row;
  const carried = start + skipped;
  if (place == 0) memory.fill(carried, 0, <usize>rows * row);
  for (let k = place == 0 ? frames - 1 : frames - place; k >= (place == 0 ? 0 : max(frames - place, 0)); k--) {
    const t = reverse ? frames - 1 - k : k;
    let before = states + <usize>(reverse ? t + 1 : t) * slot + skipped, given = g + <usize>(reverse ? t : t + 1) * slot + skipped, held = carried;
    const at = address(recurrent, (t * batch + first) * width);
    let gate = address(gates, (t * batch + first) * 4 * hidden), x = address(projected, (t * batch + first) * width), out = at;
    for (let n = first; n < last; n++, before += row, given += row, held += row, gate += 4 * row, x += 3 * row, out += 3 * row) {
      addRun(given, held, hidden);
      if (isOver(counts, n, t)) {
        memory.fill(x, 0, 3 * row);
        memory.fill(out, 0, 3 * row);
        continue;
      }
      for (let j = 0; j < hidden; j += 4) {
        const left = hidden - j, to = <usize>j << 2, own = gate + to;
        const r = vectorAt<f32>(own, left), z = vectorAt<f32>(own + row, left), c = vectorAt<f32>(own + 2 * row, left), dh = vectorAt<f32>(held + to, left);
        const dz = f32x4.mul(f32x4.mul(dh, f32x4.sub(vectorAt<f32>(before + to, left), c)), slope(z));
        const dc = f32x4.mul(f32x4.mul(dh, f32x4.sub(f32x4.splat(1), z)), slopeOfTanh(c));
        const dr = f32x4.mul(f32x4.mul(dc, vectorAt<f32>(own + 3 * row, left)), slope(r));
        storeVector<f32>(x + to, dr, left);
        storeVector<f32>(x + row + to, dz, left);
        storeVector<f32>(x + 2 * row + to, dc, left);
        storeVector<f32>(out + to, dr, left);
        storeVector<f32>(out + row + to, dz, left);
        storeVector<f32>(out + 2 * row + to, f32x4.mul(dc, r), left);
        storeVector<f32>(held + to, f32x4.mul(dh, z), left);
      }
    }
    if (place == 0) passProduct(at, panels, carried, counts, scratch, first, last, t, hidden, width);
  }
  if (place == 0 || place > frames) addRun(g + (reverse ? <usize>frames * slot : 0) + skipped, carried, rows * hidden);
}
