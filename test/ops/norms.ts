import { groupNorm, layerNorm, rmsNorm, ShapeError, type Tensor, tensor, ValueError, zeros } from 'tapegrad';
import { alongAxis, at, average, build, spread, total, type Values, values, varianceOf } from '../reference.js';
import { exact, type OpInfo } from './info.js';

export const normInfo = {
  layerNorm: {
    samples: [
      { name: '[3,5]', inputs: [spread([3, 5], -3, 3)], run: (x) => layerNorm(x), want: (x) => normalised(x, 1e-5) },
      {
        name: '[2,2,4] scaled and shifted',
        inputs: [spread([2, 2, 4], -3, 3), spread([4], 0.5, 1.5, 1), spread([4], -1, 1, 2)],
        run: (x, weight, bias) => layerNorm(x, { weight, bias, eps: 0.1 }),
        want: (x, weight, bias) => affine(normalised(x, 0.1), weight, bias),
      },
      { name: '[1,1]', inputs: [spread([1, 1], 1, 3)], run: (x) => layerNorm(x), want: () => values([1, 1], [0]) },
      { name: '[0,4]', inputs: [spread([0, 4], 1, 3)], run: (x) => layerNorm(x), want: () => values([0, 4], []) },
      {
        name: '[9,131]',
        inputs: [spread([9, 131], -3, 3)],
        run: (x) => layerNorm(x),
        want: (x) => normalised(x, 1e-5),
        forwardOnly: true,
      },
    ],
    ulps: 8,
    absolute: 2e-6,
    gradientError: 1e-5,
    storage: 1,
    exact: [exact('a constant row', () => layerNorm(tensor([[3, 3, 3, 3]])), 'float32', [1, 4], [0, 0, 0, 0])],
    errors: [
      { run: () => layerNorm(zeros([])), error: ShapeError, message: '[layerNorm] a scalar has no axis to normalise' },
      {
        run: () => layerNorm(zeros([2, 3]), { weight: zeros([2]) }),
        error: ShapeError,
        message: '[layerNorm] weight is [2]; x of [2, 3] wants [3]',
      },
      {
        run: () => layerNorm(zeros([2, 3]), { bias: zeros([1, 3]) }),
        error: ShapeError,
        message: '[layerNorm] bias is [1, 3]; x of [2, 3] wants [3]',
      },
    ],
  },
  rmsNorm: {
    samples: [
      { name: '[3,5]', inputs: [spread([3, 5], -3, 3)], run: (x) => rmsNorm(x), want: (x) => byMeanSquare(x, 1e-6) },
      {
        name: '[2,2,4] scaled',
        inputs: [spread([2, 2, 4], -3, 3), spread([4], 0.5, 1.5, 1)],
        run: (x, weight) => rmsNorm(x, { weight, eps: 0.1 }),
        want: (x, weight) => affine(byMeanSquare(x, 0.1), weight),
      },
      { name: '[1]', inputs: [spread([1], 1, 3)], run: (x) => rmsNorm(x, { eps: 1 }), want: (x) => byMeanSquare(x, 1) },
      { name: '[0,4]', inputs: [spread([0, 4], 1, 3)], run: (x) => rmsNorm(x), want: () => values([0, 4], []) },
      {
        name: '[9,131]',
        inputs: [spread([9, 131], -3, 3)],
        run: (x) => rmsNorm(x),
        want: (x) => byMeanSquare(x, 1e-6),
        forwardOnly: true,
      },
      {
        name: 'beyond the squares of float32',
        inputs: [values([2], [3e30, -3e30])],
        run: (x) => rmsNorm(x),
        want: () => values([2], [1, -1]),
        forwardOnly: true,
      },
    ],
    ulps: 8,
    absolute: 2e-6,
    gradientError: 1e-5,
    storage: 1,
    exact: [exact('zeros', () => rmsNorm(tensor([[0, 0, 0]])), 'float32', [1, 3], [0, 0, 0])],
    errors: [
      { run: () => rmsNorm(zeros([])), error: ShapeError, message: '[rmsNorm] a scalar has no axis to normalise' },
      {
        run: () => rmsNorm(zeros([3]), zeros([3]) as never),
        error: ValueError,
        message:
          '[rmsNorm] the options are a tensor of shape [3]; they must be an object: { weight, eps } (write { weight })',
      },
      {
        run: () => rmsNorm(zeros([2, 3]), { weight: zeros([2]) }),
        error: ShapeError,
        message: '[rmsNorm] weight is [2]; x of [2, 3] wants [3]',
      },
      { run: () => rmsNorm(zeros([3]), { eps: -1 }), error: ValueError, message: '[rmsNorm] eps is -1' },
    ],
  },
  groupNorm: {
    samples: [
      ...(
        [
          [[2, 3, 4], 2],
          [[2, 4], 2],
          [[1, 2, 2, 6], 3],
          [[2, 3, 2], 2],
          [[2, 3, 3], 1],
        ] as const
      ).map(([shape, groups]) => ({
        name: `[${shape.join(',')}] in ${groups}`,
        inputs: [spread(shape, -3, 3), spread(shape.slice(-1), 0.5, 1.5, 1), spread(shape.slice(-1), -1, 1, 2)],
        run: (x: Tensor, weight: Tensor, bias: Tensor) => groupNorm(x, groups, { weight, bias, eps: 0.1 }),
        want: (x: Values, weight: Values, bias: Values) => affine(inGroups(x, groups, 0.1), weight, bias),
      })),
      {
        name: '[3,31,24] in 4',
        inputs: [spread([3, 31, 24], -3, 3)],
        run: (x) => groupNorm(x, 4),
        want: (x) => inGroups(x, 4, 1e-5),
        forwardOnly: true,
      },
      { name: '[0,3,4]', inputs: [spread([0, 3, 4], 1, 3)], run: (x) => groupNorm(x, 2), want: (x) => x },
    ],
    ulps: 8,
    absolute: 2e-6,
    gradientError: 1e-5,
    storage: 1,
    errors: [
      {
        run: () => groupNorm(zeros([4]), 2),
        error: ShapeError,
        message: '[groupNorm] x is [4]; it must be [N, ..., C]',
      },
      {
        run: () => groupNorm(zeros([2, 3, 4]), 3),
        error: ShapeError,
        message: '[groupNorm] 4 channels do not fall into 3 groups of one size',
      },
      { run: () => groupNorm(zeros([2, 4]), 0), error: ValueError, message: '[groupNorm] groups is 0' },
    ],
  },
} satisfies Record<string, OpInfo>;

const affine = (x: Values, weight: Values, bias?: Values): Values =>
  build(x.shape, (p) => at(x, p) * at(weight, p) + (bias ? at(bias, p) : 0));

function normalised(x: Values, eps: number): Values {
  return alongAxis(x, -1, (elements) =>
    elements.map((value) => (value - average(elements)) / Math.sqrt(varianceOf(elements) + eps)),
  );
}

const byMeanSquare = (x: Values, eps: number): Values =>
  alongAxis(x, -1, (elements) => {
    const mean = total(elements.map((value) => value * value)) / elements.length;
    return elements.map((value) => value / Math.sqrt(mean + eps));
  });

function inGroups(x: Values, groups: number, eps: number): Values {
  const each = x.shape.at(-1)! / groups;
  const groupOf = (p: readonly number[]): string => `${p[0]} ${Math.floor(p.at(-1)! / each)}`;
  const members = new Map<string, number[]>();
  build(x.shape, (p) => {
    members.set(groupOf(p), [...(members.get(groupOf(p)) ?? []), at(x, p)]);
    return 0;
  });
  return build(x.shape, (p) => {
    const all = members.get(groupOf(p))!;
    return (at(x, p) - average(all)) / Math.sqrt(varianceOf(all) + eps);
  });
}
