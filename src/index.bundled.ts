/**
 * The entry that bundlers take for programs in Node (`module` in package.json): Node's own, with the package ndarray imported, so that it goes into the bundle.
 * Node by itself loads it with the first ndarray that goes out.
 */
import ndarray from 'ndarray';
import { registerInterchange } from './tensor/interchange.js';

export * from './index.js';

registerInterchange({ wrap: (data, shape) => ndarray(data, [...shape]) });
