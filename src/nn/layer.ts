import type { DeviceOptions, TensorLike } from '../tensor/create.js';
import type { Random } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

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
