// Copies between strided views of elements of 1, 2, 4 or 8 bytes. Strides are in elements and may be 0 or negative.
import { transposeStore } from "./lanes";
import { addRun, addRunF64, copyBytes, fillBytes, fillRun } from "./runs";

@inline function at<T>(base: usize, index: i32): usize {
  return base + <usize>(<isize>index * <isize>sizeof<T>());
}

/** Copies bytes that lie side by side. */
export function copyRun(from: usize, to: usize, bytes: i32): void {
  copyBytes(from, to, bytes);
}

/** Sets n elements. */
export function fill(out: usize, n: i32, value: f32): void {
  fillRun(out, n, value);
}

/** Rows of the destination that are written at a time: what is read for them lies side by side. */
@inline function rowsAtATime<T>(): i32 {
  return sizeof<T>() == 4 ? 4 : sizeof<T>() == 8 ? 2 : 8;
}

/** A square of elements, as many rows and columns as `rowsAtATime`; the steps are in bytes. */
@inline function transposeSquare<T>(source: usize, stride: usize, out: usize, step: usize): void {
  if (sizeof<T>() == 4) {
    transposeStore(v128.load(source), v128.load(source + stride), v128.load(source + 2 * stride), v128.load(source + 3 * stride), out, step);
  } else if (sizeof<T>() == 8) {
    const a = v128.load(source), b = v128.load(source + stride);
    v128.store(out, v128.shuffle<i64>(a, b, 0, 2));
    v128.store(out + step, v128.shuffle<i64>(a, b, 1, 3));
  } else {
    for (let j: usize = 0; j < 8; j++, source += stride) {
      for (let r: usize = 0; r < 8; r++) store<T>(out + r * step + j * sizeof<T>(), load<T>(source + r * sizeof<T>()));
    }
  }
}

/** Both inner axes exchanged: source steps (1, s2), destination steps (d1, 1), in squares. */
function copyTransposed<T>(from: usize, to: usize, n1: i32, n2: i32, s2: i32, d1: i32): void {
  const stride = at<T>(0, s2), step = at<T>(0, d1), side = rowsAtATime<T>(), width = <usize>side * sizeof<T>();
  let i = 0;
  for (; i + side <= n1; i += side) {
    let source = at<T>(from, i), out = at<T>(to, i * d1);
    let j = 0;
    for (; j + side <= n2; j += side, source += <usize>side * stride, out += width) transposeSquare<T>(source, stride, out, step);
    for (; j < n2; j++, source += stride, out += sizeof<T>()) {
      for (let r = 0; r < side; r++) store<T>(out + <usize>r * step, load<T>(at<T>(source, r)));
    }
  }
  for (; i < n1; i++) {
    let source = at<T>(from, i), out = at<T>(to, i * d1);
    for (let j = 0; j < n2; j++, source += stride, out += sizeof<T>()) store<T>(out, load<T>(source));
  }
}

/** An element as often as it fits into 8 bytes. */
@inline function repeated<T>(address: usize): u64 {
  if (sizeof<T>() == 8) return load<u64>(address);
  if (sizeof<T>() == 4) return <u64>load<u32>(address) * 0x100000001;
  if (sizeof<T>() == 2) return <u64>load<u16>(address) * 0x1000100010001;
  return <u64>load<u8>(address) * 0x101010101010101;
}

function copyBlock<T>(source: usize, out: usize, n0: i32, n1: i32, n2: i32, s0: i32, s1: i32, s2: i32, d0: i32, d1: i32, d2: i32): void {
  for (let i = 0; i < n0; i++, source = at<T>(source, s0), out = at<T>(out, d0)) {
    if (d2 == 1 && s1 == 1 && s2 != 1 && n1 >= 4) {
      copyTransposed<T>(source, out, n1, n2, s2, d1);
      continue;
    }
    let from = source, to = out;
    for (let j = 0; j < n1; j++, from = at<T>(from, s1), to = at<T>(to, d1)) {
      if (s2 == 1 && d2 == 1) {
        copyBytes(from, to, n2 * <i32>sizeof<T>());
      } else if (s2 == 0 && d2 == 1) {
        fillBytes(to, n2 * <i32>sizeof<T>(), repeated<T>(from));
      } else {
        let a = from, b = to;
        for (let k = 0; k < n2; k++, a = at<T>(a, s2), b = at<T>(b, d2)) store<T>(b, load<T>(a));
      }
    }
  }
}

@inline function copy<T>(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  for (; n > 0; n--, source = at<T>(source, s), out = at<T>(out, d)) copyBlock<T>(source, out, n0, n1, n2, s0, s1, s2, d0, d1, d2);
}

/** Copies n x n0 x n1 x n2 elements of a byte; s and d are the steps of source and destination along each axis. */
export function copyStrided1(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  copy<u8>(source, out, n, n0, n1, n2, s, s0, s1, s2, d, d0, d1, d2);
}

/** The same with elements of 2 bytes. */
export function copyStrided2(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  copy<u16>(source, out, n, n0, n1, n2, s, s0, s1, s2, d, d0, d1, d2);
}

/** The same with elements of 4 bytes. */
export function copyStrided4(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  copy<i32>(source, out, n, n0, n1, n2, s, s0, s1, s2, d, d0, d1, d2);
}

/** The same with elements of 8 bytes. */
export function copyStrided8(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  copy<i64>(source, out, n, n0, n1, n2, s, s0, s1, s2, d, d0, d1, d2);
}

function addBlock<T>(source: usize, out: usize, n0: i32, n1: i32, n2: i32, s0: i32, s1: i32, s2: i32, d0: i32, d1: i32, d2: i32): void {
  for (let i = 0; i < n0; i++, source = at<T>(source, s0), out = at<T>(out, d0)) {
    let from = source, to = out;
    for (let j = 0; j < n1; j++, from = at<T>(from, s1), to = at<T>(to, d1)) {
      if (s2 == 1 && d2 == 1) {
        if (sizeof<T>() == 8) addRunF64(from, to, n2);
        else addRun(from, to, n2);
      } else {
        let a = from, b = to;
        for (let k = 0; k < n2; k++, a = at<T>(a, s2), b = at<T>(b, d2)) store<T>(b, load<T>(b) + load<T>(a));
      }
    }
  }
}

@inline function add<T>(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  for (; n > 0; n--, source = at<T>(source, s), out = at<T>(out, d)) addBlock<T>(source, out, n0, n1, n2, s0, s1, s2, d0, d1, d2);
}

/** Adds n x n0 x n1 x n2 floats to others; s and d are the steps of source and destination along each axis. */
export function addStrided(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  add<f32>(source, out, n, n0, n1, n2, s, s0, s1, s2, d, d0, d1, d2);
}

/** The same in float64. */
export function addStridedF64(source: usize, out: usize, n: i32, n0: i32, n1: i32, n2: i32, s: i32, s0: i32, s1: i32, s2: i32, d: i32, d0: i32, d1: i32, d2: i32): void {
  add<f64>(source, out, n, n0, n1, n2, s, s0, s1, s2, d, d0, d1, d2);
}
