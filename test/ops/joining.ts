import {
  cast,
  clone,
  concat,
  DTypeError,
  dropout,
  pad,
  random,
  ShapeError,
  split,
  stack,
  tensor,
  type Tensor,
  ValueError,
  zeros,
} from 'tapegrad';
import { at, build, spread, type Values, values } from '../reference.js';
import { counting, exact, int, type OpInfo, sampleOf } from './info.js';

/** Both half dtypes with bool and int32: together float32, which none of them is. */
const mixture = (): Tensor[] => [
  tensor([1 + 2 ** -10], { dtype: 'float16' }),
  tensor([true]),
  tensor([256], { dtype: 'bfloat16' }),
  int([16777217]),
];

export const joiningInfo = {
  pad: {
    samples: [
      sampleOf(
        [3],
        (x) => pad(x, [[1, 2]]),
        (x) => values([6], [0, ...x.data, 0, 0]),
      ),
      sampleOf(
        [2, 2],
        (x) =>
          pad(
            x,
            [
              [0, 1],
              [1, 0],
            ],
            { value: 7 },
          ),
        (x) => build([3, 3], ([i, j]) => (i! < 2 && j! > 0 ? at(x, [i!, j! - 1]) : 7)),
      ),
      sampleOf(
        [2],
        (x) => pad(x, [[0, 0]]),
        (x) => x,
      ),
      sampleOf(
        [0],
        (x) => pad(x, [[1, 1]], { value: -1 }),
        () => values([2], [-1, -1]),
      ),
      sampleOf(
        [],
        (x) => pad(x, []),
        (x) => x,
      ),
      sampleOf(
        [9, 13],
        (x) =>
          pad(x, [
            [3, 4],
            [5, 6],
          ]),
        (x) => build([16, 24], ([i, j]) => (i! >= 3 && i! < 12 && j! >= 5 && j! < 18 ? at(x, [i! - 3, j! - 5]) : 0)),
        undefined,
        true,
      ),
    ],
    exact: [
      exact('int32', () => pad(counting([2]), [[1, 0]], { value: 9 }), 'int32', [3], [9, 0, 1]),
      exact('bool', () => pad(tensor([true]), [[1, 1]]), 'bool', [3], [0, 1, 0]),
      exact('bool', () => pad(tensor([false]), [[1, 0]], { value: true }), 'bool', [2], [1, 0]),
      exact('bool', () => pad(tensor([true]), [[0, 1]], { value: false }), 'bool', [2], [1, 0]),
      exact(
        'float16',
        () => pad(tensor([1.5], { dtype: 'float16' }), [[0, 1]], { value: 0.5 }),
        'float16',
        [2],
        [1.5, 0.5],
      ),
    ],
    errors: [
      {
        run: () => pad(zeros([2, 2]), [[1, 1]]),
        error: ShapeError,
        message: '[pad] widths [[1,1]] for 2 axes: one pair of non-negative integers for each axis',
      },
      {
        run: () => pad(zeros([2]), [[1, 1]], { value: true }),
        error: ValueError,
        message: '[pad] value is true; it must be a number',
      },
      { run: () => pad(zeros([2]), [[-1, 1]]), error: ShapeError, message: '[pad] widths [[-1,1]] for 1 axes' },
      {
        run: () => pad(counting([2]), [[1, 1]], { value: 0.5 }),
        error: DTypeError,
        message: '[pad] value 0.5 in a tensor of int32',
      },
      {
        run: () => pad(counting([2]), [[1, 1]], { value: NaN }),
        error: DTypeError,
        message: '[pad] value NaN in a tensor of int32',
      },
    ],
  },
  concat: {
    samples: [
      {
        name: '[2] and [3]',
        inputs: [spread([2], -3, 3), spread([3], -3, 3, 1)],
        run: (a, b) => concat([a, b]),
        want: (a, b) => values([5], [...a.data, ...b.data]),
      },
      {
        name: '[2,1], [2,0] and [2,2] along -1',
        inputs: [spread([2, 1], -3, 3), spread([2, 0], 0, 1), spread([2, 2], -3, 3, 1)],
        run: (a, b, c) => concat([a, b, c], -1),
        want: (a, _, c) => build([2, 3], ([i, j]) => (j! < 1 ? at(a, [i!, 0]) : at(c, [i!, j! - 1]))),
      },
      {
        name: 'the same twice',
        inputs: [spread([2, 2], -3, 3)],
        run: (x) => concat([x, x]),
        want: (x) => values([4, 2], [...x.data, ...x.data]),
      },
      { name: 'one', inputs: [spread([2], -3, 3)], run: (x) => concat([x]), want: (x) => x },
      {
        name: '[5,33] and [5,19] along 1',
        inputs: [spread([5, 33], -3, 3), spread([5, 19], -3, 3, 1)],
        run: (a, b) => concat([a, b], 1),
        want: (a, b) => build([5, 52], ([i, j]) => (j! < 33 ? at(a, [i!, j!]) : at(b, [i!, j! - 33]))),
        forwardOnly: true,
      },
    ],
    exact: [
      exact('int32', () => concat([counting([2]), counting([1])]), 'int32', [3], [0, 1, 0]),
      exact('bool', () => concat([tensor([true]), tensor([false])]), 'bool', [2], [1, 0]),
      exact('bool and int32', () => concat([tensor([true]), int([-7])]), 'int32', [2], [1, -7]),
      exact('int32 and float32', () => concat([int([16777217]), tensor([0.5])]), 'float32', [2], [16777216, 0.5]),
      exact(
        'int32 and float16',
        () => concat([int([2049]), tensor([0.5], { dtype: 'float16' })]),
        'float16',
        [2],
        [2048, 0.5],
      ),
      exact(
        'float16, bool, bfloat16 and int32',
        () => concat(mixture()),
        'float32',
        [4],
        [1.0009765625, 1, 256, 16777216],
      ),
      exact('the same backwards', () => concat(mixture().reverse()), 'float32', [4], [16777216, 256, 1, 1.0009765625]),
      exact('int32 and an empty float32', () => concat([int([3]), tensor(new Float32Array(0))]), 'float32', [1], [3]),
    ],
    errors: [
      { run: () => concat([]), error: ShapeError, message: '[concat] no tensors to join' },
      {
        run: () => concat([zeros([2]), zeros([2, 1])]),
        error: ShapeError,
        message: '[concat] part 1 is [2, 1] beside [2]; all axes but axis 0 must agree',
      },
      {
        run: () => concat([zeros([2, 3]), zeros([2, 4])]),
        error: ShapeError,
        message: '[concat] part 1 is [2, 4] beside [2, 3]; all axes but axis 0 must agree',
      },
      {
        run: () => concat([zeros([2]), 3 as never]),
        error: DTypeError,
        message: '[concat] part 1 is 3, not a tensor; write tensor(data)',
      },
    ],
  },
  stack: {
    samples: [
      {
        name: '[3] twice along 1',
        inputs: [spread([3], -3, 3), spread([3], -3, 3, 1)],
        run: (a, b) => stack([a, b], 1),
        want: (a, b) => build([3, 2], ([i, j]) => (j === 0 ? a.data[i!]! : b.data[i!]!)),
      },
      {
        name: 'scalars',
        inputs: [spread([], -3, 3), spread([], -3, 3, 1)],
        run: (a, b) => stack([a, b]),
        want: (a, b) => values([2], [...a.data, ...b.data]),
      },
    ],
    exact: [
      exact(
        'bool and float32',
        () => stack([tensor([true, false]), tensor([2, 3])], 1),
        'float32',
        [2, 2],
        [1, 2, 0, 3],
      ),
      exact('the mixture', () => stack(mixture()), 'float32', [4, 1], [1.0009765625, 1, 256, 16777216]),
    ],
    errors: [
      {
        run: () => stack([zeros([2]), zeros([3])]),
        error: ShapeError,
        message: '[stack] part 1 is [3] beside [2]; all must have one shape',
      },
      {
        run: () => stack([[1, 2] as never, zeros([2])]),
        error: DTypeError,
        message: '[stack] part 0 is an array, not a tensor; write tensor(data)',
      },
      {
        run: () => stack([zeros([]), null as never]),
        error: DTypeError,
        message: '[stack] part 1 is null, not a tensor; write tensor(data)',
      },
      { run: () => stack([]), error: ShapeError, message: '[stack] no tensors to join' },
    ],
  },
  split: {
    samples: [
      sampleOf(
        [6],
        (x) => split(x, 3)[1]!,
        (x) => build([2], ([i]) => x.data[2 + i!]!),
      ),
      sampleOf(
        [2, 5],
        (x) => concat(split(x, [1, 0, 4], 1).reverse(), 1),
        (x) => build([2, 5], ([i, j]) => at(x, [i!, (j! + 1) % 5])),
      ),
    ],
    errors: [
      {
        run: () => split(zeros([5]), 2),
        error: ShapeError,
        message: '[split] cannot cut axis 0 of length 5 into 2 equal parts',
      },
      {
        run: () => split(zeros([5]), [2, 2]),
        error: ShapeError,
        message: '[split] cannot cut axis 0 of length 5 into parts of [2, 2]',
      },
      {
        run: () => split(zeros([5]), 0),
        error: ShapeError,
        message: '[split] cannot cut axis 0 of length 5 into 0 equal parts',
      },
      {
        run: () => split(zeros([5]), -1),
        error: ShapeError,
        message: '[split] cannot cut axis 0 of length 5 into -1 equal parts',
      },
    ],
  },
  clone: {
    samples: [
      sampleOf(
        [2, 3],
        (x) => clone(x),
        (x) => x,
      ),
      sampleOf(
        [],
        (x) => clone(x),
        (x) => x,
      ),
      sampleOf(
        [0],
        (x) => clone(x),
        (x) => x,
      ),
      sampleOf(
        [1027],
        (x) => clone(x),
        (x) => x,
        undefined,
        true,
      ),
    ],
    exact: [exact('bool', () => clone(tensor([true, false])), 'bool', [2], [1, 0])],
  },
  cast: {
    samples: [
      sampleOf(
        [5],
        (x) => cast(x, 'float32').cast(x.dtype),
        (x) => values(x.shape, x.data.map(Math.fround)),
        undefined,
        true,
      ),
      sampleOf(
        [1027],
        (x) => cast(x, x.dtype),
        (x) => x,
        undefined,
        true,
      ),
    ],
    exact: [
      exact('to int32 cuts off', () => cast(tensor([1.9, -1.9, 0.5, -0.5]), 'int32'), 'int32', [4], [1, -1, 0, 0]),
      exact(
        'to int32 beyond its range',
        () => cast(tensor([3e9, -3e9, Infinity, -Infinity, NaN]), 'int32'),
        'int32',
        [5],
        [2147483647, -2147483648, 2147483647, -2147483648, 0],
      ),
      exact('to bool', () => cast(tensor([0, -0, 2, NaN]), 'bool'), 'bool', [4], [0, 0, 1, 1]),
      exact('bool to float32', () => cast(tensor([true, false]), 'float32'), 'float32', [2], [1, 0]),
      exact(
        'int32 to float64',
        () => cast(tensor([2147483647], { dtype: 'int32' }), 'float64'),
        'float64',
        [1],
        [2147483647],
      ),
      exact(
        'int32 to float32 rounds',
        () => cast(tensor([16777217], { dtype: 'int32' }), 'float32'),
        'float32',
        [1],
        [16777216],
      ),
      exact(
        'to float16',
        () => cast(tensor([2049, 2051, 65519, 65520, -1e-8]), 'float16'),
        'float16',
        [5],
        [2048, 2052, 65504, Infinity, -0],
      ),
      exact(
        'float64 to float16 rounds once',
        () => cast(tensor(new Float64Array([1 + 2 ** -11 + 2 ** -40])), 'float16'),
        'float16',
        [1],
        [1 + 2 ** -10],
      ),
      exact('to bfloat16', () => cast(tensor([257, 259, 3.4e38]), 'bfloat16'), 'bfloat16', [3], [256, 260, Infinity]),
      exact('float16 to bool', () => cast(tensor([0, -0, 6e-8], { dtype: 'float16' }), 'bool'), 'bool', [3], [0, 0, 1]),
    ],
  },
  dropout: {
    samples: [
      {
        name: '[1027]',
        inputs: [spread([1027], 1, 3)],
        run: (x) => dropout(x, 0.3, random(7)),
        want: dropped,
        forwardOnly: true,
      },
      { name: '[4,5]', inputs: [spread([4, 5], 1, 3)], run: (x) => dropout(x, 0.3, random(7)), want: dropped },
      { name: 'rate 0', inputs: [spread([3], 1, 3)], run: (x) => dropout(x, 0, random(7)), want: (x) => x },
    ],
    ulps: 1.5,
    absolute: 1e-7,
    errors: [1, -0.1, NaN, 1.5].map((rate) => ({
      run: () => dropout(zeros([2]), rate, random(0)),
      error: ValueError,
      message: `[dropout] rate ${rate}; it must be in [0, 1)`,
    })),
  },
} satisfies Record<string, OpInfo>;

function dropped(x: Values): Values {
  const source = random(7);
  return values(
    x.shape,
    x.data.map((value) => (source.next() < 0.3 ? 0 : value / 0.7)),
  );
}
