import { DTypeError, linear, matmul, ShapeError, tensor, zeros } from 'tapegrad';
import { at, broadcastShape, build, range, spread, total, type Values, values } from '../reference.js';
import { exact, int, type OpInfo, type Sample, text } from './info.js';

/** Matrix product with NumPy's rules for vectors and leading axes. */
function product(a: Values, b: Values): Values {
  const left = a.shape.length === 1 ? values([1, ...a.shape], a.data) : a;
  const right = b.shape.length === 1 ? values([...b.shape, 1], b.data) : b;
  const lead = broadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const [m, k] = left.shape.slice(-2) as [number, number];
  const n = right.shape[right.shape.length - 1]!;
  const full = build([...lead, m, n], (p) => {
    const [i, j] = p.slice(-2) as [number, number];
    return total(range(k).map((q) => at(left, [...p.slice(0, -2), i, q]) * at(right, [...p.slice(0, -2), q, j])));
  });
  return values([...lead, ...(a.shape.length === 1 ? [] : [m]), ...(b.shape.length === 1 ? [] : [n])], full.data);
}

const matmulSample = ([a, b]: readonly [readonly number[], readonly number[]], forwardOnly: boolean): Sample => ({
  name: text(a, b),
  inputs: [spread(a, -2, 2), spread(b, -2, 2, 1)],
  run: matmul,
  want: product,
  forwardOnly,
});

export const productInfo = {
  matmul: {
    samples: [
      ...(
        [
          [
            [2, 3],
            [3, 4],
          ],
          [[3], [3]],
          [[3], [3, 2]],
          [[2, 3], [3]],
          [
            [2, 2, 3],
            [3, 2],
          ],
          [
            [2, 3],
            [2, 3, 2],
          ],
          [
            [2, 2, 3],
            [2, 3, 2],
          ],
          [
            [2, 1, 2, 3],
            [3, 3, 2],
          ],
          [
            [1, 2, 3],
            [2, 3, 1],
          ],
          [[3], [2, 3, 2]],
          [[2, 2, 3], [3]],
          [
            [1, 1],
            [1, 1],
          ],
          [
            [2, 0],
            [0, 3],
          ],
          [
            [0, 2],
            [2, 3],
          ],
          [
            [0, 2, 3],
            [3, 1],
          ],
        ] as const
      ).map((pair) => matmulSample(pair, false)),
      ...(
        [
          [
            [5, 17],
            [17, 9],
          ],
          [
            [33, 31],
            [31, 35],
          ],
          [
            [1, 129],
            [129, 1],
          ],
          [
            [65, 4],
            [4, 66],
          ],
          [
            [3, 8, 8],
            [3, 8, 8],
          ],
          [
            [2, 3, 5, 7],
            [2, 1, 7, 4],
          ],
          [
            [130, 3],
            [3, 130],
          ],
        ] as const
      ).map((pair) => matmulSample(pair, true)),
    ],
    ulps: 4,
    ulps64: 8,
    absolute: 2e-5,
    gradientError: 1e-5,
    exact: [
      exact('int32', () => matmul(int([1, 2, 3, 4], [2, 2]), int([1, 0, 0, 1], [2, 2])), 'int32', [2, 2], [1, 2, 3, 4]),
      exact('int32 wraps around exactly', () => matmul(int([2147483647, 2]), int([2147483647, 3])), 'int32', [], [7]),
      exact('int32 and float32', () => matmul(int([1, 2]), tensor([0.5, 0.25])), 'float32', [], [1]),
      exact(
        'NaN and infinity',
        () =>
          matmul(
            tensor([
              [NaN, 1],
              [Infinity, 1],
              [1, 1],
            ]),
            tensor([[0], [1]]),
          ),
        'float32',
        [3, 1],
        [NaN, NaN, 1],
      ),
    ],
    errors: [
      {
        run: () => matmul(zeros([2, 3]), zeros([2, 3])),
        error: ShapeError,
        message: '[matmul] inner axes differ: [2, 3] times [2, 3]',
      },
      {
        run: () => matmul(zeros([]), zeros([2])),
        error: ShapeError,
        message: '[matmul] operands [] and [2]: neither may be a scalar',
      },
      {
        run: () => matmul(zeros([2, 2, 3]), zeros([3, 3, 2])),
        error: ShapeError,
        message: '[matmul] shapes [2] and [3] do not broadcast',
      },
      {
        run: () => matmul(tensor([true]), tensor([true])),
        error: DTypeError,
        message: '[matmul] operands are bool; cast them',
      },
    ],
  },
  linear: {
    samples: (
      [
        [
          [2, 3],
          [4, 3],
        ],
        [[3], [2, 3]],
        [
          [2, 2, 3],
          [1, 3],
        ],
        [
          [0, 3],
          [2, 3],
        ],
        [
          [31, 33],
          [35, 33],
        ],
      ] as const
    ).map(([x, weight]) => ({
      name: text(x, weight),
      inputs: [spread(x, -2, 2), spread(weight, -2, 2, 1)],
      run: linear,
      want: (a, b) =>
        product(
          a,
          build([b.shape[1]!, b.shape[0]!], ([i, j]) => at(b, [j!, i!])),
        ),
      forwardOnly: x[0] > 30,
    })),
    ulps: 4,
    absolute: 2e-5,
    gradientError: 1e-5,
    errors: [
      {
        run: () => linear(zeros([2, 3]), zeros([3, 4])),
        error: ShapeError,
        message: '[linear] x [2, 3] and weight [3, 4]: the weight must be [out, 3]',
      },
      {
        run: () => linear(zeros([]), zeros([3, 4])),
        error: ShapeError,
        message: '[linear] x [] and weight [3, 4]: the weight must be [out, in]',
      },
      {
        run: () => linear(tensor([true]), tensor([[true]])),
        error: DTypeError,
        message: '[linear] operands are bool; cast them',
      },
    ],
  },
} satisfies Record<string, OpInfo>;
