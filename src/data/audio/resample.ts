import { customVjp } from '../../autograd/custom.js';
import type { TypedArray } from '../../backends/backend.js';
import { hostArray } from '../../backends/host-array.js';
import { DeviceError, ValueError } from '../../errors.js';
import { checkNumber, checkOptions, checkWhole, describe } from '../../tensor/arguments.js';
import { fromTypedArray, moveTo } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkFloats, checkRange } from './checks.js';

export interface ResampleOptions {
  /** Zero crossings of the sinc on each side: more of them make a sharper filter; 6 by default. */
  readonly zeros?: number;
  /** Where the filter ends, as a share of the lower rate's half; 0.99 by default. */
  readonly rolloff?: number;
  /** What the sinc is faded out by: 'hann' by default, or 'kaiser'. */
  readonly window?: 'hann' | 'kaiser';
  /** The Kaiser window's shape; 14.769656459379492 by default. */
  readonly beta?: number;
}

/** A filter with a row of taps for each phase: output q * to + p is the sum of taps[p][k] * x[q * from + first[p] + k]. */
interface Filter {
  readonly from: number;
  readonly to: number;
  readonly taps: readonly Float64Array[];
  readonly first: Int32Array;
}

const OP = 'resample';
/** Of all phases together: half a gigabyte. */
const MOST_TAPS = 2 ** 26;

/**
 * Samples at another rate, by a windowed sinc (J. O. Smith, "Digital audio resampling"), as `torchaudio.functional.resample` defines it: with rates from
 * and to without their common factor, cutoff = rolloff * min(from, to), a sample at time t / to is the sum over all samples, at times j / from, of
 * x[j] * sinc(d) * window(d / zeros) * cutoff / from with d = cutoff * (j / from - t / to) and |d| < zeros. Beyond the ends all is 0. torchaudio's
 * 'sinc_interp_kaiser' with its best quality is { window: 'kaiser', zeros: 64, rolloff: 0.9475937167399596 }.
 *
 * ```ts
 * const telephone = audio.resample(samples, 44_100, 8_000);
 * ```
 * Sums are float64, whatever the samples are. It is linear, and differentiable any number of times; it runs on the CPU, and the result lies where the
 * samples do.
 * @param samples [..., n], floats.
 * @param from their rate, a whole number of samples a second.
 * @param to the new rate.
 * @returns [..., ceil(n * to / from)]
 */
export function resample(samples: Tensor, from: number, to: number, options: ResampleOptions = {}): Tensor {
  checkFloats(OP, 'samples', samples, '[..., n]');
  checkWhole(OP, 'from', from, 1, 2 ** 31 - 1);
  checkWhole(OP, 'to', to, 1, 2 ** 31 - 1);
  checkOptions(OP, options, ['zeros', 'rolloff', 'window', 'beta']);
  const { zeros = 6, rolloff = 0.99, window = 'hann', beta = 14.769656459379492 } = options;
  checkWhole(OP, 'zeros', zeros, 1, 4096);
  checkNumber(OP, 'rolloff', rolloff);
  if (!(rolloff > 0 && rolloff <= 1))
    throw new ValueError(OP, `rolloff is ${rolloff}; it must be above 0 and at most 1`);
  if ((window as unknown) !== 'hann' && (window as unknown) !== 'kaiser')
    throw new ValueError(OP, `window is ${describe(window)}; it must be 'hann' or 'kaiser'`);
  checkRange(OP, 'beta', beta, 0, 500);
  if (from === to) return samples;
  const n = samples.shape.at(-1)!;
  const divisor = gcd(from, to);
  const count = Math.ceil((n * (to / divisor)) / (from / divisor));
  const fade = window === 'hann' ? hann : kaiser(beta);
  const filter = filterOf(from / divisor, to / divisor, count, { zeros, rolloff, fade });
  return filtered(filter, n, count)(samples);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The filter and its transpose are each other's derivatives. */
function filtered(filter: Filter, n: number, count: number): (x: Tensor) => Tensor {
  const forward: (x: Tensor) => Tensor = customVjp(
    (x: Tensor) =>
      byRows(x, count, (row, sums) => {
        apply(filter, row, sums);
      }),
    (g) => [transposed(g)],
  );
  const transposed: (g: Tensor) => Tensor = customVjp(
    (g: Tensor) =>
      byRows(g, n, (row, sums) => {
        spread(filter, row, sums);
      }),
    (g) => [forward(g)],
  );
  return forward;
}

/** Each row of x, along its last axis, into `length` sums. */
function byRows(x: Tensor, length: number, run: (row: TypedArray, sums: Float64Array) => void): Tensor {
  if (!x.device.readSync)
    throw new DeviceError(
      OP,
      `runs on the CPU, and device '${x.device.name}' cannot be read synchronously; move the samples with await x.to(await device('cpu'))`,
    );
  const [source, width, outer] = [x.glance(), x.shape.at(-1)!, x.shape.slice(0, -1)];
  const rows = outer.reduce((a, b) => a * b, 1);
  const target = hostArray(x.dtype, rows * length);
  const sums = new Float64Array(length);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    run(source.subarray(row * width, (row + 1) * width), sums);
    target.set(sums, row * length);
  }
  return moveTo(fromTypedArray(target, [...outer, length], x.dtype, OP), x);
}

function apply({ from, to, taps, first }: Filter, row: TypedArray, sums: Float64Array): void {
  for (let at = 0, phase = 0, base = 0; at < sums.length; at++) {
    const own = taps[phase]!;
    const start = base + first[phase]!;
    const end = Math.min(own.length, row.length - start);
    let sum = 0;
    for (let k = Math.max(0, -start); k < end; k++) sum += own[k]! * row[start + k]!;
    sums[at] = sum;
    if (++phase === to) [phase, base] = [0, base + from];
  }
}

/** The transpose: what each of `row` has been made of gets its share. */
function spread({ from, to, taps, first }: Filter, row: TypedArray, sums: Float64Array): void {
  for (let at = 0, phase = 0, base = 0; at < row.length; at++) {
    const own = taps[phase]!;
    const start = base + first[phase]!;
    const end = Math.min(own.length, sums.length - start);
    for (let k = Math.max(0, -start); k < end; k++) sums[start + k]! += own[k]! * row[at]!;
    if (++phase === to) [phase, base] = [0, base + from];
  }
}

function filterOf(
  from: number,
  to: number,
  count: number,
  { zeros, rolloff, fade }: { zeros: number; rolloff: number; fade: (share: number) => number },
): Filter {
  const cutoff = Math.min(from, to) * rolloff;
  const reach = (zeros * from) / cutoff; // in samples
  const phases = Math.min(to, count);
  if (phases * (2 * reach + 1) > MOST_TAPS)
    throw new ValueError(
      OP,
      `the filter from ${from} to ${to} would have ${phases} phases of ${Math.round(2 * reach)} taps; rates with a larger common factor need fewer`,
    );
  const first = new Int32Array(phases);
  const taps = Array.from({ length: phases }, (_, phase) => {
    const middle = (phase * from) / to;
    const least = Math.ceil(middle - reach);
    first[phase] = least;
    return Float64Array.from({ length: Math.floor(middle + reach) - least + 1 }, (_, k) => {
      const distance = ((least + k) / from - phase / to) * cutoff;
      return Math.abs(distance) >= zeros ? 0 : (sinc(distance) * fade(distance / zeros) * cutoff) / from;
    });
  });
  return { from, to, taps, first };
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Windows by the distance from their middle, as a share of their half. */
const hann = (share: number): number => Math.cos((Math.PI / 2) * share) ** 2;

const kaiser =
  (beta: number) =>
  (share: number): number =>
    besselI0(beta * Math.sqrt(Math.max(0, 1 - share * share))) / besselI0(beta);

/** The modified Bessel function of order 0, by its power series: all terms are positive. */
function besselI0(x: number): number {
  const quarter = (x * x) / 4;
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= quarter / (k * k);
    sum += term;
  }
  return sum;
}
