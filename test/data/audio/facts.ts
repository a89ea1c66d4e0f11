import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What torchaudio computes in float64: see facts.py, which wrote it. */
export interface MelFact {
  readonly n: number;
  readonly rate: number;
  readonly fftSize: number;
  readonly window: number;
  readonly hop: number;
  readonly bins: number;
  readonly fMin: number;
  readonly fMax: number;
  readonly scale: 'htk' | 'slaney';
  readonly equalArea: boolean;
  readonly center: boolean;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export interface ResampleFact {
  readonly n: number;
  readonly from: number;
  readonly to: number;
  readonly zeros: number;
  readonly rolloff: number;
  readonly window: 'hann' | 'kaiser';
  readonly values: readonly number[];
}

export const FACTS = JSON.parse(readFileSync(join(__dirname, 'facts.json'), 'utf8')) as {
  readonly mel: readonly MelFact[];
  readonly resample: readonly ResampleFact[];
};

/** The clip of facts.py. */
export const clip = (n: number): Float64Array =>
  Float64Array.from(
    { length: n },
    (_, i) =>
      0.3 * Math.sin(0.05 * i) +
      0.2 * Math.sin(0.31 * i + 1e-5 * i * i) +
      (0.1 * ((i * i * 7919) % 1009)) / 1009 -
      0.05,
  );

/** The largest difference. */
export const farthest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
};
