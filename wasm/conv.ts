// Windows over channels-last images [batch, height, width, channels]: their patches, the adjoint of these, and where each window's maximum lies.
import { loadUpTo, storeUpTo } from "./lanes";
import { addRun, copyRun, fillRun } from "./runs";

/**
 * Walks over all runs of patches [batch, outH, outW, kernelH, kernelW, channels] that lie side by side in the image, and copies them out of it
 * (`fold` false; 0 beyond the edges) or adds them into it.
 */
@inline function walk(
  image: usize, patches: usize, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32, kernelH: i32, kernelW: i32,
  strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32, fold: bool,
): void {
  const wide = kernelW * channels, rowBytes = <usize>(width * channels) << 2;
  for (let n = 0; n < batch; n++, image += <usize>height * rowBytes) {
    for (let oh = 0; oh < outH; oh++) {
      for (let ow = 0; ow < outW; ow++) {
        const left = ow * strideW - padW;
        const whole = dilationW == 1 && left >= 0 && left + kernelW <= width;
        for (let kh = 0; kh < kernelH; kh++, patches += <usize>wide << 2) {
          const h = oh * strideH - padH + kh * dilationH;
          if (h < 0 || h >= height) {
            if (!fold) fillRun(patches, wide, 0);
            continue;
          }
          const row = image + <usize>h * rowBytes;
          if (whole) {
            const at = row + (<usize>(left * channels) << 2);
            if (fold) addRun(patches, at, wide);
            else copyRun(at, patches, wide);
            continue;
          }
          let patch = patches;
          for (let kw = 0; kw < kernelW; kw++, patch += <usize>channels << 2) {
            const w = left + kw * dilationW;
            const at = row + (<usize>(w * channels) << 2);
            if (w >= 0 && w < width) {
              if (fold) addRun(patch, at, channels);
              else copyRun(at, patch, channels);
            } else if (!fold) {
              fillRun(patch, channels, 0);
            }
          }
        }
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
