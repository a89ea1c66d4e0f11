export { bucketedBatches, padSequences, shuffledBatches } from './batches.js';
