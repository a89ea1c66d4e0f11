import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';

/** A kernel's work along one axis, which threads may share. */
export interface Work {
  /** Independent units: rows, images, elements ... */
  readonly total: number;
  /** What all of it costs, in multiplications or so (0.3 ns each). */
  readonly cost: number;
  /** Parts begin at multiples of this. 1 when left out. */
  readonly grain?: number;
  /** The arguments of the WebAssembly function for the units [begin, end). */
  readonly args: (begin: number, end: number) => number[];
}

/** Runs a WebAssembly function over all of its work, on one thread or several. */
export function run(name: string, { total, cost, grain = 1, args }: Work): void {
  const parts = partsFor(cost, true);
  if (parts === 1) heap().functions[name]!(...args(0, total));
  else
    parallel(
      name,
      cut(total, parts, grain).map(([begin, end]) => args(begin, end)),
    );
}

/**
 * A kernel with two ways: the WebAssembly export of the given name where the data is float32 (indices beside it are int32), and a JavaScript
 * version for every other element type.
 */
export function withFloat32(name: string, work: (call: CpuCall) => Work, generic: CpuKernel): CpuKernel {
  return (call) => {
    const [first, ...rest] = call.inputs;
    const fits = first!.dtype === 'float32' && rest.every(({ dtype }) => dtype === 'float32' || dtype === 'int32');
    if (fits) run(name, work(call));
    else generic(call);
  };
}

/** Work that is done in one go: a single unit. */
export const undivided = (args: readonly number[]): Work => ({ total: 1, cost: 0, args: () => [...args] });

export const sizes = (call: CpuCall): [outer: number, axis: number, inner: number] => [
  call.number('outer'),
  call.number('axis'),
  call.number('inner'),
];
