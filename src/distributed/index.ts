/** Data parallel training over MPI: the entry point `tapegrad/distributed`, which the main one never imports. */
export { MismatchError, MpiError, TimeoutError } from './errors.js';
export { init, type InitOptions } from './init.js';
export { shardedBatches, shares } from './shares.js';
export type { AverageOptions, Statistics, World } from './world.js';
