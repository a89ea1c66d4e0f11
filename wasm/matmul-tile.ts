// The parts of a matrix product: packing, and tiles of 4 rows by 8 columns that stay in registers over a block of the inner dimension.
import { transposeStore } from "./lanes";

export const PANEL: i32 = 8;
export const STRIP: i32 = 4;
/** Inner dimension of a block: a panel of it (8 kB) and a strip (4 kB) fit the first-level cache together. */
export const DEPTH: i32 = 256;

@inline export function paddedColumns(n: i32): i32 {
  return (n + PANEL - 1) & ~(PANEL - 1);
}

@inline export function address(base: usize, index: i32): usize {
  return base + (<usize>index << 2);
}

/** Packs columns [j, j + 8) of rows [p0, p1) of b[k, n]. */
export function packPanel(b: usize, to: usize, n: i32, j: i32, p0: i32, p1: i32): void {
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
@inline export function packRows(from: usize, to: usize, k: i32, j: i32, width: i32, p0: i32, p1: i32, lanes: i32): void {
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

/** Packs rows [i, i + 4) of op(a), inner positions [p0, p1), as [p][4]. */
export function packStrip(a: usize, to: usize, m: i32, k: i32, transposed: bool, i: i32, p0: i32, p1: i32): void {
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

@inline export function storeRow(out: usize, left: v128, right: v128, add: bool): void {
  v128.store(out, add ? f32x4.add(v128.load(out), left) : left);
  v128.store(out, add ? f32x4.add(v128.load(out, 16), right) : right, 16);
}

/** A 4 x 8 tile of packed operands: out (rows `stride` bytes apart) = or += strip * panel over `depth` inner positions. */
export function packedTile(strip: usize, panel: usize, depth: i32, out: usize, stride: usize, add: bool): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  const end = panel + (<usize>(depth * PANEL) << 2);
  for (; panel < end; panel += PANEL * 4, strip += STRIP * 4) {
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

/**
 * A 4 x 8 tile of operands where they lie: `rowStep` bytes from row to row of a, `aStep` and `bStep` bytes from one inner position to the next. Bit for bit
 * what `packedTile` gives.
 */
export function directTile(a: usize, rowStep: usize, aStep: usize, b: usize, bStep: usize, depth: i32, out: usize, stride: usize, add: bool): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c10 = f32x4.splat(0), c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0), c30 = f32x4.splat(0), c31 = f32x4.splat(0);
  let a1 = a + rowStep, a2 = a1 + rowStep, a3 = a2 + rowStep;
  for (; depth > 0; depth--, b += bStep, a += aStep, a1 += aStep, a2 += aStep, a3 += aStep) {
    const left = v128.load(b), right = v128.load(b, 16);
    let factor = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(factor, left)); c01 = f32x4.add(c01, f32x4.mul(factor, right));
    factor = v128.load32_splat(a1);
    c10 = f32x4.add(c10, f32x4.mul(factor, left)); c11 = f32x4.add(c11, f32x4.mul(factor, right));
    factor = v128.load32_splat(a2);
    c20 = f32x4.add(c20, f32x4.mul(factor, left)); c21 = f32x4.add(c21, f32x4.mul(factor, right));
    factor = v128.load32_splat(a3);
    c30 = f32x4.add(c30, f32x4.mul(factor, left)); c31 = f32x4.add(c31, f32x4.mul(factor, right));
  }
  storeRow(out, c00, c01, add);
  storeRow(out + stride, c10, c11, add);
  storeRow(out + 2 * stride, c20, c21, add);
  storeRow(out + 3 * stride, c30, c31, add);
}

/** Copies the part of a tile that lies inside the result. */
export function storeEdge(tileAt: usize, out: usize, n: i32, rows: i32, columns: i32, add: bool): void {
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = load<f32>(address(tileAt, r * PANEL + c));
      const to = address(out, r * n + c);
      store<f32>(to, add ? load<f32>(to) + value : value);
    }
  }
}

/** One row of `packedTile`: out[8] += x * panel, for x of `depth` floats side by side. */
function rowTile(x: usize, panel: usize, depth: i32, out: usize): void {
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), d0 = f32x4.splat(0), d1 = f32x4.splat(0);
  let p = 0;
  for (; p + 2 <= depth; p += 2, panel += PANEL * 8, x += 8) {
    const even = v128.load32_splat(x), odd = v128.load32_splat(x, 4);
    c0 = f32x4.add(c0, f32x4.mul(even, v128.load(panel))); c1 = f32x4.add(c1, f32x4.mul(even, v128.load(panel, 16)));
    d0 = f32x4.add(d0, f32x4.mul(odd, v128.load(panel, 32))); d1 = f32x4.add(d1, f32x4.mul(odd, v128.load(panel, 48)));
  }
  if (p < depth) {
    const even = v128.load32_splat(x);
    c0 = f32x4.add(c0, f32x4.mul(even, v128.load(panel))); c1 = f32x4.add(c1, f32x4.mul(even, v128.load(panel, 16)));
  }
  storeRow(out, f32x4.add(c0, d0), f32x4.add(c1, d1), true);
}

/** Bytes of scratch memory for `addProduct`. */
export function stripsBytes(rows: i32, k: i32): usize {
  return (<usize>((rows + STRIP - 1) & ~(STRIP - 1)) * <usize>min(k, DEPTH) << 2) + <usize>STRIP * PANEL * 4;
}

/**
 * out[rows, n] += a[rows, k] b, b being packed by `packPanels`: for few rows that meet one b again and again. A panel stays in the first-level cache
 * while all rows pass by.
 */
export function addProduct(a: usize, panels: usize, out: usize, scratch: usize, rows: i32, n: i32, k: i32): void {
  const padded = paddedColumns(n), stride = <usize>n << 2, lone = rows <= 2;
  const edge = scratch + stripsBytes(rows, k) - <usize>STRIP * PANEL * 4;
  for (let p0 = 0; p0 < k; p0 += DEPTH) {
    const p1 = min(p0 + DEPTH, k), depth = p1 - p0;
    if (!lone) for (let i = 0; i < rows; i += STRIP) packRows(a, address(scratch, i * depth), k, i, min(STRIP, rows - i), p0, p1, STRIP);
    for (let j = 0; j < n; j += PANEL) {
      const panel = address(panels, padded * p0 + j * depth), columns = min(PANEL, n - j);
      for (let i = 0; i < rows; i += lone ? 1 : STRIP) {
        const height = lone ? 1 : min(STRIP, rows - i), to = address(out, i * n + j);
        const inside = columns == PANEL && (lone || height == STRIP);
        if (inside && lone) rowTile(address(a, i * k + p0), panel, depth, to);
        else if (inside) packedTile(address(scratch, i * depth), panel, depth, to, stride, true);
        else {
          if (lone) {
            memory.fill(edge, 0, PANEL * 4);
            rowTile(address(a, i * k + p0), panel, depth, edge);
          } else packedTile(address(scratch, i * depth), panel, depth, edge, PANEL * 4, false);
          storeEdge(edge, to, n, height, columns, true);
        }
      }
    }
  }
}
