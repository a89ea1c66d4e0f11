// Fourier transforms of real rows, two rows at a time, one in each lane of float64. A transform of length n is one of complex numbers, of half the length
// where n is even, by Stockham's autosort algorithm in mixed radix; where that length has a large prime factor, by Bluestein's. All of it is float64,
// rounded once where the rows are float32.
//
// A complex number in the work space is two vectors: the real parts of both rows, then the imaginary ones. Roots of unity, chirps and spectra are the same
// for all rows: pairs of float64.
import {
  addressOfChirp, addressOfChirpRoots, addressOfRoots, addressOfSpectrum, chirpLength, complexLength, ITEM,
  MOST_RADIX, RADICES, radixOf, ROOT, storeRoot, storeRoots,
} from "./fft-plan";

/** Makes the plan for rows of n numbers: `fftPlanBytes(n)` bytes at `plan`. */
export function fftPlan(plan: usize, n: i32, scratch: usize): void {
  const length = complexLength(n), chirp = chirpLength(length);
  store<i32>(plan, length);
  store<i32>(plan, chirp, 4);
  let radices = plan + RADICES;
  for (let rest = chirp > 0 ? chirp : length; rest > 1; radices += 4) {
    const p = radixOf(rest);
    store<i32>(radices, p);
    rest /= p;
  }
  store<i32>(radices, 0);
  storeRoots(addressOfRoots(plan), n);
  if (chirp == 0) return;
  const chirps = addressOfChirp(plan, n), spectrum = addressOfSpectrum(plan, n, length), roots = addressOfChirpRoots(plan, n, length, chirp);
  storeRoots(roots, chirp);
  const work = scratch + <usize>MOST_RADIX * ITEM, other = work + <usize>chirp * ITEM;
  memory.fill(work, 0, <usize>chirp * ITEM);
  // e^(i pi j^2 / length), and the spectrum of that sequence, mirrored around 0.
  for (let j = 0; j < length; j++) {
    const at = chirps + <usize>j * ROOT;
    storeRoot(at, (<i64>j * <i64>j) % (2 * <i64>length), length);
    const re = v128.load64_splat(at), im = v128.load64_splat(at, 8);
    storeItem(work + <usize>j * ITEM, re, im);
    if (j > 0) storeItem(work + <usize>(chirp - j) * ITEM, re, im);
  }
  const result = transform(work, other, chirp, plan, roots, ROOT, scratch);
  const scale = 1 / <f64>chirp;
  for (let k = 0; k < chirp; k++) {
    store<f64>(spectrum + <usize>k * ROOT, scale * load<f64>(result + <usize>k * ITEM));
    store<f64>(spectrum + <usize>k * ROOT, scale * load<f64>(result + <usize>k * ITEM, 16), 8);
  }
}

@inline function storeItem(at: usize, re: v128, im: v128): void {
  v128.store(at, re);
  v128.store(at, im, 16);
}

/** Stores (re + i im) (c - i s). */
@inline function storeTurned(at: usize, re: v128, im: v128, c: v128, s: v128): void {
  v128.store(at, f64x2.add(f64x2.mul(re, c), f64x2.mul(im, s)));
  v128.store(at, f64x2.sub(f64x2.mul(im, c), f64x2.mul(re, s)), 16);
}

// One step of the transform: `groups` butterflies of a radix, each for `span` neighbours. The inputs of a butterfly are `groups * span` apart, its outputs
// `span`. Roots are those of `groups * span * radix`, `step` bytes apart.

function step2(x: usize, y: usize, groups: i32, span: i32, roots: usize, step: usize): void {
  const apart = <usize>(groups * span) * ITEM, width = <usize>span * ITEM;
  for (let j = 0; j < groups; j++, y += 2 * width) {
    const root = roots + <usize>(j * span) * step;
    const c = v128.load64_splat(root), s = v128.load64_splat(root, 8);
    let to = y;
    for (const end = x + width; x < end; x += ITEM, to += ITEM) {
      const ar = v128.load(x), ai = v128.load(x, 16), br = v128.load(x + apart), bi = v128.load(x + apart, 16);
      storeItem(to, f64x2.add(ar, br), f64x2.add(ai, bi));
      storeTurned(to + width, f64x2.sub(ar, br), f64x2.sub(ai, bi), c, s);
    }
  }
}

function step3(x: usize, y: usize, groups: i32, span: i32, roots: usize, step: usize): void {
  const apart = <usize>(groups * span) * ITEM, width = <usize>span * ITEM;
  const half = f64x2.splat(0.5), sin60 = f64x2.splat(0.8660254037844386);
  for (let j = 0; j < groups; j++, y += 3 * width) {
    const root = <usize>(j * span) * step, root1 = roots + root, root2 = root1 + root;
    const c1 = v128.load64_splat(root1), s1 = v128.load64_splat(root1, 8), c2 = v128.load64_splat(root2), s2 = v128.load64_splat(root2, 8);
    let to = y;
    for (const end = x + width; x < end; x += ITEM, to += ITEM) {
      const second = x + apart, third = second + apart;
      const ar = v128.load(x), ai = v128.load(x, 16);
      const br = v128.load(second), bi = v128.load(second, 16), cr = v128.load(third), ci = v128.load(third, 16);
      const sr = f64x2.add(br, cr), si = f64x2.add(bi, ci);
      const mr = f64x2.sub(ar, f64x2.mul(half, sr)), mi = f64x2.sub(ai, f64x2.mul(half, si));
      const dr = f64x2.mul(sin60, f64x2.sub(br, cr)), di = f64x2.mul(sin60, f64x2.sub(bi, ci));
      storeItem(to, f64x2.add(ar, sr), f64x2.add(ai, si));
      storeTurned(to + width, f64x2.add(mr, di), f64x2.sub(mi, dr), c1, s1);
      storeTurned(to + 2 * width, f64x2.sub(mr, di), f64x2.add(mi, dr), c2, s2);
    }
  }
}

function step4(x: usize, y: usize, groups: i32, span: i32, roots: usize, step: usize): void {
  const apart = <usize>(groups * span) * ITEM, width = <usize>span * ITEM;
  for (let j = 0; j < groups; j++, y += 4 * width) {
    const root = <usize>(j * span) * step, root1 = roots + root, root2 = root1 + root, root3 = root2 + root;
    const c1 = v128.load64_splat(root1), s1 = v128.load64_splat(root1, 8), c2 = v128.load64_splat(root2), s2 = v128.load64_splat(root2, 8);
    const c3 = v128.load64_splat(root3), s3 = v128.load64_splat(root3, 8);
    let to = y;
    for (const end = x + width; x < end; x += ITEM, to += ITEM) {
      const second = x + apart, third = second + apart, fourth = third + apart;
      const ar = v128.load(x), ai = v128.load(x, 16), br = v128.load(second), bi = v128.load(second, 16);
      const cr = v128.load(third), ci = v128.load(third, 16), dr = v128.load(fourth), di = v128.load(fourth, 16);
      const er = f64x2.add(ar, cr), ei = f64x2.add(ai, ci), fr = f64x2.sub(ar, cr), fi = f64x2.sub(ai, ci);
      const gr = f64x2.add(br, dr), gi = f64x2.add(bi, di), hr = f64x2.sub(br, dr), hi = f64x2.sub(bi, di);
      storeItem(to, f64x2.add(er, gr), f64x2.add(ei, gi));
      storeTurned(to + width, f64x2.add(fr, hi), f64x2.sub(fi, hr), c1, s1);
      storeTurned(to + 2 * width, f64x2.sub(er, gr), f64x2.sub(ei, gi), c2, s2);
      storeTurned(to + 3 * width, f64x2.sub(fr, hi), f64x2.add(fi, hr), c3, s3);
    }
  }
}

function step5(x: usize, y: usize, groups: i32, span: i32, roots: usize, step: usize): void {
  const apart = <usize>(groups * span) * ITEM, width = <usize>span * ITEM;
  const cos72 = f64x2.splat(0.30901699437494745), sin72 = f64x2.splat(0.9510565162951535);
  const cos144 = f64x2.splat(-0.8090169943749475), sin144 = f64x2.splat(0.5877852522924731);
  for (let j = 0; j < groups; j++, y += 5 * width) {
    const root = <usize>(j * span) * step, root1 = roots + root, root2 = root1 + root, root3 = root2 + root, root4 = root3 + root;
    const c1 = v128.load64_splat(root1), s1 = v128.load64_splat(root1, 8), c2 = v128.load64_splat(root2), s2 = v128.load64_splat(root2, 8);
    const c3 = v128.load64_splat(root3), s3 = v128.load64_splat(root3, 8), c4 = v128.load64_splat(root4), s4 = v128.load64_splat(root4, 8);
    let to = y;
    for (const end = x + width; x < end; x += ITEM, to += ITEM) {
      const second = x + apart, third = second + apart, fourth = third + apart, fifth = fourth + apart;
      const ar = v128.load(x), ai = v128.load(x, 16);
      const br = v128.load(second), bi = v128.load(second, 16), cr = v128.load(third), ci = v128.load(third, 16);
      const dr = v128.load(fourth), di = v128.load(fourth, 16), er = v128.load(fifth), ei = v128.load(fifth, 16);
      const pr = f64x2.add(br, er), pi = f64x2.add(bi, ei), qr = f64x2.sub(br, er), qi = f64x2.sub(bi, ei);
      const tr = f64x2.add(cr, dr), ti = f64x2.add(ci, di), ur = f64x2.sub(cr, dr), ui = f64x2.sub(ci, di);
      const mr = f64x2.add(ar, f64x2.add(f64x2.mul(cos72, pr), f64x2.mul(cos144, tr)));
      const mi = f64x2.add(ai, f64x2.add(f64x2.mul(cos72, pi), f64x2.mul(cos144, ti)));
      const nr = f64x2.add(ar, f64x2.add(f64x2.mul(cos144, pr), f64x2.mul(cos72, tr)));
      const ni = f64x2.add(ai, f64x2.add(f64x2.mul(cos144, pi), f64x2.mul(cos72, ti)));
      const vr = f64x2.add(f64x2.mul(sin72, qr), f64x2.mul(sin144, ur)), vi = f64x2.add(f64x2.mul(sin72, qi), f64x2.mul(sin144, ui));
      const wr = f64x2.sub(f64x2.mul(sin144, qr), f64x2.mul(sin72, ur)), wi = f64x2.sub(f64x2.mul(sin144, qi), f64x2.mul(sin72, ui));
      storeItem(to, f64x2.add(ar, f64x2.add(pr, tr)), f64x2.add(ai, f64x2.add(pi, ti)));
      storeTurned(to + width, f64x2.add(mr, vi), f64x2.sub(mi, vr), c1, s1);
      storeTurned(to + 2 * width, f64x2.add(nr, wi), f64x2.sub(ni, wr), c2, s2);
      storeTurned(to + 3 * width, f64x2.sub(nr, wi), f64x2.add(ni, wr), c3, s3);
      storeTurned(to + 4 * width, f64x2.sub(mr, vi), f64x2.add(mi, vr), c4, s4);
    }
  }
}

/** Any other radix, by the definition; the inputs of a butterfly wait in `held`. */
function stepAny(x: usize, y: usize, radix: i32, groups: i32, span: i32, roots: usize, step: usize, held: usize): void {
  const apart = <usize>(groups * span) * ITEM, width = <usize>span * ITEM, turn = groups * span;
  for (let j = 0; j < groups; j++, y += <usize>radix * width) {
    let to = y;
    for (const end = x + width; x < end; x += ITEM, to += ITEM) {
      for (let r = 0, from = x; r < radix; r++, from += apart)
        storeItem(held + <usize>r * ITEM, v128.load(from), v128.load(from, 16));
      for (let q = 0; q < radix; q++) {
        let re = v128.load(held), im = v128.load(held, 16);
        for (let r = 1, t = q; r < radix; r++, t = t + q >= radix ? t + q - radix : t + q) {
          const root = roots + <usize>(t * turn) * step, from = held + <usize>r * ITEM;
          const c = v128.load64_splat(root), s = v128.load64_splat(root, 8), ar = v128.load(from), ai = v128.load(from, 16);
          re = f64x2.add(re, f64x2.add(f64x2.mul(ar, c), f64x2.mul(ai, s)));
          im = f64x2.add(im, f64x2.sub(f64x2.mul(ai, c), f64x2.mul(ar, s)));
        }
        const root = roots + <usize>(j * span * q) * step;
        storeTurned(to + <usize>q * width, re, im, v128.load64_splat(root), v128.load64_splat(root, 8));
      }
    }
  }
}

/** The transform of `length` complex numbers at x, with y as work space of the same size; it ends up in the one that is returned. */
function transform(x: usize, y: usize, length: i32, plan: usize, roots: usize, step: usize, held: usize): usize {
  let left = length, span = 1;
  for (let radices = plan + RADICES; left > 1; radices += 4) {
    const radix = load<i32>(radices), groups = left / radix;
    if (radix == 4) step4(x, y, groups, span, roots, step);
    else if (radix == 2) step2(x, y, groups, span, roots, step);
    else if (radix == 3) step3(x, y, groups, span, roots, step);
    else if (radix == 5) step5(x, y, groups, span, roots, step);
    else stepAny(x, y, radix, groups, span, roots, step, held);
    const swap = x;
    x = y;
    y = swap;
    left = groups;
    span *= radix;
  }
  return x;
}

/** The same by way of a convolution with a chirp: L. I. Bluestein (1970). There is a third work space behind y. */
function transformByChirp(x: usize, y: usize, length: i32, n: i32, plan: usize, chirp: i32, held: usize): usize {
  const chirps = addressOfChirp(plan, n), spectrum = addressOfSpectrum(plan, n, length), roots = addressOfChirpRoots(plan, n, length, chirp);
  const z = y + <usize>chirp * ITEM;
  for (let j = 0; j < length; j++) {
    const from = x + <usize>j * ITEM, root = chirps + <usize>j * ROOT;
    storeTurned(y + <usize>j * ITEM, v128.load(from), v128.load(from, 16), v128.load64_splat(root), v128.load64_splat(root, 8));
  }
  memory.fill(y + <usize>length * ITEM, 0, <usize>(chirp - length) * ITEM);
  const first = transform(y, z, chirp, plan, roots, ROOT, held), other = first == y ? z : y;
  // The inverse transform is the transform with real and imaginary parts exchanged before and after.
  for (let k = 0; k < chirp; k++) {
    const at = first + <usize>k * ITEM, root = spectrum + <usize>k * ROOT;
    const re = v128.load(at), im = v128.load(at, 16), c = v128.load64_splat(root), s = v128.load64_splat(root, 8);
    storeItem(at, f64x2.add(f64x2.mul(re, s), f64x2.mul(im, c)), f64x2.sub(f64x2.mul(re, c), f64x2.mul(im, s)));
  }
  const second = transform(first, other, chirp, plan, roots, ROOT, held);
  for (let k = 0; k < length; k++) {
    const at = second + <usize>k * ITEM, root = chirps + <usize>k * ROOT;
    storeTurned(at, v128.load(at, 16), v128.load(at), v128.load64_splat(root), v128.load64_splat(root, 8));
  }
  return second;
}

@inline function transformed(x: usize, length: i32, n: i32, plan: usize, held: usize): usize {
  const chirp = load<i32>(plan, 4);
  if (chirp > 0) return transformByChirp(x, x + <usize>chirp * ITEM, length, n, plan, chirp, held);
  return transform(x, x + <usize>length * ITEM, length, plan, addressOfRoots(plan), n & 1 ? ROOT : 2 * ROOT, held);
}

/** Element i of two rows. */
@inline function loadBoth(a: usize, b: usize, i: i32, wide: bool): v128 {
  if (wide) return v128.load_lane<f64>(b + (<usize>i << 3), v128.load64_zero(a + (<usize>i << 3)), 1);
  return f64x2.promote_low_f32x4(v128.load_lane<f32>(b + (<usize>i << 2), v128.load32_zero(a + (<usize>i << 2)), 1));
}

@inline function storeBoth(a: usize, b: usize, i: i32, lanes: v128, wide: bool): void {
  if (wide) {
    v128.store_lane<f64>(a + (<usize>i << 3), lanes, 0);
    v128.store_lane<f64>(b + (<usize>i << 3), lanes, 1);
    return;
  }
  const floats = f32x4.demote_f64x2_zero(lanes);
  v128.store_lane<f32>(a + (<usize>i << 2), floats, 0);
  v128.store_lane<f32>(b + (<usize>i << 2), floats, 1);
}

/**
 * out[rows, bins, 2] = the first bins of the transform of x[rows, samples], filled up with zeros to n. `edge` multiplies the bins that have no mirror image
 * (0, and n / 2 of an even n), `inner` the others. Elements are float64 where `wide`, else float32; `scratch` is nobody else's during the call.
 */
export function rfft(
  x: usize, out: usize, rows: i32, samples: i32, bins: i32, n: i32, edge: f64, inner: f64, wide: bool, plan: usize, scratch: usize,
): void {
  const size: usize = wide ? 8 : 4, length = load<i32>(plan), work = scratch + <usize>MOST_RADIX * ITEM, roots = addressOfRoots(plan);
  const xRow = <usize>samples * size, outRow = <usize>bins * 2 * size, half = f64x2.splat(0.5), zero = f64x2.splat(0);
  const edges = f64x2.splat(edge), inners = f64x2.splat(inner);
  for (let r = 0; r < rows; r += 2, x += 2 * xRow, out += 2 * outRow) {
    // The last row of an odd number stands in both lanes.
    const x1 = r + 1 < rows ? x + xRow : x, out1 = r + 1 < rows ? out + outRow : out;
    if (n & 1) {
      for (let j = 0; j < length; j++) storeItem(work + <usize>j * ITEM, j < samples ? loadBoth(x, x1, j, wide) : zero, zero);
    } else {
      for (let j = 0; j < length; j++)
        storeItem(work + <usize>j * ITEM, 2 * j < samples ? loadBoth(x, x1, 2 * j, wide) : zero, 2 * j + 1 < samples ? loadBoth(x, x1, 2 * j + 1, wide) : zero);
    }
    const z = transformed(work, length, n, plan, scratch);
    for (let k = 0; k < bins; k++) {
      const scale = k == 0 || 2 * k == n ? edges : inners;
      const at = z + <usize>(k == length ? 0 : k) * ITEM;
      let re = v128.load(at), im = v128.load(at, 16);
      if (!(n & 1)) {
        // The even and the odd samples' transforms, apart: their sum, the odd ones' turned, is the row's.
        const mirrored = z + <usize>(k == 0 || k == length ? 0 : length - k) * ITEM, root = roots + <usize>k * ROOT;
        const mr = v128.load(mirrored), mi = v128.load(mirrored, 16), c = v128.load64_splat(root), s = v128.load64_splat(root, 8);
        const oddR = f64x2.add(im, mi), oddI = f64x2.sub(mr, re);
        re = f64x2.mul(half, f64x2.add(f64x2.add(re, mr), f64x2.add(f64x2.mul(oddR, c), f64x2.mul(oddI, s))));
        im = f64x2.mul(half, f64x2.add(f64x2.sub(im, mi), f64x2.sub(f64x2.mul(oddI, c), f64x2.mul(oddR, s))));
      }
      storeBoth(out, out1, 2 * k, f64x2.mul(scale, re), wide);
      storeBoth(out, out1, 2 * k + 1, f64x2.mul(scale, im), wide);
    }
  }
}

/** Bin k of two rows, scaled, with its mirror images counted; 0 beyond those there are. Bins without a mirror image are real. */
@inline function loadBin(x: usize, x1: usize, k: i32, bins: i32, n: i32, edges: v128, inners: v128, imaginary: bool, wide: bool): v128 {
  const isEdge = k == 0 || 2 * k == n;
  if (k >= bins || (imaginary && isEdge)) return f64x2.splat(0);
  return f64x2.mul(isEdge ? edges : inners, loadBoth(x, x1, imaginary ? 2 * k + 1 : 2 * k, wide));
}

/**
 * out[rows, samples] = the first samples of the real sequence of length n that x[rows, bins, 2] are the bins of, without division by n: each bin
 * times `edge` or `inner` and the root that belongs to it, its real part. See `rfft`, whose adjoint it is.
 */
export function irfft(
  x: usize, out: usize, rows: i32, samples: i32, bins: i32, n: i32, edge: f64, inner: f64, wide: bool, plan: usize, scratch: usize,
): void {
  const size: usize = wide ? 8 : 4, length = load<i32>(plan), work = scratch + <usize>MOST_RADIX * ITEM, roots = addressOfRoots(plan);
  const xRow = <usize>bins * 2 * size, outRow = <usize>samples * size;
  const edges = f64x2.splat(edge), inners = f64x2.splat(0.5 * inner); // the mirror image is the other half
  for (let r = 0; r < rows; r += 2, x += 2 * xRow, out += 2 * outRow) {
    const x1 = r + 1 < rows ? x + xRow : x, out1 = r + 1 < rows ? out + outRow : out;
    // Real and imaginary parts go in exchanged, and come out so: that makes the transform the inverse one.
    if (n & 1) {
      for (let k = 0; k < length; k++) {
        const at = work + <usize>k * ITEM, isMirrored = 2 * k > n, bin = isMirrored ? n - k : k;
        const re = loadBin(x, x1, bin, bins, n, edges, inners, false, wide), im = loadBin(x, x1, bin, bins, n, edges, inners, true, wide);
        storeItem(at, isMirrored ? f64x2.neg(im) : im, re);
      }
    } else {
      for (let k = 0; k < length; k++) {
        const at = work + <usize>k * ITEM, root = roots + <usize>k * ROOT;
        const re = loadBin(x, x1, k, bins, n, edges, inners, false, wide), im = loadBin(x, x1, k, bins, n, edges, inners, true, wide);
        const mr = loadBin(x, x1, length - k, bins, n, edges, inners, false, wide), mi = loadBin(x, x1, length - k, bins, n, edges, inners, true, wide);
        const c = v128.load64_splat(root), s = v128.load64_splat(root, 8);
        const dr = f64x2.sub(re, mr), di = f64x2.add(im, mi);
        const oddR = f64x2.sub(f64x2.mul(dr, c), f64x2.mul(di, s)), oddI = f64x2.add(f64x2.mul(dr, s), f64x2.mul(di, c));
        storeItem(at, f64x2.add(f64x2.sub(im, mi), oddR), f64x2.sub(f64x2.add(re, mr), oddI));
      }
    }
    const z = transformed(work, length, n, plan, scratch);
    if (n & 1) {
      for (let j = 0; j < samples; j++) storeBoth(out, out1, j, v128.load(z + <usize>j * ITEM, 16), wide);
    } else {
      for (let j = 0; j < samples; j++) storeBoth(out, out1, j, v128.load(z + <usize>(j >> 1) * ITEM + (j & 1 ? 0 : 16)), wide);
    }
  }
}
