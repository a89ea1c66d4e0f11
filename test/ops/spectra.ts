import { irfft, rfft, ShapeError, tensor, ValueError, zeros } from 'tapegrad';
import { at, build, range, spread, sizeOf, total, type Values } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';

/** cos and sin of t nths of a turn, exact at the quarters. */
function rootOf(t: number, n: number): [cos: number, sin: number] {
  const quarters = Math.round((4 * (t % n)) / n);
  const rest = (4 * (t % n) - quarters * n) / n;
  const [c, s] = [Math.cos((rest * Math.PI) / 2), Math.sin((rest * Math.PI) / 2)];
  return [
    [c, s],
    [-s, c],
    [-c, -s],
    [s, -c],
  ][quarters % 4] as [number, number];
}

const FACTORS = {
  backward: (n: number) => [1, 1 / n],
  forward: (n: number) => [1 / n, 1],
  ortho: (n: number) => [n ** -0.5, n ** -0.5],
} as const;
type Norm = keyof typeof FACTORS;

const swapIn = (position: readonly number[], axis: number, index: number): number[] =>
  position.map((old, i) => (i === axis ? index : old));

/** Bins by the definition. */
export function bins(x: Values, axis: number, n = x.shape[axis]!, norm: Norm = 'backward'): Values {
  const [factor] = FACTORS[norm](n) as [number, number];
  const count = Math.min(n, x.shape[axis]!);
  return build([...x.shape.map((dim, i) => (i === axis ? Math.floor(n / 2) + 1 : dim)), 2], (position) => {
    const place = position.slice(0, -1);
    const isSine = position[position.length - 1] === 1;
    const terms = range(count).map((j) => {
      const [c, s] = rootOf(j * place[axis]!, n);
      return at(x, swapIn(place, axis, j)) * (isSine ? -s : c);
    });
    return factor * total(terms);
  });
}

/** Samples by the definition: all n bins, the mirrored ones conjugate. */
export function samples(y: Values, axis: number, n: number, norm: Norm = 'backward'): Values {
  const [, factor] = FACTORS[norm](n) as [number, number];
  const shape = y.shape.slice(0, -1).map((dim, i) => (i === axis ? n : dim));
  return build(shape, (position) => {
    const terms = range(n).flatMap((k) => {
      const bin = Math.min(k, n - k);
      if (bin >= y.shape[axis]!) return [];
      const [c, s] = rootOf(k * position[axis]!, n);
      const place = swapIn(position, axis, bin);
      const isReal = k === 0 || 2 * k === n;
      return [at(y, [...place, 0]) * c, isReal ? 0 : (k === bin ? -1 : 1) * at(y, [...place, 1]) * s];
    });
    return factor * total(terms);
  });
}

const forward = (shape: readonly number[], axis: number, n?: number, norm?: Norm): Sample => ({
  name: `[${shape.join(',')}] along ${axis}${n === undefined ? '' : `, n ${n}`}${norm ? `, ${norm}` : ''}`,
  inputs: [spread(shape, -3, 3)],
  run: (x) => rfft(x, axis, { n, norm }),
  want: (x) => bins(x, axis < 0 ? axis + shape.length : axis, n, norm),
  forwardOnly: sizeOf(shape) > 24,
});

const inverse = (shape: readonly number[], axis: number, n?: number, norm?: Norm): Sample => ({
  name: `[${shape.join(',')}] along ${axis}${n === undefined ? '' : `, n ${n}`}${norm ? `, ${norm}` : ''}`,
  inputs: [spread(shape, -3, 3)],
  run: (y) => irfft(y, axis, { n, norm }),
  want: (y) => {
    const own = axis < 0 ? axis + shape.length - 1 : axis;
    return samples(y, own, n ?? 2 * (shape[own]! - 1), norm);
  },
  forwardOnly: sizeOf(shape) > 24,
});

/** Lengths of every radix, some products, and one that is too large a prime for a radix; test/cpu/fft.test.ts has longer ones. */
const LENGTHS = [3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 22, 25, 61, 67];

export const spectrumInfo = {
  rfft: {
    samples: [
      forward([8], 0),
      forward([7], -1),
      forward([1], 0),
      forward([2], 0),
      forward([3, 6], 1),
      forward([4, 2], 0),
      forward([2, 5, 2], 1, undefined, 'ortho'),
      forward([2, 3], 1, 8),
      forward([2, 9], 1, 4, 'forward'),
      forward([0, 4], 1),
      { ...forward([0, 4], 0, 3), name: 'nothing, filled up' },
      forward([1, 67], 1),
      ...LENGTHS.map((n) => forward([2, n], 1)),
      forward([2, 50], 1, 64),
    ],
    absolute: 2e-5,
    absolute64: 1e-12,
    gradientError: 1e-5,
    exact: [
      exact('int32', () => rfft(int([1, 2, 3, 4])), 'float32', [3, 2], [10, 0, -2, 2, -2, 0]),
      exact('bool', () => rfft(tensor([true, false])), 'float32', [2, 2], [1, 0, 1, 0]),
    ],
    errors: [
      { run: () => rfft(zeros([])), error: ShapeError, message: '[rfft] axis -1 of a scalar: it has no axes' },
      { run: () => rfft(zeros([2]), 1), error: ShapeError, message: '[rfft] axis 1 is outside [-1, 1)' },
      {
        run: () => rfft(zeros([2, 0])),
        error: ValueError,
        message: '[rfft] n is 0; it must be a whole number, in [1, 67108864]',
      },
      {
        run: () => rfft(zeros([2]), 0, 4 as never),
        error: ValueError,
        message: '[rfft] the options are 4; they must be an object: { n, norm } (write { n: 4 })',
      },
      {
        run: () => rfft(zeros([2]), 0, { norm: 'both' as never }),
        error: ValueError,
        message: "[rfft] norm is 'both'; it must be 'backward', 'forward', 'ortho'",
      },
    ],
  },
  irfft: {
    samples: [
      inverse([5, 2], 0),
      inverse([4, 2], -1, 7),
      inverse([1, 2], 0, 1),
      inverse([2, 2], 0),
      inverse([2, 3, 2], 1, undefined, 'forward'),
      inverse([3, 2, 2], 0, 5, 'ortho'),
      inverse([2, 2], 0, 8),
      inverse([5, 2], 0, 4),
      inverse([0, 3, 2], 1),
      inverse([34, 2], 0, 67),
      ...LENGTHS.map((n) => inverse([2, Math.floor(n / 2) + 1, 2], 1, n)),
    ],
    absolute: 2e-5,
    absolute64: 1e-12,
    gradientError: 1e-5,
    exact: [
      exact('int32', () => irfft(int([10, 0, -2, 2, -2, 0], [3, 2])), 'float32', [4], [1, 2, 3, 4]),
      exact(
        'imaginary parts of real bins do not count',
        () => irfft(tensor([10, NaN, -2, 2, -2, NaN], { shape: [3, 2] })),
        'float32',
        [4],
        [1, 2, 3, 4],
      ),
    ],
    errors: [
      {
        run: () => irfft(zeros([4])),
        error: ShapeError,
        message: '[irfft] the spectrum is [4]; it must be [..., bins, 2], real and imaginary parts along the last axis',
      },
      { run: () => irfft(zeros([3, 4])), error: ShapeError, message: '[irfft] the spectrum is [3, 4]; it must be' },
      { run: () => irfft(zeros([3, 2]), 1), error: ShapeError, message: '[irfft] axis 1 is outside [-1, 1)' },
      {
        run: () => irfft(zeros([1, 2])),
        error: ValueError,
        message: '[irfft] n is 0; it must be a whole number, in [1, 67108864]',
      },
    ],
  },
} satisfies Record<string, OpInfo>;
