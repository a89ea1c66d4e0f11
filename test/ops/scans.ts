import { cumprod, grad, hessian, logCumSumExp, ShapeError, tensor, type Tensor, ValueError, zeros } from 'tapegrad';
import { alongAxis, logSumExpOf, spread, values } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';

const CASES = [
  [[5], 0],
  [[2, 3], 1],
  [[2, 3], -1],
  [[3, 2, 2], 0],
  [[2, 3, 2], 1],
  [[1], 0],
  [[0, 2], 0],
  [[2, 0], 0],
] as const;
const LONG = [
  [[33, 7], 0],
  [[3, 131], -1],
  [[5, 9, 6], 1],
] as const;

type Run = (x: Tensor, axis: number, options: { reverse: boolean }) => Tensor;

/** Both directions, along the axes of different shapes. @param f what a result is of the elements up to its own. */
function scanSamples(run: Run, f: (elements: number[]) => number, [low, high]: readonly [number, number]): Sample[] {
  const sample = (shape: readonly number[], axis: number, reverse: boolean, forwardOnly: boolean): Sample => ({
    name: `[${shape.join(',')}] along ${axis}${reverse ? ', reversed' : ''}`,
    inputs: [spread(shape, low, high)],
    run: (x) => run(x, axis, { reverse }),
    want: (x) =>
      alongAxis(x, axis, (elements) =>
        elements.map((_, i) => f(reverse ? elements.slice(i) : elements.slice(0, i + 1))),
      ),
    forwardOnly,
  });
  return [false, true].flatMap((reverse) => [
    ...CASES.map(([shape, axis]) => sample(shape, axis, reverse, false)),
    ...LONG.map(([shape, axis]) => sample(shape, axis, reverse, true)),
  ]);
}

const product = (elements: number[]): number => elements.reduce((a, b) => a * b, 1);

const wrong = (name: string, run: typeof cumprod): OpInfo['errors'] & object => [
  { run: () => run(zeros([2]), 1), error: ShapeError, message: `[${name}] axis 1 is outside [-1, 1)` },
  { run: () => run(zeros([])), error: ShapeError, message: `[${name}] axis 0 of a scalar: it has no axes` },
  {
    run: () => run(zeros([2]), 0, true as never),
    error: ValueError,
    message: `[${name}] the options are true; they must be an object: { reverse } (write { reverse: true })`,
  },
  {
    run: () => run(zeros([2]), 0, { reverse: 1 as never }),
    error: ValueError,
    message: `[${name}] reverse is 1; it must be true or false`,
  },
];

export const scanInfo = {
  cumprod: {
    samples: [
      ...scanSamples(cumprod, product, [-1.6, 1.6]),
      ...[
        [1.5, 0, 2, -1],
        [0, 2, 3, 4],
        [2, 0, 3, 0],
        [0, 0, 0, 1],
      ].map((data): Sample => ({
        name: `with zeros: ${data.join(' ')}`,
        inputs: [values([4], data)],
        run: (x) => cumprod(x),
        want: (x) => alongAxis(x, 0, (elements) => elements.map((_, i) => product(elements.slice(0, i + 1)))),
      })),
    ],
    ulps: 70, // in float32, where a device has no float64
    ulps64: 140,
    exact: [
      exact('int32 wraps around', () => cumprod(int([65536, 65535, 3])), 'int32', [3], [65536, -65536, -196608]),
      exact('bool', () => cumprod(tensor([true, true, false, true])), 'int32', [4], [1, 1, 0, 0]),
      exact('NaN stays from there on', () => cumprod(tensor([2, NaN, 0])), 'float32', [3], [2, NaN, NaN]),
      exact('beyond float32 on the way', () => cumprod(tensor([1e30, 1e-30, 2])).slice(2), 'float32', [], [2]),
      exact(
        'derivatives beside zeros',
        () => grad((x: Tensor) => cumprod(x).sum())(tensor([2, 0, 3, 0, 5])),
        'float32',
        [5],
        [1, 2 + 6, 0, 0, 0],
      ),
      exact(
        'second derivatives beside zeros',
        () => hessian((x: Tensor) => cumprod(x).sum())(tensor([2, 0, 0])),
        'float32',
        [3, 3],
        [0, 1, 0, 1, 0, 2, 0, 2, 0],
      ),
    ],
    errors: wrong('cumprod', cumprod),
  },
  logCumSumExp: {
    samples: [
      ...scanSamples(logCumSumExp, logSumExpOf, [-3, 3]),
      {
        name: 'far apart',
        inputs: [values([6], [-500, 400, -300, 401, 10, 399.5])],
        run: (x) => logCumSumExp(x),
        want: (x) => alongAxis(x, 0, (elements) => elements.map((_, i) => logSumExpOf(elements.slice(0, i + 1)))),
        forwardOnly: true,
      },
    ],
    ulps: 2,
    absolute: 2e-7,
    absolute64: 4e-15,
    storage: 1,
    exact: [
      exact(
        '-Infinity first',
        () => logCumSumExp(tensor([-Infinity, -Infinity, 2, -Infinity])),
        'float32',
        [4],
        [-Infinity, -Infinity, 2, 2],
      ),
      exact(
        'Infinity stays',
        () => logCumSumExp(tensor([1, Infinity, -Infinity, 2])),
        'float32',
        [4],
        [1, Infinity, Infinity, Infinity],
      ),
      exact('NaN stays from there on', () => logCumSumExp(tensor([1, NaN, 2])), 'float32', [3], [1, NaN, NaN]),
      exact('huge', () => logCumSumExp(tensor([1e30, -1e30])), 'float32', [2], [1e30, 1e30]),
      exact('int32', () => logCumSumExp(int([5])), 'float32', [1], [5]),
      exact(
        'derivatives beside -Infinity',
        () => grad((x: Tensor) => logCumSumExp(x).slice([2]).sum())(tensor([-Infinity, -Infinity, 2, -Infinity])),
        'float32',
        [4],
        [0, 0, 2, 0],
      ),
      exact(
        'derivatives beside Infinity',
        () => grad((x: Tensor) => logCumSumExp(x).sum())(tensor([1, Infinity, 3])),
        'float32',
        [3],
        [1, 2, 0],
      ),
      exact(
        'a cotangent of 0 has second derivatives',
        () => hessian((x: Tensor) => logCumSumExp(x).slice(0).square())(tensor([0, 5])),
        'float32',
        [2, 2],
        [2, 0, 0, 0],
      ),
    ],
    errors: wrong('logCumSumExp', logCumSumExp),
  },
} satisfies Record<string, OpInfo>;
