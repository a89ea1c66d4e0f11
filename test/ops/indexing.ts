import {
  DTypeError,
  embedding,
  gather,
  oneHot,
  scatterAdd,
  ShapeError,
  take,
  tensor,
  ValueError,
  zeros,
} from 'tapegrad';
import { at, build, range, spread, total, values } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';

/** As many positions as kernels look at before anybody else. */
const MANY = 20_000;

const outside = (name: string, run: (index: number) => unknown): OpInfo['errors'] & object =>
  [3, -4].map((index) => ({
    run: () => run(index),
    error: ValueError,
    message: `[${name}] index 0 is ${index}; allowed are [-3, 3)`,
  }));

export const indexingInfo = {
  take: {
    samples: [
      {
        name: 'rows, one of them twice',
        inputs: [spread([3, 2], -3, 3)],
        run: (x) => take(x, [2, 0, 2]),
        want: (x) => build([3, 2], ([i, j]) => at(x, [[2, 0, 2][i!]!, j!])),
      },
      {
        name: 'a matrix of positions along -1',
        inputs: [spread([2, 3], -3, 3)],
        run: (x) =>
          take(
            x,
            [
              [0, -1],
              [1, 1],
            ],
            -1,
          ),
        want: (x) =>
          build([2, 2, 2], ([i, a, b]) =>
            at(x, [
              i!,
              [
                [0, 2],
                [1, 1],
              ][a!]![b!]!,
            ]),
          ),
      },
      { name: 'one', inputs: [spread([3], -3, 3)], run: (x) => take(x, 1), want: (x) => values([], [x.data[1]!]) },
      { name: 'none', inputs: [spread([3, 2], -3, 3)], run: (x) => take(x, []), want: () => values([0, 2], []) },
      {
        name: '[131,9], an int32 tensor',
        inputs: [spread([131, 9], -3, 3)],
        run: (x) => take(x, tensor(Int32Array.from([130, 0, 7, 7, 64]))),
        want: (x) => build([5, 9], ([i, j]) => at(x, [[130, 0, 7, 7, 64][i!]!, j!])),
        forwardOnly: true,
      },
      {
        name: 'the middle axis, bytes',
        inputs: [spread([2, 4, 3], -3, 3)],
        run: (x) => take(x, Uint8Array.from([3, 3, 1]), 1),
        want: (x) => build([2, 3, 3], ([i, j, k]) => at(x, [i!, [3, 3, 1][j!]!, k!])),
      },
    ],
    exact: [
      exact('int32', () => take(int([5, 6, 7]), [2, 0]), 'int32', [2], [7, 5]),
      exact('bool', () => take(tensor([true, false]), [1, 0, 0]), 'bool', [3], [0, 1, 1]),
    ],
    errors: [
      ...outside('take', (index) => take(zeros([3]), [index])),
      {
        run: () => take(zeros([3]), tensor([0.5])),
        error: DTypeError,
        message: '[take] indices are float32; they must be int32',
      },
      { run: () => take(zeros([3]), [0.5]), error: ValueError, message: 'element 0 is 0.5; int32 holds whole numbers' },
      { run: () => take(zeros([3]), [0], 1), error: ShapeError, message: '[take] axis 1 is outside [-1, 1)' },
      { run: () => take(zeros([]), [0]), error: ShapeError, message: '[take] axis 0 of a scalar: it has no axes' },
    ],
  },
  embedding: {
    samples: [
      {
        name: '[5,3], ids [2,2]',
        inputs: [spread([5, 3], -3, 3)],
        run: (x) =>
          embedding(x, [
            [4, 0],
            [4, 1],
          ]),
        want: (x) =>
          build([2, 2, 3], ([a, b, j]) =>
            at(x, [
              [
                [4, 0],
                [4, 1],
              ][a!]![b!]!,
              j!,
            ]),
          ),
      },
    ],
    errors: [
      {
        run: () => embedding(zeros([3]), [0]),
        error: ShapeError,
        message: '[embedding] the table is [3]; it must be [count, width]',
      },
    ],
  },
  gather: {
    samples: [
      {
        name: '[3,2] along 0',
        inputs: [spread([3, 2], -3, 3)],
        run: (x) =>
          gather(
            x,
            [
              [2, 0],
              [2, 1],
            ],
            0,
          ),
        want: (x) =>
          build([2, 2], ([i, j]) =>
            at(x, [
              [
                [2, 0],
                [2, 1],
              ][i!]![j!]!,
              j!,
            ]),
          ),
      },
      {
        name: '[2,3] along -1, negative',
        inputs: [spread([2, 3], -3, 3)],
        run: (x) => gather(x, [[-1], [0]], -1),
        want: (x) => values([2, 1], [at(x, [0, 2]), at(x, [1, 0])]),
      },
      {
        name: '[4,33,2] along 1',
        inputs: [spread([4, 33, 2], -3, 3)],
        run: (x) => gather(x, along(4, 2), 1),
        want: (x) => build([4, 1, 2], ([i, , k]) => at(x, [i!, (7 * i! + k!) % 33, k!])),
        forwardOnly: true,
      },
      ...[0, -4].map((first): Sample => ({
        name: `many positions, from ${first} on`,
        inputs: [spread([4], -3, 3)],
        run: (x) => gather(x, int(range(MANY).map((i) => first + (i % 4))), 0),
        want: (x) => build([MANY], ([i]) => at(x, [i! % 4])),
        forwardOnly: true,
      })),
    ],
    errors: [
      ...outside('gather', (index) => gather(zeros([3]), [index], 0)),
      ...[3, -4].map((index) => ({
        run: () => gather(zeros([3]), int(range(MANY).map((i) => (i === MANY - 2 ? index : i % 3))), 0),
        error: ValueError,
        message: `[gather] index ${MANY - 2} is ${index}; allowed are [-3, 3)`,
      })),
      {
        run: () => gather(zeros([2, 3]), [[0]], 1),
        error: ShapeError,
        message: '[gather] indices [1, 1] for x [2, 3]; all axes but axis 1 must agree',
      },
      {
        run: () => gather(zeros([2, 3]), [0], 1),
        error: ShapeError,
        message: '[gather] indices [1] for x [2, 3]; all axes but axis 1 must agree',
      },
    ],
  },
  scatterAdd: {
    samples: [
      {
        name: 'several onto one',
        inputs: [spread([3, 2], -3, 3), spread([4, 2], -3, 3, 1)],
        run: (x, updates) =>
          scatterAdd(
            x,
            [
              [0, 0],
              [2, 0],
              [0, 1],
              [-1, 0],
            ],
            updates,
            0,
          ),
        want: (x, updates) =>
          build(
            [3, 2],
            ([i, j]) =>
              at(x, [i!, j!]) +
              total(
                [
                  [0, 0],
                  [2, 0],
                  [0, 1],
                  [2, 0],
                ].map((row, u) => (row[j!] === i ? at(updates, [u, j!]) : 0)),
              ),
          ),
      },
      {
        name: 'nothing',
        inputs: [spread([3], -3, 3), spread([0], 0, 1)],
        run: (x, updates) => scatterAdd(x, [], updates, 0),
        want: (x) => x,
      },
    ],
    ulps: 2,
    absolute: 5e-7,
    storage: 1,
    errors: [
      ...outside('scatterAdd', (index) => scatterAdd(zeros([3]), [index], zeros([1]), 0)),
      {
        run: () => scatterAdd(zeros([3]), [0, 1], zeros([1]), 0),
        error: ShapeError,
        message: '[scatterAdd] indices [2] and updates [1] for x [3]; all axes but axis 0 must agree',
      },
    ],
  },
  oneHot: {
    samples: [
      {
        name: 'as a mask',
        inputs: [spread([2, 3], -3, 3)],
        run: (x) => x.mul(oneHot(int([1, 2]).to(x.device), 3, { dtype: x.dtype })),
        want: (x) => build([2, 3], ([i, j]) => (j === [1, 2][i!] ? at(x, [i!, j!]) : 0)),
      },
    ],
    exact: [
      exact(
        'outside is zeros',
        () => oneHot([0, -1, 3, 2], 3),
        'float32',
        [4, 3],
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
      ),
      exact('int32', () => oneHot(1, 2, { dtype: 'int32' }), 'int32', [2], [0, 1]),
      exact('no classes', () => oneHot([1], 0), 'float32', [1, 0], []),
    ],
    errors: [
      {
        run: () => oneHot([0], -1),
        error: ValueError,
        message: '[oneHot] depth -1; it must be a non-negative integer',
      },
      {
        run: () => oneHot(tensor([0]), 2),
        error: DTypeError,
        message: '[oneHot] indices are float32; they must be int32',
      },
    ],
  },
} satisfies Record<string, OpInfo>;

/** Positions [rows, 1, columns] for the longer gather. */
const along = (rows: number, columns: number): number[][][] =>
  range(rows).map((i) => [range(columns).map((k) => (7 * i + k) % 33)]);
