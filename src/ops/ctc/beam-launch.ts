import type { Arena, Buffer, DType, TypedArray } from '../../backends/backend.js';
import { hostArray } from '../../backends/host-array.js';
import type { Kernel, ParamType } from '../../backends/kernel.js';
import { hostBackend } from '../../tensor/device.js';

/** Declares kernels of a file; their parameters are numbers. */
export const declareIn =
  (family: string) =>
  (name: string, inputs: string[], outputs: string[], params: readonly string[]): Kernel => ({
    name,
    family,
    inputs,
    outputs,
    params: Object.fromEntries(params.map((param): [string, ParamType] => [param, param === 'drop' ? 'f32' : 'u32'])),
  });

/** @param arena where inputs that are ordinary arrays are copied to, once for all launches until it closes; else each launch makes room for copies. */
export function launch(
  op: string,
  kernel: Kernel,
  inputs: readonly Buffer[],
  outputs: readonly Buffer[],
  params: Readonly<Record<string, number>>,
  arena: Arena | null = null,
): void {
  hostBackend().dispatch({ kernel, inputs, outputs, params, grid: outputs.length }, arena, op);
}

/** An ordinary array for what kernels give, in whatever arena they run; the host may write to a view of it. */
export function array(dtype: DType, length: number): Buffer {
  const host = hostBackend();
  const buffer = host.upload(dtype, hostArray(dtype, length));
  host.readSync!(buffer, 'share'); // so that nothing takes its contents for settled
  return buffer;
}

export const view = (buffer: Buffer): TypedArray => hostBackend().readSync!(buffer, 'view');

/** Numbers as a list, one by one: a spread would ask a typed array's iterator for each. */
export function listOf(values: ArrayLike<number>, count = values.length): number[] {
  const list = new Array<number>(count);
  for (let i = 0; i < count; i++) list[i] = values[i]!;
  return list;
}
