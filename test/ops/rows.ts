import { cumsum, glu, logSoftmax, ShapeError, softmax, tensor, type Tensor, zeros } from 'tapegrad';
import { alongAxis, at, build, logSumExpOf, spread, total, type Values } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';

const softmaxOf = (elements: number[]): number[] => elements.map((x) => Math.exp(x - logSumExpOf(elements)));

const row =
  (...data: number[]): (() => Tensor) =>
  () =>
    tensor([data]);

export const rowInfo = {
  cumsum: {
    samples: [
      ...(
        [
          [[5], 0],
          [[2, 3], 1],
          [[2, 3, 2], 1],
          [[1], 0],
          [[0, 2], 0],
        ] as const
      ).flatMap(([shape, axis]): Sample[] =>
        [false, true].map((reverse) => ({
          name: `[${shape.join(',')}] along ${axis}${reverse ? ', reversed' : ''}`,
          inputs: [spread(shape, -3, 3)],
          run: (x) => cumsum(x, axis, { reverse }),
          want: (x) => running(x, axis, reverse),
        })),
      ),
      {
        name: '[33,7] along 0',
        inputs: [spread([33, 7], -3, 3)],
        run: (x) => cumsum(x),
        want: (x) => running(x, 0, false),
        forwardOnly: true,
      },
      {
        name: '[3,1027] along -1',
        inputs: [spread([3, 1027], -3, 3)],
        run: (x) => cumsum(x, -1),
        want: (x) => running(x, 1, false),
        forwardOnly: true,
      },
    ],
    absolute64: 1e-12, // where the sum comes near 0
    exact: [
      exact(
        'int32',
        () =>
          cumsum(
            int([
              [1, 2],
              [3, 4],
            ]),
            1,
          ),
        'int32',
        [2, 2],
        [1, 3, 3, 7],
      ),
      exact('bool', () => cumsum(tensor([true, false, true])), 'int32', [3], [1, 1, 2]),
      exact('NaN stays from there on', () => cumsum(tensor([1, NaN, 2])), 'float32', [3], [1, NaN, NaN]),
    ],
    errors: [{ run: () => cumsum(zeros([2]), 1), error: ShapeError, message: '[cumsum] axis 1 is outside [-1, 1)' }],
  },
  softmax: {
    samples: rows(softmax, softmaxOf),
    ulps: 4,
    absolute: 1e-7,
    exact: [
      exact('far apart', () => softmax(row(1000, -1000)()), 'float32', [1, 2], [1, 0]),
      exact('-Infinity', () => softmax(row(-Infinity, 3)()), 'float32', [1, 2], [0, 1]),
      exact('all -Infinity', () => softmax(row(-Infinity, -Infinity)()), 'float32', [1, 2], [NaN, NaN]),
      exact('NaN', () => softmax(row(NaN, 3)()), 'float32', [1, 2], [NaN, NaN]),
      exact('Infinity', () => softmax(row(Infinity, 3)()), 'float32', [1, 2], [NaN, NaN]),
      exact('int32', () => softmax(int([[7, 7]])), 'float32', [1, 2], [0.5, 0.5]),
    ],
    errors: [
      { run: () => softmax(zeros([2]), 1), error: ShapeError, message: '[softmax] axis 1 is outside [-1, 1)' },
      { run: () => softmax(zeros([])), error: ShapeError, message: '[softmax] axis -1 of a scalar: it has no axes' },
    ],
  },
  logSoftmax: {
    samples: rows(logSoftmax, (elements) => elements.map((x) => x - logSumExpOf(elements))),
    ulps: 4,
    absolute: 5e-7,
    exact: [
      exact('far apart', () => logSoftmax(row(1000, -1000)()), 'float32', [1, 2], [0, -2000]),
      exact('-Infinity', () => logSoftmax(row(-Infinity, 3)()), 'float32', [1, 2], [-Infinity, 0]),
      exact('NaN', () => logSoftmax(row(NaN, 3)()), 'float32', [1, 2], [NaN, NaN]),
      exact('Infinity', () => logSoftmax(row(Infinity, 3)()), 'float32', [1, 2], [NaN, NaN]),
    ],
    errors: [
      { run: () => logSoftmax(zeros([2]), -2), error: ShapeError, message: '[logSoftmax] axis -2 is outside [-1, 1)' },
    ],
  },
  glu: {
    samples: (
      [
        [[4], -1],
        [[2, 6], -1],
        [[4, 3], 0],
        [[2, 4, 3], 1],
        [[0, 2], 1],
        [[2, 0], 1],
        [[3, 262], 1],
      ] as const
    ).map(([shape, axis]) => ({
      name: `[${shape.join(',')}] along ${axis}`,
      inputs: [spread(shape, -3, 3)],
      run: (x) => glu(x, axis),
      want: (x) => gated(x, axis < 0 ? axis + shape.length : axis),
      forwardOnly: shape.some((dim) => dim > 100),
    })),
    ulps: 4,
    exact: [
      exact('int32', () => glu(int([[6, 0]])), 'float32', [1, 1], [3]),
      exact('closed and open gates', () => glu(row(3, 5, -Infinity, Infinity)()), 'float32', [1, 2], [0, 5]),
    ],
    errors: [
      {
        run: () => glu(zeros([2, 3])),
        error: ShapeError,
        message: '[glu] axis 1 of [2, 3] has an odd length; its halves are value and gate',
      },
      { run: () => glu(zeros([])), error: ShapeError, message: '[glu] axis -1 of a scalar: it has no axes' },
    ],
  },
} satisfies Record<string, OpInfo>;

function gated(x: Values, axis: number): Values {
  const half = x.shape[axis]! / 2;
  const shape = x.shape.map((dim, i) => (i === axis ? half : dim));
  return build(shape, (position) => {
    const gate = position.map((index, i) => (i === axis ? index + half : index));
    return at(x, position) / (1 + Math.exp(-at(x, gate)));
  });
}

function running(x: Values, axis: number, reverse: boolean): Values {
  return alongAxis(x, axis, (elements) =>
    elements.map((_, i) => total(reverse ? elements.slice(i) : elements.slice(0, i + 1))),
  );
}

function rows(run: (x: Tensor, axis?: number) => Tensor, f: (elements: number[]) => number[]): Sample[] {
  const cases = [
    [[5], -1],
    [[2, 3], -1],
    [[2, 3], 0],
    [[2, 3, 2], 1],
    [[1], 0],
    [[2, 1], 1],
    [[0, 3], 1],
    [[3, 0], 1],
  ] as const;
  const long = [
    [[5, 131], 1],
    [[131, 5], 0],
    [[3, 17, 4], 1],
    [[1, 1027], -1],
  ] as const;
  const sample = (shape: readonly number[], axis: number, forwardOnly: boolean): Sample => ({
    name: `[${shape.join(',')}] along ${axis}`,
    inputs: [spread(shape, -3, 3)],
    run: (x) => run(x, axis),
    want: (x) => alongAxis(x, axis, f),
    forwardOnly,
  });
  return [
    ...cases.map(([shape, axis]) => sample(shape, axis, false)),
    ...long.map(([shape, axis]) => sample(shape, axis, true)),
  ];
}
