import type { TypedArray } from '../../backends/backend.js';
import { ShapeError, ValueError } from '../../errors.js';
import { add, div, log, maximum, mul, sqrt, square, sub } from '../../ops/elementwise.js';
import { rfft } from '../../ops/fft.js';
import { take } from '../../ops/gather.js';
import { matmul } from '../../ops/matmul.js';
import { mean, variance } from '../../ops/moments.js';
import { concat, reshape, slice } from '../../ops/movement/index.js';
import { checkBoolean, checkNumber, checkOptions, checkWhole, describe } from '../../tensor/arguments.js';
import { fromTypedArray, lendTo, convert } from '../../tensor/create.js';
import { scope } from '../../tensor/scope.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkFloats, checkRange } from './checks.js';
import { MEL_SCALES, melFilters, type MelScale } from './filters.js';

export interface LogMelOptions {
  /** Mel bins; 80 by default. */
  readonly bins?: number;
  /** Length of a frame in seconds, rounded to samples; 0.025 by default. */
  readonly window?: number;
  /** From one frame to the next, in seconds, rounded to samples; 0.01 by default. */
  readonly hop?: number;
  /** Length of the Fourier transform, in samples; by default the least power of two that holds a frame. */
  readonly fftSize?: number;
  /** The share of the sample before that is subtracted from each: 0, none, by default; 0.97 is usual for speech. */
  readonly preEmphasis?: number;
  /** The lowest frequency, in Hz; 0 by default. */
  readonly fMin?: number;
  /** The highest one; half the sample rate by default. */
  readonly fMax?: number;
  /** The mel scale: 'htk' by default, or 'slaney', librosa's. */
  readonly scale?: MelScale;
  /** Whether filters have the same area, as librosa's, and not the same height; false by default. */
  readonly equalArea?: boolean;
  /** Whether a frame's time is its middle, the clip being mirrored at its ends, and not its beginning; true by default. */
  readonly center?: boolean;
  /** What energies below it count as, so that silence has a logarithm; 1e-10 by default. */
  readonly floor?: number;
  /** Brings each clip to mean 0 and deviation 1: every bin by itself ('bins'), or all together ('clip'); 'none' by default. */
  readonly normalize?: 'none' | 'bins' | 'clip';
}

const OP = 'logMel';
const OPTIONS = [
  'bins',
  'window',
  'hop',
  'fftSize',
  'preEmphasis',
  'fMin',
  'fMax',
  'scale',
  'equalArea',
  'center',
].concat(['floor', 'normalize']);
const NORMALIZATIONS = ['none', 'bins', 'clip'];
/** Added to variances: a bin that never changes becomes 0. */
const EPSILON = 1e-5;
/** Longer frames are milliseconds in the place of seconds. */
const MOST_SECONDS = 2;
/** Frames at a time, so that an hour needs no more memory beside the result than a minute. */
const BLOCK = 1024;

interface Framing {
  readonly window: number;
  readonly hop: number;
  readonly fftSize: number;
  readonly frames: number;
  /** Where the first frame begins; before the clip if frames are centred. */
  readonly start: number;
}

/**
 * The logarithms of mel energies, what speech recognisers hear: log(max(energy, floor)), natural. Energies are those of
 * `torchaudio.transforms.MelSpectrogram` with the same sizes: a periodic Hann window in the middle of `fftSize` samples, the clip mirrored at its ends
 * (as often as it takes where it is shorter than half a transform), squared magnitudes, triangular filters on the HTK scale without area normalisation
 * (`melscale_fbanks`). With { scale: 'slaney', equalArea: true } they are `librosa.feature.melspectrogram`'s with pad_mode='reflect'.
 *
 * ```ts
 * const { samples, sampleRate } = audio.readWav(bytes);
 * const features = audio.logMel(samples.mean(0), sampleRate, { bins: 40, preEmphasis: 0.97, normalize: 'bins' }); // [frames, 40], 100 a second
 * ```
 * Pre-emphasis is y[0] = x[0], y[i] = x[i] - preEmphasis * x[i - 1]; normalisation (x - mean) / sqrt(variance + 1e-5), the variance over n. Of more bins
 * than the spectrum has lines for, those that no line falls into are the floor in every frame; a larger `fftSize` helps. All of it is ops: it runs where
 * the samples lie, and can be differentiated.
 * @param samples [..., n], floats.
 * @param sampleRate samples a second.
 * @returns [..., frames, bins] with 1 + floor(n / hop) frames; uncentred, as many as fit.
 * @throws {ShapeError} for a clip without samples, or too short for a frame where they are not centred.
 * @throws {ValueError} for an option out of its range.
 */
export function logMel(samples: Tensor, sampleRate: number, options: LogMelOptions = {}): Tensor {
  checkFloats(OP, 'samples', samples, '[..., n]');
  checkRange(OP, 'sampleRate', sampleRate, 1, 1e7);
  checkOptions(OP, options, OPTIONS, (given) => (typeof given === 'number' ? `write { bins: ${given} }` : null));
  const { bins = 80, preEmphasis = 0, fMin = 0, fMax = sampleRate / 2, scale = 'htk', floor = 1e-10 } = options;
  const { equalArea = false, normalize = 'none' } = options;
  checkWhole(OP, 'bins', bins, 1, 65_536);
  checkRange(OP, 'preEmphasis', preEmphasis, 0, 1);
  checkRange(OP, 'fMax', fMax, 0, sampleRate / 2);
  checkRange(OP, 'fMin', fMin, 0, fMax);
  if (fMin === fMax) throw new ValueError(OP, `fMin and fMax are both ${fMin}; there must be something between them`);
  if (!MEL_SCALES.includes(scale))
    throw new ValueError(OP, `scale is ${describe(scale)}; it must be one of ${MEL_SCALES.join(', ')}`);
  checkBoolean(OP, 'equalArea', equalArea);
  checkRange(OP, 'floor', floor, Number.MIN_VALUE, Number.MAX_VALUE);
  if (samples.dtype === 'float32' && Math.fround(floor) === 0)
    throw new ValueError(OP, `floor is ${floor}, which is 0 in float32`);
  if (!NORMALIZATIONS.includes(normalize))
    throw new ValueError(OP, `normalize is ${describe(normalize)}; it must be one of ${NORMALIZATIONS.join(', ')}`);
  const framing = framingOf(samples.shape.at(-1)!, sampleRate, options);
  const lines = Math.floor(framing.fftSize / 2) + 1;
  const filters = constant(
    melFilters(lines, sampleRate, { bins, fMin, fMax, scale, area: equalArea }),
    [lines, bins],
    samples,
  );
  const source = preEmphasis === 0 ? samples : emphasized(samples, preEmphasis);
  const blocks = [];
  for (let first = 0; first < framing.frames; first += BLOCK) {
    const count = Math.min(BLOCK, framing.frames - first);
    blocks.push(scope(() => log(maximum(matmul(powerOf(source, framing, first, count), filters), floor))));
  }
  const features = blocks.length === 1 ? blocks[0]! : concat(blocks, -2);
  return normalize === 'none' ? features : normalized(features, normalize === 'bins' ? [-2] : [-2, -1]);
}

function framingOf(n: number, sampleRate: number, options: LogMelOptions): Framing {
  const { window: seconds = 0.025, hop: hopSeconds = 0.01, center = true } = options;
  checkSeconds('window', seconds, sampleRate);
  checkSeconds('hop', hopSeconds, sampleRate);
  checkBoolean(OP, 'center', center);
  const [window, hop] = [Math.round(seconds * sampleRate), Math.round(hopSeconds * sampleRate)];
  const { fftSize = 2 ** Math.ceil(Math.log2(window)) } = options;
  checkWhole(OP, 'fftSize', fftSize, window, 2 ** 24);
  if (n === 0) throw new ShapeError(OP, 'the clip has no samples');
  const half = center ? Math.floor(fftSize / 2) : 0;
  const rest = n + 2 * half - fftSize;
  if (rest < 0 && !center)
    throw new ShapeError(OP, `the clip has ${n} samples, fewer than the ${fftSize} of a transform; with center it may`);
  // The window lies in the middle of the transform's samples; those beside it are 0.
  const start = Math.floor((fftSize - window) / 2) - half;
  return { window, hop, fftSize, frames: 1 + Math.max(0, Math.floor(rest / hop)), start };
}

/** Refuses less than a sample, and what are milliseconds. */
function checkSeconds(name: string, value: unknown, sampleRate: number): void {
  checkNumber(OP, name, value);
  if (!(value >= 1 / sampleRate && value <= MOST_SECONDS))
    throw new ValueError(OP, `${name} is ${value} seconds; it must be in [1 / ${sampleRate}, ${MOST_SECONDS}]`);
}

/** Squared magnitudes of some frames: [..., count, lines]. */
function powerOf(samples: Tensor, { window, hop, fftSize, start }: Framing, first: number, count: number): Tensor {
  const hann = Float64Array.from({ length: window }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / window));
  const frames = framesOf(samples, first * hop + start, { window, hop, count });
  const spectrum = rfft(mul(frames, constant(hann, [window], samples)), -1, { n: fftSize });
  const all = samples.shape.map((): [] => []);
  return add(square(slice(spectrum, ...all, [], 0)), square(slice(spectrum, ...all, [], 1)));
}

/** [..., count, window]: put together of whole rows of `hop` samples, which is copying long stretches and no looking up of single ones. */
function framesOf(
  samples: Tensor,
  begin: number,
  { window, hop, count }: Record<'window' | 'hop' | 'count', number>,
): Tensor {
  const more = Math.ceil(window / hop) - 1;
  const rows = reshape(stretchOf(samples, begin, (count + more) * hop), [
    ...samples.shape.slice(0, -1),
    count + more,
    hop,
  ]);
  const all = samples.shape.slice(1).map((): [] => []);
  const parts = Array.from({ length: more + 1 }, (_, i) =>
    slice(rows, ...all, [i, i + count], [0, Math.min(hop, window - i * hop)]),
  );
  return parts.length === 1 ? parts[0]! : concat(parts, -1);
}

/** Samples from a place on; beyond the clip's ends it is mirrored. */
function stretchOf(samples: Tensor, begin: number, length: number): Tensor {
  const n = samples.shape.at(-1)!;
  const [from, to] = [Math.min(Math.max(begin, 0), n), Math.min(Math.max(begin + length, 0), n)];
  const beyond = (start: number, end: number): Tensor[] =>
    start >= end
      ? []
      : [
          take(
            samples,
            fromTypedArray(
              Int32Array.from({ length: end - start }, (_, i) => mirrored(start + i, n)),
              [end - start],
              'int32',
            ),
            -1,
          ),
        ];
  const inside = from < to ? [slice(samples, ...samples.shape.slice(1).map((): [] => []), [from, to])] : [];
  const parts = [
    ...beyond(begin, Math.min(begin + length, from)),
    ...inside,
    ...beyond(Math.max(begin, to), begin + length),
  ];
  return parts.length === 1 ? parts[0]! : concat(parts, -1);
}

/** A place beyond the clip's ends, mirrored at them until it is within. */
function mirrored(at: number, n: number): number {
  if (at >= 0 && at < n) return at;
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const within = ((at % period) + period) % period;
  return within < n ? within : period - within;
}

function emphasized(samples: Tensor, share: number): Tensor {
  const all = samples.shape.slice(1).map((): [] => []);
  const [first, later, before] = [
    [0, 1],
    [1, null],
    [0, -1],
  ].map((range) => slice(samples, ...all, range as [number, number]));
  return concat([first!, sub(later!, mul(before!, share))], -1);
}

const normalized = (x: Tensor, axes: number[]): Tensor =>
  div(sub(x, mean(x, axes, { keepDims: true })), sqrt(add(variance(x, axes, { keepDims: true }), EPSILON)));

/** Float64 values as a tensor beside another one, of its dtype. */
const constant = (values: TypedArray, shape: number[], beside: Tensor): Tensor =>
  lendTo(fromTypedArray(convert(values, beside.dtype), shape, beside.dtype, OP), beside);
