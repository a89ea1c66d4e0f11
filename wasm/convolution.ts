// Convolutions of float32 at stride 1 without their patches: products of matrices one of which is read where it lies, in images [batch, height, width, channels]
// whose padding has been written out.
import { address, DEPTH, directTiles, EDGE_BYTES, halfTile, packedTiles, packRows, packStrip, PANEL_BYTES, panelOf, storeEdge, STRIP } from "./matmul-tile";
import { copyRun, fillRun } from "./runs";

const PANEL: i32 = panelOf<f32>();
/** Positions of a row, or channels of a weight's gradient, at a time: what they read stays in the second-level cache. */
const ROWS: i32 = 256;
/** Up to this many channels a weight's gradient reads both the image and the cotangent where they lie. */
const FEW_CHANNELS: i32 = 16;

/** Images with zeros around them. */
export function padImages(
  x: usize, out: usize, batch: i32, height: i32, width: i32, channels: i32, top: i32, left: i32, fullHeight: i32, fullWidth: i32,
): void {
  const row = width * channels, before = left * channels, fullRow = fullWidth * channels;
  // The zeros behind a row, below an image, above the next one and before its first row are side by side.
  let zeros = top * fullRow + before;
  for (let n = 0; n < batch; n++) {
    for (let h = 0; h < height; h++, x += <usize>row << 2) {
      fillRun(out, zeros, 0);
      out = address(out, zeros);
      copyRun(x, out, row);
      out = address(out, row);
      zeros = fullRow - row;
    }
    zeros += (fullHeight - height) * fullRow;
  }
  fillRun(out, zeros - top * fullRow - before, 0);
}

/** Packs a weight [n, k] into panels of 8 rows, [k][8]. */
export function packWeight(weight: usize, panels: usize, n: i32, k: i32): void {
  for (let j = 0; j < n; j += PANEL) packRows<f32>(weight, panels + <usize>(j * k) * 4, k, j, min(PANEL, n - j), 0, k, PANEL);
}

/** Bytes of scratch memory for `conv`. */
export function convEdge(): usize {
  return EDGE_BYTES;
}

/**
 * Positions [begin, end) of out[batch, outH, outW, n], where rows have at least four. A window's elements are `groups` of `runs` of `depth` elements side by side:
 * its rows, or, where it is dilated, single places.
 */
export function conv(
  image: usize, panels: usize, out: usize, edge: usize, begin: i32, end: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelH: i32, kernelW: i32, dilationH: i32, dilationW: i32, n: i32,
): void {
  const pixel = <usize>channels << 2, rowBytes = <usize>(dilationH * width) * pixel, stride = <usize>n << 2, whole = dilationW == 1;
  const depth = whole ? kernelW * channels : channels, groups = whole ? 1 : kernelH, runs = whole ? kernelH : kernelW;
  const runStep = whole ? rowBytes : <usize>dilationW * pixel, jump = runStep - (<usize>depth << 2);
  const together = min(runs, max(1, DEPTH / depth)), isOne = groups == 1 && together == runs && depth <= DEPTH;
  const panelBytes = <usize>(kernelH * kernelW * channels) * PANEL_BYTES;
  for (let q = begin; q < end;) {
    const row = q / outW, from = q - row * outW, to = min(from + min(ROWS, end - q), outW), image0 = row / outH;
    const corner = image + <usize>((image0 * height + row - image0 * outH) * width) * pixel, target = out + <usize>(row * outW) * stride;
    for (let j = 0, panel = panels; j < n; j += PANEL, panel += panelBytes) {
      const columns = min(PANEL, n - j);
      let b = panel;
      for (let group = 0; group < groups; group++) {
        for (let first = 0; first < runs; first += together) {
          const some = min(together, runs - first);
          for (let p = 0; p < depth; p += DEPTH) {
            const length = min(DEPTH, depth - p), add = b != panel;
            const a = corner + <usize>group * rowBytes + <usize>first * runStep + (<usize>p << 2);
            let i = from;
            if (columns == PANEL) {
              const count = (to - from) / STRIP;
              directTiles<f32>(a + <usize>i * pixel, pixel, 4, b, PANEL_BYTES, length, some, jump, target + <usize>i * stride + (<usize>j << 2), stride, count, add);
              i += count * STRIP;
              if (isOne && count > 0 && i < to) {
                // The last tile writes the end of the one before again.
                i = to - STRIP;
                directTiles<f32>(a + <usize>i * pixel, pixel, 4, b, PANEL_BYTES, length, some, jump, target + <usize>i * stride + (<usize>j << 2), stride, 1, false);
                i = to;
              }
            }
            for (; i < to; i += STRIP) {
              const top = min(i, outW - STRIP), at = a + <usize>top * pixel;
              if (2 * columns <= PANEL) halfTile<f32>(at, pixel, 4, b, PANEL_BYTES, length, some, jump, edge);
              else directTiles<f32>(at, pixel, 4, b, PANEL_BYTES, length, some, jump, edge, PANEL_BYTES, 1, false);
              storeEdge<f32>(address(edge, (i - top) * PANEL), target + <usize>i * stride + (<usize>j << 2), n, min(STRIP, to - i), columns, add);
            }
            b += <usize>(some * length) * PANEL_BYTES;
          }
        }
      }
    }
    q += to - from;
  }
}

/** Packs elements [j, j + columns) of the windows at positions [q0, q1) as rows of 8. */
function packPatches(
  image: usize, to: usize, j: i32, columns: i32, q0: i32, q1: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2;
  let taken = 0;
  for (let c = 0; c < columns; c += taken) {
    const tap = (j + c) / channels, channel = j + c - tap * channels, kh = tap / kernelW, kw = tap - kh * kernelW;
    const beside = min(columns - c, (dilationW == 1 ? (kernelW - kw) * channels : channels) - channel);
    taken = beside >= 8 ? 8 : beside >= 4 ? 4 : beside >= 2 ? 2 : 1;
    const source = image + <usize>(kh * dilationH * width + kw * dilationW) * pixel + (<usize>channel << 2);
    let out = to + (<usize>c << 2);
    for (let q = q0; q < q1;) {
      const row = q / outW, from = q - row * outW, n = row / outH, count = min(outW - from, q1 - q);
      let at = source + <usize>((n * height + row - n * outH) * width + from) * pixel;
      for (const end = at + <usize>count * pixel; at < end; at += pixel, out += PANEL_BYTES) {
        if (taken >= 4) {
          v128.store(out, v128.load(at));
          if (taken == 8) v128.store(out, v128.load(at, 16), 16);
        } else if (taken == 2) store<i64>(out, load<i64>(at));
        else store<i32>(out, load<i32>(at));
      }
      q += count;
    }
  }
}

/** Bytes of scratch memory for `convWeight`. */
export function convWeightScratch(m: i32): usize {
  return EDGE_BYTES + <usize>DEPTH * PANEL_BYTES + <usize>((min(m, ROWS) + STRIP - 1) & ~(STRIP - 1)) * DEPTH * 4;
}

/** `convWeight` for few channels, at least a panel: [k, m] in tiles of four elements of a window, which are stored as [m, k]. */
function convWeightDirect(
  image: usize, g: usize, out: usize, edge: usize, begin: i32, end: i32, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelH: i32, kernelW: i32, dilationH: i32, dilationW: i32, m: i32,
): void {
  const pixel = <usize>channels << 2, step = <usize>m << 2, k = kernelH * kernelW * channels;
  const whole = dilationW == 1, depth = whole ? kernelW * channels : channels, across = whole ? 1 : kernelW;
  const rowsTogether = max(1, DEPTH / outW);
  for (let row = 0; row < batch * outH;) {
    const n = row / outH, oh = row - n * outH, some = min(rowsTogether, outH - oh);
    for (let ow = 0; ow < outW; ow += DEPTH) {
      const length = min(DEPTH, outW - ow), jump = <usize>(width - length) * pixel, position = row * outW + ow;
      for (let run = 0; run < kernelH * across; run++) {
        const kh = run / across, kw = run - kh * across;
        const corner = image + <usize>((n * height + oh + kh * dilationH) * width + ow + kw * dilationW) * pixel;
        for (let element = 0; element < depth; element += STRIP) {
          const place = run * depth + element;
          if (place + STRIP <= begin || place >= end) continue;
          const top = min(element, depth - STRIP); // before the window's row, even, of which nothing is stored
          for (let j = 0; j < m; j += PANEL) {
            const left = min(j, m - PANEL);
            directTiles<f32>(corner + (<usize>top << 2), 4, pixel, address(g, position * m + left), step, length, some, jump, edge, PANEL_BYTES, 1, false);
            for (let r = element - top; r < STRIP; r++) {
              const column = run * depth + top + r;
              if (column < begin || column >= end) continue;
              for (let c = j - left; c < PANEL; c++) {
                const to = address(out, (left + c) * k + column), value = load<f32>(address(edge, r * PANEL + c));
                store<f32>(to, position > 0 ? load<f32>(to) + value : value);
              }
            }
          }
        }
      }
    }
    row += some;
  }
}

/** Columns [begin, end), from a multiple of 8 on, of the sum over all positions of g[position, m]^T patch[position, k]: out[m, k]. */
export function convWeight(
  image: usize, g: usize, out: usize, scratch: usize, begin: i32, end: i32, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelH: i32, kernelW: i32, dilationH: i32, dilationW: i32, m: i32,
): void {
  if (m >= PANEL && m <= FEW_CHANNELS) {
    return convWeightDirect(
      image, g, out, scratch, begin, end, batch, height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW, m,
    );
  }
  const k = kernelH * kernelW * channels, stride = <usize>k << 2, positions = batch * outH * outW;
  const panel = scratch + EDGE_BYTES, strips = panel + <usize>DEPTH * PANEL_BYTES;
  for (let i0 = 0; i0 < m; i0 += ROWS) {
    const i1 = min(i0 + ROWS, m);
    for (let q0 = 0; q0 < positions; q0 += DEPTH) {
      const q1 = min(q0 + DEPTH, positions), depth = q1 - q0, add = q0 > 0;
      const stripBytes = <usize>(STRIP * depth) << 2;
      for (let i = i0, to = strips; i < i1; i += STRIP, to += stripBytes) packStrip<f32>(g, to, m, positions, true, i, q0, q1);
      for (let j = begin; j < end; j += PANEL) {
        const columns = min(PANEL, k - j);
        packPatches(image, panel, j, columns, q0, q1, height, width, channels, outH, outW, kernelW, dilationH, dilationW);
        let i = i0;
        if (columns == PANEL) {
          const count = (i1 - i0) / STRIP;
          packedTiles<f32>(strips, panel, depth, address(out, i * k + j), stride, count, add);
          i += count * STRIP;
        }
        for (; i < i1; i += STRIP) {
          const strip = strips + <usize>((i - i0) / STRIP) * stripBytes;
          if (2 * columns <= PANEL) halfTile<f32>(strip, 4, STRIP * 4, panel, PANEL_BYTES, depth, 1, 0, scratch);
          else packedTiles<f32>(strip, panel, depth, scratch, PANEL_BYTES, 1, false);
          storeEdge<f32>(scratch, address(out, i * k + j), k, min(STRIP, i1 - i), columns, add);
        }
      }
    }
  }
}
