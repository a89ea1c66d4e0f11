import { grad, mean, norm, ShapeError, std, tensor, type Tensor, ValueError, variance, zeros } from 'tapegrad';
import { average, reduced, spread, varianceOf } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';
import { reductionSamples, row, WRONG_AXES } from './axes.js';

export const momentInfo = {
  mean: {
    samples: reductionSamples(mean, average),
    ulps: 1.5,
    absolute: 1e-15,
    exact: [
      exact(
        'int32 gives float32',
        () =>
          mean(
            int([
              [1, 2],
              [4, 4],
            ]),
          ),
        'float32',
        [],
        [2.75],
      ),
      exact('bool', () => mean(tensor([true, false, true, true])), 'float32', [], [0.75]),
      exact('of nothing', () => mean(zeros([0])), 'float32', [], [NaN]),
      exact(
        'the sum is beyond float32',
        () => mean(tensor([[3e38, 3e38, 3e38]]), 1),
        'float32',
        [1],
        [Math.fround(3e38)],
      ),
      exact(
        'the same down columns',
        () =>
          mean(
            tensor([
              [3e38, 1],
              [3e38, 2],
            ]),
            0,
          ),
        'float32',
        [2],
        [Math.fround(3e38), 1.5],
      ),
      exact(
        'float16 does not overflow on the way',
        () => mean(tensor([60000, 60000], { dtype: 'float16' })),
        'float16',
        [],
        [60000],
      ),
    ],
    errors: WRONG_AXES('mean', mean),
  },
  variance: {
    samples: [
      ...reductionSamples(variance, varianceOf),
      {
        name: 'correction 1',
        inputs: [spread([4, 3], -3, 3)],
        run: (x) => variance(x, 0, { correction: 1 }),
        want: (x) => reduced(x, [0], false, (elements) => varianceOf(elements, 1)),
      },
      {
        name: 'far from 0',
        inputs: [spread([2, 16], 1000, 1003)],
        run: (x) => variance(x, 1),
        want: (x) => reduced(x, [1], false, varianceOf),
        forwardOnly: true,
      },
    ],
    ulps: 2,
    exact: [
      exact('int32', () => variance(int([[1, 3]])), 'float32', [], [1]),
      exact('a large mean', () => variance(tensor([1e7, 1e7 + 1, 1e7 + 1, 1e7])), 'float32', [], [0.25]),
      exact(
        'squares beyond float32',
        () => variance(tensor([2 ** 65, 0, 0, 0, 0, 0, 0, 0])),
        'float32',
        [],
        [7 * 2 ** 124],
      ),
      exact('of one, its mean', () => variance(tensor([[1e8], [1e8]]), 0), 'float32', [1], [0]),
      exact('of one, correction 1', () => variance(tensor([5]), 0, { correction: 1 }), 'float32', [], [NaN]),
    ],
    errors: WRONG_AXES('variance', variance),
  },
  std: {
    samples: [
      ...reductionSamples(std, (elements) => Math.sqrt(varianceOf(elements))).filter(
        ({ name }) => !name.startsWith('[]'),
      ),
      {
        name: 'correction 1',
        inputs: [spread([4, 3], -3, 3)],
        run: (x) => std(x, 0, { correction: 1 }),
        want: (x) => reduced(x, [0], false, (elements) => Math.sqrt(varianceOf(elements, 1))),
      },
      {
        name: 'far from 0',
        inputs: [spread([2, 16], 1000, 1003)],
        run: (x) => std(x, 1),
        want: (x) => reduced(x, [1], false, (elements) => Math.sqrt(varianceOf(elements))),
        forwardOnly: true,
      },
    ],
    ulps: 2,
    exact: [
      exact('int32', () => std(int([[1, 3, 1, 3]])), 'float32', [], [1]),
      exact('bool', () => std(tensor([true, false, true, false])), 'float32', [], [0.5]),
      exact('a large mean', () => std(tensor([1e7, 1e7 + 1, 1e7 + 1, 1e7])), 'float32', [], [0.5]),
      exact(
        'squares beyond float32',
        () => std(tensor([-(2 ** 100), 2 ** 100, 2 ** 100, -(2 ** 100)])),
        'float32',
        [],
        [2 ** 100],
      ),
      exact(
        'squares below float32',
        () => std(tensor([-(2 ** -100), 2 ** -100, 2 ** -100, -(2 ** -100)])),
        'float32',
        [],
        [2 ** -100],
      ),
      exact('of one', () => std(tensor([[1e8], [1e8]]), 0), 'float32', [1], [0]),
      exact('of one, correction 1', () => std(tensor([5]), 0, { correction: 1 }), 'float32', [], [NaN]),
      exact('of nothing', () => std(zeros([0])), 'float32', [], [NaN]),
      exact('NaN', () => std(tensor([NaN, 1])), 'float32', [], [NaN]),
      exact('the derivative among equals', () => grad((x: Tensor) => std(x))(tensor([3, 3])), 'float32', [2], [0, 0]),
    ],
    errors: [
      ...WRONG_AXES('std', std),
      {
        run: () => std(zeros([2]), 0, { correction: 3 }),
        error: ValueError,
        message: '[std] correction 3 for 2 elements; it must be in [0, 2]',
      },
    ],
  },
  norm: {
    samples: [
      ...reductionSamples(norm, (elements) => Math.hypot(...elements)),
      ...([1, Infinity, 3, 2.5, 1.25] as const).map((ord): Sample => ({
        name: `ord ${ord}`,
        inputs: [spread([3, 5], -3, 3)],
        run: (x) => norm(x, 1, { ord }),
        want: (x) =>
          reduced(x, [1], false, (elements) =>
            ord === Infinity
              ? Math.max(...elements.map((value) => Math.abs(value)))
              : elements.reduce((sum, value) => sum + Math.abs(value) ** ord, 0) ** (1 / ord),
          ),
      })),
    ],
    ulps: 6,
    ulps64: 16,
    gradientError: 5e-6,
    exact: [
      exact(
        'powers do not overflow',
        () =>
          norm(tensor([2e30, 2e30]), 0, { ord: 4 })
            .div(2e30)
            .mul(100)
            .round(),
        'float32',
        [],
        [119],
      ),
      exact(
        'nor vanish',
        () =>
          norm(tensor([2e-30, 2e-30]), 0, { ord: 4 })
            .div(2e-30)
            .mul(100)
            .round(),
        'float32',
        [],
        [119],
      ),
      exact('ord 3 of zeros', () => norm(zeros([2, 3]), 1, { ord: 3, keepDims: true }), 'float32', [2, 1], [0, 0]),
      exact('ord 3 of nothing', () => norm(zeros([2, 0]), 1, { ord: 3 }), 'float32', [2], [0, 0]),
      exact('ord 3, an infinity', () => norm(tensor([-Infinity, 1]), 0, { ord: 3 }), 'float32', [], [Infinity]),
      exact('ord 3, NaN', () => norm(tensor([NaN, 1]), 0, { ord: 3 }), 'float32', [], [NaN]),
      exact('ord 1/2', () => norm(tensor([4, -9]), 0, { ord: 0.5 }).round(), 'float32', [], [25]),
      exact(
        'the derivative of ord 3 at 0',
        () => grad((x: Tensor) => norm(x, 0, { ord: 3 }))(zeros([2])),
        'float32',
        [2],
        [0, 0],
      ),
      exact('squares do not overflow', () => norm(tensor([3e30, -4e30])), 'float32', [], [Math.fround(5e30)]),
      exact('nor vanish', () => norm(tensor([3e-30, 4e-30])), 'float32', [], [Math.fround(5e-30)]),
      exact('int32', () => norm(int([[3, 4]]), 1), 'float32', [1], [5]),
      exact('of nothing', () => norm(zeros([0])), 'float32', [], [0]),
      exact('of zeros', () => norm(zeros([3])), 'float32', [], [0]),
      exact('an infinity', () => norm(row(-Infinity, 1)()), 'float32', [], [Infinity]),
      exact('NaN', () => norm(row(NaN, 1)()), 'float32', [], [NaN]),
      exact(
        'float16',
        () => norm(tensor([30000, 40000], { dtype: 'float16' })),
        'float16',
        [],
        [49984], // 50000 lies between two float16
      ),
    ],
    errors: [
      ...WRONG_AXES('norm', norm),
      {
        run: () => norm(zeros([2]), 0, { ord: 0 }),
        error: ValueError,
        message: '[norm] ord is 0; it must be a positive number or Infinity',
      },
      {
        run: () => norm(zeros([2]), 0, { ord: 'fro' as never }),
        error: ValueError,
        message: "[norm] ord is 'fro'; it must be a positive number or Infinity",
      },
      { run: () => norm(zeros([0]), 0, { ord: Infinity }), error: ShapeError, message: '[norm] no elements' },
      ...([1, 3, Infinity] as const).map((ord) => ({
        run: () => norm(zeros([2]), 3, { ord }),
        error: ShapeError,
        message: '[norm] axis 3 is outside',
      })),
    ],
  },
} satisfies Record<string, OpInfo>;
