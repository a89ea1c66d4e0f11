// What a Fourier transform of length n needs beside its rows (fft.ts): sizes, roots of unity, and where they lie in a plan.

/** Bytes of a complex number in the work space. */
export const ITEM: usize = 32;
/** Bytes of a root of unity. */
export const ROOT: usize = 16;
/** The largest prime factor that has a step of its own: beyond it Bluestein's three transforms cost less. */
export const MOST_RADIX: i32 = 61;
/** Bytes of the head of a plan: the complex length, the chirp's length (0 where there is none), and the radices of the one that is transformed. */
const HEAD: usize = 256;
export const RADICES: usize = 8;

/** Length of the complex transform for n real numbers. */
@inline export function complexLength(n: i32): i32 {
  return n & 1 ? n : n >> 1;
}

@inline export function radixOf(n: i32): i32 {
  if ((n & 3) == 0) return 4;
  if ((n & 1) == 0) return 2;
  for (let p = 3; p <= MOST_RADIX; p += 2) if (n % p == 0) return p;
  return n;
}

/** The length of Bluestein's convolution for a complex length: a power of two, or 0 where the length has small factors only. */
export function chirpLength(length: i32): i32 {
  for (let rest = length; rest > 1; ) {
    const p = radixOf(rest);
    if (p > MOST_RADIX) {
      let size = 1;
      while (size < 2 * length - 1) size <<= 1;
      return size;
    }
    rest /= p;
  }
  return 0;
}

/** Bytes of the plan for rows of n numbers: a float64, since they may be more than there are addresses. */
export function fftPlanBytes(n: i32): f64 {
  const length = complexLength(n), chirp = chirpLength(length);
  return <f64>HEAD + <f64>ROOT * (<f64>n + (chirp > 0 ? <f64>length + 2 * <f64>chirp : 0));
}

/** Bytes of work space that each call of a transform needs for itself, `fftPlan` as well. */
export function fftScratchBytes(n: i32): f64 {
  const length = complexLength(n), chirp = chirpLength(length);
  return <f64>ITEM * (<f64>MOST_RADIX + (chirp > 0 ? 3 * <f64>chirp : 2 * <f64>length));
}

/** sin(x) for |x| <= pi / 4, by its series. */
@inline function sine(x: f64): f64 {
  const s = x * x;
  return x * (1 - s * (1.0 / 6) * (1 - s * (1.0 / 20) * (1 - s * (1.0 / 42) * (1 - s * (1.0 / 72) * (1 - s * (1.0 / 110)
    * (1 - s * (1.0 / 156) * (1 - s * (1.0 / 210) * (1 - s * (1.0 / 272)))))))));
}

/** cos(x) for |x| <= pi / 4, by its series. */
@inline function cosine(x: f64): f64 {
  const s = x * x;
  return 1 - s * (1.0 / 2) * (1 - s * (1.0 / 12) * (1 - s * (1.0 / 30) * (1 - s * (1.0 / 56) * (1 - s * (1.0 / 90)
    * (1 - s * (1.0 / 132) * (1 - s * (1.0 / 182) * (1 - s * (1.0 / 240))))))));
}

/** Stores (cos, sin) of t nths of half a turn, 0 <= t < 2 n. The angle is brought within an eighth of a turn in whole numbers, so that no digit is lost. */
export function storeRoot(to: usize, t: i64, n: i64): void {
  const below = t > n;
  let a = below ? 2 * n - t : t;
  const left = 2 * a > n;
  if (left) a = n - a;
  const steep = 4 * a > n;
  const angle = steep ? 0.5 * Math.PI * (<f64>(n - a - a) / <f64>n) : Math.PI * (<f64>a / <f64>n);
  const s = sine(angle), c = cosine(angle);
  const x = steep ? s : c, y = steep ? c : s;
  store<f64>(to, left ? -x : x);
  store<f64>(to, below ? -y : y, 8);
}

/** (cos, sin) of all nths of a turn. */
export function storeRoots(to: usize, n: i32): void {
  for (let t = 0; 2 * t <= n; t++) {
    const at = to + <usize>t * ROOT;
    storeRoot(at, 2 * <i64>t, n);
    if (t == 0 || 2 * t == n) continue;
    const mirrored = to + <usize>(n - t) * ROOT;
    store<f64>(mirrored, load<f64>(at));
    store<f64>(mirrored, -load<f64>(at, 8), 8);
  }
}

@inline export function addressOfRoots(plan: usize): usize {
  return plan + HEAD;
}
@inline export function addressOfChirp(plan: usize, n: i32): usize {
  return plan + HEAD + <usize>n * ROOT;
}
@inline export function addressOfSpectrum(plan: usize, n: i32, length: i32): usize {
  return addressOfChirp(plan, n) + <usize>length * ROOT;
}
@inline export function addressOfChirpRoots(plan: usize, n: i32, length: i32, chirp: i32): usize {
  return addressOfSpectrum(plan, n, length) + <usize>chirp * ROOT;
}
