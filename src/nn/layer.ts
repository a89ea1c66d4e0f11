import { DTypeError, ValueError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor, describe, isPlainObject, onBehalfOf } from '../tensor/arguments.js';
import { checkCreation, type DeviceOptions, type TensorLike } from '../tensor/create.js';
import { isNdarray } from '../tensor/interchange.js';
import { checkRandom, Random } from '../tensor/random.js';
import { Tensor } from '../tensor/tensor.js';
import { type Lengths, lengthsThrough } from './lengths.js';

/** What a layer is told beside its parameters and input. */
export interface ApplyOptions {
  /** The source of the randomness that training wants (dropout). */
  readonly random?: Random | undefined;
  /**
   * Frames of each sequence of the input, [N, T, ...]; all T of them when left out. Layers that look at several frames at once (recurrent ones,
   * convolutions, norms over frames, attention) keep those beyond a sequence's length out of what is within; the others do not look at lengths.
   */
  readonly lengths?: TensorLike | undefined;
  /** Whether this is training: by default, whether there is a source of randomness. */
  readonly training?: boolean | undefined;
}

/** What a layer with running state is told. */
export interface StateOptions<State> extends ApplyOptions {
  /** As `initState` or the last step of training gave it. */
  readonly state: State;
}

/** How a layer with running state is told that this is training. */
export type TrainingOptions<State> = StateOptions<State> &
  ({ readonly training: true } | { readonly random: Random; readonly training?: undefined });

/** How a layer with running state is told that this is no training. */
export type EvaluationOptions<State> = StateOptions<State> &
  ({ readonly training: false } | { readonly random?: undefined; readonly training?: undefined });

/** What `init` is told beside the source of randomness. */
export type InitOptions = DeviceOptions;

/**
 * A layer holds no tensors. `init` makes its parameters, a plain tree, from a seeded source; `apply` is a pure function of parameters
 * and input, so that `valueAndGrad((params) => ... layer.apply(params, x))(params)` is all there is to training. Any object with these two
 * functions is a layer.
 */
export interface Layer<Params> {
  init(random: Random, options?: InitOptions): Params;
  apply(params: Params, x: Tensor, options?: ApplyOptions): Tensor;
  /** How many frames come out of `length` frames that go in; as many when left out. */
  outputLength?(length: number): number;
  /** Layers with running state are of another type. */
  readonly initState?: undefined;
}

/**
 * A layer that keeps statistics of what it has seen. It holds no tensors either: `initState` gives a plain tree of them to begin with; `apply` takes
 * them, and gives new ones beside its result when it is told that this is training.
 *
 * ```ts
 * const [y, next] = layer.apply(params, x, { state, training: true });
 * const z = layer.apply(params, x, { state: next });
 * ```
 * No derivative goes through the state. In a training step it is the aux: `valueAndGrad((p) => [loss, next], { hasAux: true })`.
 */
export interface StatefulLayer<Params, State> {
  init(random: Random, options?: InitOptions): Params;
  initState(options?: InitOptions): State;
  apply(params: Params, x: Tensor, options: TrainingOptions<State>): [output: Tensor, state: State];
  apply(params: Params, x: Tensor, options: EvaluationOptions<State>): Tensor;
  apply(params: Params, x: Tensor, options: StateOptions<State>): Tensor | [output: Tensor, state: State];
  outputLength?(length: number): number;
}

/** A layer of either kind. */
export type AnyLayer = Layer<unknown> | StatefulLayer<unknown, unknown>;

/** The parameters of a layer: `ParamsOf<typeof model>`. Null for a function without any, such as `relu`. */
export type ParamsOf<L> = L extends { init(random: Random, options?: InitOptions): infer Params } ? Params : null;

/** The running state of a layer: `StateOf<typeof model>`. Null where it has none. */
export type StateOf<L> = L extends { initState(options?: InitOptions): infer State } ? State : null;

const APPLY_OPTIONS = ['random', 'lengths', 'training'] as const;

/** @internal Whether a layer that is told this is in training. */
export const isTraining = ({ training, random }: ApplyOptions): boolean => training ?? random !== undefined;

/** @internal The source of randomness of a layer in training that needs one; null outside training. @throws {ValueError} in training without one. */
export function trainingRandom(op: string, options: ApplyOptions): Random | null {
  if (!isTraining(options)) return null;
  if (options.random === undefined)
    throw new ValueError(op, 'in training it needs a source of randomness: { training: true, random }');
  return options.random;
}

/** What a built-in layer is called, for `summary`. */
const KIND = Symbol('kind');

/** @internal Names the kind of a layer. */
export const ofKind = <L extends object>(op: string, layer: L): L => Object.assign(layer, { [KIND]: op });

/** @internal The name that a layer was made under; null for a user's own. */
export const kindOf = (layer: object): string | null => (layer as { readonly [KIND]?: string })[KIND] ?? null;

interface LayerParts<Params, State> {
  readonly init: (random: Random, placement: InitOptions) => Params;
  readonly outputLength?: (length: number) => number;
  /** The tensors of the state. */
  readonly stateNames?: readonly (keyof State & string)[];
}

/**
 * @internal A layer whose `init` and `apply` check what they are given; the functions inside rely on it.
 * @param names the tensors of its parameters, of which `bias` may be null; null for a layer that checks its parameters itself.
 */
export function layer<Params>(
  op: string,
  names: readonly string[] | null,
  {
    init,
    apply,
    outputLength = (length) => length,
  }: LayerParts<Params, null> & {
    readonly apply: (params: Params, x: Tensor, options: ApplyOptions) => Tensor;
  },
): Layer<Params> & Lengths {
  return ofKind(op, {
    init: (random: Random, placement: InitOptions = {}) => {
      checkInit(op, random, placement);
      return init(random, placement);
    },
    apply: (params: Params, x: Tensor, options: ApplyOptions = {}) => {
      checkApply(op, params, x, options);
      if (names) checkParams(op, params, names);
      return apply(params, x, options);
    },
    ...lengthsThrough(op, outputLength),
  });
}

/** @internal The same for a layer with running state; its `apply` gives the new state in training, and null otherwise. */
export function statefulLayer<Params, State>(
  op: string,
  names: readonly string[] | null,
  {
    init,
    initState,
    apply,
    stateNames,
    outputLength = (length) => length,
  }: LayerParts<Params, State> & {
    readonly initState: (placement: InitOptions) => State;
    readonly apply: (params: Params, x: Tensor, options: StateOptions<State>) => [output: Tensor, state: State | null];
  },
): StatefulLayer<Params, State> & Lengths {
  const none = {} as StateOptions<State>; // refused for its state
  const run = (params: Params, x: Tensor, options = none): Tensor | [Tensor, State] => {
    checkApply(op, params, x, options, [...APPLY_OPTIONS, 'state']);
    if (names) checkParams(op, params, names);
    if (stateNames) checkState(op, options.state, stateNames);
    const [output, state] = apply(params, x, options);
    return state === null ? output : [output, state];
  };
  return ofKind(op, {
    init: (random: Random, placement: InitOptions = {}) => {
      checkInit(op, random, placement);
      return init(random, placement);
    },
    initState: (placement: InitOptions = {}) => {
      checkPlacement(op, 'initState', placement);
      return initState(placement);
    },
    apply: run as StatefulLayer<Params, State>['apply'],
    ...lengthsThrough(op, outputLength),
  });
}

function checkState(op: string, state: unknown, names: readonly string[]): void {
  if (!isPlainObject(state))
    throw new ValueError(
      op,
      `the state is ${describe(state)}; it must be what initState gave, or the last step of training: { state }`,
    );
  for (const name of names)
    if (!(state[name] instanceof Tensor))
      throw new DTypeError(op, `the state has ${describe(state[name])} as ${name}; it must be a tensor`);
}

/** @internal Checks what `init` is given. */
export function checkInit(op: string, random: unknown, placement: InitOptions): void {
  checkRandom(op, random);
  checkPlacement(op, 'init', placement);
}

/** @internal Checks the options of `init` and `initState`. */
function checkPlacement(op: string, what: string, placement: InitOptions): void {
  onBehalfOf(op, what, () => {
    checkCreation(op, placement, ['device']);
  });
}

/** @internal Checks input and options of `apply`, and that the parameters do not stand in the input's place. */
export function checkApply(
  op: string,
  params: unknown,
  x: unknown,
  options: object,
  names: readonly string[] = APPLY_OPTIONS,
): void {
  if (params instanceof Tensor && !(x instanceof Tensor))
    throw new ValueError(op, `the parameters come first: apply(params, x); got a tensor and then ${describe(x)}`);
  checkTensor(op, 'x', x);
  checkOptions(op, options, names, (given) => (given instanceof Random ? 'write { random }' : null));
  const { random, lengths, training } = options as ApplyOptions;
  if (random !== undefined) checkRandom(op, random);
  if (training !== undefined) checkBoolean(op, 'training', training);
  // Layers without time pass lengths on unread; what can be none at all is refused by every layer.
  if (lengths !== undefined && typeof lengths !== 'number' && !isListLike(lengths))
    throw new ValueError(op, `lengths is ${describe(lengths)}; it must be whole numbers, one for each sequence`);
}

const isListLike = (value: unknown): boolean =>
  value instanceof Tensor ||
  Array.isArray(value) ||
  isNdarray(value) ||
  (ArrayBuffer.isView(value) && !(value instanceof DataView));

/** @internal Refuses parameters that are not an object with the named tensors; a bias may be null. */
export function checkParams(op: string, params: unknown, names: readonly string[], what = 'the parameters'): void {
  if (!isPlainObject(params))
    throw new ValueError(op, `${what} are ${describe(params)}; they must be what init gave: { ${names.join(', ')} }`);
  for (const name of names) {
    const value = params[name];
    if (value instanceof Tensor || (name === 'bias' && value === null)) continue;
    throw new DTypeError(op, `${what} have ${describe(value)} as ${name}; it must be a tensor, as init gave it`);
  }
}

/** Uniform in +-1 / sqrt(fanIn): keeps the variance of activations about constant, and is what torch starts its layers with. */
export function uniformByFan(
  random: Random,
  shape: readonly number[],
  fanIn: number,
  placement: InitOptions = {},
): Tensor {
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  return random.uniform(shape, { ...placement, low: -bound, high: bound });
}
