import { checkBoolean, checkOptions, checkTensor, describe, isPlainObject } from '../tensor/arguments.js';
import { ShapeError, ValueError } from '../errors.js';
import { concat, permute, slice, stack } from '../ops/movement/index.js';
import { add, mul, sigmoid, sub, tanh, where } from '../ops/elementwise.js';
import { linear as multiply } from '../ops/matmul.js';
import { tensor, type TensorLike, zeros } from '../tensor/create.js';
import { integersOf } from '../tensor/integers.js';
import { formatShape } from '../tensor/shape.js';
import type { Random } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  type ApplyOptions,
  type InitOptions,
  type Layer,
  uniformByFan,
  checkApply,
  checkInit,
  checkParams,
} from './layer.js';
import { checkFeatures, checkSizes } from './linear.js';

/** Weights of one direction. G gates lie one after the other along the first axis, in torch's order, so torch's weights fit. */
export interface DirectionParams {
  /** [G * hidden, features] */
  readonly weightInput: Tensor;
  /** [G * hidden, hidden] */
  readonly weightHidden: Tensor;
  /** [G * hidden] */
  readonly biasInput: Tensor;
  /** [G * hidden] */
  readonly biasHidden: Tensor;
}

export interface RecurrentParams {
  readonly forward: DirectionParams;
  readonly backward: DirectionParams | null;
}

export interface RecurrentOptions {
  /** Whether a second set of weights reads the sequence from its end; its features follow the forward ones. */
  readonly bidirectional?: boolean;
}

/** State after the last frame of each sequence (for the backward direction: after its first). */
export interface GruState {
  /** [directions, N, hidden] */
  readonly hidden: Tensor;
}

export interface LstmState extends GruState {
  /** [directions, N, hidden] */
  readonly cell: Tensor;
}

export interface RecurrentLayer<State> extends Layer<RecurrentParams> {
  /** Like `apply`, from a given state, with the state at the end. */
  run(
    params: RecurrentParams,
    x: Tensor,
    options?: ApplyOptions & { initial?: State },
  ): { output: Tensor; state: State };
}

/** How one frame changes the state: `projected` is x W_input^T + b_input of the frame, state[0] is what the layer puts out. */
interface Cell<State> {
  readonly name: string;
  readonly gates: number;
  readonly stateNames: readonly (keyof State & string)[];
  step(projected: Tensor, recurrent: Tensor, state: readonly Tensor[]): Tensor[];
}

/**
 * Gated recurrent unit (Cho et al., arXiv:1406.1078, in cuDNN's and torch's form): with r, z the reset and update gates,
 * n = tanh(W_n x + b_n + r (U_n h + c_n)), h' = (1 - z) n + z h. Gate order r, z, n.
 *
 * x is [N, T, inFeatures], the output [N, T, directions * hidden]. Frames beyond a sequence's length are never read, leave the state as
 * it is, and come out as 0.
 */
export function gru(inFeatures: number, hidden: number, options: RecurrentOptions = {}): RecurrentLayer<GruState> {
  return recurrent<GruState>(
    {
      name: 'gru',
      gates: 3,
      stateNames: ['hidden'],
      step: (projected, recurrent, [before]) => {
        const [xr, xz, xn] = gatesOf(projected, 3);
        const [hr, hz, hn] = gatesOf(recurrent, 3);
        const reset = sigmoid(add(xr!, hr!));
        const keep = sigmoid(add(xz!, hz!));
        const candidate = tanh(add(xn!, mul(reset, hn!)));
        return [add(candidate, mul(keep, sub(before!, candidate)))];
      },
    },
    inFeatures,
    hidden,
    options,
  );
}

/**
 * Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates): c' = f c + i g, h' = o tanh(c'). Gate order i, f, g, o.
 * Shapes and lengths as in `gru`.
 */
export function lstm(inFeatures: number, hidden: number, options: RecurrentOptions = {}): RecurrentLayer<LstmState> {
  return recurrent<LstmState>(
    {
      name: 'lstm',
      gates: 4,
      stateNames: ['hidden', 'cell'],
      step: (projected, recurrent, [, before]) => {
        const [input, forget, candidate, output] = gatesOf(add(projected, recurrent), 4);
        const cell = add(mul(sigmoid(forget!), before!), mul(sigmoid(input!), tanh(candidate!)));
        return [mul(sigmoid(output!), tanh(cell)), cell];
      },
    },
    inFeatures,
    hidden,
    options,
  );
}

function recurrent<State extends GruState>(
  cell: Cell<State>,
  inFeatures: number,
  hidden: number,
  options: RecurrentOptions,
): RecurrentLayer<State> {
  checkSizes(cell.name, { inFeatures, hidden });
  checkOptions(cell.name, options, ['bidirectional'], (given) =>
    typeof given === 'boolean' ? `write { bidirectional: ${given} }` : null,
  );
  const { bidirectional = false } = options;
  checkBoolean(cell.name, 'bidirectional', bidirectional);
  const direction = (random: Random, placement?: InitOptions): DirectionParams => ({
    weightInput: uniformByFan(random, [cell.gates * hidden, inFeatures], hidden, placement),
    weightHidden: uniformByFan(random, [cell.gates * hidden, hidden], hidden, placement),
    biasInput: uniformByFan(random, [cell.gates * hidden], hidden, placement),
    biasHidden: uniformByFan(random, [cell.gates * hidden], hidden, placement),
  });

  const run: RecurrentLayer<State>['run'] = (params, x, given = {}) => {
    checkApply(cell.name, params, x, given, ['random', 'lengths', 'training', 'initial']);
    checkDirections(cell.name, params);
    const { lengths, initial } = given;
    checkFeatures(cell.name, x, [3], inFeatures, `[N, T, ${inFeatures}]`);
    const [batch, frames] = [x.shape[0]!, x.shape[1]!];
    if (frames === 0) throw new ShapeError(cell.name, `x is ${formatShape(x.shape)}; it has no frames`);
    const directions = params.backward ? [params.forward, params.backward] : [params.forward];
    const starts = startStates(cell, initial, directions.length, batch, hidden, x);
    const ended = lengths === undefined ? null : endedMasks(cell.name, lengths, batch, frames, x);
    const timeMajor = permute(x, [1, 0, 2]);
    const readable = ended ? where(ended.all, 0, timeMajor) : timeMajor;

    const outputs: Tensor[] = [];
    const finals: Tensor[][] = [];
    directions.forEach((weights, d) => {
      const projected = unstack(add(multiply(readable, weights.weightInput), weights.biasInput));
      let state: Tensor[] = starts[d]!;
      const shown = new Array<Tensor>(frames);
      for (let i = 0; i < frames; i++) {
        const t = d === 0 ? i : frames - 1 - i;
        const next = cell.step(
          projected[t]!,
          add(multiply(state[0]!, weights.weightHidden), weights.biasHidden),
          state,
        );
        const over = ended?.frames[t] ?? null;
        shown[t] = over ? where(over, 0, next[0]!) : next[0]!;
        state = over ? next.map((value, s) => where(over, state[s]!, value)) : next;
      }
      outputs.push(stack(shown, 1));
      finals.push(state);
    });
    const state = Object.fromEntries(cell.stateNames.map((name, s) => [name, stack(finals.map((final) => final[s]!))]));
    return { output: outputs.length === 1 ? outputs[0]! : concat(outputs, 2), state: state as unknown as State };
  };

  return {
    init: (random, placement = {}) => {
      checkInit(cell.name, random, placement);
      return {
        forward: direction(random, placement),
        backward: bidirectional ? direction(random, placement) : null,
      };
    },
    run,
    apply: (params, x, given) => run(params, x, given).output,
  };
}

const WEIGHTS = ['weightInput', 'weightHidden', 'biasInput', 'biasHidden'] as const;

function checkDirections(op: string, params: unknown): void {
  if (!isPlainObject(params))
    throw new ValueError(
      op,
      `the parameters are ${describe(params)}; they must be what init gave: { forward, backward }`,
    );
  checkParams(op, params.forward, WEIGHTS, 'the forward parameters');
  if (params.backward !== null) checkParams(op, params.backward, WEIGHTS, 'the backward parameters');
}

/** The blocks of [N, G * hidden], gate by gate. */
function gatesOf(x: Tensor, gates: number): Tensor[] {
  const width = x.shape[1]! / gates;
  return Array.from({ length: gates }, (_, g) => slice(x, [], [g * width, (g + 1) * width]));
}

/** The slices along the first axis. */
const unstack = (x: Tensor): Tensor[] => Array.from({ length: x.shape[0]! }, (_, i) => slice(x, i));

function startStates<State extends GruState>(
  cell: Cell<State>,
  initial: State | undefined,
  directions: number,
  batch: number,
  hidden: number,
  x: Tensor,
): Tensor[][] {
  const expected = [directions, batch, hidden];
  const tensors = cell.stateNames.map((name) => {
    if (initial === undefined) return null;
    if (!isPlainObject(initial))
      throw new ValueError(
        cell.name,
        `the initial state is ${describe(initial)}; it must be an object: { ${cell.stateNames.join(', ')} }`,
      );
    const given = initial[name] as unknown;
    checkTensor(cell.name, `initial ${name}`, given);
    if (formatShape(given.shape) !== formatShape(expected)) {
      throw new ShapeError(
        cell.name,
        `initial ${name} is ${formatShape(given.shape)}; it must be [directions, N, hidden] = ${formatShape(expected)}`,
      );
    }
    return given;
  });
  const zero = zeros([batch, hidden], { dtype: x.dtype, device: x.device });
  return Array.from({ length: directions }, (_, d) => tensors.map((t) => (t ? slice(t, d) : zero)));
}

interface Ended {
  /** [T, N, 1]: whether the sequence is over at the frame. */
  readonly all: Tensor;
  /** The same frame by frame, [N, 1]; null where no sequence is over. */
  readonly frames: readonly (Tensor | null)[];
}

/** Null when every sequence has all frames. */
function endedMasks(op: string, lengths: TensorLike, batch: number, frames: number, x: Tensor): Ended | null {
  const counts = integersOf(op, 'lengths', lengths);
  if (counts.length !== batch) throw new ShapeError(op, `${counts.length} lengths for ${batch} sequences`);
  counts.forEach((count, n) => {
    if (count < 0 || count > frames)
      throw new ValueError(op, `sequence ${n}: length is ${count}; it must be in [0, ${frames}]`);
  });
  const first = counts.reduce((least, count) => Math.min(least, count), frames);
  if (first === frames) return null;
  const maskOf = (from: number, to: number, shape: number[]): Tensor => {
    const bits = Array.from({ length: to - from }, (_, i) => Array.from(counts, (count) => from + i >= count)).flat();
    return tensor(bits, { shape, dtype: 'bool', device: x.device });
  };
  return {
    all: maskOf(0, frames, [frames, batch, 1]),
    frames: Array.from({ length: frames }, (_, t) => (t < first ? null : maskOf(t, t + 1, [batch, 1]))),
  };
}
