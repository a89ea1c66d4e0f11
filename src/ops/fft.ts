import { defineOp, type OpFunction } from '../autograd/op.js';
import type { Kernel } from '../backends/kernel.js';
import { ShapeError, ValueError } from '../errors.js';
import { checkOptions, checkTensor, checkWhole, describe } from '../tensor/arguments.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, normalizeAxis, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { cast } from './cast.js';
import { permute, slice } from './movement/index.js';

/**
 * Fourier transforms of real sequences. There is no complex element type: a complex number is a pair (real, imaginary) along a last axis of 2, so that
 * `square().sum(-1)` of a spectrum is its power.
 */

const PARAMS = { rows: 'u32', samples: 'u32', bins: 'u32', n: 'u32', edge: 'f32', inner: 'f32' } as const;

/**
 * Rows of real samples, filled up with zeros to n, as bins: out[r, k] = c sum over j of x[r, j] exp(-2 pi i j k / n), where the factor c is `edge` for the
 * bins without a mirror image (0, and n / 2 of an even n) and `inner` for the others.
 */
const rfftKernel: Kernel = { name: 'rfft', family: 'fft', inputs: ['x'], outputs: ['out'], params: PARAMS };
/** The adjoint: out[r, j] = sum over k of c Re(x[r, k] exp(2 pi i j k / n)), where bins without a mirror image count as real. */
const irfftKernel: Kernel = { name: 'irfft', family: 'fft', inputs: ['x'], outputs: ['out'], params: PARAMS };

interface Transform {
  /** Samples and bins that are stored; there are no others. */
  readonly samples: number;
  readonly bins: number;
  readonly n: number;
  readonly edge: number;
  readonly inner: number;
}

const rfftOp: OpFunction<Transform> = defineOp<Transform>({
  name: 'rfft',
  readsResult: false,
  infer: ([x], { bins }) => ({ shape: [...x!.shape.slice(0, -1), bins, 2], dtype: x!.dtype }),
  run: (call, [x], attrs) => {
    const rows = sizeOf(x!.shape.slice(0, -1));
    const { inputs, outputs } = call;
    call.launch({ kernel: rfftKernel, inputs, outputs, params: { rows, ...attrs }, grid: rows * attrs.bins });
  },
  vjp: (g, { attrs }) => [irfftOp([g], attrs)],
});

const irfftOp: OpFunction<Transform> = defineOp<Transform>({
  name: 'irfft',
  readsResult: false,
  infer: ([x], { samples }) => ({ shape: [...x!.shape.slice(0, -2), samples], dtype: x!.dtype }),
  run: (call, [x], attrs) => {
    const rows = sizeOf(x!.shape.slice(0, -2));
    const { inputs, outputs } = call;
    call.launch({ kernel: irfftKernel, inputs, outputs, params: { rows, ...attrs }, grid: rows * attrs.samples });
  },
  vjp: (g, { attrs }) => [rfftOp([g], attrs)],
});

export interface FftOptions {
  /**
   * Length of the sequence: shorter ones are filled up with zeros, longer ones cut. By default the axis' length for `rfft`, and 2 (bins - 1) for `irfft`: of an
   * odd length, `irfft` must be told.
   */
  readonly n?: number | undefined;
  /** Which direction is divided by n: 'backward' (irfft, the default), 'forward' (rfft) or 'ortho' (both, by its root). */
  readonly norm?: 'backward' | 'forward' | 'ortho' | undefined;
}

/** The longest sequence: its work space still has addresses. */
const MOST = 2 ** 26;

const NORMS = ['backward', 'forward', 'ortho'];

/** What was meant by something else in the options' place. */
const meantByFft = (given: unknown): string | null => (typeof given === 'number' ? `write { n: ${given} }` : null);

/** Checks the options; `factor` is what the sums are multiplied by. */
function checkFft(
  op: string,
  options: FftOptions,
  n: number,
  divides: 'backward' | 'forward',
): { n: number; factor: number } {
  checkOptions(op, options, ['n', 'norm'], meantByFft);
  const { n: length = n, norm = 'backward' } = options;
  checkWhole(op, 'n', length, 1, MOST);
  if (!NORMS.includes(norm))
    throw new ValueError(op, `norm is ${describe(norm)}; it must be ${NORMS.map((name) => `'${name}'`).join(', ')}`);
  return { n: length, factor: norm === 'ortho' ? 1 / Math.sqrt(length) : norm === divides ? 1 / length : 1 };
}

/** x with one axis in another place among the others, which keep their order. */
function moveAxis(x: Tensor, from: number, to: number): Tensor {
  const others = x.shape.map((_, i) => i).filter((i) => i !== from);
  return permute(x, [...others.slice(0, to), from, ...others.slice(to)]);
}

/** The first `length` elements along an axis, where there are more. */
const cut = (x: Tensor, axis: number, length: number): Tensor =>
  x.shape[axis]! > length ? slice(x, ...new Array<[]>(axis).fill([]), [0, length]) : x;

/**
 * The Fourier transform of real sequences along an axis, as NumPy's and torch's `rfft`: X[k] = sum over j of x[j] exp(-2 pi i j k / n) for the bins
 * k = 0 to floor(n / 2), whose others mirror them. Any length n: of small prime factors fastest, of a large one by Bluestein's method. float32 is
 * computed in float64 on the CPU and rounded once.
 *
 * ```ts
 * const spectrum = rfft(frames, -1, { n: 512 }); // [frames, 400] to [frames, 257, 2]
 * const power = spectrum.square().sum(-1); // [frames, 257]
 * ```
 * @param axis the last one by default; the bins take its place.
 * @returns pairs (real, imaginary) along a further, last axis: [..., floor(n / 2) + 1, ..., 2].
 * @throws {ShapeError} for a scalar. @throws {ValueError} for a length of 0 or above 2^26.
 */
export function rfft(x: Tensor, axis = -1, options: FftOptions = {}): Tensor {
  checkTensor('rfft', 'x', x);
  const at = normalizeAxis('rfft', axis, x.rank);
  const { n, factor } = checkFft('rfft', options, x.shape[at]!, 'forward');
  const rows = moveAxis(cut(cast(x, toFloat(x.dtype)), at, n), at, x.rank - 1);
  const samples = rows.shape[rows.rank - 1]!;
  const bins = Math.floor(n / 2) + 1;
  return moveAxis(rfftOp([rows], { samples, bins, n, edge: factor, inner: factor }), x.rank - 1, at);
}

/**
 * Real sequences from the bins that `rfft` gives, its inverse: the bins' mirror images are implied, and the imaginary parts of bins without one (0, and
 * n / 2 of an even n) do not count, as in NumPy and torch.
 *
 * ```ts
 * irfft(rfft(x), -1, { n: x.shape[x.rank - 1] }); // x again
 * ```
 * @param spectrum pairs (real, imaginary) along its last axis.
 * @param axis the bins' axis, counted without that last one: an axis of the result. The last one by default.
 * @throws {ShapeError} unless the last axis holds pairs. @throws {ValueError} for a length of 0 or above 2^26.
 */
export function irfft(spectrum: Tensor, axis = -1, options: FftOptions = {}): Tensor {
  checkTensor('irfft', 'spectrum', spectrum);
  const rank = spectrum.rank - 1;
  if (rank < 1 || spectrum.shape[rank] !== 2)
    throw new ShapeError(
      'irfft',
      `the spectrum is ${formatShape(spectrum.shape)}; it must be [..., bins, 2], real and imaginary parts along the last axis`,
    );
  const at = normalizeAxis('irfft', axis, rank);
  const { n, factor } = checkFft('irfft', options, 2 * (spectrum.shape[at]! - 1), 'backward');
  const used = moveAxis(cut(cast(spectrum, toFloat(spectrum.dtype)), at, Math.floor(n / 2) + 1), at, rank - 1);
  const bins = used.shape[rank - 1]!;
  return moveAxis(irfftOp([used], { samples: n, bins, n, edge: factor, inner: 2 * factor }), rank - 1, at);
}
