import {
  all,
  any,
  argmax,
  argmin,
  logSumExp,
  max,
  min,
  prod,
  ShapeError,
  sum,
  tensor,
  type Tensor,
  zeros,
} from 'tapegrad';
import { logSumExpOf, reduced, spread, total, values } from '../reference.js';
import { exact, int, type OpInfo } from './info.js';
import { list, reductionSamples, row, WRONG_AXES, WRONG_OPTIONS } from './axes.js';

const isMore =
  (sign: number) =>
  (elements: number[]): number => {
    const nan = elements.findIndex((x) => Number.isNaN(x));
    return nan >= 0 ? nan : elements.reduce((best, x, i) => (sign * x > sign * elements[best]! ? i : best), 0);
  };

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
  any: truth(any, 'any', (elements) => elements.some((x) => x !== 0), 0),
  all: truth(all, 'all', (elements) => elements.every((x) => x !== 0), 1),
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

function truth(run: typeof any, name: string, f: (elements: number[]) => boolean, ofNothing: number): OpInfo {
  // Whole numbers from -1 to 1: of each slice some are 0.
  const whole = (t: Tensor): Tensor => t.round();
  const wanted = (elements: number[]): number => Number(f(elements.map((x) => Math.round(x))));
  return {
    samples: reductionSamples((x, axes, options) => run(whole(x), axes, options), wanted, [-1.4, 1.4]),
    result: 'bool',
    differentiable: false,
    exact: [
      exact(
        'bool',
        () =>
          run(
            tensor([
              [true, false],
              [true, true],
              [false, false],
            ]),
            1,
          ),
        'bool',
        [3],
        name === 'any' ? [1, 1, 0] : [0, 1, 0],
      ),
      exact('int32', () => run(int([0, 0, -2147483648])), 'bool', [], [Number(name === 'any')]),
      exact('NaN is true', () => run(tensor([NaN, NaN])), 'bool', [], [1]),
      exact('-0 is not', () => run(tensor([-0])), 'bool', [], [0]),
      exact('of nothing', () => run(zeros([0])), 'bool', [], [ofNothing]),
      exact(
        'of nothing along an axis',
        () => run(zeros([2, 0]), 1, { keepDims: true }),
        'bool',
        [2, 1],
        [ofNothing, ofNothing],
      ),
      exact('a scalar', () => run(tensor(3)), 'bool', [], [1]),
      exact('float16', () => run(tensor([6e-8], { dtype: 'float16' })), 'bool', [], [1]),
    ],
    errors: WRONG_AXES(name, run),
  };
}
