export type { CtcTargets } from './lattice.js';
export { ctcLoss, ctcPosterior } from './loss.js';
export type { CtcOptions } from './options.js';
