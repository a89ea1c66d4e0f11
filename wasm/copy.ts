// Copies between strided views of 4-byte elements. Strides are in elements and may be 0 or negative.
import { transposeStore } from "./lanes";
import { addRun, copyRun, fillRun } from "./runs";

@inline function at(base: usize, index: i32): usize {
  return base + (<isize>index << 2);
}

/** Sets n elements. */
export function fill(out: usize, n: i32, value: f32): void {
  fillRun(out, n, value);
}

/** Both inner axes exchanged: source steps (1, s2), destination steps (d1, 1), in tiles of 4 x 4. */
function copyTransposed(from: usize, to: usize, n1: i32, n2: i32, s2: i32, d1: i32): void {
  const stride = <usize>(<isize>s2 << 2), step = <usize>(<isize>d1 << 2);
  let i = 0;
  for (; i + 4 <= n1; i += 4) {
    let source = at(from, i), out = at(to, i * d1);
    let j = 0;
    for (; j + 4 <= n2; j += 4, source += 4 * stride, out += 16) {
      transposeStore(v128.load(source), v128.load(source + stride), v128.load(source + 2 * stride), v128.load(source + 3 * stride), out, step);
    }
    for (; j < n2; j++, source += stride, out += 4) {
      for (let r = 0; r < 4; r++) store<i32>(out + <usize>r * step, load<i32>(at(source, r)));
    }
  }
  for (; i < n1; i++) {
    let source = at(from, i), out = at(to, i * d1);
    for (let j = 0; j < n2; j++, source += stride, out += 4) store<i32>(out, load<i32>(source));
  }
}

/** Copies n0 x n1 x n2 elements; s and d are the steps of source and destination along each axis. */
export function copyStrided(source: usize, out: usize, n0: i32, n1: i32, n2: i32, s0: i32, s1: i32, s2: i32, d0: i32, d1: i32, d2: i32): void {
  for (let i = 0; i < n0; i++, source = at(source, s0), out = at(out, d0)) {
    if (d2 == 1 && s1 == 1 && s2 != 1 && n1 >= 4) {
      copyTransposed(source, out, n1, n2, s2, d1);
      continue;
    }
    let from = source, to = out;
    for (let j = 0; j < n1; j++, from = at(from, s1), to = at(to, d1)) {
      if (s2 == 1 && d2 == 1) {
        copyRun(from, to, n2);
      } else if (s2 == 0 && d2 == 1) {
        fillRun(to, n2, load<f32>(from));
      } else {
        let a = from, b = to;
        for (let k = 0; k < n2; k++, a = at(a, s2), b = at(b, d2)) store<i32>(b, load<i32>(a));
      }
    }
  }
}

/** Adds n0 x n1 x n2 floats to others; s and d are the steps of source and destination along each axis. */
export function addStrided(source: usize, out: usize, n0: i32, n1: i32, n2: i32, s0: i32, s1: i32, s2: i32, d0: i32, d1: i32, d2: i32): void {
  for (let i = 0; i < n0; i++, source = at(source, s0), out = at(out, d0)) {
    let from = source, to = out;
    for (let j = 0; j < n1; j++, from = at(from, s1), to = at(to, d1)) {
      if (s2 == 1 && d2 == 1) {
        addRun(from, to, n2);
      } else {
        let a = from, b = to;
        for (let k = 0; k < n2; k++, a = at(a, s2), b = at(b, d2)) store<f32>(b, load<f32>(b) + load<f32>(a));
      }
    }
  }
}
