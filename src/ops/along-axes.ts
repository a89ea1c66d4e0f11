import { defineOp } from '../autograd/op.js';
import type { DType } from '../backends/backend.js';
import type { Kernel, ParamType } from '../backends/kernel.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/** The axes that an op takes together: neighbours, [from, to). */
export interface Run {
  readonly from: number;
  readonly to: number;
}

/** A tensor seen as [outer, axis, inner]: how kernels that work along one axis are told where it lies. */
interface AxisView {
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
}

export const axisView = (shape: Shape, from: number, to = from + 1): AxisView => ({
  outer: sizeOf(shape.slice(0, from)),
  axis: sizeOf(shape.slice(from, to)),
  inner: sizeOf(shape.slice(to)),
});

/** What is particular to an op along axes. */
interface Particular<Further> extends Pick<Kernel, 'family' | 'types'> {
  /** Parameters of the kernel, and attributes of the op, beside the run. */
  readonly further?: { readonly [K in keyof Further]: ParamType };
  /** Whether a GPU's group of threads shares each [outer, inner]; so it is when left out. */
  readonly isShared?: boolean;
  /** Whether the result has x's shape; the axes go when left out. */
  readonly keepsShape?: boolean;
  /** The dtype of the result; x's own when left out. */
  readonly result?: DType;
  /** Whether the result may wait until somebody reads it: see `Dispatch.lazy`. */
  readonly lazy?: boolean;
  readonly readsResult?: boolean;
  /** The cotangent of x, from the cotangent, x and the result. */
  readonly vjp?: (g: Tensor, x: Tensor, y: Tensor, attrs: Run & Further) => Tensor;
}

/** An op with a kernel of its name along the middle axis of [outer, axis, inner]. */
export function alongAxes<Further extends Readonly<Record<string, number>> = Record<never, number>>(
  name: string,
  particular: Particular<Further>,
): (x: Tensor, attrs: Run & Further) => Tensor {
  const { family, types, further, isShared = true, keepsShape, result, lazy = false, readsResult, vjp } = particular;
  const kernel: Kernel = {
    name,
    family,
    inputs: ['x'],
    outputs: ['out'],
    ...(types && { types }),
    params: { outer: 'u32', axis: 'u32', inner: 'u32', ...further },
    ...(isShared && { layout: 'groups' }),
  };
  const names = Object.keys(further ?? {}) as (keyof Further)[];
  const op = defineOp<Run & Further>({
    name,
    ...(readsResult !== undefined && { readsResult }),
    infer: ([x], { from, to }) => ({
      shape: keepsShape ? x!.shape : [...x!.shape.slice(0, from), ...x!.shape.slice(to)],
      dtype: result ?? x!.dtype,
    }),
    run: (call, [x], attrs) => {
      const { outer, axis, inner } = axisView(x!.shape, attrs.from, attrs.to);
      const params: Record<string, number> = { outer, axis, inner };
      for (const key of names) params[key as string] = attrs[key]!;
      call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params, grid: outer * inner, lazy });
    },
    ...(vjp && { vjp: (g, { inputs: [x], output, attrs }) => [vjp(g, x!, output, attrs)] }),
  });
  return (x, attrs) => op([x], attrs);
}
