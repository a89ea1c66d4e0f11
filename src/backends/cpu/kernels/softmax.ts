import { alongAxis } from './along-axis.js';

export const softmaxKernels = {
  softmax: alongAxis('softmax', { cost: 6, scratch: true }),
  logSoftmax: alongAxis('logSoftmax', { cost: 6, scratch: true }),
  softmaxVjp: alongAxis('softmaxVjp', { cost: 3, scratch: true }),
};
