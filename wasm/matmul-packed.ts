// A product by one matrix again and again, as recurrent cells have it: packed once, for few rows at a time.
import { address, DEPTH, EDGE_BYTES, packedTiles, packPanel, packRows, paddedColumns, PANEL_BYTES, panelOf, storeEdge, storeRow, STRIP } from "./matmul-tile";

const PANEL: i32 = panelOf<f32>();

/** Packs b for `addProduct`: b is [k, n], or [n, k] when transposed. */
export function packPanels(b: usize, packed: usize, n: i32, k: i32, transposed: bool): void {
  const padded = paddedColumns(n);
  for (let p0 = 0; p0 < k; p0 += DEPTH) {
    const p1 = min(p0 + DEPTH, k);
    let to = address(packed, padded * p0);
    for (let j = 0; j < n; j += PANEL, to += <usize>(p1 - p0) * PANEL_BYTES) {
      if (transposed) packRows<f32>(b, to, k, j, min(PANEL, n - j), p0, p1, PANEL);
      else packPanel<f32>(b, to, n, k, j, p0, p1);
    }
  }
}

/** One row of `packedTiles`: out[8] += x * panel, for x of `depth` floats side by side. */
function rowTile(x: usize, panel: usize, depth: i32, out: usize): void {
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0), d0 = f32x4.splat(0), d1 = f32x4.splat(0);
  let p = 0;
  for (; p + 2 <= depth; p += 2, panel += 2 * PANEL_BYTES, x += 8) {
    const even = v128.load32_splat(x), odd = v128.load32_splat(x, 4);
    c0 = f32x4.add(c0, f32x4.mul(even, v128.load(panel))); c1 = f32x4.add(c1, f32x4.mul(even, v128.load(panel, 16)));
    d0 = f32x4.add(d0, f32x4.mul(odd, v128.load(panel, 32))); d1 = f32x4.add(d1, f32x4.mul(odd, v128.load(panel, 48)));
  }
  if (p < depth) {
    const even = v128.load32_splat(x);
    c0 = f32x4.add(c0, f32x4.mul(even, v128.load(panel))); c1 = f32x4.add(c1, f32x4.mul(even, v128.load(panel, 16)));
  }
  storeRow<f32>(out, f32x4.add(c0, d0), f32x4.add(c1, d1), true);
}

/** Bytes of scratch memory for `addProduct`. */
export function stripsBytes(rows: i32, k: i32): usize {
  return (<usize>((rows + STRIP - 1) & ~(STRIP - 1)) * <usize>min(k, DEPTH) << 2) + EDGE_BYTES;
}

/**
 * out[rows, n] += a[rows, k] b, b being packed by `packPanels`: for few rows that meet one b again and again. A panel stays in the first-level cache
 * while all rows pass by.
 */
export function addProduct(a: usize, panels: usize, out: usize, scratch: usize, rows: i32, n: i32, k: i32): void {
  const padded = paddedColumns(n), stride = <usize>n << 2, lone = rows <= 2;
  const edge = scratch + stripsBytes(rows, k) - EDGE_BYTES;
  for (let p0 = 0; p0 < k; p0 += DEPTH) {
    const p1 = min(p0 + DEPTH, k), depth = p1 - p0;
    if (!lone) for (let i = 0; i < rows; i += STRIP) packRows<f32>(a, address(scratch, i * depth), k, i, min(STRIP, rows - i), p0, p1, STRIP);
    for (let j = 0; j < n; j += PANEL) {
      const panel = address(panels, padded * p0 + j * depth), columns = min(PANEL, n - j);
      let i = 0;
      if (columns == PANEL) {
        if (lone) for (; i < rows; i++) rowTile(address(a, i * k + p0), panel, depth, address(out, i * n + j));
        else {
          packedTiles<f32>(scratch, panel, depth, address(out, j), stride, rows / STRIP, true);
          i = rows & ~(STRIP - 1);
        }
      }
      for (; i < rows; i += lone ? 1 : STRIP) {
        if (lone) {
          memory.fill(edge, 0, PANEL_BYTES);
          rowTile(address(a, i * k + p0), panel, depth, edge);
        } else packedTiles<f32>(address(scratch, i * depth), panel, depth, edge, PANEL_BYTES, 1, false);
        storeEdge<f32>(edge, address(out, i * n + j), n, lone ? 1 : min(STRIP, rows - i), columns, true);
      }
    }
  }
}
