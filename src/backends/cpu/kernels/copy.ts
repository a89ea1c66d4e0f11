import type { DType } from '../../backend.js';
import { fromBfloat16, fromHalf, toBfloat16, toHalf } from '../../../half.js';
import { copyStrided } from '../../strided.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';

/** Any strided view to any other, of any element type. */
function generic(call: CpuCall): void {
  copyStrided<number>(
    call.numbers('shape'),
    call.inputs[0]!.view(),
    { strides: call.numbers('sourceStrides'), offset: call.number('sourceOffset') },
    call.outputs[0]!.view(),
    { strides: call.numbers('outStrides'), offset: call.number('outOffset') },
  );
}

/** The three innermost axes run inside WebAssembly. */
function float32(call: CpuCall): void {
  const shape = call.numbers('shape');
  const s = call.numbers('sourceStrides');
  const d = call.numbers('outStrides');
  const source = call.in(0) + call.number('sourceOffset') * 4;
  const whole = shape.reduce((product, dim) => product * dim, 1) === call.outputs[0]!.length;
  const out = (whole ? call.out(0) : call.update(0)) + call.number('outOffset') * 4;
  const copyStrided = heap().kernels.copyStrided!;
  const inner = shape.length - 3;
  const at = (values: readonly number[], axis: number, fallback: number): number =>
    axis < 0 ? fallback : values[axis]!;
  const visit = (axis: number, from: number, to: number): void => {
    if (axis >= inner) {
      copyStrided(
        from,
        to,
        at(shape, inner, 1),
        at(shape, inner + 1, 1),
        shape[inner + 2]!,
        at(s, inner, 0),
        at(s, inner + 1, 0),
        s[inner + 2]!,
        at(d, inner, 0),
        at(d, inner + 1, 0),
        d[inner + 2]!,
      );
      return;
    }
    for (let i = 0; i < shape[axis]!; i++) visit(axis + 1, from + i * s[axis]! * 4, to + i * d[axis]! * 4);
  };
  visit(0, source, out);
}

/** An ordinary array is written in place where only a part of it is meant: bringing all of it to the heap and back would cost more. */
const copy: CpuKernel = (call) => {
  const [out] = call.outputs;
  const inPlace =
    out!.array === null || call.numbers('shape').reduce((product, dim) => product * dim, 1) * 4 > out!.length;
  if (call.isFloat32 && inPlace) float32(call);
  else generic(call);
};

const fill: CpuKernel = (call) => {
  const [buffer] = call.outputs;
  if (buffer!.dtype === 'float32' && !buffer!.array)
    heap().kernels.fill!(call.out(0), buffer!.length, call.number('value'));
  else buffer!.view().fill(encoder(buffer!.dtype)(call.number('value')));
};

const decoder = (dtype: DType): ((stored: number) => number) =>
  dtype === 'float16' ? fromHalf : dtype === 'bfloat16' ? fromBfloat16 : (value) => value;

/** Numbers as they are stored in a dtype. */
function encoder(dtype: DType): (value: number) => number {
  switch (dtype) {
    case 'float16':
      return toHalf;
    case 'bfloat16':
      return toBfloat16;
    case 'bool':
      return (value) => (value !== 0 ? 1 : 0);
    case 'int32':
      return (value) => Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1); // NaN is stored as 0
    default:
      return (value) => value;
  }
}

const cast: CpuKernel = (call) => {
  const [x] = call.inputs;
  const [out] = call.outputs;
  const source = x!.view();
  const target = out!.view();
  const isPlain = (dtype: DType): boolean => dtype !== 'float16' && dtype !== 'bfloat16';
  if ((out!.dtype === 'float32' || out!.dtype === 'float64') && isPlain(x!.dtype)) {
    target.set(source);
    return;
  }
  const decode = decoder(x!.dtype);
  const encode = encoder(out!.dtype);
  for (let i = 0; i < source.length; i++) target[i] = encode(decode(source[i]!));
};

export const copyKernels = { copy, fill, cast };
