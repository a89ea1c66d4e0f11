export {
  type Alphabet,
  alphabet,
  type AlphabetOptions,
  type EncodeOptions,
  type NormalizationForm,
  type SavedAlphabet,
} from './alphabet.js';
export { bucketedBatches, padSequences, shuffledBatches } from './batches.js';
export { type SubtitleOptions, type TextGridOptions, toSrt, toTextGrid, toVtt } from './subtitles.js';
