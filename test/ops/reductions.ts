import {
  argmax,
  argmin,
  DTypeError,
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  ShapeError,
  sum,
  tensor,
  type Tensor,
  ValueError,
  variance,
  zeros,
} from 'tapegrad';
import { average, logSumExpOf, reduced, spread, total, values, varianceOf } from '../reference.js';
import { exact, int, type OpInfo, type Refusal, type Sample } from './info.js';

type Axes = number | readonly number[] | undefined;
const CASES: readonly (readonly [shape: readonly number[], axes: Axes, keepDims: boolean])[] = [
  [[], undefined, false],
  [[5], undefined, false],
  [[5], 0, true],
  [[2, 3], 0, false],
  [[2, 3], -1, true],
  [[2, 3, 4], 1, false],
  [[2, 3, 4], [0, 2], false],
  [[2, 3, 4], [2, 0], true],
  [[2, 3, 4], [0, 1], false],
  [[2, 3, 4], [], false],
  [[1, 4, 1], 1, false],
  [[2, 3, 4], undefined, true],
];
const LONG: typeof CASES = [
  [[1027], 0, false],
  [[3, 1025], 1, false],
  [[1025, 3], 0, false],
  [[7, 33, 5], 1, false],
  [[5, 2, 9, 3], [1, 3], false],
  [[17], undefined, false],
  [[0, 3], 1, false],
];

const list = (axes: Axes): readonly number[] | undefined => (typeof axes === 'number' ? [axes] : axes);

function reductionSamples(
  run: (x: Tensor, axes: Axes, options: { keepDims: boolean }) => Tensor,
  f: (elements: number[]) => number,
  [low, high]: readonly [number, number] = [-3, 3],
): Sample[] {
  const sample = ([shape, axes, keepDims]: (typeof CASES)[number], forwardOnly: boolean): Sample => ({
    name: `[${shape.join(',')}] over ${axes === undefined ? 'all' : JSON.stringify(axes)}${keepDims ? ', kept' : ''}`,
    inputs: [spread(shape, low, high)],
    run: (x) => run(x, axes, { keepDims }),
    want: (x) => reduced(x, list(axes), keepDims, f),
    forwardOnly,
  });
  return [...CASES.map((entry) => sample(entry, false)), ...LONG.map((entry) => sample(entry, true))];
}

const isMore =
  (sign: number) =>
  (elements: number[]): number => {
    const nan = elements.findIndex((x) => Number.isNaN(x));
    return nan >= 0 ? nan : elements.reduce((best, x, i) => (sign * x > sign * elements[best]! ? i : best), 0);
  };

/** Of those that have more than one. */
const OPTIONS: Readonly<Record<string, string>> = { variance: 'keepDims, correction', norm: 'keepDims, ord' };

const WRONG_OPTIONS = (name: string, run: (x: Tensor, axis?: number, options?: object) => unknown): Refusal[] => {
  const wrong = run as (x: unknown, axis?: unknown, options?: unknown) => unknown;
  const all = OPTIONS[name] ?? 'keepDims';
  const are = name in OPTIONS ? 'are' : 'is';
  return [
    {
      run: () => wrong(zeros([2, 3]), 0, true),
      error: ValueError,
      message: `[${name}] the options are true; they must be an object: { ${all} } (write { keepDims: true })`,
    },
    {
      run: () => wrong(zeros([2, 3]), 0, 1),
      error: ValueError,
      message: `[${name}] the options are 1; they must be an object: { ${all} } (several axes are a list: [0, 1])`,
    },
    {
      run: () => wrong(zeros([2, 3]), 0, { keepdim: true }),
      error: ValueError,
      message: `[${name}] there is no option 'keepdim'; there ${are} ${all}`,
    },
    {
      run: () => wrong(zeros([2, 3]), 0, { keepDims: 1 }),
      error: ValueError,
      message: `[${name}] keepDims is 1; it must be true or false`,
    },
    { run: () => wrong(zeros([2, 3]), { keepDims: true }), error: ShapeError, message: `[${name}] the ax` },
    {
      run: () => wrong([1, 2]),
      error: DTypeError,
      message: `[${name}] x is an array, not a tensor; write tensor(data)`,
    },
  ];
};

const WRONG_AXES = (
  name: string,
  run: (x: Tensor, axes?: number | number[], options?: object) => unknown,
): Refusal[] => [
  ...WRONG_OPTIONS(name, run),
  { run: () => run(zeros([2, 3]), 2), error: ShapeError, message: `[${name}] axis 2 is outside [-2, 2)` },
  { run: () => run(zeros([2, 3]), -3), error: ShapeError, message: `[${name}] axis -3 is outside [-2, 2)` },
  { run: () => run(zeros([2, 3]), 0.5), error: ShapeError, message: `[${name}] axis 0.5 is outside [-2, 2)` },
  { run: () => run(zeros([2, 3]), [1, -1]), error: ShapeError, message: `[${name}] axis 1 is named twice` },
  { run: () => run(zeros([]), 0), error: ShapeError, message: `[${name}] axis 0 of a scalar: it has no axes` },
];
const row =
  (...data: number[]): (() => Tensor) =>
  () =>
    tensor([data]);

export const reductionInfo = {
  sum: {
    samples: [
      ...reductionSamples(sum, total),
      { name: '[0,3] over all', inputs: [spread([0, 3], 0, 1)], run: (x) => sum(x), want: () => values([], [0]) },
      {
        name: '[0,3] over 0',
        inputs: [spread([0, 3], 0, 1)],
        run: (x) => sum(x, 0),
        want: () => values([3], [0, 0, 0]),
      },
    ],
    absolute: 1e-15,
    ulps64: 2,
    exact: [
      exact(
        'int32',
        () =>
          sum(
            int([
              [1, 2],
              [3, 4],
            ]),
            0,
          ),
        'int32',
        [2],
        [4, 6],
      ),
      exact('bool counts', () => sum(tensor([true, false, true])), 'int32', [], [2]),
      exact('float32 is summed in float64', () => sum(tensor([1e8, 1, -1e8, 1])), 'float32', [], [2]),
      exact('one infinity', () => sum(row(Infinity, 1, 2, 3, 4)()), 'float32', [], [Infinity]),
      exact('both infinities', () => sum(row(Infinity, -Infinity)()), 'float32', [], [NaN]),
      exact('NaN', () => sum(row(1, NaN, 2)(), 1), 'float32', [1], [NaN]),
      exact(
        'float64, both infinities',
        () => sum(tensor(new Float64Array([Infinity, 1, -Infinity]))),
        'float64',
        [],
        [NaN],
      ),
      exact('float64, compensated', () => sum(tensor(new Float64Array([1, 1e100, 1, -1e100]))), 'float64', [], [2]),
    ],
    errors: WRONG_AXES('sum', sum),
  },
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
  norm: {
    samples: [
      ...reductionSamples(norm, (elements) => Math.hypot(...elements)),
      ...([1, Infinity] as const).map((ord): Sample => ({
        name: `ord ${ord}`,
        inputs: [spread([3, 5], -3, 3)],
        run: (x) => norm(x, 1, { ord }),
        want: (x) =>
          reduced(x, [1], false, (elements) =>
            ord === 1
              ? elements.reduce((sum, value) => sum + Math.abs(value), 0)
              : Math.max(...elements.map((value) => Math.abs(value))),
          ),
      })),
    ],
    ulps: 1.5,
    exact: [
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
        run: () => norm(zeros([2]), 0, { ord: 3 }),
        error: ValueError,
        message: '[norm] ord is 3; it must be 1, 2 or Infinity',
      },
      { run: () => norm(zeros([0]), 0, { ord: Infinity }), error: ShapeError, message: '[max] no elements' },
    ],
  },
  max: {
    samples: reductionSamples(max, (elements) => Math.max(...elements)),
    exact: [
      exact(
        'int32',
        () =>
          max(
            int([
              [1, 2],
              [3, 4],
            ]),
            0,
          ),
        'int32',
        [2],
        [3, 4],
      ),
      exact('bool', () => max(tensor([true, false])), 'int32', [], [1]),
      exact('NaN wins', () => max(row(1, NaN, Infinity, 4, 5, 6, 7, 8)(), 1), 'float32', [1], [NaN]),
      exact('NaN first', () => max(row(NaN, 1, 2, 3, 4)(), 1), 'float32', [1], [NaN]),
      exact('all -Infinity', () => max(row(-Infinity, -Infinity)()), 'float32', [], [-Infinity]),
      exact('nothing along another axis', () => max(zeros([0, 3]), 1), 'float32', [0], []),
    ],
    errors: [
      ...WRONG_AXES('max', max),
      {
        run: () => max(zeros([0, 3]), 0),
        error: ShapeError,
        message: '[max] no elements along the axes [0] of [0, 3], and so no result',
      },
      {
        run: () => max(zeros([0, 3])),
        error: ShapeError,
        message: '[max] no elements along the axes [0, 1] of [0, 3], and so no result',
      },
    ],
  },
  min: {
    samples: reductionSamples(min, (elements) => Math.min(...elements)),
    exact: [
      exact(
        'int32',
        () =>
          min(
            int([
              [1, 2],
              [3, 4],
            ]),
            0,
          ),
        'int32',
        [2],
        [1, 2],
      ),
      exact('NaN wins', () => min(row(1, NaN, -Infinity, 4, 5, 6, 7, 8)(), 1), 'float32', [1], [NaN]),
      exact('all Infinity', () => min(row(Infinity, Infinity)()), 'float32', [], [Infinity]),
    ],
    errors: [
      ...WRONG_AXES('min', min),
      {
        run: () => min(zeros([0, 3]), 0),
        error: ShapeError,
        message: '[min] no elements along the axes [0] of [0, 3], and so no result',
      },
    ],
  },
  prod: {
    samples: [
      ...reductionSamples(prod, (elements) => elements.reduce((a, b) => a * b, 1), [0.5, 1.5]),
      { name: 'with a zero', inputs: [values([4], [1.5, 0, 2, -1])], run: (x) => prod(x), want: () => values([], [0]) },
      { name: 'of nothing', inputs: [spread([0, 2], 0, 1)], run: (x) => prod(x, 0), want: () => values([2], [1, 1]) },
    ],
    ulps: 40,
    ulps64: 60,
    exact: [
      exact(
        'int32',
        () =>
          prod(
            int([
              [1, 2],
              [3, 4],
            ]),
          ),
        'int32',
        [],
        [24],
      ),
      exact('bool', () => prod(tensor([true, false])), 'int32', [], [0]),
    ],
    errors: WRONG_AXES('prod', prod),
  },
  logSumExp: {
    samples: reductionSamples(logSumExp, logSumExpOf),
    ulps: 3,
    absolute: 3e-7,
    exact: [
      exact('all -Infinity', () => logSumExp(row(-Infinity, -Infinity)(), 1), 'float32', [1], [-Infinity]),
      exact('one -Infinity', () => logSumExp(row(-Infinity, 2)(), 1), 'float32', [1], [2]),
      exact('Infinity', () => logSumExp(row(Infinity, 2)()), 'float32', [], [Infinity]),
      exact('NaN', () => logSumExp(row(NaN, 2)()), 'float32', [], [NaN]),
      exact('huge', () => logSumExp(row(1e30, 1e30)()), 'float32', [], [Math.fround(1e30)]),
      exact('of nothing', () => logSumExp(zeros([0])), 'float32', [], [-Infinity]),
      exact('int32', () => logSumExp(int([[5]])), 'float32', [], [5]),
    ],
    errors: WRONG_AXES('logSumExp', logSumExp),
  },
  argmax: position(argmax, 1, 'argmax', 'NaN is largest'),
  argmin: position(argmin, -1, 'argmin', 'NaN is smallest'),
} satisfies Record<string, OpInfo>;

function position(run: typeof argmax, sign: number, name: string, nan: string): OpInfo {
  const find = isMore(sign);
  const cases = [
    [[5], 0],
    [[2, 3], 0],
    [[2, 3], -1],
    [[2, 3, 4], 1],
    [[1027], 0],
    [[1025, 3], 0],
    [[3, 1025], 1],
    [[], undefined],
    [[4, 5], undefined],
    [[0, 3], 1],
  ] as const;
  return {
    samples: cases.map(([shape, axis]) => ({
      name: `[${shape.join(',')}] along ${axis ?? 'all'}`,
      inputs: [spread(shape, -3, 3)],
      run: (x) => run(x, axis),
      want: (x) => reduced(x, list(axis), false, find),
    })),
    result: 'int32',
    differentiable: false,
    exact: [
      exact('the first of equals', () => run(row(2, 7, 7, 2, 2, 7)(), 1), 'int32', [1], [sign > 0 ? 1 : 0]),
      exact(nan, () => run(row(1, 9, NaN, -9, NaN, 3, 4, 5, 6)(), 1, { keepDims: true }), 'int32', [1, 1], [2]),
      exact(
        'int32',
        () =>
          run(
            int([
              [3, 9],
              [4, 1],
            ]),
            0,
          ),
        'int32',
        [2],
        sign > 0 ? [1, 0] : [0, 1],
      ),
      exact(
        'infinities',
        () => run(row(-Infinity, Infinity, 0, Infinity, -Infinity)()),
        'int32',
        [],
        [sign > 0 ? 1 : 0],
      ),
    ],
    errors: [
      ...WRONG_OPTIONS(name, run),
      {
        run: () => run(zeros([2, 0]), 1),
        error: ShapeError,
        message: `[${name}] no elements along the axes [1] of [2, 0], and so no result`,
      },
      { run: () => run(zeros([2]), 1), error: ShapeError, message: `[${name}] axis 1 is outside [-1, 1)` },
    ],
  };
}
