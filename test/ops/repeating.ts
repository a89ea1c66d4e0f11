import { grad, repeat, roll, ShapeError, tensor, type Tensor, tile, tril, triu, ValueError, zeros } from 'tapegrad';
import { at, build, range, type Values } from '../reference.js';
import { counting, exact, type OpInfo, type Sample, sampleOf } from './info.js';

const half = (): Tensor => tensor([1, 2], { dtype: 'float16' });

const swapIn = (position: readonly number[], axis: number, index: number): number[] =>
  position.map((old, i) => (i === axis ? index : old));

/** Along one axis, the elements at given places. */
const picked = (x: Values, axis: number, places: readonly number[]): Values =>
  build(swapIn(x.shape, axis, places.length), (position) => at(x, swapIn(position, axis, places[position[axis]!]!)));

const repeated = (counts: readonly number[]): number[] =>
  counts.flatMap((count, i) => new Array<number>(count).fill(i));

function tiled(x: Values, repeats: readonly number[]): Values {
  const rank = Math.max(x.shape.length, repeats.length);
  const shape = [...new Array<number>(rank - x.shape.length).fill(1), ...x.shape];
  const counts = [...new Array<number>(rank - repeats.length).fill(1), ...repeats];
  const whole = { shape, data: x.data };
  return build(
    shape.map((dim, i) => dim * counts[i]!),
    (position) =>
      at(
        whole,
        position.map((index, i) => index % shape[i]!),
      ),
  );
}

const rolled = (x: Values, shift: number, axis: number): Values => {
  const length = x.shape[axis]!;
  return picked(
    x,
    axis,
    range(length).map((i) => (((i - shift) % length) + length) % length),
  );
};

const triangular = (run: typeof tril, keeps: (row: number, column: number, diagonal: number) => boolean): Sample[] =>
  (
    [
      [[3, 3], 0],
      [[2, 4], 1],
      [[4, 2], -1],
      [[2, 3, 3], -2],
      [[3, 3], 5],
      [[3, 3], -5],
      [[0, 2], 0],
    ] as const
  ).map(([shape, diagonal]) =>
    sampleOf(
      shape,
      (x) => run(x, diagonal),
      (x) =>
        build(x.shape, (position) => {
          const [row, column] = position.slice(-2) as [number, number];
          return keeps(row, column, diagonal) ? at(x, position) : 0;
        }),
      `[${shape.join(',')}], diagonal ${diagonal}`,
    ),
  );

const wrongTriangle = (name: string, run: typeof tril): OpInfo['errors'] & object => [
  { run: () => run(zeros([3])), error: ShapeError, message: `[${name}] x is [3]; it must be [..., rows, columns]` },
  {
    run: () => run(zeros([2, 2]), 0.5),
    error: ValueError,
    message: `[${name}] the diagonal is 0.5; it must be a whole number`,
  },
];

export const repeatingInfo = {
  repeat: {
    samples: [
      sampleOf(
        [3],
        (x) => repeat(x, 2),
        (x) => picked(x, 0, [0, 0, 1, 1, 2, 2]),
      ),
      sampleOf(
        [2, 3],
        (x) => repeat(x, 3, -1),
        (x) => picked(x, 1, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
        'the last axis',
      ),
      sampleOf(
        [2, 3, 2],
        (x) => repeat(x, 2, 1),
        (x) => picked(x, 1, [0, 0, 1, 1, 2, 2]),
        'the middle axis',
      ),
      sampleOf(
        [2, 3],
        (x) => repeat(x, [2, 0, 3], 1),
        (x) => picked(x, 1, repeated([2, 0, 3])),
        'each its own number',
      ),
      sampleOf(
        [2],
        (x) => repeat(x, 0),
        (x) => picked(x, 0, []),
        'none',
      ),
      sampleOf(
        [2],
        (x) => repeat(x, 1),
        (x) => x,
        'once',
      ),
    ],
    exact: [
      exact('int32', () => repeat(counting([2]), 2), 'int32', [4], [0, 0, 1, 1]),
      exact('bool', () => repeat(tensor([true, false]), [1, 2]), 'bool', [3], [1, 0, 0]),
      exact('float16', () => repeat(half(), 2), 'float16', [4], [1, 1, 2, 2]),
    ],
    errors: [
      {
        run: () => repeat(zeros([2, 3]), [1, 2], 1),
        error: ShapeError,
        message: '[repeat] 2 repeats for axis 1 of [2, 3]; it takes one, or 3',
      },
      {
        run: () => repeat(zeros([2]), -1),
        error: ValueError,
        message: '[repeat] repeats is -1; it must be a whole number, in [0, 2147483648]',
      },
      { run: () => repeat(zeros([2]), [1, 0.5]), error: ValueError, message: '[repeat] repeats[1] is 0.5; it must be' },
      { run: () => repeat(zeros([2]), 2, 1), error: ShapeError, message: '[repeat] axis 1 is outside [-1, 1)' },
    ],
  },
  tile: {
    samples: (
      [
        [[3], [2]],
        [
          [2, 3],
          [2, 2],
        ],
        [[2, 3], [3]],
        [[2], [2, 1, 3]],
        [
          [2, 1, 2],
          [1, 3, 1],
        ],
        [[], [2]],
        [[2], [0]],
        [[2], []],
      ] as const
    ).map(([shape, repeats]) =>
      sampleOf(
        shape,
        (x) => tile(x, repeats),
        (x) => tiled(x, repeats),
        `[${shape.join(',')}] by [${repeats.join(',')}]`,
      ),
    ),
    exact: [
      exact('one number', () => tile(counting([2, 2]), 2), 'int32', [2, 4], [0, 1, 0, 1, 2, 3, 2, 3]),
      exact('bool', () => tile(tensor([true, false]), 2), 'bool', [4], [1, 0, 1, 0]),
      exact('float16', () => tile(half(), 2), 'float16', [4], [1, 2, 1, 2]),
    ],
    errors: [
      {
        run: () => tile(zeros([2]), [1, -1]),
        error: ValueError,
        message: '[tile] the repeats of axis 1 is -1; it must be a whole number, in [0, 2147483648]',
      },
      {
        run: () => tile(zeros([2]), '2' as never),
        error: ValueError,
        message: "[tile] repeats are '2'; they must be a number, or a list of one for each axis",
      },
    ],
  },
  roll: {
    samples: [
      sampleOf(
        [5],
        (x) => roll(x, 2),
        (x) => rolled(x, 2, 0),
      ),
      sampleOf(
        [5],
        (x) => roll(x, -7, 0),
        (x) => rolled(x, -7, 0),
        'far backwards',
      ),
      sampleOf(
        [2, 3],
        (x) => roll(x, 1, -1),
        (x) => rolled(x, 1, 1),
        'the last axis',
      ),
      sampleOf(
        [2, 3],
        (x) => roll(x, [1, -1], [0, 1]),
        (x) => rolled(rolled(x, 1, 0), -1, 1),
        'two axes',
      ),
      sampleOf(
        [2, 3],
        (x) => roll(x, 1, [1, 0]),
        (x) => rolled(rolled(x, 1, 0), 1, 1),
        'one shift for two',
      ),
      sampleOf(
        [2, 3],
        (x) => roll(x, 4),
        (x) => ({ shape: [2, 3], data: rolled({ shape: [6], data: x.data }, 4, 0).data }),
        'flattened',
      ),
      sampleOf(
        [3, 0],
        (x) => roll(x, 1, 1),
        (x) => x,
        'nothing',
      ),
      sampleOf(
        [],
        (x) => roll(x, 1),
        (x) => x,
        'a scalar',
      ),
    ],
    exact: [
      exact('int32', () => roll(counting([3]), 1), 'int32', [3], [2, 0, 1]),
      exact('bool', () => roll(tensor([true, false, false]), 1), 'bool', [3], [0, 1, 0]),
    ],
    errors: [
      {
        run: () => roll(zeros([2]), 0.5),
        error: ValueError,
        message: '[roll] the shift is 0.5; it must be a whole number',
      },
      { run: () => roll(zeros([2]), 1, 1), error: ShapeError, message: '[roll] axis 1 is outside [-1, 1)' },
      { run: () => roll(zeros([2, 2]), 1, [0, 0]), error: ShapeError, message: '[roll] axis 0 is named twice' },
      {
        run: () => roll(zeros([2, 2]), [1, 2], 0),
        error: ShapeError,
        message: '[roll] 2 shifts for 1 axes; they must be as many',
      },
      {
        run: () => roll(zeros([2]), [1]),
        error: ShapeError,
        message: '[roll] 1 shifts without axes; name as many axes',
      },
    ],
  },
  tril: {
    samples: triangular(tril, (row, column, diagonal) => column <= row + diagonal),
    exact: [
      exact('int32', () => tril(counting([2, 2])), 'int32', [2, 2], [0, 0, 2, 3]),
      exact(
        'bool',
        () =>
          tril(
            tensor([
              [true, true],
              [true, true],
            ]),
          ),
        'bool',
        [2, 2],
        [1, 0, 1, 1],
      ),
      exact(
        'infinities go',
        () =>
          tril(
            tensor([
              [1, Infinity],
              [NaN, 2],
            ]),
          ),
        'float32',
        [2, 2],
        [1, 0, NaN, 2],
      ),
      exact(
        'and so do their derivatives',
        () =>
          grad((x: Tensor) => tril(x.sqrt()).sum())(
            tensor([
              [1, 0],
              [4, 1],
            ]),
          ),
        'float32',
        [2, 2],
        [0.5, 0, 0.25, 0.5],
      ),
    ],
    errors: wrongTriangle('tril', tril),
  },
  triu: {
    samples: triangular(triu, (row, column, diagonal) => column >= row + diagonal),
    exact: [
      exact(
        'bool',
        () =>
          triu(
            tensor([
              [true, true],
              [true, true],
            ]),
          ),
        'bool',
        [2, 2],
        [1, 1, 0, 1],
      ),
    ],
    errors: wrongTriangle('triu', triu),
  },
} satisfies Record<string, OpInfo>;
