import { audio, gradCheck, grad, hvp, random, ShapeError, tensor, type Tensor, ValueError } from 'tapegrad';
import { clip, FACTS, farthest } from './facts.js';

const wide = (n: number): Tensor => tensor(clip(n));

describe('equals torchaudio', () => {
  test.each(FACTS.resample.map((fact) => [`${fact.from} to ${fact.to}, ${fact.window}, ${fact.zeros}`, fact] as const))(
    '%s',
    (_name, { n, from, to, zeros, rolloff, window, values }) => {
      const y = audio.resample(wide(n), from, to, { zeros, rolloff, window });
      expect(y.shape).toEqual([Math.ceil((n * to) / from)]);
      expect(farthest(y.dataSync(), values)).toBeLessThan(1e-12);
      const narrow = audio.resample(wide(n).cast('float32'), from, to, { zeros, rolloff, window });
      expect(narrow.dtype).toBe('float32');
      expect(farthest(narrow.dataSync(), values)).toBeLessThan(1e-7);
    },
  );
});

/** The definition, sample by sample. */
function direct(x: Float64Array, from: number, to: number, zeros = 6, rolloff = 0.99): number[] {
  const cutoff = Math.min(from, to) * rolloff;
  return Array.from({ length: Math.ceil((x.length * to) / from) }, (_, m) =>
    x.reduce((sum, value, j) => {
      const d = cutoff * (j / from - m / to);
      if (Math.abs(d) >= zeros) return sum;
      const sinc = d === 0 ? 1 : Math.sin(Math.PI * d) / (Math.PI * d);
      return sum + (value * sinc * Math.cos((Math.PI * d) / (2 * zeros)) ** 2 * cutoff) / from;
    }, 0),
  );
}

test.each([
  [8000, 16000, 1],
  [8000, 16000, 2],
  [16000, 8000, 3],
  [44100, 48000, 40],
  [3, 2, 17],
  [7, 5, 100],
  [1, 50, 5],
  [50, 1, 120],
  [999, 1000, 30],
])('%d to %d, %d samples: the sum that defines it', (from, to, n) => {
  expect(farthest(audio.resample(wide(n), from, to).dataSync(), direct(clip(n), from, to))).toBeLessThan(1e-12);
});

test('a tone stays that tone; one that the new rate cannot hold goes', () => {
  const tone = (hz: number, rate: number, n: number): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));
  const inside = (x: Tensor): Tensor => x.slice([1000, -1000]);
  const options = { zeros: 64, window: 'kaiser', rolloff: 0.94 } as const;
  const down = inside(audio.resample(tensor(tone(440, 44_100, 22_050)), 44_100, 16_000, options));
  expect(farthest(down.dataSync(), inside(tensor(tone(440, 16_000, 8000))).dataSync())).toBeLessThan(1e-5);
  const gone = inside(audio.resample(tensor(tone(9500, 44_100, 22_050)), 44_100, 16_000, options));
  expect(gone.abs().max().itemSync()).toBeLessThan(1e-5);
});

test('axes before the last one are rows of their own; nothing changes at the same rate', () => {
  const x = random(1).normal([2, 3, 40], { dtype: 'float64' });
  const y = audio.resample(x, 3, 4);
  expect(y.shape).toEqual([2, 3, 54]);
  expect(y.slice(1, 2).arraySync()).toEqual(audio.resample(x.slice(1, 2), 3, 4).arraySync());
  expect(audio.resample(x, 8000, 8000)).toBe(x);
  expect(audio.resample(tensor([[], []]), 1, 2).shape).toEqual([2, 0]);
});

describe('derivatives', () => {
  test.each([
    [3, 2],
    [2, 3],
    [5, 1],
  ])('%d to %d: of first and second order, against differences', (from, to) => {
    const f = (x: Tensor): Tensor => audio.resample(x, from, to).mul(0.7).sin();
    const x = random(3).normal([2, 11], { dtype: 'float64' });
    gradCheck(f, [x], { order: 2 });
    const energy = (t: Tensor): Tensor => audio.resample(t, from, to).square().sum();
    const v = random(4).normal([2, 11], { dtype: 'float64' });
    // The Hessian of a quadratic form is constant: its product by v is the gradient at v.
    expect(farthest(hvp(energy, x, v).dataSync(), grad(energy)(v).dataSync())).toBeLessThan(1e-12);
  });
});

test.each<[unknown[], new (...given: never[]) => Error, string]>([
  [[tensor(1), 1, 2], ShapeError, 'samples is []; it must be [..., n]'],
  [[wide(4), 8000.5, 2], ValueError, 'from is 8000.5'],
  [[wide(4), 0, 2], ValueError, 'from is 0'],
  [[wide(4), 1, NaN], ValueError, 'to is NaN'],
  [[wide(100), 7, 2 ** 31 - 1], ValueError, 'the filter from 7 to 2147483647 would have 2147483647 phases'],
  [[wide(4), 1, 2, { zeros: 0 }], ValueError, 'zeros is 0'],
  [[wide(4), 1, 2, { rolloff: 1.1 }], ValueError, 'rolloff is 1.1'],
  [[wide(4), 1, 2, { window: 'hamming' }], ValueError, "window is 'hamming'"],
  [[wide(4), 1, 2, { beta: -1 }], ValueError, 'beta is -1'],
  [[wide(4), 1, 2, { quality: 1 }], ValueError, "there is no option 'quality'"],
])('resample%p is refused', (given, kind, message) => {
  const call = (): unknown => (audio.resample as (...g: unknown[]) => unknown)(...given);
  expect(call).toThrow(kind);
  expect(call).toThrow(`[resample] ${message}`);
});
