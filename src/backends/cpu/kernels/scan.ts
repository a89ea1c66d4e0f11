import { alongAxis } from './along-axis.js';

export const scanKernels = {
  cummax: alongAxis('cummax', { cost: 2 }),
  recurrence: alongAxis('recurrence', { cost: 3, further: (call) => [call.number('reverse')] }),
};
