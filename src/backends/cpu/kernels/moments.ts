import type { CpuCall } from '../call.js';
import { alongAxis } from './along-axis.js';
import { shareSum } from './reduce.js';

const numberOf =
  (name: string) =>
  (call: CpuCall): number[] => [call.number(name)];

export const momentKernels = {
  mean: alongAxis('mean', { cost: 1, scratch: true, shareRow: shareSum((axis) => axis) }),
  center: alongAxis('center', { cost: 2 }),
  variance: alongAxis('variance', { cost: 3, further: numberOf('correction') }),
  norm: alongAxis('norm', { cost: 2, further: numberOf('scale') }),
};
