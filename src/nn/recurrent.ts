import { checkBoolean, checkOptions, checkTensor, checkWhole, describe, isPlainObject } from '../tensor/arguments.js';
import { ShapeError, ValueError } from '../errors.js';
import { dropout as drop } from '../ops/dropout.js';
import { concat, permute, slice, stack } from '../ops/movement/index.js';
import { add, logicalNot, where } from '../ops/elementwise.js';
import { linear as multiply } from '../ops/matmul.js';
import { gruStates, lstmStates, type Passage } from '../ops/recurrent.js';
import { fromTypedArray, lendTo, zeros } from '../tensor/create.js';
import { toFloat } from '../tensor/dtype.js';
import { formatShape, sameShape } from '../tensor/shape.js';
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
import { areFull, frameMask, type Lengths, lengthsOf, lengthsThrough } from './lengths.js';
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
  /** The share of what goes from one layer to the next that is dropped in training; 0 by default. With one layer it must be 0: nothing lies between. */
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

interface Cell<State> {
  readonly name: string;
  readonly gates: number;
  readonly stateNames: readonly (keyof State & string)[];
  /** The states before and behind every frame, [states, T + 1, N, hidden]; state 0 is what the layer puts out. */
  readonly states: (passage: Passage, reverse: boolean) => Tensor;
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
    { name: 'gru', gates: 3, stateNames: ['hidden'], states: gruStates },
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
    { name: 'lstm', gates: 4, stateNames: ['hidden', 'cell'], states: lstmStates },
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
  if (dropout > 0 && layers === 1)
    throw new ValueError(
      cell.name,
      `dropout is ${describe(dropout)}, and acts between layers, of which there is 1; write { layers: 2 } or more, or put nn.dropout(${describe(dropout)}) behind it`,
    );
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
    stacked.forEach((layer, at) => {
      checkShapes(cell, layer, at === 0 ? inFeatures : ways * hidden, hidden);
    });
    const { lengths, initial } = given;
    checkFeatures(cell.name, x, [3], inFeatures, `[N, T, ${inFeatures}]`);
    const [batch, frames] = [x.shape[0]!, x.shape[1]!];
    if (frames === 0) throw new ShapeError(cell.name, `x is ${formatShape(x.shape)}; it has no frames`);
    const random = layers > 1 && dropout > 0 ? trainingRandom(cell.name, given) : null;
    const total = stacked.reduce((sum, { backward }) => sum + (backward ? 2 : 1), 0);
    const starts = startStates(cell, initial, total, batch, hidden, x);
    const counts =
      lengths === undefined ? new Int32Array(batch).fill(frames) : Int32Array.from(lengthsOf(cell.name, lengths, x)); // a copy: the tape keeps it
    const ended = areFull(counts, x) ? null : permute(logicalNot(frameMask(counts, x)), [1, 0, 2]);
    const held = lendTo(fromTypedArray(counts, [batch], 'int32'), x);
    const masked = (t: Tensor): Tensor => (ended ? where(ended, 0, t) : t);
    let input = masked(permute(x, [1, 0, 2]));

    const finals: Tensor[][] = [];
    stacked.forEach(({ forward, backward }, at) => {
      const read = at > 0 && random ? drop(input, dropout, random) : input;
      const outputs = (backward ? [forward, backward] : [forward]).map((weights, d) => {
        const projected = add(multiply(read, weights.weightInput), weights.biasInput);
        const [weight, bias, start] = [weights.weightHidden, weights.biasHidden, starts[finals.length]!];
        const reverse = d === 1;
        const states = cell.states({ projected, weight, bias, start, counts: held }, reverse);
        finals.push(cell.stateNames.map((_, s) => slice(states, s, reverse ? 0 : frames)));
        return slice(states, 0, reverse ? [0, frames] : [1, frames + 1]);
      });
      input = masked(outputs.length === 1 ? outputs[0]! : concat(outputs, 2));
    });
    const state = Object.fromEntries(cell.stateNames.map((name, s) => [name, stack(finals.map((final) => final[s]!))]));
    return { output: permute(input, [1, 0, 2]), state: state as unknown as State };
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

/** @throws {ShapeError} for weights of other sizes than the layer's. */
function checkShapes<State>(
  { name, gates }: Cell<State>,
  { forward, backward }: RecurrentParams,
  features: number,
  hidden: number,
): void {
  const shapes = {
    weightInput: [gates * hidden, features],
    weightHidden: [gates * hidden, hidden],
    biasInput: [gates * hidden],
    biasHidden: [gates * hidden],
  };
  for (const weights of backward ? [forward, backward] : [forward])
    for (const part of WEIGHTS)
      if (!sameShape(weights[part].shape, shapes[part]))
        throw new ShapeError(
          name,
          `${part} is ${formatShape(weights[part].shape)}; it must be ${formatShape(shapes[part])}`,
        );
}

/** The first states of every direction, [states, N, hidden]. */
function startStates<State extends GruState>(
  cell: Cell<State>,
  initial: State | undefined,
  count: number,
  batch: number,
  hidden: number,
  x: Tensor,
): Tensor[] {
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
  const zero = zeros([cell.stateNames.length, batch, hidden], { dtype: toFloat(x.dtype), device: x.device });
  return Array.from({ length: count }, (_, d) => (initial ? stack(tensors.map((t) => slice(t!, d))) : zero));
}
