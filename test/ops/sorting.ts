import { argsort, grad, ShapeError, sort, tensor, type Tensor, topk, ValueError, zeros } from 'tapegrad';
import { alongAxis, build, at, range, spread, type Values } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';

/** Positions in order by plain comparison, equal elements as they come. */
function orderOf(elements: readonly number[], descending: boolean): number[] {
  const key = (x: number): number => (Number.isNaN(x) ? Infinity : x === Infinity ? Number.MAX_VALUE : x);
  return range(elements.length).sort((i, j) => {
    const [a, b] = [key(elements[i]!), key(elements[j]!)];
    return (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1) || i - j;
  });
}

const CASES = [
  [[5], 0],
  [[2, 3], -1],
  [[3, 2], 0],
  [[2, 4, 2], 1],
  [[1], 0],
  [[0, 2], 0],
  [[2, 0], 1],
] as const;
const LONG = [
  [[2, 48], 1],
  [[49], 0],
  [[3, 300], 1],
  [[131, 3], 0],
] as const;

function samples(
  run: (x: Tensor, axis: number, descending: boolean) => Tensor,
  f: (elements: number[], descending: boolean) => number[],
): Sample[] {
  const sample = (shape: readonly number[], axis: number, descending: boolean, forwardOnly: boolean): Sample => ({
    name: `[${shape.join(',')}] along ${axis}${descending ? ', descending' : ''}`,
    inputs: [spread(shape, -3, 3)],
    run: (x) => run(x, axis, descending),
    want: (x) => alongAxis(x, axis, (elements) => f(elements, descending)),
    forwardOnly,
  });
  return [false, true].flatMap((descending) => [
    ...CASES.map(([shape, axis]) => sample(shape, axis, descending, false)),
    ...LONG.map(([shape, axis]) => sample(shape, axis, descending, true)),
  ]);
}

/** Elements of each line at the first k positions of its order. */
const best = (x: Values, axis: number, k: number, largest: boolean): Values => {
  const sorted = alongAxis(x, axis, (elements) => orderOf(elements, largest).map((i) => elements[i]!));
  return build(
    x.shape.map((dim, i) => (i === axis ? k : dim)),
    (position) => at(sorted, position),
  );
};

const SPECIAL = [NaN, 3, -Infinity, 0, NaN, Infinity, -0, 3];
const LONG_TIES = range(200).map((i) => (i * 7) % 5);
/** With NaN, zeros of both signs and infinities among them. */
const LONG_NANS = LONG_TIES.map((value, i) =>
  i % 41 === 7 ? NaN : i % 37 === 5 ? -Infinity : i % 3 === 0 ? -value : value,
);

export const sortingInfo = {
  sort: {
    samples: samples(
      (x, axis, descending) => sort(x, axis, { descending }),
      (elements, descending) => orderOf(elements, descending).map((i) => elements[i]!),
    ),
    exact: [
      exact('NaN last', () => sort(tensor(SPECIAL)), 'float32', [8], [-Infinity, 0, -0, 3, 3, Infinity, NaN, NaN]),
      exact(
        'NaN first, descending',
        () => sort(tensor(SPECIAL), 0, { descending: true }),
        'float32',
        [8],
        [NaN, NaN, Infinity, 3, 3, 0, -0, -Infinity],
      ),
      exact('int32', () => sort(int([3, -2147483648, 2147483647, 0])), 'int32', [4], [-2147483648, 0, 3, 2147483647]),
      exact('bool', () => sort(tensor([true, false, true])), 'bool', [3], [0, 1, 1]),
      exact('float16', () => sort(tensor([2, 0.5, -1], { dtype: 'float16' })), 'float16', [3], [-1, 0.5, 2]),
      exact(
        'the gradient goes back to where elements were',
        () => grad((x: Tensor) => sort(x).mul([1, 10, 100]).sum())(tensor([5, 2, 3])),
        'float32',
        [3],
        [100, 1, 10],
      ),
    ],
    errors: [
      { run: () => sort(zeros([])), error: ShapeError, message: '[sort] axis -1 of a scalar: it has no axes' },
      { run: () => sort(zeros([2]), 1), error: ShapeError, message: '[sort] axis 1 is outside [-1, 1)' },
      {
        run: () => sort(zeros([2]), 0, true as never),
        error: ValueError,
        message: '[sort] the options are true; they must be an object: { descending } (write { descending: true })',
      },
    ],
  },
  argsort: {
    samples: samples((x, axis, descending) => argsort(x, axis, { descending }), orderOf),
    result: 'int32',
    differentiable: false,
    exact: [
      exact('NaN last', () => argsort(tensor(SPECIAL)), 'int32', [8], [2, 3, 6, 1, 7, 5, 0, 4]),
      exact(
        'descending',
        () => argsort(tensor(SPECIAL), 0, { descending: true }),
        'int32',
        [8],
        [0, 4, 5, 1, 7, 3, 6, 2],
      ),
      exact('ties stay in order', () => argsort(tensor(LONG_TIES)), 'int32', [200], orderOf(LONG_TIES, false)),
      exact(
        'also descending',
        () => argsort(int(LONG_TIES), 0, { descending: true }),
        'int32',
        [200],
        orderOf(LONG_TIES, true),
      ),
      exact('in float64', () => argsort(tensor(new Float64Array(SPECIAL))), 'int32', [8], [2, 3, 6, 1, 7, 5, 0, 4]),
      exact('bool', () => argsort(tensor([true, false, true, false])), 'int32', [4], [1, 3, 0, 2]),
    ],
    errors: [
      { run: () => argsort(zeros([2]), -2), error: ShapeError, message: '[argsort] axis -2 is outside [-1, 1)' },
    ],
  },
  topk: {
    samples: (
      [
        [[5], 2, -1, true],
        [[5], 5, 0, false],
        [[2, 4], 1, 1, true],
        [[4, 2], 3, 0, false],
        [[2, 3, 2], 2, 1, true],
        [[3], 0, 0, true],
        [[2, 100], 7, 1, true],
        [[2, 100], 32, 1, false],
        [[2, 100], 33, 1, true],
        [[100, 2], 5, 0, true],
        [[2, 70, 3], 40, 1, false],
      ] as const
    ).map(([shape, k, axis, largest]): Sample => ({
      name: `${k} of [${shape.join(',')}] along ${axis}${largest ? '' : ', smallest'}`,
      inputs: [spread(shape, -3, 3)],
      run: (x) => topk(x, k, axis, { largest }).values,
      want: (x) => best(x, axis < 0 ? axis + shape.length : axis, k, largest),
      forwardOnly: Math.max(...shape) >= 70,
    })),
    exact: [
      exact('positions', () => topk(tensor([1, 3, 3, 2]), 3).indices, 'int32', [3], [1, 2, 3]),
      ...[true, false].flatMap((largest) =>
        [10, 40].map((k) =>
          exact(
            `${k} of ties and NaN, ${largest ? 'largest' : 'smallest'}`,
            () => topk(tensor(LONG_NANS), k, 0, { largest }).indices,
            'int32',
            [k],
            orderOf(LONG_NANS, largest).slice(0, k),
          ),
        ),
      ),
      exact(
        'in float64',
        () => topk(tensor(new Float64Array(LONG_NANS)).reshape([100, 2]), 3, 0).indices,
        'int32',
        [3, 2],
        orderOf(
          LONG_NANS.filter((_, i) => i % 2 === 0),
          true,
        )
          .slice(0, 3)
          .flatMap((first, i) => [
            first,
            orderOf(
              LONG_NANS.filter((_, j) => j % 2 === 1),
              true,
            )[i]!,
          ]),
      ),
      exact('NaN is largest', () => topk(tensor([1, NaN, 3]), 1).indices, 'int32', [1], [1]),
      exact('int32', () => topk(int([1, 3, 2]), 2, 0, { largest: false }).values, 'int32', [2], [1, 2]),
      exact('bool', () => topk(tensor([false, true]), 1).values, 'bool', [1], [1]),
    ],
    errors: [
      {
        run: () => topk(zeros([2, 3]), 4),
        error: ShapeError,
        message: '[topk] k is 4, and axis -1 of [2, 3] has 3 elements',
      },
      {
        run: () => topk(zeros([2]), 0.5),
        error: ValueError,
        message: '[topk] k is 0.5; it must be a whole number, at least 0',
      },
      { run: () => topk(zeros([2]), 1, 1), error: ShapeError, message: '[topk] axis 1 is outside [-1, 1)' },
      {
        run: () => topk(zeros([2]), 1, 0, false as never),
        error: ValueError,
        message: '[topk] the options are false; they must be an object: { largest } (write { largest: false })',
      },
    ],
  },
} satisfies Record<string, OpInfo>;
