import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { type OutsideProduct, outsideProduct, WORTH_LEAVING } from '../product.js';

/** Sizes, and where a frame's states before and behind it lie: `at(s, slot)` is the first element of a state at a slot. */
function problem(call: CpuCall) {
  const [frames, batch, hidden] = ['frames', 'batch', 'hidden'].map((name) => call.number(name)) as [
    number,
    number,
    number,
  ];
  const reverse = call.number('reverse') === 1;
  return {
    frames,
    batch,
    hidden,
    begin: reverse ? frames : 0,
    /** The frame that is read in the given place. */
    frameOf: (k: number): number => (reverse ? frames - 1 - k : k),
    at: (s: number, slot: number): number => (s * (frames + 1) + slot) * batch * hidden,
    before: (t: number): number => (reverse ? t + 1 : t),
    after: (t: number): number => (reverse ? t : t + 1),
  };
}

type View = ReturnType<CpuCall['inputs'][number]['view']>;

const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

/** The row of a bias plus the product of a state by the weights, [gates, hidden]. */
function productsOf(weight: View, bias: View, state: View, from: number, hidden: number): number[] {
  return Array.from(bias, (start: number, row) => {
    let sum = start;
    for (let j = 0; j < hidden; j++) sum += weight[row * hidden + j]! * state[from + j]!;
    return sum;
  });
}

/** Adds the product of a row by the weights, not transposed, to a state's cotangent. */
function passBack(
  row: View,
  from: number,
  weight: View,
  gates: number,
  carried: View,
  to: number,
  hidden: number,
): void {
  for (let g = 0; g < gates; g++)
    for (let j = 0; j < hidden; j++) carried[to + j]! += row[from + g]! * weight[g * hidden + j]!;
}

/** One sequence after the other through the cell: `cell` writes the states behind a frame from those before it. */
function forward(
  call: CpuCall,
  states: number,
  cell: (place: { row: number; products: number[]; before: number; after: number; cells: number }) => void,
): void {
  const { frames, batch, hidden, begin, frameOf, at, before, after } = problem(call);
  const [, weight, bias, start, counts] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  for (let s = 0; s < states; s++)
    for (let i = 0; i < batch * hidden; i++) out[at(s, begin) + i] = start![s * batch * hidden + i]!;
  for (let k = 0; k < frames; k++) {
    const t = frameOf(k);
    for (let n = 0; n < batch; n++) {
      const [from, to] = [at(0, before(t)) + n * hidden, at(0, after(t)) + n * hidden];
      if (t >= counts![n]!) {
        for (let s = 0; s < states; s++)
          for (let j = 0; j < hidden; j++) out[at(s, 0) + to + j] = out[at(s, 0) + from + j]!;
        continue;
      }
      const products = productsOf(weight!, bias!, out, from, hidden);
      cell({ row: t * batch + n, products, before: from, after: to, cells: at(1, 0) });
    }
  }
}

/** The same from the end: `cell` writes the cotangents of the gates and of the states before a frame from those behind it, `carried`. */
function backward(
  call: CpuCall,
  states: number,
  gates: number,
  cell: (place: { row: number; before: number; after: number; cells: number; carried: number }) => void,
): void {
  const { frames, batch, hidden, begin, frameOf, at, before, after } = problem(call);
  const [g, , , weight, counts] = call.inputs.map((buffer) => buffer.view());
  const outputs = call.outputs.map((buffer) => buffer.view());
  const [carried, product] = [outputs.at(-1)!, outputs.at(-2)!];
  const step = batch * hidden;
  for (const out of outputs) out.fill(0);
  for (let k = frames - 1; k >= 0; k--) {
    const t = frameOf(k);
    for (let n = 0; n < batch; n++) {
      for (let s = 0; s < states; s++)
        for (let j = n * hidden; j < (n + 1) * hidden; j++) carried[s * step + j]! += g![at(s, after(t)) + j]!;
      if (t >= counts![n]!) continue;
      const row = t * batch + n;
      const [from, to] = [at(0, before(t)) + n * hidden, at(0, after(t)) + n * hidden];
      cell({ row, before: from, after: to, cells: at(1, 0), carried: n * hidden });
      passBack(product, row * gates * hidden, weight!, gates * hidden, carried, n * hidden, hidden);
    }
  }
  for (let s = 0; s < states; s++) for (let i = 0; i < step; i++) carried[s * step + i]! += g![at(s, begin) + i]!;
}

const lstm: CpuKernel = (call) => {
  const hidden = call.number('hidden');
  const projected = call.inputs[0]!.view();
  const [states, gates] = call.outputs.map((buffer) => buffer.view());
  forward(call, 2, ({ row, products, before, after, cells }) => {
    const own = row * 4 * hidden;
    for (let j = 0; j < hidden; j++) {
      const [i, f, g, o] = [0, 1, 2, 3].map((gate) => {
        const x = projected[own + gate * hidden + j]! + products[gate * hidden + j]!;
        return (gates![own + gate * hidden + j] = gate === 2 ? Math.tanh(x) : sigmoid(x));
      }) as [number, number, number, number];
      const c = f * states![cells + before + j]! + i * g;
      states![cells + after + j] = c;
      states![after + j] = o * Math.tanh(c);
    }
  });
};

const lstmVjp: CpuKernel = (call) => {
  const [hidden, step] = [call.number('hidden'), call.number('batch') * call.number('hidden')];
  const [, states, gates] = call.inputs.map((buffer) => buffer.view());
  const [projected, start] = call.outputs.map((buffer) => buffer.view());
  backward(call, 2, 4, ({ row, before, after, cells, carried }) => {
    for (let j = 0; j < hidden; j++) {
      const at = row * 4 * hidden + j;
      const [i, f, g, o] = [0, 1, 2, 3].map((gate) => gates![at + gate * hidden]!) as [number, number, number, number];
      const shown = Math.tanh(states![cells + after + j]!);
      const dh = start![carried + j]!;
      const dc = start![step + carried + j]! + dh * o * (1 - shown * shown);
      projected![at] = dc * g * i * (1 - i);
      projected![at + hidden] = dc * states![cells + before + j]! * f * (1 - f);
      projected![at + 2 * hidden] = dc * i * (1 - g * g);
      projected![at + 3 * hidden] = dh * shown * o * (1 - o);
      start![step + carried + j] = dc * f;
      start![carried + j] = 0;
    }
  });
};

const gru: CpuKernel = (call) => {
  const hidden = call.number('hidden');
  const projected = call.inputs[0]!.view();
  const [states, gates] = call.outputs.map((buffer) => buffer.view());
  forward(call, 1, ({ row, products, before, after }) => {
    for (let j = 0; j < hidden; j++) {
      const [x, own] = [row * 3 * hidden + j, row * 4 * hidden + j];
      const r = sigmoid(projected[x]! + products[j]!);
      const z = sigmoid(projected[x + hidden]! + products[hidden + j]!);
      const held = products[2 * hidden + j]!;
      const c = Math.tanh(projected[x + 2 * hidden]! + r * held);
      [r, z, c, held].forEach((value, gate) => (gates![own + gate * hidden] = value));
      states![after + j] = c + z * (states![before + j]! - c);
    }
  });
};

const gruVjp: CpuKernel = (call) => {
  const hidden = call.number('hidden');
  const [, states, gates] = call.inputs.map((buffer) => buffer.view());
  const [projected, recurrent, start] = call.outputs.map((buffer) => buffer.view());
  backward(call, 1, 3, ({ row, before, carried }) => {
    for (let j = 0; j < hidden; j++) {
      const [x, own] = [row * 3 * hidden + j, row * 4 * hidden + j];
      const [r, z, c, held] = [0, 1, 2, 3].map((gate) => gates![own + gate * hidden]!) as [
        number,
        number,
        number,
        number,
      ];
      const dh = start![carried + j]!;
      const dz = dh * (states![before + j]! - c) * z * (1 - z);
      const dc = dh * (1 - z) * (1 - c * c);
      const dr = dc * held * r * (1 - r);
      [dr, dz, dc].forEach((value, gate) => (projected![x + gate * hidden] = value));
      [dr, dz, dc * r].forEach((value, gate) => (recurrent![x + gate * hidden] = value));
      start![carried + j] = dh * z;
    }
  });
};

/** A cell's function in WebAssembly: which of its inputs are the weights, how many gates' rows these have, and which way it walks. */
interface Cell {
  readonly name: string;
  readonly weights: number;
  readonly gates: number;
  readonly isForward: boolean;
}

/** All frames at once, threads sharing the batch; the weights are packed once. */
function together(call: CpuCall, { name, weights, gates, isForward }: Cell): void {
  const { functions } = heap();
  const { frames, batch, hidden } = problem(call);
  const [n, k] = isForward ? [gates * hidden, hidden] : [hidden, gates * hidden];
  const inputs = call.inputs.map((_, i) => call.in(i));
  const panels = call.scratch(Math.ceil(n / 8) * 8 * k * 4);
  functions.packPanels!(inputs[weights]!, panels, n, k, Number(isForward));
  inputs[weights] = panels;
  const outputs = call.outputs.map((_, i) => call.out(i));
  const parts = partsFor((frames * batch * hidden * (hidden * gates + 100)) / 4);
  const tasks = cut(batch, parts, 4).map(([first, last]) => [
    ...inputs,
    ...outputs,
    call.scratch(functions.recurrentScratch!(last - first, hidden)),
    ...[frames, batch, hidden, call.number('reverse'), first, last],
  ]);
  parallel(name, tasks);
}

/** Frame by frame, the products from outside. */
function withLibrary(call: CpuCall, { name, weights, gates, isForward }: Cell, multiply: OutsideProduct): void {
  const { frames, batch, hidden, begin, frameOf, at, before } = problem(call);
  const width = gates * hidden;
  const inputs = call.inputs.map((_, i) => call.in(i));
  const outputs = call.outputs.map((_, i) => call.out(i));
  const products = call.scratch(batch * width * 4);
  const { functions, u8 } = heap();
  const weight = inputs[weights]!;
  const walk = (place: number): void => {
    const sizes = [frames, batch, hidden, call.number('reverse'), 0, batch, place];
    functions[name]!(...inputs, ...outputs, products, ...sizes);
  };
  const how = { transA: false, transB: isForward, accumulate: !isForward };
  if (isForward) {
    const [states, gateValues] = outputs as [number, number];
    const slot = batch * hidden * 4;
    for (let s = 0; s * slot < call.inputs[3]!.bytes; s++)
      u8.copyWithin(states + at(s, begin) * 4, inputs[3]! + s * slot, inputs[3]! + (s + 1) * slot);
    for (let k = 0; k < frames; k++) {
      const t = frameOf(k);
      const to = gates === 4 ? gateValues + t * batch * width * 4 : products;
      multiply('float32', states + at(0, before(t)) * 4, weight, to, { m: batch, n: width, k: hidden }, how);
      walk(k + 1);
    }
    return;
  }
  const [product, carried] = outputs.slice(-2) as [number, number];
  u8.fill(0, carried, carried + call.outputs.at(-1)!.bytes);
  const counts = call.inputs[4]!.view();
  for (let place = 1; place <= frames; place++) {
    walk(place);
    const t = frameOf(frames - place);
    const from = product + t * batch * width * 4;
    // The product of a sequence that is over is not wanted: 0 times an infinite weight is NaN.
    const kept: [at: number, row: Uint8Array][] = [];
    for (let n = 0, at = carried; n < batch; n++, at += hidden * 4)
      if (t >= counts[n]!) kept.push([at, u8.slice(at, at + hidden * 4)]);
    multiply('float32', from, weight, carried, { m: batch, n: hidden, k: width }, how);
    for (const [at, row] of kept) u8.set(row, at);
  }
  walk(frames + 1);
}

/** The way for float32, by WebAssembly, and the one for everything else. */
const overBatch =
  (cell: Cell, generic: CpuKernel): CpuKernel =>
  (call) => {
    const multiply = outsideProduct();
    const { batch, hidden } = problem(call);
    if (call.inputs[0]!.dtype !== 'float32') generic(call);
    else if (multiply && batch * cell.gates * hidden * hidden >= WORTH_LEAVING.float32)
      withLibrary(call, cell, multiply);
    else together(call, cell);
  };

export const recurrentKernels = {
  lstm: overBatch({ name: 'lstm', weights: 1, gates: 4, isForward: true }, lstm),
  lstmVjp: overBatch({ name: 'lstmVjp', weights: 3, gates: 4, isForward: false }, lstmVjp),
  gru: overBatch({ name: 'gru', weights: 1, gates: 3, isForward: true }, gru),
  gruVjp: overBatch({ name: 'gruVjp', weights: 3, gates: 3, isForward: false }, gruVjp),
};
