// Picking elements by index and its adjoint. Indices are int32, checked by the caller to lie in [0, axis).
import { addRun, copyRun } from "./runs";

/** out[outer, count, inner] = x[outer, indices[count], inner], x[outer, axis, inner]. */
export function take(x: usize, indices: usize, out: usize, outer: i32, axis: i32, inner: i32, count: i32): void {
  const run = <usize>inner << 2;
  for (let o = 0; o < outer; o++, x += <usize>axis * run) {
    for (let j = 0; j < count; j++, out += run) copyRun(x + <usize>load<i32>(indices + (<usize>j << 2)) * run, out, inner);
  }
}

/** Adjoint of `take`: adds g[outer, count, inner] to out[outer, indices[count], inner], in the order of `count`. */
export function takeAdjoint(g: usize, indices: usize, out: usize, outer: i32, axis: i32, inner: i32, count: i32): void {
  const run = <usize>inner << 2;
  for (let o = 0; o < outer; o++, out += <usize>axis * run) {
    for (let j = 0; j < count; j++, g += run) addRun(g, out + <usize>load<i32>(indices + (<usize>j << 2)) * run, inner);
  }
}

/** out[o, j, i] = x[o, indices[o, j, i], i]; indices and out are [outer, count, inner], x is [outer, axis, inner]. */
export function takeAlongAxis(x: usize, indices: usize, out: usize, outer: i32, axis: i32, inner: i32, count: i32): void {
  for (let o = 0; o < outer; o++, x += <usize>(axis * inner) << 2) {
    if (inner == 1) {
      pick(x, indices, out, count);
      indices += <usize>count << 2;
      out += <usize>count << 2;
      continue;
    }
    for (let j = 0; j < count; j++) {
      for (let i = 0; i < inner; i++, indices += 4, out += 4) store<f32>(out, load<f32>(x + (<usize>(load<i32>(indices) * inner + i) << 2)));
    }
  }
}

/** out[j] = x[indices[j]] */
function pick(x: usize, indices: usize, out: usize, count: i32): void {
  for (; count >= 4; count -= 4, indices += 16, out += 16) {
    let four = v128.load32_zero(x + (<usize>load<i32>(indices) << 2));
    four = v128.load_lane<f32>(x + (<usize>load<i32>(indices, 4) << 2), four, 1);
    four = v128.load_lane<f32>(x + (<usize>load<i32>(indices, 8) << 2), four, 2);
    v128.store(out, v128.load_lane<f32>(x + (<usize>load<i32>(indices, 12) << 2), four, 3));
  }
  for (; count > 0; count--, indices += 4, out += 4) store<f32>(out, load<f32>(x + (<usize>load<i32>(indices) << 2)));
}

/** Adjoint of `takeAlongAxis`: adds g[o, j, i] to out[o, indices[o, j, i], i], in the order of j. */
export function scatterAlongAxis(g: usize, indices: usize, out: usize, outer: i32, axis: i32, inner: i32, count: i32): void {
  for (let o = 0; o < outer; o++, out += <usize>(axis * inner) << 2) {
    for (let j = 0; j < count; j++) {
      for (let i = 0; i < inner; i++, indices += 4, g += 4) {
        const to = out + (<usize>(load<i32>(indices) * inner + i) << 2);
        store<f32>(to, load<f32>(to) + load<f32>(g));
      }
    }
  }
}
