// Windows over channels-last images [batch, height, width, channels]: their patches, the adjoint of these, each window's maximum, and its vjp.
import { loadUpTo, storeUpTo } from "./lanes";
import { addRun, copyRun, fillRun } from "./runs";

/** Moves n elements from an image to a patch, or adds them the other way round. */
@inline function move(image: usize, patch: usize, n: i32, fold: bool): void {
  if (fold) addRun(patch, image, n);
  else copyRun(image, patch, n);
}

/** One row of a patch element by element, some of them beyond the edges; `row` is the image's row, `left` the column of the first element. */
function moveEdge(row: usize, patch: usize, left: i32, width: i32, channels: i32, kernelW: i32, dilationW: i32, fold: bool): void {
  for (let kw = 0; kw < kernelW; kw++, patch += <usize>channels << 2) {
    const w = left + kw * dilationW;
    if (w >= 0 && w < width) move(row + (<usize>(w * channels) << 2), patch, channels, fold);
    else if (!fold) fillRun(patch, channels, 0);
  }
}

/**
 * Goes through the rows of patches [batch, outH, outW, kernelH, kernelW, channels] and copies them out of the image (0 beyond its edges), or, to
 * fold, adds them into it. Where the elements of a window lie side by side, a row of a patch is one run of the image.
 */
@inline function walk(
  image: usize, patches: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32, fold: bool,
): void {
  const wide = kernelW * channels, rowBytes = <usize>(width * channels) << 2, patchBytes = <usize>(kernelH * wide) << 2;
  const step = <usize>(strideW * channels) << 2;
  // Windows [first, last) lie within the row.
  const room = width + padW - kernelW;
  const last = dilationW == 1 && room >= 0 ? min(outW, room / strideW + 1) : 0;
  const first = min((padW + strideW - 1) / strideW, last);
  for (let n = 0; n < batch; n++, image += <usize>height * rowBytes) {
    for (let oh = 0; oh < outH; oh++, patches += <usize>outW * patchBytes) {
      for (let kh = 0; kh < kernelH; kh++) {
        const h = oh * strideH - padH + kh * dilationH;
        let patch = patches + (<usize>(kh * wide) << 2);
        if (h < 0 || h >= height) {
          if (!fold) for (let ow = 0; ow < outW; ow++, patch += patchBytes) fillRun(patch, wide, 0);
          continue;
        }
        const row = image + <usize>h * rowBytes;
        let ow = 0;
        for (; ow < first; ow++, patch += patchBytes) moveEdge(row, patch, ow * strideW - padW, width, channels, kernelW, dilationW, fold);
        let at = row + (<usize>((ow * strideW - padW) * channels) << 2);
        if (wide == 3 && !fold) {
          // A 3 x 3 window over one channel, the first layer of many a network.
          for (; ow < last; ow++, patch += patchBytes, at += step) {
            store<i64>(patch, load<i64>(at));
            store<i32>(patch, load<i32>(at, 8), 8);
          }
        } else {
          // Not a call for each: the runs are short.
          const run = <usize>wide << 2, whole = run & ~15;
          for (; ow < last; ow++, patch += patchBytes, at += step) {
            let i: usize = 0;
            for (; i < whole; i += 16) {
              if (fold) v128.store(at + i, f32x4.add(v128.load(at + i), v128.load(patch + i)));
              else v128.store(patch + i, v128.load(at + i));
            }
            for (; i < run; i += 4) {
              if (fold) store<f32>(at + i, load<f32>(at + i) + load<f32>(patch + i));
              else store<i32>(patch + i, load<i32>(at + i));
            }
          }
        }
        for (; ow < outW; ow++, patch += patchBytes) moveEdge(row, patch, ow * strideW - padW, width, channels, kernelW, dilationW, fold);
      }
    }
  }
}

/** Patches [batch, outH, outW, kernelH, kernelW, channels] of an image (im2col); 0 beyond its edges. */
export function unfold(
  x: usize, out: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  walk(x, out, batch, height, width, channels, outH, outW, kernelH, kernelW, strideH, strideW, padH, padW, dilationH, dilationW, false);
}

/** The adjoint of `unfold`: patches summed into an image. */
export function fold(
  patches: usize, out: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  fillRun(out, batch * height * width * channels, 0);
  walk(out, patches, batch, height, width, channels, outH, outW, kernelH, kernelW, strideH, strideW, padH, padW, dilationH, dilationW, true);
}

/** The first of a window's elements that lies within an axis, when its own first one is at `start`. */
@inline function firstInside(start: i32, dilation: i32): i32 {
  return start < 0 ? (dilation - 1 - start) / dilation : 0;
}

/** The end of those that do. */
@inline function endInside(start: i32, kernel: i32, dilation: i32, size: i32): i32 {
  return start + (kernel - 1) * dilation < size ? kernel : (size - start + dilation - 1) / dilation;
}

/** The first largest element of up to four channels among `rows` x `columns` positions of an image that begins at x, and where it lies; steps are in positions. */
@inline function firstLargest(
  x: usize, out: usize, places: usize, pixel: usize, first: i32, rows: i32, columns: i32, rowStep: i32, step: i32, channels: i32,
): void {
  let best = loadUpTo(x + <usize>first * pixel, channels), index = i32x4.splat(first);
  for (; rows > 0; rows--, first += rowStep) {
    for (let position = first, end = first + columns * step; position < end; position += step) {
      const lanes = loadUpTo(x + <usize>position * pixel, channels);
      // Unless it is at most the best one: NaN is not. Nothing is better than NaN.
      const better = v128.andnot(f32x4.eq(best, best), f32x4.le(lanes, best));
      best = v128.bitselect(lanes, best, better);
      index = v128.bitselect(i32x4.splat(position), index, better);
    }
  }
  storeUpTo(out, best, channels);
  storeUpTo(places, index, channels);
}

/**
 * For each window and channel its first largest element within the image, and the position h * width + w (int32) of that; NaN counts as largest.
 * Every window touches the image.
 */
export function maxPool(
  x: usize, out: usize, places: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2, image = <usize>(height * width) * pixel, rowStep = dilationH * width;
  for (let n = 0; n < batch; n++, x += image) {
    for (let oh = 0; oh < outH; oh++) {
      const top = oh * strideH - padH, kh = firstInside(top, dilationH), rows = endInside(top, kernelH, dilationH, height) - kh;
      for (let ow = 0; ow < outW; ow++, out += pixel, places += pixel) {
        const left = ow * strideW - padW, kw = firstInside(left, dilationW), columns = endInside(left, kernelW, dilationW, width) - kw;
        const first = (top + kh * dilationH) * width + left + kw * dilationW;
        let at: usize = 0, rest = channels;
        for (; rest >= 4; rest -= 4, at += 16) firstLargest(x + at, out + at, places + at, pixel, first, rows, columns, rowStep, dilationW, 4);
        if (rest > 0) firstLargest(x + at, out + at, places + at, pixel, first, rows, columns, rowStep, dilationW, rest);
      }
    }
  }
}

/** What a window gives to the elements that it sees of up to four channels: g where its largest element lies, else 0. */
@inline function giveBack(g: v128, places: v128, out: usize, pixel: usize, first: i32, rows: i32, columns: i32, rowStep: i32, step: i32, channels: i32, adds: bool): void {
  for (; rows > 0; rows--, first += rowStep) {
    for (let position = first, end = first + columns * step; position < end; position += step) {
      const part = v128.and(g, i32x4.eq(places, i32x4.splat(position))), to = out + <usize>position * pixel;
      storeUpTo(to, adds ? f32x4.add(loadUpTo(to, channels), part) : part, channels);
    }
  }
}

/** The vjp of `maxPool`: each window's g added to the image where its largest element lies. */
export function maxPoolVjp(
  g: usize, places: usize, out: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2, image = <usize>(height * width) * pixel, rowStep = dilationH * width;
  // Windows that meet without a gap or a common element write all there is.
  const tiles = kernelH == strideH && kernelW == strideW && dilationH == 1 && dilationW == 1
    && padH == 0 && padW == 0 && outH * strideH == height && outW * strideW == width;
  if (!tiles) fillRun(out, batch * height * width * channels, 0);
  for (let n = 0; n < batch; n++, out += image) {
    for (let oh = 0; oh < outH; oh++) {
      const top = oh * strideH - padH, kh = firstInside(top, dilationH), rows = endInside(top, kernelH, dilationH, height) - kh;
      for (let ow = 0; ow < outW; ow++, g += pixel, places += pixel) {
        const left = ow * strideW - padW, kw = firstInside(left, dilationW), columns = endInside(left, kernelW, dilationW, width) - kw;
        const first = (top + kh * dilationH) * width + left + kw * dilationW;
        let at: usize = 0, rest = channels;
        for (; rest >= 4; rest -= 4, at += 16)
          giveBack(v128.load(g + at), v128.load(places + at), out + at, pixel, first, rows, columns, rowStep, dilationW, 4, !tiles);
        if (rest > 0) giveBack(loadUpTo(g + at, rest), loadUpTo(places + at, rest), out + at, pixel, first, rows, columns, rowStep, dilationW, rest, !tiles);
      }
    }
  }
}
