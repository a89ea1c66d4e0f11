import { tensor, type Tensor } from 'tapegrad';
import { gruStates, lstmStates } from '../../src/ops/recurrent.js';
import { range, sizeOf, spread, total, type Values, values } from '../reference.js';
import type { OpInfo, Sample } from './info.js';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** What a cell makes of one hidden unit: the gates' input (projected and product apart) and its states, to its states behind the frame. */
type Unit = (projected: number[], products: number[], states: number[]) => number[];

const lstmUnit: Unit = (projected, products, [, before]) => {
  const [i, f, g, o] = projected.map((x, gate) => x + products[gate]!) as [number, number, number, number];
  const cell = sigmoid(f) * before! + sigmoid(i) * Math.tanh(g);
  return [sigmoid(o) * Math.tanh(cell), cell];
};

const gruUnit: Unit = (projected, products, [before]) => {
  const [r, z] = [0, 1].map((gate) => sigmoid(projected[gate]! + products[gate]!)) as [number, number];
  const candidate = Math.tanh(projected[2]! + r * products[2]!);
  return [(1 - z) * candidate + z * before!];
};

/** All states, frame by frame and sequence by sequence, from the definition. */
function states(unit: Unit, counts: readonly number[], reverse: boolean, operands: readonly Values[]): Values {
  const [projected, weight, bias, start] = operands as [Values, Values, Values, Values];
  const [frames, batch] = projected.shape as [number, number];
  const [kinds, , hidden] = start.shape as [number, number, number];
  const gates = weight.shape[0]! / hidden;
  const shape = [kinds, frames + 1, batch, hidden];
  const out = new Array<number>(sizeOf(shape)).fill(0);
  const place = (kind: number, slot: number, n: number, j: number): number =>
    ((kind * (frames + 1) + slot) * batch + n) * hidden + j;
  for (const kind of range(kinds))
    for (const n of range(batch))
      for (const j of range(hidden))
        out[place(kind, reverse ? frames : 0, n, j)] = start.data[(kind * batch + n) * hidden + j]!;
  for (const k of range(frames)) {
    const t = reverse ? frames - 1 - k : k;
    const [from, to] = reverse ? [t + 1, t] : [t, t + 1];
    for (const n of range(batch)) {
      for (const j of range(hidden)) {
        const own = range(kinds).map((kind) => out[place(kind, from, n, j)]!);
        const inputs = range(gates).map((gate) => projected.data[((t * batch + n) * gates + gate) * hidden + j]!);
        const products = range(gates).map((gate) => {
          const row = gate * hidden + j;
          const terms = range(hidden).map((i) => weight.data[row * hidden + i]! * out[place(0, from, n, i)]!);
          return total([bias.data[row]!, ...terms]);
        });
        const next = t >= counts[n]! ? own : unit(inputs, products, own);
        next.forEach((value, kind) => (out[place(kind, to, n, j)] = value));
      }
    }
  }
  return values(shape, out);
}

function sample(
  unit: Unit,
  apply: typeof lstmStates,
  [gates, kinds]: readonly [number, number],
  [frames, batch, hidden]: readonly [number, number, number],
  counts: readonly number[],
  reverse: boolean,
  forwardOnly = false,
): Sample {
  const width = gates * hidden;
  return {
    name: `${frames} frames of ${batch} sequences, ${hidden} units, lengths ${counts.join(',')}${reverse ? ', from the end' : ''}`,
    inputs: [
      spread([frames, batch, width], -2, 2),
      spread([width, hidden], -1, 1, 1),
      spread([width], -0.5, 0.5, 2),
      spread([kinds, batch, hidden], -1, 1, 3),
    ],
    run: (...operands) => {
      const [projected, weight, bias, start] = operands as [Tensor, Tensor, Tensor, Tensor];
      const own = tensor(counts, { dtype: 'int32', device: projected.device });
      return apply({ projected, weight, bias, start, counts: own }, reverse);
    },
    want: (...operands) => states(unit, counts, reverse, operands),
    forwardOnly,
  };
}

const samplesOf = (unit: Unit, apply: typeof lstmStates, sizes: readonly [number, number]): Sample[] => [
  ...[false, true].flatMap((reverse) => [
    sample(unit, apply, sizes, [3, 2, 1], [3, 1], reverse),
    sample(unit, apply, sizes, [1, 1, 3], [1], reverse),
    sample(unit, apply, sizes, [2, 3, 2], [0, 2, 1], reverse),
    sample(unit, apply, sizes, [2, 0, 2], [], reverse),
    // Rows and units that do not fill vectors and tiles, and those that fill them exactly.
    sample(unit, apply, sizes, [4, 6, 9], [4, 0, 3, 4, 1, 2], reverse, true),
    sample(unit, apply, sizes, [3, 8, 8], new Array<number>(8).fill(3), reverse, true),
    sample(unit, apply, sizes, [5, 1, 17], [4], reverse, true),
    sample(unit, apply, sizes, [3, 2, 33], [3, 2], reverse, true),
  ]),
  sample(unit, apply, sizes, [2, 5, 130], [2, 2, 1, 2, 2], false, true), // sums longer than a block of the product
];

/** Whole sequences through a cell, as the recurrent layers use it. */
export const recurrentInfo = {
  lstmStates: {
    samples: samplesOf(lstmUnit, lstmStates, [4, 2]),
    ulps: 4,
    absolute: 4e-6,
    gradientError: 4e-6,
    storage: 1,
  },
  gruStates: {
    samples: samplesOf(gruUnit, gruStates, [3, 1]),
    ulps: 4,
    absolute: 4e-6,
    gradientError: 4e-6,
    storage: 1,
  },
} satisfies Record<string, OpInfo>;
