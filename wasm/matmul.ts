// Matrix products of float32, float64 and int32: out = op(a) op(b), where op transposes or not.
//
// The inner dimension is taken in blocks. Of a block, strips of 4 rows of a are packed for as many rows as stay in the second-level cache, then
// b a few panels of 32 bytes of columns at a time, which stay in the first: the innermost loop reads both in order, and goes down all strips for a panel
// before it returns. An operand that few tiles read is left where it lies. Each result adds up its products in the order of k, block by block, whichever tile and whichever call computes it: any split of the rows
// gives the same bits.
import {
  addressOf, BLOCK_BYTES, DEPTH, directTiles, EDGE_BYTES, halfTile, packedTiles, packPanel, packRows, packStrip, PANEL_BYTES, panelOf, storeEdge, storeRow, STRIP,
} from "./matmul-tile";

/** Rows whose strips are packed at a time: 256 or 512 kB. */
const ROWS: i32 = 256;
/** Panels of a whole block that are packed at a time; where these are all of b's, it is not worth while to pack a. */
const NARROW: i32 = 3;
const PANELS_BYTES: usize = <usize>NARROW * BLOCK_BYTES;
/** Up to this many strips of a, a product reads b where it lies. */
const FEW_STRIPS: i32 = 4;
/** Up to this many rows a product streams through b as it lies, row by row. */
const FEW_ROWS: i32 = 2;

/** Whether a product of these sizes goes without tiles. */
@inline function isThin(m: i32, n: i32): bool {
  return m <= FEW_ROWS || n == 1;
}

@inline function isNarrow<T>(m: i32, n: i32): bool {
  return n <= NARROW * panelOf<T>() && m >= STRIP;
}

/** Bytes of scratch memory that each call needs for itself, for elements of 4 bytes or of 8. */
export function matmulScratch(m: i32, _n: i32, k: i32, bytes: i32): usize {
  const rows = (min(m, ROWS) + STRIP - 1) & ~(STRIP - 1);
  return PANELS_BYTES + EDGE_BYTES + <usize>(rows * min(k, DEPTH)) * (bytes == 8 ? 8 : 4);
}

function tiles<T>(
  a: usize, b: usize, out: usize, scratch: usize, m: i32, n: i32, k: i32, transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  const panel = panelOf<T>(), stride = <usize>n * sizeof<T>();
  const directB = !transB && m >= STRIP && m <= FEW_STRIPS * STRIP && n >= panel, bStep = directB ? stride : PANEL_BYTES;
  const directA = directB || isNarrow<T>(m, n);
  const edge = scratch + PANELS_BYTES, strips = edge + EDGE_BYTES;
  const rowStep: usize = transA ? sizeof<T>() : <usize>k * sizeof<T>(), aStep: usize = transA ? <usize>m * sizeof<T>() : sizeof<T>();
  for (let i0 = rowStart; i0 < rowEnd; i0 += ROWS) {
    const i1 = min(i0 + ROWS, rowEnd);
    for (let p0 = 0; p0 < k; p0 += DEPTH) {
      const p1 = min(p0 + DEPTH, k), depth = p1 - p0, add = accumulate || p0 > 0;
      const stripBytes = <usize>(STRIP * depth) * sizeof<T>(), panelBytes = <usize>depth * PANEL_BYTES;
      const columnsTogether = <i32>(PANELS_BYTES / panelBytes) * panel; // more of shorter ones
      if (!directA) {
        let to = strips;
        for (let i = i0; i < i1; i += STRIP, to += stripBytes) packStrip<T>(a, to, m, k, transA, i, p0, p1);
      }
      for (let j0 = 0; j0 < n; j0 += columnsTogether) {
        const j1 = min(j0 + columnsTogether, n);
        // Where a single load of panels is all of b, the first rows' are still there.
        if (!directB && (i0 == rowStart || depth < k || n > columnsTogether)) {
          let to = scratch;
          for (let j = j0; j < j1; j += panel, to += panelBytes) {
            if (transB) packRows<T>(b, to, k, j, min(panel, n - j), p0, p1, panel);
            else packPanel<T>(b, to, n, k, j, p0, p1);
          }
        }
        let from = scratch;
        for (let j = j0; j < j1; j += panel, from += panelBytes) {
          // Where an operand is not padded, the last tile of rows or columns begins earlier and only its end is stored.
          const columns = min(panel, n - j), isHalf = 2 * columns <= panel, left = directB ? min(j, n - (isHalf ? panel / 2 : panel)) : j;
          const right = directB ? addressOf<T>(b, p0 * n + left) : from;
          // Each kind of tile is called in two places: what is called once is inlined, and V8 keeps too little of it in registers then.
          let i = i0;
          if (columns == panel) {
            const count = (i1 - i0) / STRIP, to = addressOf<T>(out, i * n + j);
            if (directA) directTiles<T>(addressOf<T>(a, transA ? p0 * m + i : i * k + p0), rowStep, aStep, right, bStep, depth, 1, 0, to, stride, count, add);
            else packedTiles<T>(strips, from, depth, to, stride, count, add);
            i += count * STRIP;
          }
          for (; i < i1; i += STRIP) {
            const top = directA ? min(i, m - STRIP) : i;
            if (directA) {
              const at = addressOf<T>(a, transA ? p0 * m + top : top * k + p0);
              if (isHalf) halfTile<T>(at, rowStep, aStep, right, bStep, depth, 1, 0, edge);
              else directTiles<T>(at, rowStep, aStep, right, bStep, depth, 1, 0, edge, PANEL_BYTES, 1, false);
            } else {
              const strip = strips + <usize>((i - i0) / STRIP) * stripBytes;
              if (isHalf) halfTile<T>(strip, sizeof<T>(), STRIP * sizeof<T>(), from, PANEL_BYTES, depth, 1, 0, edge);
              else packedTiles<T>(strip, from, depth, edge, PANEL_BYTES, 1, false);
            }
            storeEdge<T>(addressOf<T>(edge, (i - top) * panel + (j - left)), addressOf<T>(out, i * n + j), n, min(STRIP, i1 - i), columns, add);
          }
        }
      }
    }
  }
}

/** The sum of x[i] y[i] over [0, k): four partial sums, whose order depends on k alone. */
@inline function dot<T>(x: usize, y: usize, k: i32): T {
  const lanes = 16 / <i32>sizeof<T>();
  let s0 = i32x4.splat(0), s1 = i32x4.splat(0), s2 = i32x4.splat(0), s3 = i32x4.splat(0);
  let i = 0;
  for (; i + 4 * lanes <= k; i += 4 * lanes, x += 64, y += 64) {
    s0 = v128.add<T>(s0, v128.mul<T>(v128.load(x), v128.load(y)));
    s1 = v128.add<T>(s1, v128.mul<T>(v128.load(x, 16), v128.load(y, 16)));
    s2 = v128.add<T>(s2, v128.mul<T>(v128.load(x, 32), v128.load(y, 32)));
    s3 = v128.add<T>(s3, v128.mul<T>(v128.load(x, 48), v128.load(y, 48)));
  }
  for (; i + lanes <= k; i += lanes, x += 16, y += 16) s0 = v128.add<T>(s0, v128.mul<T>(v128.load(x), v128.load(y)));
  const sums = v128.add<T>(v128.add<T>(s0, s1), v128.add<T>(s2, s3));
  let sum: T;
  if (sizeof<T>() == 4) {
    sum = (v128.extract_lane<T>(sums, 0) + v128.extract_lane<T>(sums, 1)) + (v128.extract_lane<T>(sums, 2) + v128.extract_lane<T>(sums, 3));
  } else sum = v128.extract_lane<T>(sums, 0) + v128.extract_lane<T>(sums, 1);
  for (; i < k; i++, x += sizeof<T>(), y += sizeof<T>()) sum += load<T>(x) * load<T>(y);
  return sum;
}

/** out[j] = or += sum over p of x[p * xStep] b[p, j], for columns [j0, j1) of b[k, n]. */
function rowTimesMatrix<T>(x: usize, xStep: i32, b: usize, out: usize, n: i32, k: i32, accumulate: bool, j0: i32, j1: i32): void {
  const stride = <usize>n * sizeof<T>(), advance = <usize>xStep * sizeof<T>(), together = 64 / <i32>sizeof<T>();
  for (let p0 = 0; p0 < k; p0 += DEPTH) {
    const p1 = min(p0 + DEPTH, k);
    const add = accumulate || p0 > 0;
    const start = x + <usize>p0 * advance;
    let j = j0;
    for (; j + together <= j1; j += together) {
      let s0 = i32x4.splat(0), s1 = i32x4.splat(0), s2 = i32x4.splat(0), s3 = i32x4.splat(0);
      let from = start, row = addressOf<T>(b, p0 * n + j);
      for (let p = p0; p < p1; p++, from += advance, row += stride) {
        const factor = v128.load_splat<T>(from);
        s0 = v128.add<T>(s0, v128.mul<T>(factor, v128.load(row)));
        s1 = v128.add<T>(s1, v128.mul<T>(factor, v128.load(row, 16)));
        s2 = v128.add<T>(s2, v128.mul<T>(factor, v128.load(row, 32)));
        s3 = v128.add<T>(s3, v128.mul<T>(factor, v128.load(row, 48)));
      }
      storeRow<T>(addressOf<T>(out, j), s0, s1, add);
      storeRow<T>(addressOf<T>(out, j) + 32, s2, s3, add);
    }
    for (; j < j1; j++) {
      let sum: T = 0;
      let from = start, row = addressOf<T>(b, p0 * n + j);
      for (let p = p0; p < p1; p++, from += advance, row += stride) sum += load<T>(from) * load<T>(row);
      const to = addressOf<T>(out, j);
      store<T>(to, add ? load<T>(to) + sum : sum);
    }
  }
}

/** Few rows or one column, without packing; `first` and `last` bound the longer side of the result. */
function thin<T>(
  a: usize, b: usize, out: usize, m: i32, n: i32, k: i32, transA: bool, transB: bool, accumulate: bool, first: i32, last: i32,
): void {
  if (n == 1) {
    // A column: (op(a) b)^T = b^T op(a)^T, and a column lies like a row.
    if (transA) return rowTimesMatrix<T>(b, 1, a, out, m, k, accumulate, first, last);
    for (let i = first; i < last; i++) {
      const sum = dot<T>(addressOf<T>(a, i * k), b, k), to = addressOf<T>(out, i);
      store<T>(to, accumulate ? load<T>(to) + sum : sum);
    }
    return;
  }
  for (let i = first; i < last; i++) {
    const row = addressOf<T>(out, i * n), from = addressOf<T>(a, transA ? i : i * k);
    if (!transB) {
      rowTimesMatrix<T>(from, transA ? m : 1, b, row, n, k, accumulate, 0, n);
    } else {
      for (let j = 0; j < n; j++) {
        const column = addressOf<T>(b, j * k), to = addressOf<T>(row, j);
        let sum: T = 0;
        if (!transA || m == 1) sum = dot<T>(from, column, k);
        else for (let p = 0; p < k; p++) sum += load<T>(addressOf<T>(from, p * m)) * load<T>(addressOf<T>(column, p));
        store<T>(to, accumulate ? load<T>(to) + sum : sum);
      }
    }
  }
}

/**
 * Rows [rowStart, rowEnd) of every matrix of a batch: out[batch, m, n] = op(a) op(b), or += where `accumulate`. a is [m, k] or, with transA, [k, m];
 * b is [k, n] or, with transB, [n, k]. Strides, in elements, lead from matrix to matrix and may be 0. `scratch` holds `matmulScratch` bytes.
 */
@inline function products<T>(
  a: usize, b: usize, out: usize, scratch: usize, batch: i32, m: i32, n: i32, k: i32, strideA: i32, strideB: i32, strideOut: i32,
  transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  for (let i = 0; i < batch; i++) {
    const left = addressOf<T>(a, i * strideA), right = addressOf<T>(b, i * strideB), to = addressOf<T>(out, i * strideOut);
    if (k == 0) {
      if (!accumulate) memory.fill(addressOf<T>(to, rowStart * n), 0, <usize>((rowEnd - rowStart) * n) * sizeof<T>());
    } else if (isFloat<T>() && isThin(m, n)) thin<T>(left, right, to, m, n, k, transA, transB, accumulate, rowStart, rowEnd);
    else tiles<T>(left, right, to, scratch, m, n, k, transA, transB, accumulate, rowStart, rowEnd);
  }
}

/** `products` of float32. */
export function matmul(
  a: usize, b: usize, out: usize, scratch: usize, batch: i32, m: i32, n: i32, k: i32, strideA: i32, strideB: i32, strideOut: i32,
  transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  products<f32>(a, b, out, scratch, batch, m, n, k, strideA, strideB, strideOut, transA, transB, accumulate, rowStart, rowEnd);
}

/** `products` of float64. */
export function matmulF64(
  a: usize, b: usize, out: usize, scratch: usize, batch: i32, m: i32, n: i32, k: i32, strideA: i32, strideB: i32, strideOut: i32,
  transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  products<f64>(a, b, out, scratch, batch, m, n, k, strideA, strideB, strideOut, transA, transB, accumulate, rowStart, rowEnd);
}

/** `products` of int32, modulo 2^32. */
export function matmulI32(
  a: usize, b: usize, out: usize, scratch: usize, batch: i32, m: i32, n: i32, k: i32, strideA: i32, strideB: i32, strideOut: i32,
  transA: bool, transB: bool, accumulate: bool, rowStart: i32, rowEnd: i32,
): void {
  products<i32>(a, b, out, scratch, batch, m, n, k, strideA, strideB, strideOut, transA, transB, accumulate, rowStart, rowEnd);
}
