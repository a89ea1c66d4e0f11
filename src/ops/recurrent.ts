import { defineMultiOp } from '../autograd/op.js';
import { isRecorded } from '../autograd/trace.js';
import { vjp as differentiate } from '../autograd/products.js';
import type { Kernel } from '../backends/kernel.js';
import { promote, toFloat } from '../tensor/dtype.js';
import { hostTensor, lendTo } from '../tensor/create.js';
import type { Tensor } from '../tensor/tensor.js';
import { sum } from './broadcast.js';
import { cast } from './cast.js';
import { add, greaterEqual, mul, sigmoid, sub, tanh, where } from './elementwise.js';
import { linear, transposedTimes } from './matmul.js';
import { reshape, slice, stack } from './movement/index.js';

/**
 * Whole sequences through a gated cell: a kernel walks over the frames with the weights packed once, gates and state of a frame in one pass, and a
 * second one walks back. Their second derivatives are those of the same in plain ops.
 */

/** What one frame does: from the gates' input, the state's product by the weights (with its bias) and the states before it to the states behind it. */
type Step = (projected: Tensor, product: Tensor, states: readonly Tensor[]) => Tensor[];

/** A cell: S states, of which the first is what it puts out. */
interface Cell {
  readonly name: 'lstm' | 'gru';
  readonly states: number;
  readonly step: Step;
}

export interface Direction {
  /** Whether the frames are read from the last to the first. */
  readonly reverse: boolean;
}

const PARAMS = { frames: 'u32', batch: 'u32', hidden: 'u32', reverse: 'u32' } as const;
const TYPES = { counts: ['int32'] } as const;

const forwardKernel = (name: string): Kernel => ({
  name,
  family: 'recurrent',
  inputs: ['projected', 'weight', 'bias', 'start', 'counts'],
  outputs: ['states', 'gates'],
  types: TYPES,
  params: PARAMS,
});

const backwardKernel = (name: string, outputs: readonly string[]): Kernel => ({
  name,
  family: 'recurrent',
  inputs: ['g', 'states', 'gates', 'weight', 'counts'],
  outputs,
  types: TYPES,
  params: PARAMS,
});

/** The blocks of [N, G * hidden], gate by gate. */
function gatesOf(x: Tensor, gates: number): Tensor[] {
  const width = x.shape[1]! / gates;
  return Array.from({ length: gates }, (_, g) => slice(x, [], [g * width, (g + 1) * width]));
}

/**
 * The op of a cell. From projected [T, N, G hidden] (what the input brings to the gates), weight [G hidden, hidden], bias [G hidden], start
 * [S, N, hidden] and counts [N] (frames of each sequence, int32) to states [S, T + 1, N, hidden]: those before a frame and behind it are neighbours,
 * with the start in the first place that is read. Beyond its count a sequence's states stay.
 */
function recurrentOp({ name, states, step }: Cell): (inputs: readonly Tensor[], attrs: Direction) => Tensor {
  const kernel = forwardKernel(name);
  // A GRU multiplies the product's part of n with r, so that it has another cotangent than the input's part.
  const partial = name === 'gru' ? ['projected', 'recurrent'] : ['projected'];
  const vjpKernel = backwardKernel(`${name}Vjp`, [...partial, 'start']);

  const backward = defineMultiOp<Direction>({
    name: vjpKernel.name,
    infer: ([, output, saved, weight]) => {
      const [, slots, batch, hidden] = output!.shape as [number, number, number, number];
      const { dtype } = saved!;
      const row = { shape: [slots - 1, batch, weight!.shape[0]!], dtype };
      return [...partial.map(() => row), { shape: [states, batch, hidden], dtype }];
    },
    run: (call, [, output], attrs) => {
      call.launch({ kernel: vjpKernel, inputs: call.inputs, outputs: call.outputs, ...sizesOf(output!, attrs) });
    },
  });

  const op = defineMultiOp<Direction>({
    name,
    infer: ([projected, weight]) => {
      const [frames, batch] = projected!.shape as [number, number];
      const { dtype } = projected!;
      const hidden = weight!.shape[1]!;
      return [
        { shape: [states, frames + 1, batch, hidden], dtype },
        { shape: [frames, batch, 4 * hidden], dtype },
      ];
    },
    run: (call, _inputs, attrs, [output]) => {
      call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, ...sizesOf(output!, attrs) });
    },
    vjp: (g, { inputs, output, attrs, saved: [gateValues], needs }) => {
      const [projected, weight, bias, start, counts] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const operands = [projected, weight, bias, start];
      if (isRecorded(g) || operands.some(isRecorded)) {
        const plain = (xs: Tensor[]): Tensor => inPlainOps(xs, counts, attrs.reverse, step);
        return [...differentiate(plain, operands, g)[1], null];
      }
      const parts = backward([g, output, gateValues!, weight, counts], attrs);
      const product = parts.at(-2)!;
      const [frames, batch, width] = product.shape as [number, number, number];
      const rows = [frames * batch, width];
      const before = slice(output, 0, attrs.reverse ? [1, frames + 1] : [0, frames]);
      return [
        parts[0]!,
        needs[1] ? transposedTimes(reshape(product, rows), reshape(before, [rows[0]!, before.shape[2]!])) : null,
        needs[2] ? sum(product, [0, 1]) : null,
        parts.at(-1)!,
        null,
      ];
    },
  });
  return (inputs, attrs) => op(inputs, attrs)[0]!;
}

/** A launch's parameters, and its grid for devices that have one: a sequence's hidden units. */
function sizesOf({ shape }: { readonly shape: readonly number[] }, { reverse }: Direction) {
  const [, slots, batch, hidden] = shape as [number, number, number, number];
  return { params: { frames: slots - 1, batch, hidden, reverse: Number(reverse) }, grid: batch * hidden };
}

/** The same frame by frame in ops that have derivatives of every order. */
function inPlainOps(
  [projected, weight, bias, start]: readonly Tensor[],
  counts: Tensor,
  reverse: boolean,
  step: Step,
): Tensor {
  const [frames, batch] = projected!.shape as [number, number];
  const frameNumbers = hostTensor(
    Int32Array.from({ length: frames }, (_, t) => t),
    { shape: [frames, 1] },
  );
  const over = reshape(greaterEqual(lendTo(frameNumbers, counts), counts), [frames, batch, 1]);
  let states: Tensor[] = Array.from({ length: start!.shape[0]! }, (_, s) => slice(start!, s));
  const slots: Tensor[][] = [states];
  for (let k = 0; k < frames; k++) {
    const t = reverse ? frames - 1 - k : k;
    const product = add(linear(states[0]!, weight!), bias!);
    const next = step(slice(projected!, t), product, states);
    const held = states;
    states = next.map((value, s) => where(slice(over, t), held[s]!, value));
    slots.push(states);
  }
  if (reverse) slots.reverse();
  return stack(states.map((_, s) => stack(slots.map((slot) => slot[s]!))));
}

const lstmOp = recurrentOp({
  name: 'lstm',
  states: 2,
  step: (projected, product, [, before]) => {
    const [input, forget, candidate, output] = gatesOf(add(projected, product), 4);
    const cell = add(mul(sigmoid(forget!), before!), mul(sigmoid(input!), tanh(candidate!)));
    return [mul(sigmoid(output!), tanh(cell)), cell];
  },
});

const gruOp = recurrentOp({
  name: 'gru',
  states: 1,
  step: (projected, product, [before]) => {
    const [xr, xz, xn] = gatesOf(projected, 3);
    const [hr, hz, hn] = gatesOf(product, 3);
    const reset = sigmoid(add(xr!, hr!));
    const keep = sigmoid(add(xz!, hz!));
    const candidate = tanh(add(xn!, mul(reset, hn!)));
    return [add(candidate, mul(keep, sub(before!, candidate)))];
  },
});

/** Operands of a sequence's passage: see `recurrentOp`. */
export interface Passage {
  readonly projected: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly start: Tensor;
  readonly counts: Tensor;
}

const through =
  (op: typeof lstmOp) =>
  ({ projected, weight, bias, start, counts }: Passage, reverse: boolean): Tensor => {
    const operands = [projected, weight, bias, start];
    const dtype = toFloat(operands.map((t) => t.dtype).reduce(promote));
    return op([...operands.map((t) => cast(t, dtype)), counts], { reverse });
  };

/** @internal The states of an LSTM, h and c, [2, T + 1, N, hidden]; gate order i, f, g, o. */
export const lstmStates = through(lstmOp);

/** @internal The states of a GRU, [1, T + 1, N, hidden]; gate order r, z, n. */
export const gruStates = through(gruOp);
