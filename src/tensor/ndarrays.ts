import ndarray from 'ndarray';
import ops from 'ndarray-ops';
import type { Interchange } from './interchange.js';

/**
 * Interchange by the ndarray packages. Both compile code from text, ndarray-ops as soon as it is imported, which a page's content security
 * policy may forbid: only Node's entry comes here.
 */
export const ndarrays: Interchange = {
  wrap: (data, shape) => ndarray(data, [...shape]),
  assign: (target, source) => {
    ops.assign(ndarray(target, [...source.shape]), source);
  },
};
