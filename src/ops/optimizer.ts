import { defineMultiOp } from '../autograd/op.js';
import type { Kernel } from '../backends/kernel.js';

/**
 * Optimizer steps, one pass over the memory each: parameters and moments in, parameters and moments out. They are not differentiable.
 */

const sgdKernel: Kernel = {
  name: 'sgdStep',
  family: 'optimizer',
  inputs: ['parameter', 'gradient', 'velocity'],
  outputs: ['newParameter', 'newVelocity'],
  params: { size: 'u32', learningRate: 'f32', momentum: 'f32', dampening: 'f32', weightDecay: 'f32', nesterov: 'u32' },
};

export interface SgdAttrs {
  readonly learningRate: number;
  readonly momentum: number;
  readonly dampening: number;
  readonly weightDecay: number;
  readonly nesterov: number;
}

/**
 * g += weightDecay * p; v' = momentum * v + (1 - dampening) * g; p' = p - learningRate * (nesterov ? g + momentum * v' : v').
 * Takes [parameter, gradient, velocity], gives [parameter, velocity].
 */
export const sgdStep = defineMultiOp<SgdAttrs>({
  name: 'sgdStep',
  rewrites: [0, 2],
  infer: ([p]) => [p!, p!],
  run: (call, [p], attrs) =>
    call.launch({
      kernel: sgdKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { size: p!.size, ...attrs },
      grid: p!.size,
    }),
});

const adamKernel: Kernel = {
  name: 'adamStep',
  family: 'optimizer',
  inputs: ['parameter', 'gradient', 'first', 'second'],
  outputs: ['newParameter', 'newFirst', 'newSecond'],
  params: {
    size: 'u32',
    learningRate: 'f32',
    beta1: 'f32',
    beta2: 'f32',
    eps: 'f32',
    weightDecay: 'f32',
    decoupled: 'u32',
    correction1: 'f32',
    correction2: 'f32',
  },
};

export interface AdamAttrs {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** 1: weight decay acts on the parameter (AdamW); 0: it is added to the gradient. */
  readonly decoupled: number;
  /** 1 - beta1^step and 1 - beta2^step. */
  readonly correction1: number;
  readonly correction2: number;
}

/**
 * m' = beta1 * m + (1 - beta1) * g; v' = beta2 * v + (1 - beta2) * g^2;
 * p' = p * (1 - learningRate * weightDecay) - learningRate * (m' / correction1) / (sqrt(v' / correction2) + eps), the decay as AdamW has it.
 * Takes [parameter, gradient, first moment, second moment], gives [parameter, first moment, second moment].
 */
export const adamStep = defineMultiOp<AdamAttrs>({
  name: 'adamStep',
  rewrites: [0, 2, 3],
  infer: ([p]) => [p!, p!, p!],
  run: (call, [p], attrs) =>
    call.launch({
      kernel: adamKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { size: p!.size, ...attrs },
      grid: p!.size,
    }),
});
