import type { TypedArray } from '../../backends/backend.js';
import { hostArray } from '../../backends/host-array.js';

/** Mel scales and filters, as torchaudio and librosa define them. */

export type MelScale = 'htk' | 'slaney';

/** Slaney's scale: linear below 1000 Hz, in steps of 200 / 3 Hz, and logarithmic above. */
const [LINEAR, KNEE] = [200 / 3, 1000];
const LOG_STEP = Math.log(6.4) / 27;

const SCALES: Readonly<Record<MelScale, { toMel: (hz: number) => number; toHz: (mel: number) => number }>> = {
  htk: {
    toMel: (hz) => 2595 * Math.log10(1 + hz / 700),
    toHz: (mel) => 700 * (10 ** (mel / 2595) - 1),
  },
  slaney: {
    toMel: (hz) => (hz < KNEE ? hz / LINEAR : KNEE / LINEAR + Math.log(hz / KNEE) / LOG_STEP),
    toHz: (mel) => (mel < KNEE / LINEAR ? mel * LINEAR : KNEE * Math.exp(LOG_STEP * (mel - KNEE / LINEAR))),
  },
};

export const MEL_SCALES = Object.keys(SCALES) as readonly MelScale[];

/**
 * Triangles evenly spaced on a mel scale, over the lines of a spectrum: `torchaudio.functional.melscale_fbanks`.
 * @param lines how many lines there are, from 0 to half the rate.
 * @param area whether each triangle's area is 1 (Slaney), else its height is.
 * @returns [lines, bins], row by row.
 */
export function melFilters(
  lines: number,
  sampleRate: number,
  { bins, fMin, fMax, scale, area }: { bins: number; fMin: number; fMax: number; scale: MelScale; area: boolean },
): TypedArray {
  const { toMel, toHz } = SCALES[scale];
  const [low, high] = [toMel(fMin), toMel(fMax)];
  const corners = Float64Array.from({ length: bins + 2 }, (_, i) => toHz(low + ((high - low) * i) / (bins + 1)));
  const filters = hostArray('float64', lines * bins);
  for (let bin = 0; bin < bins; bin++) {
    const [left, middle, right] = [corners[bin]!, corners[bin + 1]!, corners[bin + 2]!];
    const height = area ? 2 / (right - left) : 1;
    for (let line = 0; line < lines; line++) {
      const hz = (line * sampleRate) / (2 * (lines - 1));
      const share = Math.min((hz - left) / (middle - left), (right - hz) / (right - middle));
      if (share > 0) filters[line * bins + bin] = share * height;
    }
  }
  return filters;
}
