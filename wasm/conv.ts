// Windows over channels-last images [batch, height, width, channels]: their patches, the adjoint of these, and where each window's maximum lies.
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
          for (; ow < last; ow++, patch += patchBytes, at += step) move(at, patch, wide, fold);
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

/**
 * For each window and channel the position h * width + w (int32) of its first largest element within the image; NaN counts as largest.
 * Every window touches the image.
 */
export function maxPoolIndices(
  x: usize, out: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2, image = <usize>(height * width) * pixel;
  for (let n = 0; n < batch; n++, x += image) {
    for (let oh = 0; oh < outH; oh++) {
      for (let ow = 0; ow < outW; ow++, out += pixel) {
        const top = oh * strideH - padH, left = ow * strideW - padW;
        for (let c = 0; c < channels; c += 4) {
          const from = x + (<usize>c << 2), count = channels - c;
          let best = f32x4.splat(-Infinity), index = i32x4.splat(-1);
          for (let kh = 0; kh < kernelH; kh++) {
            const h = top + kh * dilationH;
            if (h < 0 || h >= height) continue;
            for (let kw = 0; kw < kernelW; kw++) {
              const w = left + kw * dilationW;
              if (w < 0 || w >= width) continue;
              const position = h * width + w;
              const lanes = loadUpTo(from + <usize>position * pixel, count);
              const isNaN = f32x4.ne(lanes, lanes), bestIsNaN = f32x4.ne(best, best);
              const unset = i32x4.lt_s(index, i32x4.splat(0));
              const better = v128.or(v128.or(f32x4.gt(lanes, best), v128.andnot(isNaN, bestIsNaN)), unset);
              best = v128.bitselect(lanes, best, better);
              index = v128.bitselect(i32x4.splat(position), index, better);
            }
          }
          storeUpTo(out + (<usize>c << 2), index, count);
        }
      }
    }
  }
}
