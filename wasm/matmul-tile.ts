// The parts of a matrix product, for float32, float64 and int32: packing, and tiles of 4 rows by 32 bytes of columns (8 or 4) that stay in registers over
// a block of the inner dimension.
import { transposeStore } from "./lanes";

export const STRIP: i32 = 4;
/** Bytes of a row of a tile, and so of a panel. */
export const PANEL_BYTES: usize = 32;
/** Inner dimension of a block: panels of it (8 kB each) and a strip (4 or 8 kB) fit the first-level cache together. */
export const DEPTH: i32 = 256;
/** Bytes of a panel of a whole block. */
export const BLOCK_BYTES: usize = <usize>DEPTH * PANEL_BYTES;
/** Bytes for a tile beside the result. */
export const EDGE_BYTES: usize = <usize>STRIP * PANEL_BYTES;

/** Columns of a panel. */
@inline export function panelOf<T>(): i32 {
  return <i32>PANEL_BYTES / sizeof<T>();
}

@inline export function paddedColumns(n: i32): i32 {
  return (n + panelOf<f32>() - 1) & ~(panelOf<f32>() - 1);
}

@inline export function address(base: usize, index: i32): usize {
  return base + (<usize>index << 2);
}

@inline export function addressOf<T>(base: usize, index: i32): usize {
  return base + <usize>index * sizeof<T>();
}

/** Two vectors side by side. */
@inline function copyRow(from: usize, to: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}

@inline function clearRow(to: usize): void {
  v128.store(to, i32x4.splat(0));
  v128.store(to, i32x4.splat(0), 16);
}

/** Packs columns [j, j + 8 or 4) of rows [p0, p1) of b[k, n]. Columns that are missing hold anything: so do those of the tiles then. */
export function packPanel<T>(b: usize, to: usize, n: i32, k: i32, j: i32, p0: i32, p1: i32): void {
  const stride = <usize>n * sizeof<T>(), end = addressOf<T>(b, k * n);
  let from = addressOf<T>(b, p0 * n + j), p = p0;
  for (; p < p1 && from + PANEL_BYTES <= end; p++, to += PANEL_BYTES, from += stride) copyRow(from, to);
  // What remains would reach beyond b.
  for (; p < p1; p++, to += PANEL_BYTES, from += stride) {
    clearRow(to);
    for (let i = 0; i < n - j; i++) store<T>(addressOf<T>(to, i), load<T>(addressOf<T>(from, i)));
  }
}

/** Packs columns [p0, p1) of rows [j, j + width) of a row-major matrix of k columns into strips of `lanes` (4 or 8) rows; missing rows are 0. */
@inline export function packRows<T>(from: usize, to: usize, k: i32, j: i32, width: i32, p0: i32, p1: i32, lanes: i32): void {
  const stride = <usize>k * sizeof<T>(), step = <usize>lanes * sizeof<T>();
  for (let i = 0; i < lanes; i += 4) {
    let out = addressOf<T>(to, i), source = addressOf<T>(from, (j + i) * k + p0), p = p0;
    if (width >= i + 4) {
      if (sizeof<T>() == 4) {
        for (; p + 4 <= p1; p += 4, source += 16, out += 4 * step) {
          transposeStore(v128.load(source), v128.load(source + stride), v128.load(source + 2 * stride), v128.load(source + 3 * stride), out, step);
        }
      } else {
        for (; p + 2 <= p1; p += 2, source += 16, out += 2 * step) {
          const r0 = v128.load(source), r1 = v128.load(source + stride), r2 = v128.load(source + 2 * stride), r3 = v128.load(source + 3 * stride);
          v128.store(out, v128.shuffle<f64>(r0, r1, 0, 2));
          v128.store(out, v128.shuffle<f64>(r2, r3, 0, 2), 16);
          v128.store(out + step, v128.shuffle<f64>(r0, r1, 1, 3));
          v128.store(out + step, v128.shuffle<f64>(r2, r3, 1, 3), 16);
        }
      }
    }
    for (; p < p1; p++, source += sizeof<T>(), out += step) {
      for (let r = 0; r < 4; r++) store<T>(addressOf<T>(out, r), r < width - i ? load<T>(source + <usize>r * stride) : 0);
    }
  }
}

/** Packs rows [i, i + 4) of op(a), inner positions [p0, p1), as [p][4]. */
export function packStrip<T>(a: usize, to: usize, m: i32, k: i32, transposed: bool, i: i32, p0: i32, p1: i32): void {
  const width = min(STRIP, m - i);
  if (!transposed) return packRows<T>(a, to, k, i, width, p0, p1, STRIP);
  for (let p = p0; p < p1; p++, to += STRIP * sizeof<T>()) {
    const from = addressOf<T>(a, p * m + i);
    if (width == STRIP) {
      v128.store(to, v128.load(from));
      if (sizeof<T>() == 8) v128.store(to, v128.load(from, 16), 16);
    } else {
      for (let r = 0; r < STRIP; r++) store<T>(addressOf<T>(to, r), r < width ? load<T>(addressOf<T>(from, r)) : 0);
    }
  }
}

@inline export function storeRow<T>(out: usize, left: v128, right: v128, add: bool): void {
  v128.store(out, add ? v128.add<T>(v128.load(out), left) : left);
  v128.store(out, add ? v128.add<T>(v128.load(out, 16), right) : right, 16);
}

/**
 * `count` tiles one below the other of packed operands: out (rows `stride` bytes apart) = or += strips * panel over `depth` inner positions. A call for
 * each would cost as much as a dozen of positions.
 */
export function packedTiles<T>(strip: usize, panel: usize, depth: i32, out: usize, stride: usize, count: i32, add: bool): void {
  const end = panel + <usize>depth * PANEL_BYTES;
  for (; count > 0; count--, out += 4 * stride) {
    let c00 = i32x4.splat(0), c01 = i32x4.splat(0), c10 = i32x4.splat(0), c11 = i32x4.splat(0);
    let c20 = i32x4.splat(0), c21 = i32x4.splat(0), c30 = i32x4.splat(0), c31 = i32x4.splat(0);
    // Not unrolled: V8 before 13 keeps fewer of the sums in registers then.
    for (let at = panel; at < end; at += PANEL_BYTES, strip += STRIP * sizeof<T>()) {
      const left = v128.load(at), right = v128.load(at, 16);
      let a = v128.load_splat<T>(strip);
      c00 = v128.add<T>(c00, v128.mul<T>(a, left)); c01 = v128.add<T>(c01, v128.mul<T>(a, right));
      a = v128.load_splat<T>(strip, sizeof<T>());
      c10 = v128.add<T>(c10, v128.mul<T>(a, left)); c11 = v128.add<T>(c11, v128.mul<T>(a, right));
      a = v128.load_splat<T>(strip, 2 * sizeof<T>());
      c20 = v128.add<T>(c20, v128.mul<T>(a, left)); c21 = v128.add<T>(c21, v128.mul<T>(a, right));
      a = v128.load_splat<T>(strip, 3 * sizeof<T>());
      c30 = v128.add<T>(c30, v128.mul<T>(a, left)); c31 = v128.add<T>(c31, v128.mul<T>(a, right));
    }
    storeRow<T>(out, c00, c01, add);
    storeRow<T>(out + stride, c10, c11, add);
    storeRow<T>(out + 2 * stride, c20, c21, add);
    storeRow<T>(out + 3 * stride, c30, c31, add);
  }
}

/**
 * The same with operands where they lie: `rowStep` bytes from row to row of a, `aStep` and `bStep` bytes from one inner position to the next. The inner
 * positions are `runs` of `depth`, and between them a goes on `jump` bytes further. Bit for bit what `packedTiles` gives.
 */
export function directTiles<T>(
  a: usize, rowStep: usize, aStep: usize, b: usize, bStep: usize, depth: i32, runs: i32, jump: usize, out: usize, stride: usize, count: i32, add: bool,
): void {
  for (; count > 0; count--, a += 4 * rowStep, out += 4 * stride) {
    let c00 = i32x4.splat(0), c01 = i32x4.splat(0), c10 = i32x4.splat(0), c11 = i32x4.splat(0);
    let c20 = i32x4.splat(0), c21 = i32x4.splat(0), c30 = i32x4.splat(0), c31 = i32x4.splat(0);
    let a0 = a, a1 = a + rowStep, a2 = a1 + rowStep, a3 = a2 + rowStep, at = b;
    for (let run = runs; run > 0; run--, a0 += jump, a1 += jump, a2 += jump, a3 += jump) {
      for (let left = depth; left > 0; left--, at += bStep, a0 += aStep, a1 += aStep, a2 += aStep, a3 += aStep) {
        const first = v128.load(at), second = v128.load(at, 16);
        let factor = v128.load_splat<T>(a0);
        c00 = v128.add<T>(c00, v128.mul<T>(factor, first)); c01 = v128.add<T>(c01, v128.mul<T>(factor, second));
        factor = v128.load_splat<T>(a1);
        c10 = v128.add<T>(c10, v128.mul<T>(factor, first)); c11 = v128.add<T>(c11, v128.mul<T>(factor, second));
        factor = v128.load_splat<T>(a2);
        c20 = v128.add<T>(c20, v128.mul<T>(factor, first)); c21 = v128.add<T>(c21, v128.mul<T>(factor, second));
        factor = v128.load_splat<T>(a3);
        c30 = v128.add<T>(c30, v128.mul<T>(factor, first)); c31 = v128.add<T>(c31, v128.mul<T>(factor, second));
      }
    }
    storeRow<T>(out, c00, c01, add);
    storeRow<T>(out + stride, c10, c11, add);
    storeRow<T>(out + 2 * stride, c20, c21, add);
    storeRow<T>(out + 3 * stride, c30, c31, add);
  }
}

/** The left half of one of `directTiles`, for columns that are no more than that. */
export function halfTile<T>(
  a0: usize, rowStep: usize, aStep: usize, b: usize, bStep: usize, depth: i32, runs: i32, jump: usize, out: usize,
): void {
  let c0 = i32x4.splat(0), c1 = i32x4.splat(0), c2 = i32x4.splat(0), c3 = i32x4.splat(0);
  let a1 = a0 + rowStep, a2 = a1 + rowStep, a3 = a2 + rowStep;
  for (; runs > 0; runs--, a0 += jump, a1 += jump, a2 += jump, a3 += jump) {
    for (let left = depth; left > 0; left--, b += bStep, a0 += aStep, a1 += aStep, a2 += aStep, a3 += aStep) {
      const row = v128.load(b);
      c0 = v128.add<T>(c0, v128.mul<T>(v128.load_splat<T>(a0), row));
      c1 = v128.add<T>(c1, v128.mul<T>(v128.load_splat<T>(a1), row));
      c2 = v128.add<T>(c2, v128.mul<T>(v128.load_splat<T>(a2), row));
      c3 = v128.add<T>(c3, v128.mul<T>(v128.load_splat<T>(a3), row));
    }
  }
  v128.store(out, c0);
  v128.store(out + PANEL_BYTES, c1);
  v128.store(out + 2 * PANEL_BYTES, c2);
  v128.store(out + 3 * PANEL_BYTES, c3);
}

/** Copies the part of a tile that lies inside the result. */
export function storeEdge<T>(tileAt: usize, out: usize, n: i32, rows: i32, columns: i32, add: bool): void {
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = load<T>(addressOf<T>(tileAt, r * panelOf<T>() + c)), to = addressOf<T>(out, r * n + c);
      store<T>(to, add ? load<T>(to) + value : value);
    }
  }
}
