export { specAugment, type SpecAugmentOptions, timeStretch } from './augment.js';
export type { MelScale } from './filters.js';
export { logMel, type LogMelOptions } from './mel.js';
export { resample, type ResampleOptions } from './resample.js';
export { readWav, type ReadWavOptions, type Wav } from './wav.js';
