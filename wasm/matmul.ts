// Matrix product of float32: out = op(a) op(b), where op transposes or not.
//
// b is packed once into panels of 8 columns, a on the way into strips of 4 rows, so that the innermost loop reads both in order; an operand
// that few tiles read is left where it lies. Each result adds up its products in the order of k, block by block, whichever tile and
// whichever call computes it: any split of the rows gives the same bits.
import { address, DEPTH, directTile, packedTile, packPanel, packRows, packStrip, paddedColumns, PANEL, storeEdge, storeRow, STRIP } from "./matmul-tile";

/** Columns of a block: with DEPTH rows they fill half of a second-level cache of 2 MB. */
const COLUMNS: i32 = 1024;
const STRIP_BYTES: usize = <usize>DEPTH * STRIP * 4;
const TILE_BYTES: usize = <usize>STRIP * PANEL * 4;
/** Up to this many rows a product streams through b as it lies, row by row. */
const FEW_ROWS: i32 = 2;
/** Up to this many rows it is not worth while to pack b, up to this many columns to pack a. */
const DIRECT_ROWS: i32 = 32;
const DIRECT_COLUMNS: i32 = 24;

/** Whether a product of these sizes goes without tiles. */
@inline function isThin(m: i32, n: i32): bool {
  return m <= FEW_ROWS || n == 1;
}

/** Whether b is read where it lies. */
@inline function isDirect(m: i32, n: i32, transB: bool): bool {
  return !transB && m <= DIRECT_ROWS && n >= PANEL;
}

/** Bytes for `packPanels` to fill: the packed form of b; 0 where b is read as it lies. */
export function panelBytes(m: i32, n: i32, k: i32, transB: bool): usize {
  return isThin(m, n) || isDirect(m, n, transB) ? 0 : (<usize>paddedColumns(n) * k) << 2;
}

/** Bytes of scratch memory that each call of `matmulRows` needs for itself. */
export function stripBytes(): usize {
  return STRIP_BYTES + TILE_BYTES;
}

/** Bytes of scratch memory for `matmul`. */
export function matmulScratch(m: i32, n: i32, k: i32, transB: bool): usize {
  return isThin(m, n) ? 0 : panelBytes(m, n, k, transB) + stripBytes();
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

function fillZero(out: usize, count: i32): void {
  memory.fill(out, 0, <usize>count << 2);
}

/**
 * Rows [rowStart, rowEnd) of out[m, n] = op(a) op(b), or += where `accumulate`, for more than two rows and one column. op(a) is [m, k], stored as
 * [k, m] when transposed. `panels` is b as packed by `packPanels`, or b itself where `panelBytes` is 0. `scratch` holds `stripBytes()` bytes and
 * is nobody else's during the call.
 */
export function matmulRows(
  a: usize, panels: usize, out: usize, scratch: usize, m: i32, n: i32, k: i32, transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  if (k == 0 && !accumulate) return fillZero(address(out, rowStart * n), (rowEnd - rowStart) * n);
  const directA = n <= DIRECT_COLUMNS && m >= STRIP, directB = isDirect(m, n, transB);
  const padded = paddedColumns(n), edge = scratch + STRIP_BYTES, stride = <usize>n << 2;
  const rowStep: usize = directA && !transA ? <usize>k << 2 : 4, aStep: usize = directA ? (transA ? <usize>m << 2 : 4) : STRIP * 4;
  const bStep: usize = directB ? stride : PANEL * 4;
  for (let j0 = 0; j0 < n; j0 += COLUMNS) {
    const j1 = min(j0 + COLUMNS, n);
    for (let p0 = 0; p0 < k; p0 += DEPTH) {
      const p1 = min(p0 + DEPTH, k), depth = p1 - p0;
      const add = accumulate || p0 > 0;
      for (let i = rowStart; i < rowEnd; i += STRIP) {
        const rows = min(STRIP, rowEnd - i);
        // Where an operand is not padded, the last tile of rows or columns begins earlier and only its end is stored.
        const top = directA ? min(i, m - STRIP) : i;
        const strip = directA ? address(a, transA ? p0 * m + top : top * k + p0) : scratch;
        if (!directA) packStrip(a, scratch, m, k, transA, i, p0, p1);
        for (let j = j0; j < j1; j += PANEL) {
          const left = directB ? min(j, n - PANEL) : j;
          const panel = directB ? address(panels, p0 * n + left) : address(panels, padded * p0 + j * depth);
          const columns = min(PANEL, n - j);
          const inside = rows == STRIP && columns == PANEL;
          const to = inside ? address(out, i * n + j) : edge;
          const step = inside ? stride : PANEL * 4;
          if (directA || directB) directTile(strip, rowStep, aStep, panel, bStep, depth, to, step, inside && add);
          else packedTile(strip, panel, depth, to, step, inside && add);
          if (!inside) storeEdge(address(edge, (i - top) * PANEL + (j - left)), address(out, i * n + j), n, rows, columns, add);
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
 * b is [k, n] or, with transB, [n, k]. Strides, in elements, lead from matrix to matrix and may be 0. `scratch` holds `matmulScratch(m, n, k, transB)` bytes.
 */
export function matmul(
  a: usize, b: usize, out: usize, scratch: usize, batch: i32, m: i32, n: i32, k: i32, strideA: i32, strideB: i32, strideOut: i32,
  transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  const packed = panelBytes(m, n, k, transB);
  const own = scratch + packed;
  for (let i = 0; i < batch; i++) {
    const left = address(a, i * strideA), right = address(b, i * strideB), to = address(out, i * strideOut);
    if (isThin(m, n)) {
      if (k == 0 && !accumulate) fillZero(address(to, rowStart * n), (rowEnd - rowStart) * n);
      else thin(left, right, to, m, n, k, transA, transB, accumulate, rowStart, rowEnd);
      continue;
    }
    if (packed > 0 && (i == 0 || strideB != 0)) packPanels(right, scratch, n, k, transB);
    matmulRows(left, packed > 0 ? scratch : right, to, own, m, n, k, transA, transB, accumulate, rowStart, rowEnd);
  }
}
