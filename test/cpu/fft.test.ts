/** Transforms of the lengths that the op suite is too slow for on every device: all radices, products of them, and primes beyond. */
import { irfft, random, rfft, setThreads, tensor, threads } from 'tapegrad';
import { bins, samples } from '../ops/spectra.js';
import { spread, ulp } from '../reference.js';

const LENGTHS = [60, 64, 98, 100, 121, 128, 134, 143, 210, 256, 289, 400, 509, 512, 526];

/** The largest difference, as a share of what is allowed for the number that is wanted. */
const worst = (got: ArrayLike<number>, want: readonly number[], allowed: (value: number) => number): number => {
  expect(got.length).toBe(want.length);
  return want.reduce((most, value, i) => Math.max(most, Math.abs(got[i]! - value) / allowed(value)), 0);
};

test.each(LENGTHS)('length %d, forward and back', (n) => {
  const rows = spread([n > 300 ? 1 : 3, n], -3, 3);
  const want = bins(rows, 1);
  const x = tensor(rows.data, { shape: rows.shape, dtype: 'float64' });
  const spectrum = rfft(x);
  expect(worst(spectrum.dataSync(), want.data, () => 1e-13 * n)).toBeLessThan(1);
  const narrow = x.cast('float32');
  const exact = bins({ shape: rows.shape, data: [...narrow.dataSync()] }, 1).data;
  expect(worst(rfft(narrow).dataSync(), exact, (value) => 0.501 * ulp(value, 23) + 1e-11)).toBeLessThan(1);
  const back = irfft(spectrum, -1, { n });
  expect(back.shape).toEqual(rows.shape);
  expect(worst(back.dataSync(), rows.data, () => 1e-14 * Math.log2(n))).toBeLessThan(1);
  const half = Math.floor(n / 4); // bins that are not there are 0
  const few = spread([2, half, 2], -1, 1);
  const synthetic = irfft(tensor(few.data, { shape: few.shape, dtype: 'float64' }), 1, { n });
  expect(worst(synthetic.dataSync(), samples(few, 1, n).data, () => 1e-14)).toBeLessThan(1);
});

test('a long transform keeps its digits: a tone is one bin', () => {
  for (const n of [2 ** 18, 3 * 5 * 7 * 2 ** 10, 99991]) {
    const k = Math.floor(n / 7);
    const tone = Float64Array.from({ length: n }, (_, j) => Math.cos((2 * Math.PI * ((j * k) % n)) / n));
    const spectrum = rfft(tensor(tone)).dataSync();
    spectrum.forEach((value, i) => {
      if (Math.abs(value - (i === 2 * k ? n / 2 : 0)) > 1e-9) throw new Error(`length ${n}: element ${i} is ${value}`);
    });
    expect(spectrum.length).toBe(2 * Math.floor(n / 2) + 2);
  }
});

test('rows are their own: a NaN stays in its row, and threads change nothing', () => {
  const x = random(1).normal([401, 512]);
  const alone = threads();
  try {
    setThreads(1);
    const one = rfft(x).dataSync();
    setThreads(4);
    expect(rfft(x).dataSync()).toEqual(one);
    expect(rfft(x.slice([400, 401])).dataSync()).toEqual(one.slice(400 * 514));
  } finally {
    setThreads(alone);
  }
  const broken = x.dataSync().slice();
  broken[512] = NaN; // of row 1
  const spectrum = rfft(tensor(broken, { shape: [401, 512] })).dataSync();
  expect(spectrum.slice(514, 2 * 514).every((value) => Number.isNaN(value))).toBe(true);
  expect(spectrum.slice(0, 514).every((value) => Number.isFinite(value))).toBe(true);
  expect(spectrum.slice(2 * 514).every((value) => Number.isFinite(value))).toBe(true);
});
