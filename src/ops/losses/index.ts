export { crossEntropy, type CrossEntropyOptions } from './cross-entropy.js';
export {
  bceWithLogits,
  type BceOptions,
  huber,
  type HuberOptions,
  klDiv,
  type KlDivOptions,
  mse,
} from './elementwise.js';
export type { LossOptions, Reduction } from './reduction.js';
