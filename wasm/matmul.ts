// Matrix product of float32: out = op(a) op(b), where op transposes or not.
//
// b is packed once into panels of 8 columns, a on the way into strips of 4 rows, so that the innermost loop reads both in order: 4 x 8
// results stay in 8 vector registers over a block of the inner dimension. Each result adds up its products in the order of k, block by
// block, whichever tile and whichever call computes it: any split of the rows gives the same bits.

import { transposeStore } from "./lanes";

const PANEL: i32 = 8;
const STRIP: i32 = 4;
/** Inner dimension of a block: a panel of it (8 kB) and a strip (4 kB) fit the first-level cache together. */
const DEPTH: i32 = 256;
/** Columns of a block: with DEPTH rows they fill half of a second-level cache of 2 MB. */
const COLUMNS: i32 = 1024;
const STRIP_BYTES: usize = <usize>DEPTH * STRIP * 4;
const TILE_BYTES: usize = <usize>STRIP * PANEL * 4;
/** Up to this many rows a product streams through b as it lies: packing would cost more than it saves. */
const FEW_ROWS: i32 = 2;

@inline function address(base: usize, index: i32): usize {
  return base + (<usize>index << 2);
}

@inline function paddedColumns(n: i32): i32 {
  return (n + PANEL - 1) & ~(PANEL - 1);
}

/** Whether a product of these sizes goes without packing. */
@inline function isThin(m: i32, n: i32): bool {
  return m <= FEW_ROWS || n == 1;
}

/** Bytes for `packPanels` to fill: the packed form of b. */
export function panelBytes(n: i32, k: i32): usize {
  return (<usize>paddedColumns(n) * k) << 2;
}

/** Bytes of scratch memory that each call of `matmulRows` needs for itself. */
export function stripBytes(): usize {
  return STRIP_BYTES + TILE_BYTES;
}

/** Bytes of scratch memory for `matmul`. */
export function matmulScratch(m: i32, n: i32, k: i32): usize {
  return isThin(m, n) ? 0 : panelBytes(n, k) + stripBytes();
}

/** Packs columns [j, j + 8) of rows [p0, p1) of b[k, n]. */
function packPanel(b: usize, to: usize, n: i32, j: i32, p0: i32, p1: i32): void {
  const width = min(PANEL, n - j);
  for (let p = p0; p < p1; p++, to += PANEL * 4) {
    const from = address(b, p * n + j);
    if (width == PANEL) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
    } else {
      v128.store(to, f32x4.splat(0));
      v128.store(to, f32x4.splat(0), 16);
      for (let i = 0; i < width; i++) store<f32>(address(to, i), load<f32>(address(from, i)));
    }
  }
}

/** Packs columns [p0, p1) of rows [j, j + width) of a row-major matrix of k columns into strips of `lanes` (4 or 8) rows; missing rows are 0. */
@inline function packRows(from: usize, to: usize, k: i32, j: i32, width: i32, p0: i32, p1: i32, lanes: i32): void {
  for (let i = 0; i < lanes; i += 4) {
    const row = address(from, (j + i) * k + p0);
    const stride = <usize>k << 2;
    let out = to + (<usize>i << 2);
    const step = <usize>lanes << 2;
    let p = p0;
    let source = row;
    if (width >= i + 4) {
      for (; p + 4 <= p1; p += 4, source += 16, out += 4 * step) {
        transposeStore(v128.load(source), v128.load(source + stride), v128.load(source + 2 * stride), v128.load(source + 3 * stride), out, step);
      }
    }
    for (; p < p1; p++, source += 4, out += step) {
      v128.store(out, f32x4.splat(0));
      for (let r = 0; r < min(4, width - i); r++) store<f32>(address(out, r), load<f32>(source + <usize>r * stride));
    }
  }
}

/** Packs b for `matmulRows`: b is [k, n], or [n, k] when transposed. */
export function packPanels(b: usize, packed: usize, n: i32, k: i32, transposed: bool): void {
  const padded = paddedColumns(n);
  for (let p0 = 0; p0 < k; p0 += DEPTH) {
    const p1 = min(p0 + DEPTH, k);
    let to = address(packed, padded * p0);
    for (let j = 0; j < n; j += PANEL, to += (<usize>(p1 - p0) * PANEL) << 2) {
      if (transposed) packRows(b, to, k, j, min(PANEL, n - j), p0, p1, PANEL);
      else packPanel(b, to, n, j, p0, p1);
    }
  }
}

/** Packs rows [i, i + 4) of op(a), inner positions [p0, p1), as [p][4]. */
function packStrip(a: usize, to: usize, m: i32, k: i32, transposed: bool, i: i32, p0: i32, p1: i32): void {
  if (!transposed) return packRows(a, to, k, i, min(STRIP, m - i), p0, p1, STRIP);
  const width = min(STRIP, m - i);
  for (let p = p0; p < p1; p++, to += STRIP * 4) {
    const from = address(a, p * m + i);
    if (width == STRIP) {
      v128.store(to, v128.load(from));
    } else {
      v128.store(to, f32x4.splat(0));
      for (let r = 0; r < width; r++) store<f32>(address(to, r), load<f32>(address(from, r)));
    }
  }
}

@inline function storeRow(out: usize, left: v128, right: v128, add: bool): void {
  v128.store(out, add ? f32x4.add(v128.load(out), left) : left);
  v128.store(out, add ? f32x4.add(v128.load(out, 16), right) : right, 16);
}

/** A 4 x 8 tile: out (rows `stride` bytes apart) = or += strip * panel over `depth` inner positions. */
function tile(strip: usize, panel: usize, depth: i32, out: usize, stride: usize, add: bool): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  const end = panel + (<usize>(depth * PANEL) << 2);
  const endPairs = panel + (<usize>((depth & ~1) * PANEL) << 2);
  for (; panel < endPairs; panel += 64, strip += 32) {
    let left = v128.load(panel), right = v128.load(panel, 16);
    let a = v128.load32_splat(strip);
    c00 = f32x4.add(c00, f32x4.mul(a, left)); c01 = f32x4.add(c01, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 4);
    c10 = f32x4.add(c10, f32x4.mul(a, left)); c11 = f32x4.add(c11, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 8);
    c20 = f32x4.add(c20, f32x4.mul(a, left)); c21 = f32x4.add(c21, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 12);
    c30 = f32x4.add(c30, f32x4.mul(a, left)); c31 = f32x4.add(c31, f32x4.mul(a, right));
    left = v128.load(panel, 32); right = v128.load(panel, 48);
    a = v128.load32_splat(strip, 16);
    c00 = f32x4.add(c00, f32x4.mul(a, left)); c01 = f32x4.add(c01, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 20);
    c10 = f32x4.add(c10, f32x4.mul(a, left)); c11 = f32x4.add(c11, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 24);
    c20 = f32x4.add(c20, f32x4.mul(a, left)); c21 = f32x4.add(c21, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 28);
    c30 = f32x4.add(c30, f32x4.mul(a, left)); c31 = f32x4.add(c31, f32x4.mul(a, right));
  }
  if (panel < end) {
    const left = v128.load(panel), right = v128.load(panel, 16);
    let a = v128.load32_splat(strip);
    c00 = f32x4.add(c00, f32x4.mul(a, left)); c01 = f32x4.add(c01, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 4);
    c10 = f32x4.add(c10, f32x4.mul(a, left)); c11 = f32x4.add(c11, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 8);
    c20 = f32x4.add(c20, f32x4.mul(a, left)); c21 = f32x4.add(c21, f32x4.mul(a, right));
    a = v128.load32_splat(strip, 12);
    c30 = f32x4.add(c30, f32x4.mul(a, left)); c31 = f32x4.add(c31, f32x4.mul(a, right));
  }
  storeRow(out, c00, c01, add);
  storeRow(out + stride, c10, c11, add);
  storeRow(out + 2 * stride, c20, c21, add);
  storeRow(out + 3 * stride, c30, c31, add);
}

/** Copies the part of a tile that lies inside the result. */
function storeEdge(tileAt: usize, out: usize, n: i32, rows: i32, columns: i32, add: bool): void {
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = load<f32>(address(tileAt, r * PANEL + c));
      const to = address(out, r * n + c);
      store<f32>(to, add ? load<f32>(to) + value : value);
    }
  }
}

function fillZero(out: usize, count: i32): void {
  memory.fill(out, 0, <usize>count << 2);
}

/**
 * Rows [rowStart, rowEnd) of out[m, n] = op(a) b, or += where `accumulate`. b is packed by `packPanels`; op(a) is [m, k], stored as [k, m] when
 * transposed. `scratch` holds `stripBytes()` bytes and is nobody else's during the call.
 */
export function matmulRows(
  a: usize, packed: usize, out: usize, scratch: usize, m: i32, n: i32, k: i32, transposed: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  if (k == 0 && !accumulate) return fillZero(address(out, rowStart * n), (rowEnd - rowStart) * n);
  const padded = paddedColumns(n), edge = scratch + STRIP_BYTES, stride = <usize>n << 2;
  for (let j0 = 0; j0 < n; j0 += COLUMNS) {
    const j1 = min(j0 + COLUMNS, n);
    for (let p0 = 0; p0 < k; p0 += DEPTH) {
      const p1 = min(p0 + DEPTH, k), depth = p1 - p0;
      const add = accumulate || p0 > 0;
      const block = address(packed, padded * p0 + j0 * depth);
      for (let i = rowStart; i < rowEnd; i += STRIP) {
        const rows = min(STRIP, rowEnd - i);
        packStrip(a, scratch, m, k, transposed, i, p0, p1);
        let panel = block;
        for (let j = j0; j < j1; j += PANEL, panel += (<usize>depth * PANEL) << 2) {
          const to = address(out, i * n + j);
          if (rows == STRIP && j + PANEL <= n) {
            tile(scratch, panel, depth, to, stride, add);
          } else {
            tile(scratch, panel, depth, edge, PANEL * 4, false);
            storeEdge(edge, to, n, rows, min(PANEL, n - j), add);
          }
        }
      }
    }
  }
}

/** The sum of x[i] y[i] over [0, k): four partial sums, whose order depends on k alone. */
@inline function dot(x: usize, y: usize, k: i32): f32 {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
  let i = 0;
  for (; i + 16 <= k; i += 16, x += 64, y += 64) {
    s0 = f32x4.add(s0, f32x4.mul(v128.load(x), v128.load(y)));
    s1 = f32x4.add(s1, f32x4.mul(v128.load(x, 16), v128.load(y, 16)));
    s2 = f32x4.add(s2, f32x4.mul(v128.load(x, 32), v128.load(y, 32)));
    s3 = f32x4.add(s3, f32x4.mul(v128.load(x, 48), v128.load(y, 48)));
  }
  for (; i + 4 <= k; i += 4, x += 16, y += 16) s0 = f32x4.add(s0, f32x4.mul(v128.load(x), v128.load(y)));
  const lanes = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
  let sum = (f32x4.extract_lane(lanes, 0) + f32x4.extract_lane(lanes, 1)) + (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3));
  for (; i < k; i++, x += 4, y += 4) sum += load<f32>(x) * load<f32>(y);
  return sum;
}

/** out[j] = or += sum over p of x[p * xStep] b[p, j], for columns [j0, j1) of b[k, n]. */
function rowTimesMatrix(x: usize, xStep: i32, b: usize, out: usize, n: i32, k: i32, accumulate: bool, j0: i32, j1: i32): void {
  const stride = <usize>n << 2, advance = <usize>xStep << 2;
  for (let p0 = 0; p0 < k; p0 += DEPTH) {
    const p1 = min(p0 + DEPTH, k);
    const add = accumulate || p0 > 0;
    const start = x + <usize>p0 * advance;
    let j = j0;
    for (; j + 16 <= j1; j += 16) {
      let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
      let from = start, row = address(b, p0 * n + j);
      for (let p = p0; p < p1; p++, from += advance, row += stride) {
        const factor = v128.load32_splat(from);
        s0 = f32x4.add(s0, f32x4.mul(factor, v128.load(row)));
        s1 = f32x4.add(s1, f32x4.mul(factor, v128.load(row, 16)));
        s2 = f32x4.add(s2, f32x4.mul(factor, v128.load(row, 32)));
        s3 = f32x4.add(s3, f32x4.mul(factor, v128.load(row, 48)));
      }
      storeRow(address(out, j), s0, s1, add);
      storeRow(address(out, j + 8), s2, s3, add);
    }
    for (; j < j1; j++) {
      let sum: f32 = 0;
      let from = start, row = address(b, p0 * n + j);
      for (let p = p0; p < p1; p++, from += advance, row += stride) sum += load<f32>(from) * load<f32>(row);
      const to = address(out, j);
      store<f32>(to, add ? load<f32>(to) + sum : sum);
    }
  }
}

/** Few rows or one column, without packing; `first` and `last` bound the longer side of the result. */
function thin(
  a: usize, b: usize, out: usize, m: i32, n: i32, k: i32, transA: bool, transB: bool, accumulate: bool, first: i32, last: i32,
): void {
  if (n == 1) {
    // A column: (op(a) b)^T = b^T op(a)^T, and a column lies like a row.
    if (transA) return rowTimesMatrix(b, 1, a, out, m, k, accumulate, first, last);
    for (let i = first; i < last; i++) {
      const sum = dot(address(a, i * k), b, k), to = address(out, i);
      store<f32>(to, accumulate ? load<f32>(to) + sum : sum);
    }
    return;
  }
  for (let i = first; i < last; i++) {
    const row = address(out, i * n), from = address(a, transA ? i : i * k);
    if (!transB) {
      rowTimesMatrix(from, transA ? m : 1, b, row, n, k, accumulate, 0, n);
    } else {
      for (let j = 0; j < n; j++) {
        const column = address(b, j * k), to = address(row, j);
        let sum: f32 = 0;
        if (!transA || m == 1) sum = dot(from, column, k);
        else for (let p = 0; p < k; p++) sum += load<f32>(address(from, p * m)) * load<f32>(address(column, p));
        store<f32>(to, accumulate ? load<f32>(to) + sum : sum);
      }
    }
  }
}

/**
 * Rows [rowStart, rowEnd) of every matrix of a batch: out[batch, m, n] = op(a) op(b), or += where `accumulate`. a is [m, k] or, with transA, [k, m];
 * b is [k, n] or, with transB, [n, k]. Strides, in elements, lead from matrix to matrix and may be 0. `scratch` holds `matmulScratch(m, n, k)` bytes.
 */
export function matmul(
  a: usize, b: usize, out: usize, scratch: usize, batch: i32, m: i32, n: i32, k: i32, strideA: i32, strideB: i32, strideOut: i32,
  transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  const own = scratch + panelBytes(n, k);
  for (let i = 0; i < batch; i++) {
    const left = address(a, i * strideA), right = address(b, i * strideB), to = address(out, i * strideOut);
    if (isThin(m, n)) {
      if (k == 0 && !accumulate) fillZero(address(to, rowStart * n), (rowEnd - rowStart) * n);
      else thin(left, right, to, m, n, k, transA, transB, accumulate, rowStart, rowEnd);
      continue;
    }
    if (i == 0 || strideB != 0) packPanels(right, scratch, n, k, transB);
    matmulRows(left, scratch, to, own, m, n, k, transA, accumulate, rowStart, rowEnd);
  }
}
