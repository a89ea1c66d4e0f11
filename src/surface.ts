/**
 * The public surface that all entries share: no code in here or below asks for `unsafe-eval`, and nothing of Metal or of Node is in it. src/index.ts and
 * src/index.browser.ts add what Node and browsers have.
 */
import { cpu } from './backends/cpu/backend.js';
import { registerHost } from './tensor/device.js';
import './tensor/dispose.js';

registerHost(cpu);

export { setThreads, threads } from './backends/cpu/pool.js';
export { checkpoint } from './autograd/checkpoint.js';
export type { Cotangent } from './autograd/cotangents.js';
export { customVjp } from './autograd/custom.js';
export { type GradCheckOptions, type GradCheckReport, gradCheck } from './autograd/gradcheck.js';
export {
  type Context,
  type Deferred,
  defineOp,
  type Launcher,
  type OpFunction,
  type OpSpec,
  type Spec,
} from './autograd/op.js';
export type { Argnums, TensorFunction } from './autograd/inputs.js';
export { hessian, type HessianOptions, jacobian, type JacobianOptions } from './autograd/jacobian.js';
export { hvp, jvp, vjp } from './autograd/products.js';
export { grad, type GradientsOf, type GradOptions, stopGradient, valueAndGrad } from './autograd/transforms.js';
export type { Backend, Buffer, DeviceName, DType, MemoryInfo, TypedArray } from './backends/backend.js';
export type { Dispatch, ElementwiseCode, Kernel, Params, ParamType } from './backends/kernel.js';
export type { KernelCall, KernelFunction } from './backends/registry.js';
export { type CtcStatistics, ctcStatistics, resetCtcStatistics } from './backends/cpu/kernels/ctc.js';
export {
  type Alphabet,
  alphabet,
  type AlphabetOptions,
  bucketedBatches,
  type EncodeOptions,
  type NormalizationForm,
  padSequences,
  type SavedAlphabet,
  shuffledBatches,
  type SubtitleOptions,
  type TextGridOptions,
  toSrt,
  toTextGrid,
  toVtt,
} from './data/index.js';
export * from './errors.js';
export {
  fromTorch,
  type FromTorch,
  type FromTorchOptions,
  loadSafetensors,
  type LoadOptions,
  type RawTensor,
  type RestoreOptions,
  restoreTree,
  type Safetensors,
  type SafetensorsDType,
  saveSafetensors,
  type SaveOptions,
  type Unmatched,
} from './io/index.js';
export { greedyDecode, greedyDecodeSync, type GreedyOptions, type GreedyPath } from './ops/ctc/decode.js';
export { errorRate, type ErrorRate, type ErrorRateOptions, type LabelSequence } from './ops/ctc/error-rate.js';
export * from './ops/ctc/index.js';
export type { Axes } from './ops/broadcast.js';
export * from './ops/index.js';
export { causalMask, type CausalMaskOptions, lengthMask, type LengthMaskOptions } from './ops/masks.js';
export { sinusoidalPositions, type SinusoidalOptions } from './ops/positions.js';
export {
  type CreateOptions,
  type DeviceOptions,
  full,
  ones,
  onesLike,
  tensor,
  type TensorData,
  type TensorLike,
  type TensorOptions,
  zeros,
  zerosLike,
} from './tensor/create.js';
export { defaultDevice, device, memory, resetPeakMemory, setDefaultDevice } from './tensor/device.js';
export type { NestedArray } from './tensor/interchange.js';
export { registerKernel } from './tensor/kernels.js';
export { type NormalOptions, Random, random, type UniformOptions } from './tensor/random.js';
export { arange, eye, linspace } from './tensor/ranges.js';
export { scope } from './tensor/scope.js';
export type { Shape } from './tensor/shape.js';
export { Tensor } from './tensor/tensor.js';
export { type GradientOf, mapTensors, type MapTree, type Tree, tensorsOf } from './tensor/tree.js';
