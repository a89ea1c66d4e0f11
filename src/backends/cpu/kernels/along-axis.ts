import { BYTES } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { sizes } from './float32.js';
import { variant } from './variant.js';

/** A kernel along the middle axis of x[outer, axis, inner], or of several inputs of that shape. */
interface AlongAxis {
  /** What one element of x costs, in multiplications or so. */
  readonly cost: number;
  /** Whether the WebAssembly function keeps something of the columns that it works on. */
  readonly scratch?: boolean;
  /** The WebAssembly function's further arguments. */
  readonly further?: (call: CpuCall) => readonly number[];
  /** Shares a single long row among threads, if that can be done; false if not. */
  readonly shareRow?: (call: CpuCall) => boolean;
}

/** What a function may keep of its columns, 512 at a time (COLUMNS in wasm/): two float64 of each, and what ends in the middle of a vector. */
const SCRATCH_BYTES = 512 * 16 + 64;

/** Columns of threads side by side begin at lines of the cache. */
const GRAIN = 16;

/**
 * A kernel along the middle axis of x[outer, axis, inner]. Threads share it by the outer elements or, where these are few, by columns; which of them
 * computes what changes no bits.
 */
export const alongAxis =
  (name: string, { cost, scratch = false, further, shareRow }: AlongAxis): CpuKernel =>
  (call) => {
    const [x, out] = [call.inputs[0]!, call.outputs[0]!];
    const own = variant(name, x.dtype)!;
    const [outer, axis, inner] = sizes(call);
    const parts = partsFor(cost * outer * axis * inner, true);
    if (parts > 1 && outer * inner === 1 && shareRow?.(call)) return;
    const sources = call.inputs.map((_, i) => call.in(i));
    const to = call.out(0);
    const [step, outStep] = [axis * inner * BYTES[x.dtype], (out.length / outer) * BYTES[out.dtype]];
    const args = (first: number, rows: number, column: number, columns: number): number[] => [
      ...sources.map((from) => from + first * step + column * BYTES[x.dtype]),
      to + first * outStep + column * BYTES[out.dtype],
      ...(scratch ? [call.scratch(SCRATCH_BYTES)] : []),
      rows,
      axis,
      inner,
      columns,
      ...(further?.(call) ?? []),
    ];
    if (parts === 1) heap().functions[own]!(...args(0, outer, 0, inner));
    else if (outer >= parts || inner < 2 * GRAIN)
      parallel(
        own,
        cut(outer, parts).map(([begin, end]) => args(begin, end - begin, 0, inner)),
      );
    else
      parallel(
        own,
        cut(inner, parts, GRAIN).map(([begin, end]) => args(0, outer, begin, end - begin)),
      );
  };
