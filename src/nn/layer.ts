import { DTypeError, ValueError } from '../errors.js';
import { checkOptions, checkTensor, describe, isPlainObject, onBehalfOf } from '../tensor/arguments.js';
import { checkCreation, type DeviceOptions, type TensorLike } from '../tensor/create.js';
import { isNdarray } from '../tensor/interchange.js';
import { checkRandom, Random } from '../tensor/random.js';
import { Tensor } from '../tensor/tensor.js';

/** What a layer is told beside its parameters and input. */
export interface ApplyOptions {
  /** The source of the randomness that training wants (dropout). Without one a layer is deterministic: that is inference. */
  readonly random?: Random;
  /** Frames of each sequence, for recurrent layers; all of them when left out. */
  readonly lengths?: TensorLike;
}

/** What `init` is told beside the source of randomness. */
export type InitOptions = DeviceOptions;

/**
 * A layer holds no tensors. `init` makes its parameters, a plain tree, from a seeded source; `apply` is a pure function of parameters
 * and input, so that `valueAndGrad((params) => ... layer.apply(params, x))(params)` is all there is to training.
 */
export interface Layer<Params> {
  init(random: Random, options?: InitOptions): Params;
  apply(params: Params, x: Tensor, options?: ApplyOptions): Tensor;
}

const APPLY_OPTIONS = ['random', 'lengths'] as const;

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
  }: Required<Pick<Layer<Params>, 'init'>> & {
    apply: (params: Params, x: Tensor, options: ApplyOptions) => Tensor;
  },
): Layer<Params> {
  return {
    init: (random, placement = {}) => {
      checkInit(op, random, placement);
      return init(random, placement);
    },
    apply: (params, x, options = {}) => {
      checkApply(op, params, x, options);
      if (names) checkParams(op, params, names);
      return apply(params, x, options);
    },
  };
}

/** @internal Checks what `init` is given. */
export function checkInit(op: string, random: unknown, placement: InitOptions): void {
  checkRandom(op, random);
  onBehalfOf(op, 'init', () => {
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
  const { random, lengths } = options as ApplyOptions;
  if (random !== undefined) checkRandom(op, random);
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
