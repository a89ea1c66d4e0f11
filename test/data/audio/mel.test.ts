import { audio, DTypeError, gradCheck, random, ShapeError, tensor, type Tensor, ValueError, zeros } from 'tapegrad';
import { clip, FACTS, farthest } from './facts.js';

const wide = (n: number): Tensor => tensor(clip(n));

describe('equals torchaudio', () => {
  test.each(FACTS.mel.map((fact) => [`${fact.bins} bins, ${fact.rate} Hz, ${fact.scale}`, fact] as const))(
    '%s',
    (_name, { n, rate, window, hop, shape, values, ...options }) => {
      const { fftSize, bins, fMin, fMax, scale, equalArea, center } = options;
      const all = { window: window / rate, hop: hop / rate, fftSize, bins, fMin, fMax, scale, equalArea, center };
      const features = audio.logMel(wide(n), rate, all);
      expect([features.shape, features.dtype]).toEqual([shape, 'float64']);
      expect(farthest(features.dataSync(), values)).toBeLessThan(1e-9);
      const narrow = audio.logMel(wide(n).cast('float32'), rate, all);
      expect(narrow.dtype).toBe('float32');
      // A weak line beside strong ones keeps what float32 leaves it.
      expect(farthest(narrow.dataSync(), values)).toBeLessThan(1e-3);
    },
  );
});

interface Settings {
  readonly rate: number;
  readonly window: number;
  readonly hop: number;
  readonly fftSize: number;
  readonly bins: number;
  readonly preEmphasis: number;
}

/** The definition, in float64 and without a fast transform: HTK filters, centred frames. */
function direct(x: Float64Array, { rate, window, hop, fftSize, bins, preEmphasis }: Settings): number[][] {
  const y = x.map((value, i) => value - (i > 0 ? preEmphasis * x[i - 1]! : 0));
  const at = (i: number): number => {
    let j = i;
    while (y.length > 1 && (j < 0 || j >= y.length)) j = j < 0 ? -j : 2 * (y.length - 1) - j;
    return y[y.length > 1 ? j : 0]!;
  };
  const hz = (i: number): number => 700 * (10 ** ((i * Math.log10(1 + rate / 2 / 700)) / (bins + 1)) - 1);
  const lines = Array.from({ length: Math.floor(fftSize / 2) + 1 }, (_, k) => k);
  const frames = 1 + Math.floor((x.length + 2 * Math.floor(fftSize / 2) - fftSize) / hop);
  return Array.from({ length: frames }, (_, t) => {
    const start = t * hop - Math.floor(fftSize / 2) + Math.floor((fftSize - window) / 2);
    const frame = Array.from({ length: window }, (_, i) => at(start + i) * Math.sin((Math.PI * i) / window) ** 2);
    const power = lines.map((k) => {
      const part = (turn: (a: number) => number): number =>
        frame.reduce((sum, value, i) => sum + value * turn((2 * Math.PI * k * i) / fftSize), 0);
      return part(Math.cos) ** 2 + part(Math.sin) ** 2;
    });
    return Array.from({ length: bins }, (_, bin) => {
      const energy = power.reduce((sum, value, k) => {
        const f = (k * rate) / 2 / (lines.length - 1);
        const [left, middle, right] = [hz(bin), hz(bin + 1), hz(bin + 2)];
        return sum + value * Math.max(0, Math.min((f - left) / (middle - left), (right - f) / (right - middle)));
      }, 0);
      return Math.log(Math.max(energy, 1e-10));
    });
  });
}

test.each([
  ['a clip shorter than half a transform', 20, {}],
  ['a clip of one sample', 1, {}],
  ['a window as long as the transform, of odd length', 300, { window: 101, fftSize: 101, hop: 50 }],
  ['a long transform, pre-emphasis', 400, { fftSize: 512, preEmphasis: 0.97 }],
  ['full pre-emphasis', 200, { preEmphasis: 1 }],
])('%s: the sums that define it', (_name, n, change) => {
  const settings = { rate: 8000, window: 200, hop: 80, fftSize: 256, bins: 12, preEmphasis: 0, ...change };
  const { rate, window, hop, ...rest } = settings;
  const features = audio.logMel(wide(n), rate, { ...rest, window: window / rate, hop: hop / rate });
  const expected = direct(clip(n), settings);
  expect(features.shape).toEqual([expected.length, 12]);
  expect(farthest(features.dataSync(), expected.flat())).toBeLessThan(1e-8);
});

test('sizes: 25 and 10 ms, the next power of two, 80 bins, half the rate', () => {
  const all = { bins: 80, window: 0.025, hop: 0.01, fftSize: 512, preEmphasis: 0, fMin: 0, fMax: 8000 };
  const rest = { scale: 'htk', equalArea: false, center: true, floor: 1e-10, normalize: 'none' } as const;
  const given = audio.logMel(wide(2000), 16_000, { ...all, ...rest });
  expect(given.shape).toEqual([13, 80]);
  expect(audio.logMel(wide(2000), 16_000).arraySync()).toEqual(given.arraySync());
});

test('long clips go block by block, and give what short ones give', () => {
  const x = random(1).normal([2, 8 * 5000], { dtype: 'float64' });
  const options = { window: 0.004, hop: 0.001, bins: 5 };
  const all = audio.logMel(x, 8000, options);
  expect(all.shape).toEqual([2, 5001, 5]);
  const middle = audio.logMel(x.slice([], [8 * 4000, 8 * 4200]), 8000, options).slice([], [10, 190]);
  expect(farthest(all.slice([], [4010, 4190]).dataSync(), middle.dataSync())).toBeLessThan(1e-9);
});

test('silence is the floor, and normalised 0; nothing is NaN', () => {
  const floor = Math.log(1e-10);
  for (const value of audio.logMel(zeros([800]), 8000).dataSync()) expect(value).toBeCloseTo(floor, 5);
  for (const normalize of ['bins', 'clip'] as const)
    for (const value of audio.logMel(zeros([800]), 8000, { normalize }).dataSync())
      expect(Math.abs(value)).toBeLessThan(1e-3);
  expect(
    audio
      .logMel(zeros([800]), 8000, { floor: 1 })
      .abs()
      .max()
      .itemSync(),
  ).toBe(0);
});

test.each([
  ['bins', -2],
  ['clip', [-2, -1]],
] as const)('normalised over %s: mean 0 and deviation 1 of each clip by itself', (normalize, axes) => {
  const x = random(2)
    .normal([3, 4000], { dtype: 'float64' })
    .mul(tensor([[1], [0.01], [30]], { dtype: 'float64' }));
  const y = audio.logMel(x, 8000, { bins: 20, normalize });
  expect(y.mean(axes).abs().max().itemSync()).toBeLessThan(1e-12);
  expect(y.variance(axes).sub(1).abs().max().itemSync()).toBeLessThan(1e-3);
  const plain = audio.logMel(x, 8000, { bins: 20 });
  const [mean, variance] = [plain.mean(axes, { keepDims: true }), plain.variance(axes, { keepDims: true })];
  expect(farthest(y.dataSync(), plain.sub(mean).div(variance.add(1e-5).sqrt()).dataSync())).toBeLessThan(1e-12);
});

test('derivatives of first and second order, against differences', () => {
  const options = { window: 0.004, hop: 0.002, bins: 4, preEmphasis: 0.9, normalize: 'bins' } as const;
  gradCheck((x) => audio.logMel(x, 8000, options), [random(3).normal([2, 70])], { order: 2 });
});

test.each<[unknown[], new (...given: never[]) => Error, string]>([
  [[tensor(1), 8000], ShapeError, 'samples is []; it must be [..., n]'],
  [[zeros([0]), 8000], ShapeError, 'the clip has no samples'],
  [[zeros([100]), 8000, { center: false }], ShapeError, 'the clip has 100 samples, fewer than the 256'],
  [[zeros([9], { dtype: 'int32' }), 8000], DTypeError, 'samples is int32'],
  [[zeros([9]), 0], ValueError, 'sampleRate is 0'],
  [[zeros([9]), 8000, { bins: 0 }], ValueError, 'bins is 0'],
  [[zeros([9]), 8000, { window: 0 }], ValueError, 'window is 0'],
  [[zeros([9]), 8000, { window: 25 }], ValueError, 'window is 25 seconds'],
  [[zeros([9]), 8000, { hop: -1 }], ValueError, 'hop is -1'],
  [[zeros([9]), 8000, { fftSize: 199 }], ValueError, 'fftSize is 199'],
  [[zeros([9]), 8000, { fMax: 5000 }], ValueError, 'fMax is 5000'],
  [[zeros([9]), 8000, { fMin: 4000 }], ValueError, 'fMin and fMax are both 4000'],
  [[zeros([9]), 8000, { fMin: 300, fMax: 200 }], ValueError, 'fMin is 300'],
  [[zeros([9]), 8000, { preEmphasis: 2 }], ValueError, 'preEmphasis is 2'],
  [[zeros([9]), 8000, { scale: 'mel' }], ValueError, "scale is 'mel'"],
  [[zeros([9]), 8000, { normalize: true }], ValueError, 'normalize is true'],
  [[zeros([9]), 8000, { floor: 0 }], ValueError, 'floor is 0'],
  [[zeros([9]), 8000, { floor: 1e-60 }], ValueError, 'floor is 1e-60, which is 0 in float32'],
  [[zeros([9]), 8000, { n_mels: 40 }], ValueError, "there is no option 'n_mels'"],
  [[zeros([9]), 8000, 40], ValueError, 'write { bins: 40 }'],
])('%# is refused', (given, kind, message) => {
  const call = (): unknown => (audio.logMel as (...g: unknown[]) => unknown)(...given);
  expect(call).toThrow(kind);
  expect(call).toThrow(`[logMel] `);
  expect(call).toThrow(message);
});
