import { type Launcher } from '../../autograd/op.js';
import type { Buffer } from '../../backends/backend.js';
import { fillKernel, type Kernel, STORED } from '../../backends/kernel.js';
import { ShapeError } from '../../errors.js';
import { formatShape, type Shape, sizeOf } from '../../tensor/shape.js';

/**
 * Ops that move elements and compute nothing. All of them are one kernel, a copy between two strided views; strides may be 0
 * (broadcasting) or negative (flipping).
 */
const copyKernel: Kernel = {
  name: 'copy',
  family: 'copy',
  inputs: ['source'],
  outputs: ['out'],
  types: { source: STORED, out: 'source' },
  params: {
    rank: 'u32',
    shape: 'u32x8',
    sourceOffset: 'i32',
    sourceStrides: 'i32x8',
    outOffset: 'i32',
    outStrides: 'i32x8',
  },
};

/** Adds the elements of one view to those of another. */
export const accumulateKernel: Kernel = { ...copyKernel, name: 'accumulate' };

/** A strided view, in elements. */
export interface View {
  offset: number;
  strides: readonly number[];
}

/** Most axes that a kernel's parameters hold. Neighbouring axes are merged first, so more are rarely needed. */
export const MAX_RANK = 8;

/** Merges axes that lie behind one another in every view; drops axes of length 1. */
export function mergeAxes(
  op: string,
  shape: Shape,
  views: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const merged: number[] = [];
  const strides: number[][] = views.map(() => []);
  shape.forEach((dim, axis) => {
    if (dim === 1) return;
    const last = merged.length - 1;
    if (last >= 0 && views.every((view, v) => strides[v]![last] === view[axis]! * dim)) {
      merged[last]! *= dim;
      views.forEach((view, v) => (strides[v]![last] = view[axis]!));
    } else {
      merged.push(dim);
      views.forEach((view, v) => strides[v]!.push(view[axis]!));
    }
  });
  if (merged.length === 0) {
    merged.push(1);
    strides.forEach((list) => list.push(1));
  }
  if (merged.length > MAX_RANK)
    throw new ShapeError(
      op,
      `shape ${formatShape(shape)} needs ${merged.length} separate axes here; at most ${MAX_RANK} are supported`,
    );
  return { shape: merged, strides };
}

/** Copies `shape` elements from one view to another, or adds them to what is there. */
export function launchCopy(
  call: Launcher,
  op: string,
  shape: Shape,
  input: Buffer,
  source: View,
  output: Buffer,
  out: View,
  kernel = copyKernel,
): void {
  const size = sizeOf(shape);
  if (size === 0) return;
  const both = [source.strides, out.strides];
  const merged = shape.length === 1 ? { shape, strides: both } : mergeAxes(op, shape, both);
  call.launch({
    kernel,
    inputs: [input],
    outputs: [output],
    params: {
      rank: merged.shape.length,
      shape: merged.shape,
      sourceOffset: source.offset,
      sourceStrides: merged.strides[0]!,
      outOffset: out.offset,
      outStrides: merged.strides[1]!,
    },
    grid: size,
  });
}

export function launchFill(call: Launcher, output: Buffer, value: number): void {
  call.launch({
    kernel: fillKernel,
    inputs: [],
    outputs: [output],
    params: { size: output.length, value },
    grid: output.length,
  });
}
