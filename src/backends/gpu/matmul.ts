import { type Kernel, NUMBERS } from '../kernel.js';
import type { Plan } from './plan.js';

/** `matmul` as src/ops declares it, for products with enough work for large tiles. A device need not have it. */
const largeKernel: Kernel = {
  name: 'matmulLarge',
  family: 'matmul',
  inputs: ['a', 'b'],
  outputs: ['out'],
  types: { a: NUMBERS, b: 'a', out: 'a' },
  params: {
    batch: 'u32',
    m: 'u32',
    n: 'u32',
    k: 'u32',
    transA: 'u32',
    transB: 'u32',
    strideA: 'u32',
    strideB: 'u32',
    accumulate: 'u32',
  },
  layout: 'groups',
};

/** Rows and columns that a group computes at a time; and how many such tiles there must be, so that small GPUs' units are all at work. */
const TILE = 128;
const ENOUGH_TILES = 32;

/** Large tiles where there are enough of them, else the kernel itself. */
export const matmulPlans: Readonly<Record<string, Plan>> = {
  matmul: {
    kernels: [largeKernel],
    run: (launch, call) => {
      const { batch, m, n } = launch.params as Readonly<Record<'batch' | 'm' | 'n', number>>;
      const tiles = batch * Math.ceil(m / TILE) * Math.ceil(n / TILE);
      const isLarge = m >= TILE && n >= TILE && tiles >= ENOUGH_TILES;
      if (launch.grid > 0) call.launch(isLarge ? { ...launch, kernel: largeKernel, grid: tiles } : launch);
    },
  },
};
