export { clipByGlobalNorm } from './clip.js';
export { adam, adamw, sgd } from './optimizer.js';
export type { Adam, AdamOptions, AdamState, OptimizerState, Sgd, SgdOptions, SgdState } from './optimizer.js';
export { cosine, warmup } from './schedules.js';
export type { Schedule } from './schedules.js';
