import { describe } from '../tensor/arguments.js';
import { ValueError } from '../errors.js';
import { dropout as drop } from '../ops/dropout.js';
import { type Layer, layer, trainingRandom } from './layer.js';
import type { Lengths } from './lengths.js';

/**
 * While training (when `apply` gets a random source, unless it is told otherwise) sets each element to 0 with probability `rate` and scales the rest, so that the mean
 * stays; otherwise passes x through. Needs no parameters.
 */
export function dropout(rate: number): Layer<null> & Lengths {
  if (!(typeof rate === 'number' && rate >= 0 && rate < 1))
    throw new ValueError('dropout', `rate is ${describe(rate)}; it must be in [0, 1)`);
  return layer<null>('dropout', null, {
    init: () => null,
    apply: (_params, x, options) => {
      const random = rate > 0 ? trainingRandom('dropout', options) : null;
      return random ? drop(x, rate, random) : x;
    },
  });
}
