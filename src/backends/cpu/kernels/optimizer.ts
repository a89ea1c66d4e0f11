import type { CpuCall, CpuKernel } from '../call.js';
import { withFloat32, type Work } from './float32.js';

const sgdStep: CpuKernel = (call) => {
  const [p, g, v] = call.inputs.map((buffer) => buffer.view());
  const [newP, newV] = call.outputs.map((buffer) => buffer.view());
  const [rate, momentum, dampening, decay] = ['learningRate', 'momentum', 'dampening', 'weightDecay'].map((name) =>
    call.number(name),
  ) as [number, number, number, number];
  const nesterov = call.number('nesterov') !== 0;
  for (let i = 0; i < p!.length; i++) {
    const gradient = g![i]! + decay * p![i]!;
    const velocity = momentum * v![i]! + (1 - dampening) * gradient;
    newV![i] = velocity;
    newP![i] = p![i]! - rate * (nesterov ? gradient + momentum * velocity : velocity);
  }
};

const adamStep: CpuKernel = (call) => {
  const [p, g, m, v] = call.inputs.map((buffer) => buffer.view());
  const [newP, newM, newV] = call.outputs.map((buffer) => buffer.view());
  const names = ['learningRate', 'beta1', 'beta2', 'eps', 'weightDecay', 'correction1', 'correction2'];
  const [rate, beta1, beta2, eps, decay, correction1, correction2] = names.map((name) => call.number(name)) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const decoupled = call.number('decoupled') !== 0;
  for (let i = 0; i < p!.length; i++) {
    const gradient = decoupled ? g![i]! : g![i]! + decay * p![i]!;
    const first = beta1 * m![i]! + (1 - beta1) * gradient;
    const second = beta2 * v![i]! + (1 - beta2) * gradient * gradient;
    newM![i] = first;
    newV![i] = second;
    const kept = decoupled ? p![i]! * (1 - rate * decay) : p![i]!;
    newP![i] = kept - (rate * (first / correction1)) / (Math.sqrt(second / correction2) + eps);
  }
};

/** The addresses of all inputs and outputs and the size, then the named numbers. */
const step =
  (...names: readonly string[]) =>
  (call: CpuCall): Work => {
    const addresses = [...call.inputs.map((_, i) => call.in(i)), ...call.outputs.map((_, i) => call.out(i))];
    const numbers = names.map((name) => call.number(name));
    const size = call.number('size');
    return {
      total: size,
      cost: 4 * size,
      grain: 4,
      args: (begin, end) => [...addresses.map((at) => at + begin * 4), end - begin, ...numbers],
    };
  };

export const optimizerKernels = {
  sgdStep: withFloat32('sgdStep', step('learningRate', 'momentum', 'dampening', 'weightDecay', 'nesterov'), sgdStep),
  adamStep: withFloat32(
    'adamStep',
    step('learningRate', 'beta1', 'beta2', 'eps', 'weightDecay', 'decoupled', 'correction1', 'correction2'),
    adamStep,
  ),
};
