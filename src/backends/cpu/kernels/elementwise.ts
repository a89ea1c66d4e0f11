import type { CpuCall, CpuKernel } from '../call.js';
import { elementwiseFunctions } from '../generated/elementwise.js';
import type { TypedArray } from '../../backend.js';

/** Calls `visit` for each run along the last axis with the offsets of the operands there. */
function eachRun(shape: readonly number[], strides: readonly (readonly number[])[], visit: (offsets: readonly number[], run: number) => void): void {
  const inner = shape.length - 1;
  const position = new Array<number>(inner).fill(0);
  const offsets = strides.map(() => 0);
  const runs = shape.slice(0, inner).reduce((product, dim) => product * dim, 1);
  for (let run = 0; run < runs; run++) {
    visit(offsets, run);
    for (let axis = inner - 1; axis >= 0; axis--) {
      strides.forEach((stride, s) => (offsets[s]! += stride[axis]!));
      if (++position[axis]! < shape[axis]!) break;
      strides.forEach((stride, s) => (offsets[s]! -= stride[axis]! * shape[axis]!));
      position[axis] = 0;
    }
  }
}

function generic(call: CpuCall): void {
  const f = (elementwiseFunctions as Readonly<Record<string, (x: number, y: number, z: number) => number>>)[call.launch.kernel.name]!;
  const shape = call.numbers('shape');
  const strides = ['xStrides', 'yStrides', 'zStrides'].slice(0, call.inputs.length).map((name) => call.numbers(name));
  const views = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  const [x, y = x, z = x] = views as [TypedArray, TypedArray?, TypedArray?];
  const [sx, sy = 0, sz = 0] = strides.map((stride) => stride[shape.length - 1]!) as [number, number?, number?];
  const length = shape[shape.length - 1]!;
  eachRun(shape, strides, ([ox, oy = 0, oz = 0], run) => {
    const start = run * length;
    for (let i = 0; i < length; i++) out[start + i] = f(x[ox! + i * sx]!, y[oy + i * sy]!, z[oz + i * sz]!);
  });
}

/** One kernel for all rows of src/ops/elementwise.ts: generated SIMD code for float32, generated float64 functions for the rest. */
export const elementwise: CpuKernel = (call) => {
  generic(call);
};
