export { bucketedBatches, padSequences, shuffledBatches } from './batches.js';
export { type SubtitleOptions, type TextGridOptions, toSrt, toTextGrid, toVtt } from './subtitles.js';
