import { concat, optim, type Tensor } from 'tapegrad';
import { type AdamAttrs, adamStep, type SgdAttrs, sgdStep } from '../../src/ops/optimizer.js';
import { spread, type Values, values } from '../reference.js';
import type { OpInfo } from './info.js';

const sgd = (attrs: SgdAttrs, shape: readonly number[]): OpInfo['samples'][number] => ({
  name: `${JSON.stringify(attrs)} on [${shape.join(',')}]`,
  inputs: [spread(shape, -3, 3), spread(shape, -3, 3, 1), spread(shape, -3, 3, 2)],
  run: (...inputs) => joined(sgdStep(inputs, attrs)),
  want: (p, g, v) => {
    const gradient = g.data.map((value, i) => value + attrs.weightDecay * p.data[i]!);
    const velocity = gradient.map((value, i) => attrs.momentum * v.data[i]! + (1 - attrs.dampening) * value);
    return stacked(
      p.data.map(
        (value, i) =>
          value - attrs.learningRate * (attrs.nesterov ? gradient[i]! + attrs.momentum * velocity[i]! : velocity[i]!),
      ),
      velocity,
    );
  },
});

const adam = (attrs: AdamAttrs, shape: readonly number[]): OpInfo['samples'][number] => ({
  name: `${attrs.decoupled ? 'AdamW' : 'Adam'} on [${shape.join(',')}]`,
  inputs: [spread(shape, -3, 3), spread(shape, -3, 3, 1), spread(shape, -1, 1, 2), spread(shape, 0.01, 2, 3)],
  run: (...inputs) => joined(adamStep(inputs, attrs)),
  want: (p, g, m, v) => {
    const gradient = g.data.map((value, i) => (attrs.decoupled ? value : value + attrs.weightDecay * p.data[i]!));
    const first = gradient.map((value, i) => attrs.beta1 * m.data[i]! + (1 - attrs.beta1) * value);
    const second = gradient.map((value, i) => attrs.beta2 * v.data[i]! + (1 - attrs.beta2) * value * value);
    const parameter = p.data.map(
      (value, i) =>
        (attrs.decoupled ? value * (1 - attrs.learningRate * attrs.weightDecay) : value) -
        (attrs.learningRate * (first[i]! / attrs.correction1)) /
          (Math.sqrt(second[i]! / attrs.correction2) + attrs.eps),
    );
    return stacked(parameter, first, second);
  },
});

const joined = (parts: Tensor[]): Tensor => concat(parts.map((part) => part.flatten()));
const stacked = (...parts: (readonly number[])[]): Values =>
  values([parts.reduce((sum, part) => sum + part.length, 0)], parts.flat());

const { clipByGlobalNorm } = optim;
const SGD = { learningRate: 0.1, momentum: 0.9, dampening: 0.25, weightDecay: 0.01, nesterov: 0 };
const ADAM = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0.1,
  decoupled: 0,
  correction1: 1 - 0.9 ** 3,
  correction2: 1 - 0.999 ** 3,
};
const SHAPES = [[5], [2, 3], [0], [], [1027]];

/** The fused optimizer steps. They update parameters and are not differentiated. */
export const optimizerInfo = {
  sgdStep: {
    samples: SHAPES.flatMap((shape) => [
      sgd(SGD, shape),
      sgd({ ...SGD, nesterov: 1 }, shape),
      sgd({ ...SGD, momentum: 0, dampening: 0, weightDecay: 0 }, shape),
    ]),
    differentiable: false,
    ulps: 2,
    absolute: 1e-6,
  },
  adamStep: {
    samples: SHAPES.flatMap((shape) => [adam(ADAM, shape), adam({ ...ADAM, decoupled: 1 }, shape)]),
    differentiable: false,
    ulps: 2,
    absolute: 1e-6,
  },
  clipByGlobalNorm: {
    samples: SHAPES.map((shape) => ({
      name: `[${shape.join(',')}] to 0.5`,
      inputs: [spread(shape, -3, 3), spread([7], -3, 3, 1)],
      run: (...gradients) => joined(clipByGlobalNorm(gradients, 0.5).gradients),
      want: (...gradients) => {
        const all = gradients.flatMap(({ data }) => data);
        const factor = 0.5 / (Math.hypot(...all) + 1e-6);
        return stacked(all.map((value) => value * factor));
      },
    })),
    ulps: 4,
    storage: 1,
  },
} satisfies Record<string, OpInfo>;
