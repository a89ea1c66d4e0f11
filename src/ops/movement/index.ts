/** Ops that move elements and compute nothing: copy.ts has the one kernel that they share. */
export { expandDims, flatten, permute, reshape, squeeze, transpose } from './axes.js';
export { clone } from './clone.js';
export { concat, split, stack } from './join.js';
export { repeat, roll, tile } from './repeat.js';
export { flip, pad, slice, type SliceRange } from './slice.js';
