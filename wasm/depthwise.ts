// Windows over each channel by itself: channels-last images [batch, height, width, channels], taps [kernelH, kernelW, channels], windows
// [batch, outH, outW, channels]. Of each of the three, given the other two, the elements [begin, end) in units of all channels.
import { loadUpTo, storeUpTo } from "./lanes";
import { fillRun } from "./runs";

/** The sum over rows x columns taps of a value times a tap, for the channels of one element; steps are in bytes. */
@inline function sumTaps(
  values: usize, taps: usize, out: usize, channels: i32, rows: i32, columns: i32,
  rowStep: usize, columnStep: usize, tapRowStep: usize, tapColumnStep: usize,
): void {
  let c = 0;
  for (; c + 16 <= channels; c += 16) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    let row = values + (<usize>c << 2), tapRow = taps + (<usize>c << 2);
    for (let i = 0; i < rows; i++, row += rowStep, tapRow += tapRowStep) {
      let at = row, tap = tapRow;
      for (let j = 0; j < columns; j++, at += columnStep, tap += tapColumnStep) {
        s0 = f32x4.add(s0, f32x4.mul(v128.load(at), v128.load(tap)));
        s1 = f32x4.add(s1, f32x4.mul(v128.load(at, 16), v128.load(tap, 16)));
        s2 = f32x4.add(s2, f32x4.mul(v128.load(at, 32), v128.load(tap, 32)));
        s3 = f32x4.add(s3, f32x4.mul(v128.load(at, 48), v128.load(tap, 48)));
      }
    }
    const to = out + (<usize>c << 2);
    v128.store(to, s0);
    v128.store(to, s1, 16);
    v128.store(to, s2, 32);
    v128.store(to, s3, 48);
  }
  for (; c < channels; c += 4) {
    const count = channels - c;
    let sum = f32x4.splat(0);
    let row = values + (<usize>c << 2), tapRow = taps + (<usize>c << 2);
    for (let i = 0; i < rows; i++, row += rowStep, tapRow += tapRowStep) {
      let at = row, tap = tapRow;
      for (let j = 0; j < columns; j++, at += columnStep, tap += tapColumnStep)
        sum = f32x4.add(sum, f32x4.mul(loadUpTo(at, count), loadUpTo(tap, count)));
    }
    storeUpTo(out + (<usize>c << 2), sum, count);
  }
}

/** The first tap of a window that begins at `start` which is not before the axis. */
@inline function firstInside(start: i32, dilation: i32): i32 {
  return start < 0 ? (dilation - 1 - start) / dilation : 0;
}

/** The tap after the last one that is not beyond the axis. */
@inline function endInside(start: i32, size: i32, dilation: i32, kernel: i32): i32 {
  return start < size ? min(kernel, (size - start + dilation - 1) / dilation) : 0;
}

/** Windows' sums of x times taps. */
export function depthwise(
  x: usize, taps: usize, out: usize, begin: i32, end: i32, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelH: i32, kernelW: i32, strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2;
  const rowStep = <usize>(dilationH * width) * pixel, columnStep = <usize>dilationW * pixel;
  for (let p = begin; p < end; p++) {
    const q = p / outW, n = q / outH;
    const top = (q - n * outH) * strideH - padH, left = (p - q * outW) * strideW - padW;
    const i = firstInside(top, dilationH), rows = endInside(top, height, dilationH, kernelH) - i;
    const j = firstInside(left, dilationW), columns = endInside(left, width, dilationW, kernelW) - j;
    const at = (n * height + top + i * dilationH) * width + left + j * dilationW;
    sumTaps(
      x + <usize>at * pixel, taps + <usize>(i * kernelW + j) * pixel, out + <usize>p * pixel, channels, rows, columns,
      rowStep, columnStep, <usize>kernelW * pixel, pixel,
    );
  }
}

/** How many taps on the same stride comes round again: stride over its greatest common divisor with the dilation. */
function period(stride: i32, dilation: i32): i32 {
  let a = stride, b = dilation;
  while (b != 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return stride / a;
}

/**
 * The first tap through which a window sees the element `place` of an axis (padding counted): place - tap * dilation is that window's place, a
 * multiple of the stride. Further ones follow every `every` taps, in windows further to the front. `kernel` or more where there is none.
 */
function firstTap(place: i32, windows: i32, stride: i32, dilation: i32, kernel: i32, every: i32): i32 {
  for (let tap = 0, most = min(every, kernel); tap < most; tap++) {
    const from = place - tap * dilation;
    if (from < 0) return kernel;
    if (from % stride != 0) continue;
    const window = from / stride;
    return window < windows ? tap : tap + every * ((window - windows) / (dilation * every / stride) + 1);
  }
  return kernel;
}

/** How many taps there are from the first one on, windows before the first one left out. */
@inline function countTaps(first: i32, place: i32, dilation: i32, kernel: i32, every: i32): i32 {
  const last = min(kernel - 1, place / dilation);
  return first <= last ? (last - first) / every + 1 : 0;
}

/** What each element of the image gets from the windows that see it. */
export function depthwiseInput(
  g: usize, taps: usize, out: usize, begin: i32, end: i32, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelH: i32, kernelW: i32, strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2;
  const everyH = period(strideH, dilationH), everyW = period(strideW, dilationW);
  const rowStep = <usize>(-(dilationH * everyH / strideH) * outW) * pixel, columnStep = <usize>-(dilationW * everyW / strideW) * pixel;
  const tapRowStep = <usize>(everyH * kernelW) * pixel, tapColumnStep = <usize>everyW * pixel;
  for (let p = begin; p < end; p++) {
    const q = p / width, n = q / height;
    const h = q - n * height + padH, w = p - q * width + padW;
    const i = firstTap(h, outH, strideH, dilationH, kernelH, everyH), rows = countTaps(i, h, dilationH, kernelH, everyH);
    const j = firstTap(w, outW, strideW, dilationW, kernelW, everyW), columns = countTaps(j, w, dilationW, kernelW, everyW);
    const at = (n * outH + (h - i * dilationH) / strideH) * outW + (w - j * dilationW) / strideW;
    sumTaps(
      g + <usize>at * pixel, taps + <usize>(i * kernelW + j) * pixel, out + <usize>p * pixel, channels, rows, columns,
      rowStep, columnStep, tapRowStep, tapColumnStep,
    );
  }
}

/** Adds the sum of x times g over n places to an output, for up to 16 channels; steps are in bytes. */
@inline function addProducts(x: usize, g: usize, out: usize, count: i32, n: i32, xStep: usize, gStep: usize): void {
  if (count >= 16) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (let i = 0; i < n; i++, x += xStep, g += gStep) {
      s0 = f32x4.add(s0, f32x4.mul(v128.load(x), v128.load(g)));
      s1 = f32x4.add(s1, f32x4.mul(v128.load(x, 16), v128.load(g, 16)));
      s2 = f32x4.add(s2, f32x4.mul(v128.load(x, 32), v128.load(g, 32)));
      s3 = f32x4.add(s3, f32x4.mul(v128.load(x, 48), v128.load(g, 48)));
    }
    v128.store(out, f32x4.add(v128.load(out), s0));
    v128.store(out, f32x4.add(v128.load(out, 16), s1), 16);
    v128.store(out, f32x4.add(v128.load(out, 32), s2), 32);
    v128.store(out, f32x4.add(v128.load(out, 48), s3), 48);
    return;
  }
  for (let c = 0; c < count; c += 4) {
    const lanes = count - c;
    let sum = f32x4.splat(0), a = x + (<usize>c << 2), b = g + (<usize>c << 2);
    for (let i = 0; i < n; i++, a += xStep, b += gStep) sum = f32x4.add(sum, f32x4.mul(loadUpTo(a, lanes), loadUpTo(b, lanes)));
    const to = out + (<usize>c << 2);
    storeUpTo(to, f32x4.add(loadUpTo(to, lanes), sum), lanes);
  }
}

/** For each tap the sum over all windows of x times g. Summed by rows of windows, so that rounding does not grow with the whole batch. */
export function depthwiseTaps(
  x: usize, g: usize, out: usize, begin: i32, end: i32, batch: i32, height: i32, width: i32, channels: i32, outH: i32, outW: i32,
  kernelH: i32, kernelW: i32, strideH: i32, strideW: i32, padH: i32, padW: i32, dilationH: i32, dilationW: i32,
): void {
  const pixel = <usize>channels << 2, step = <usize>strideW * pixel;
  fillRun(out + <usize>begin * pixel, (end - begin) * channels, 0);
  for (let c = 0; c < channels; c += 16) {
    const lanes = <usize>c << 2;
    for (let n = 0; n < batch; n++) {
      for (let oh = 0; oh < outH; oh++) {
        for (let tap = begin; tap < end; tap++) {
          const i = tap / kernelW, offset = (tap - i * kernelW) * dilationW - padW;
          const h = oh * strideH - padH + i * dilationH;
          if (h < 0 || h >= height || offset >= width) continue;
          const first = firstInside(offset, strideW), last = endInside(offset, width, strideW, outW);
          const at = (n * height + h) * width + offset + first * strideW;
          addProducts(
            x + <usize>at * pixel + lanes, g + <usize>((n * outH + oh) * outW + first) * pixel + lanes, out + <usize>tap * pixel + lanes,
            channels - c, last - first, step, pixel,
          );
        }
      }
    }
  }
}
