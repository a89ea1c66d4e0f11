import type { Dispatch, Kernel } from '../kernel.js';
import { NUMBERS } from '../kernel.js';
import { GROUP_WIDTH } from './limits.js';
import type { Plan } from './plan.js';

/** The parts of a product, summed; added to what out holds where `accumulate` is 1. */
const sumKernel: Kernel = {
  name: 'matmulSum',
  family: 'matmul',
  inputs: ['parts'],
  outputs: ['out'],
  types: { parts: NUMBERS, out: 'parts' },
  params: { size: 'u32', count: 'u32', accumulate: 'u32' },
};

/** Rows and columns that a group computes at a time, as the kernel has it. */
const TILE = 64;
/** Groups that keep a large GPU busy. */
const BUSY = 256;
/** The length of the sums of a part at least: shorter ones are not worth a second pass. */
const LEAST_DEPTH = 256;

/** The number of equal parts that the sum of a product is cut into, 1 for none. */
function partsOf(m: number, n: number, k: number): number {
  const tiles = Math.ceil(m / TILE) * Math.ceil(n / TILE);
  let parts = Math.min(Math.floor(BUSY / tiles), Math.floor(k / LEAST_DEPTH));
  while (parts > 1 && k % parts !== 0) parts--;
  return Math.max(parts, 1);
}

/**
 * A product of few rows and columns and a long sum, as a weight's gradient is, would keep a few groups busy for long. Its sum is cut into parts: those
 * of an operand that is stored with the summed axis first lie one behind the other, so the parts are a batch, which is summed behind it.
 */
const matmul: Plan = {
  kernels: [sumKernel],
  run: (launch: Dispatch, call) => {
    const { batch, m, n, k, transA, transB, accumulate } = launch.params as Readonly<Record<string, number>>;
    const parts = batch === 1 && transA === 1 && transB === 0 ? partsOf(m!, n!, k!) : 1;
    if (parts === 1) {
      call.launch(launch);
      return;
    }
    const size = m! * n!;
    const products = call.scratch(launch.outputs[0]!.dtype, parts * size);
    const depth = k! / parts;
    call.launch({
      ...launch,
      outputs: [products],
      params: {
        ...launch.params,
        batch: parts,
        k: depth,
        strideA: m! * depth,
        strideB: n! * depth,
        accumulate: 0,
      },
      grid: parts * Math.ceil(m! / TILE) * Math.ceil(n! / TILE) * GROUP_WIDTH,
    });
    const params = { size, count: parts, accumulate: accumulate! };
    call.launch({ kernel: sumKernel, inputs: [products], outputs: launch.outputs, params, grid: size });
  },
};

export const matmulPlans: Readonly<Record<string, Plan>> = { matmul };
