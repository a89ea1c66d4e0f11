import { checkBoolean, checkOptions, checkTensor, checkWhole, describe, isPlainObject } from '../tensor/arguments.js';
import { ShapeError, ValueError } from '../errors.js';
import { dropout as drop } from '../ops/dropout.js';
import { concat, permute, slice, stack } from '../ops/movement/index.js';
import { add, mul, sigmoid, sub, tanh, where } from '../ops/elementwise.js';
import { linear as multiply } from '../ops/matmul.js';
import { tensor, type TensorLike, zeros } from '../tensor/create.js';
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
  ofKind,
  trainingRandom,
} from './layer.js';
import { type Lengths, lengthsOf, lengthsThrough } from './lengths.js';
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

/** Of two layers or more, the one that reads the input first. */
export interface StackedRecurrentParams {
  readonly layers: readonly RecurrentParams[];
}

export interface RecurrentOptions {
  /** Whether a second set of weights reads the sequence from its end; its features follow the forward ones. */
  readonly bidirectional?: boolean | undefined;
  /** How many of them, each reading what the one before it puts out; 1 by default. */
  readonly layers?: number | undefined;
  /** The share of what goes from one layer to the next that is dropped in training; 0 by default. With one layer there is nothing to drop. */
  readonly dropout?: number | undefined;
}

/** The parameters by the options: `{ forward, backward }` of one layer, `{ layers }` of several. */
export type RecurrentParamsOf<Options extends RecurrentOptions> = Options extends { readonly layers: infer Count }
  ? Count extends 1 | undefined
    ? RecurrentParams
    : number extends Count
      ? RecurrentParams | StackedRecurrentParams
      : StackedRecurrentParams
  : RecurrentParams;

/** State after the last frame of each sequence (for the backward direction: after its first). Layers follow each other, each with its directions. */
export interface GruState {
  /** [layers * directions, N, hidden] */
  readonly hidden: Tensor;
}

export interface LstmState extends GruState {
  /** [layers * directions, N, hidden] */
  readonly cell: Tensor;
}

export interface RecurrentLayer<State, Params = RecurrentParams> extends Layer<Params>, Lengths {
  outputLength(length: number): number;
  /** Like `apply`, from a given state, with the state at the end. */
  run(
    params: Params,
    x: Tensor,
    options?: ApplyOptions & { initial?: State | undefined },
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
 * it is, and come out as 0. With `layers`, each reads what the one before it puts out, of both directions; `dropout` acts in between.
 */
export function gru<const Options extends RecurrentOptions = Record<never, never>>(
  inFeatures: number,
  hidden: number,
  options?: Options,
): RecurrentLayer<GruState, RecurrentParamsOf<Options>> {
  return recurrent<GruState, RecurrentParamsOf<Options>>(
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
export function lstm<const Options extends RecurrentOptions = Record<never, never>>(
  inFeatures: number,
  hidden: number,
  options?: Options,
): RecurrentLayer<LstmState, RecurrentParamsOf<Options>> {
  return recurrent<LstmState, RecurrentParamsOf<Options>>(
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

function recurrent<State extends GruState, Params>(
  cell: Cell<State>,
  inFeatures: number,
  hidden: number,
  options: RecurrentOptions = {},
): RecurrentLayer<State, Params> {
  checkSizes(cell.name, { inFeatures, hidden });
  checkOptions(cell.name, options, ['bidirectional', 'layers', 'dropout'], (given) => {
    if (typeof given === 'number') return `write { layers: ${given} }`;
    return typeof given === 'boolean' ? `write { bidirectional: ${given} }` : null;
  });
  const { bidirectional = false, layers = 1, dropout = 0 } = options;
  checkBoolean(cell.name, 'bidirectional', bidirectional);
  checkWhole(cell.name, 'layers', layers, 1, 1000);
  if (!(typeof dropout === 'number' && dropout >= 0 && dropout < 1))
    throw new ValueError(cell.name, `dropout is ${describe(dropout)}; it must be in [0, 1)`);
  const ways = bidirectional ? 2 : 1;
  const direction = (features: number, random: Random, placement?: InitOptions): DirectionParams => ({
    weightInput: uniformByFan(random, [cell.gates * hidden, features], hidden, placement),
    weightHidden: uniformByFan(random, [cell.gates * hidden, hidden], hidden, placement),
    biasInput: uniformByFan(random, [cell.gates * hidden], hidden, placement),
    biasHidden: uniformByFan(random, [cell.gates * hidden], hidden, placement),
  });
  const layerParams = (features: number, random: Random, placement?: InitOptions): RecurrentParams => ({
    forward: direction(features, random, placement),
    backward: bidirectional ? direction(features, random, placement) : null,
  });

  const run: RecurrentLayer<State, Params>['run'] = (params, x, given = {}) => {
    checkApply(cell.name, params, x, given, ['random', 'lengths', 'training', 'initial']);
    const stacked = layersOf(cell.name, params, layers);
    const { lengths, initial } = given;
    checkFeatures(cell.name, x, [3], inFeatures, `[N, T, ${inFeatures}]`);
    const [batch, frames] = [x.shape[0]!, x.shape[1]!];
    if (frames === 0) throw new ShapeError(cell.name, `x is ${formatShape(x.shape)}; it has no frames`);
    const random = layers > 1 && dropout > 0 ? trainingRandom(cell.name, given) : null;
    const count = stacked.reduce((sum, { backward }) => sum + (backward ? 2 : 1), 0);
    const starts = startStates(cell, initial, count, batch, hidden, x);
    const ended = lengths === undefined ? null : endedMasks(cell.name, lengths, x);
    const timeMajor = permute(x, [1, 0, 2]);
    let input = ended ? where(ended.all, 0, timeMajor) : timeMajor;

    const finals: Tensor[][] = [];
    stacked.forEach(({ forward, backward }, at) => {
      const read = at > 0 && random ? drop(input, dropout, random) : input;
      const outputs = (backward ? [forward, backward] : [forward]).map((weights, d) => {
        const { shown, final } = readFrames(cell, weights, read, starts[finals.length]!, d === 1, ended);
        finals.push(final);
        return stack(shown, at === layers - 1 ? 1 : 0); // between layers frames come first, as they are read
      });
      input = outputs.length === 1 ? outputs[0]! : concat(outputs, 2);
    });
    const state = Object.fromEntries(cell.stateNames.map((name, s) => [name, stack(finals.map((final) => final[s]!))]));
    return { output: input, state: state as unknown as State };
  };

  return ofKind(cell.name, {
    ...lengthsThrough(cell.name, (length) => length),
    init: (random: Random, placement: InitOptions = {}) => {
      checkInit(cell.name, random, placement);
      const made = Array.from({ length: layers }, (_, at) =>
        layerParams(at === 0 ? inFeatures : ways * hidden, random, placement),
      );
      return (layers === 1 ? made[0] : { layers: made }) as Params;
    },
    run,
    apply: (params: Params, x: Tensor, given?: ApplyOptions) => run(params, x, given).output,
  });
}

/** One direction of one layer over the frames of x, [T, N, features]: what it shows at each, in the order of time, and its last state. */
function readFrames<State>(
  cell: Cell<State>,
  weights: DirectionParams,
  x: Tensor,
  start: Tensor[],
  fromTheEnd: boolean,
  ended: Ended | null,
): { shown: Tensor[]; final: Tensor[] } {
  const frames = x.shape[0]!;
  const projected = unstack(add(multiply(x, weights.weightInput), weights.biasInput));
  const shown = new Array<Tensor>(frames);
  let state = start;
  for (let i = 0; i < frames; i++) {
    const t = fromTheEnd ? frames - 1 - i : i;
    const next = cell.step(projected[t]!, add(multiply(state[0]!, weights.weightHidden), weights.biasHidden), state);
    const over = ended?.frames[t] ?? null;
    shown[t] = over ? where(over, 0, next[0]!) : next[0]!;
    state = over ? next.map((value, s) => where(over, state[s]!, value)) : next;
  }
  return { shown, final: state };
}

const WEIGHTS = ['weightInput', 'weightHidden', 'biasInput', 'biasHidden'] as const;

/** The layers' parameters, checked. */
function layersOf(op: string, params: unknown, layers: number): readonly RecurrentParams[] {
  const wanted = layers === 1 ? '{ forward, backward }' : `{ layers }, a list of ${layers}`;
  if (!isPlainObject(params))
    throw new ValueError(op, `the parameters are ${describe(params)}; they must be what init gave: ${wanted}`);
  const list: unknown = layers === 1 ? [params] : params.layers;
  if (!Array.isArray(list) || list.length !== layers)
    throw new ValueError(
      op,
      `the parameters have ${Array.isArray(list) ? `${list.length} layers` : `${describe(list)} as layers`}; they must be what init gave: ${wanted}`,
    );
  list.forEach((one: unknown, at) => {
    const of = layers === 1 ? '' : `layer ${at}'s `;
    if (!isPlainObject(one))
      throw new ValueError(
        op,
        `the parameters of layer ${at} are ${describe(one)}; they must be { forward, backward }`,
      );
    checkParams(op, one.forward, WEIGHTS, `${of || 'the '}forward parameters`);
    if (one.backward !== null) checkParams(op, one.backward, WEIGHTS, `${of || 'the '}backward parameters`);
  });
  return list as RecurrentParams[];
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
  count: number,
  batch: number,
  hidden: number,
  x: Tensor,
): Tensor[][] {
  const expected = [count, batch, hidden];
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
        `initial ${name} is ${formatShape(given.shape)}; it must be [layers * directions, N, hidden] = ${formatShape(expected)}`,
      );
    }
    return given;
  });
  const zero = zeros([batch, hidden], { dtype: x.dtype, device: x.device });
  return Array.from({ length: count }, (_, d) => tensors.map((t) => (t ? slice(t, d) : zero)));
}

interface Ended {
  /** [T, N, 1]: whether the sequence is over at the frame. */
  readonly all: Tensor;
  /** The same frame by frame, [N, 1]; null where no sequence is over. */
  readonly frames: readonly (Tensor | null)[];
}

/** Null when every sequence has all frames. */
function endedMasks(op: string, lengths: TensorLike, x: Tensor): Ended | null {
  const [batch, frames] = [x.shape[0]!, x.shape[1]!];
  const counts = lengthsOf(op, lengths, x);
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
