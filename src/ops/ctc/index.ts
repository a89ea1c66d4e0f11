export { ctcLoss } from './loss.js';
export type { CtcOptions, CtcTargets } from './options.js';
