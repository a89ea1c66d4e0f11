import {
  broadcastTo,
  expandDims,
  flatten,
  flip,
  ones,
  permute,
  reshape,
  ShapeError,
  slice,
  squeeze,
  tensor,
  transpose,
  ValueError,
  zeros,
} from 'tapegrad';
import { at, build, type Values, values } from '../reference.js';
import { counting, exact, type OpInfo, sampleOf } from './info.js';

const shaped =
  (shape: number[]) =>
  (x: Values): Values =>
    values(shape, x.data);
const reordered =
  (order: number[]) =>
  (x: Values): Values =>
    build(
      order.map((axis) => x.shape[axis]!),
      (p) =>
        at(
          x,
          x.shape.map((_, axis) => p[order.indexOf(axis)]!),
        ),
    );

export const movementInfo = {
  reshape: {
    samples: [
      sampleOf([2, 3], (x) => reshape(x, [3, 2]), shaped([3, 2])),
      sampleOf([2, 3], (x) => reshape(x, [-1]), shaped([6])),
      sampleOf([4], (x) => reshape(x, [2, -1, 1]), shaped([2, 2, 1])),
      sampleOf([1], (x) => reshape(x, []), shaped([])),
      sampleOf([0, 3], (x) => reshape(x, [-1, 3]), shaped([0, 3])),
      sampleOf([], (x) => reshape(x, [1, 1]), shaped([1, 1])),
    ],
    exact: [exact('bool', () => reshape(tensor([true, false]), [2, 1]), 'bool', [2, 1], [1, 0])],
    errors: [
      {
        run: () => reshape(zeros([2, 3]), [4]),
        error: ShapeError,
        message: '[reshape] cannot reshape [2, 3] (6 elements) to [4]',
      },
      {
        run: () => reshape(zeros([2, 3]), [-1, -1]),
        error: ShapeError,
        message: '[reshape] cannot reshape [2, 3] (6 elements) to [-1, -1]',
      },
      {
        run: () => reshape(zeros([2, 3]), [-1, 4]),
        error: ShapeError,
        message: '[reshape] cannot reshape [2, 3] (6 elements) to [-1, 4]',
      },
      {
        run: () => reshape(zeros([0]), [-1, 0]),
        error: ShapeError,
        message: '[reshape] cannot reshape [0] (0 elements) to [-1, 0]',
      },
      {
        run: () => reshape(zeros([4]), [-2, -2]),
        error: ShapeError,
        message: '[reshape] shape [-2, -2] has a dimension that is not a non-negative integer',
      },
      {
        run: () => reshape(zeros([4]), [2.5]),
        error: ShapeError,
        message: '[reshape] shape [2.5] has a dimension that is not a non-negative integer',
      },
    ],
  },
  flatten: {
    samples: [
      sampleOf([2, 3], (x) => flatten(x), shaped([6])),
      sampleOf([], (x) => flatten(x), shaped([1])),
      sampleOf([2, 3, 4], (x) => flatten(x, 1), shaped([2, 12])),
      sampleOf([2, 3, 4], (x) => flatten(x, 0, 1), shaped([6, 4])),
      sampleOf([2, 3, 4], (x) => flatten(x, -3, -2), shaped([6, 4])),
    ],
    errors: [
      {
        run: () => flatten(zeros([2, 3]), 1, 0),
        error: ShapeError,
        message: '[flatten] axes from 1 to 0: the first comes after the last',
      },
    ],
  },
  squeeze: {
    samples: [
      sampleOf([1, 3, 1], (x) => squeeze(x), shaped([3])),
      sampleOf([1, 3, 1], (x) => squeeze(x, -1), shaped([1, 3])),
      sampleOf([1, 1], (x) => squeeze(x, [0, 1]), shaped([])),
    ],
    errors: [
      {
        run: () => squeeze(zeros([1, 3]), 1),
        error: ShapeError,
        message: '[squeeze] axis 1 of [1, 3] has length 3, not 1',
      },
    ],
  },
  expandDims: {
    samples: [
      sampleOf([2, 3], (x) => expandDims(x, 0), shaped([1, 2, 3])),
      sampleOf([2, 3], (x) => expandDims(x, -1), shaped([2, 3, 1])),
      sampleOf([], (x) => expandDims(x, 0), shaped([1])),
    ],
    errors: [
      { run: () => expandDims(zeros([2]), 2), error: ShapeError, message: '[expandDims] axis 2 is outside [-2, 2)' },
    ],
  },
  permute: {
    samples: [
      sampleOf([2, 3], (x) => permute(x, [1, 0]), reordered([1, 0])),
      sampleOf([2, 3, 4], (x) => permute(x, [2, 0, 1]), reordered([2, 0, 1])),
      sampleOf([2, 3, 4], (x) => permute(x, [0, -1, 1]), reordered([0, 2, 1])),
      sampleOf([1, 3, 1], (x) => permute(x, [1, 0, 2]), reordered([1, 0, 2])),
      sampleOf([0, 2], (x) => permute(x, [1, 0]), reordered([1, 0])),
      sampleOf([37, 41], (x) => permute(x, [1, 0]), reordered([1, 0]), undefined, true),
      sampleOf([3, 17, 2, 5], (x) => permute(x, [3, 1, 0, 2]), reordered([3, 1, 0, 2]), undefined, true),
    ],
    exact: [
      exact('int32', () => permute(counting([2, 2]), [1, 0]), 'int32', [2, 2], [0, 2, 1, 3]),
      exact(
        'bool',
        () =>
          permute(
            tensor([
              [true, false],
              [true, true],
            ]),
            [1, 0],
          ),
        'bool',
        [2, 2],
        [1, 1, 0, 1],
      ),
    ],
    errors: [
      {
        run: () => permute(zeros([2, 3]), [0]),
        error: ShapeError,
        message: '[permute] order [0] does not name each of the 2 axes once',
      },
      {
        run: () => permute(zeros([2, 3]), [0, 0]),
        error: ShapeError,
        message: '[permute] order [0, 0] does not name each of the 2 axes once',
      },
      { run: () => permute(zeros([2, 3]), [0, 2]), error: ShapeError, message: '[permute] axis 2 is outside [-2, 2)' },
    ],
  },
  transpose: {
    samples: [
      sampleOf([2, 3, 4], (x) => transpose(x), reordered([2, 1, 0])),
      sampleOf([2, 3, 4], (x) => transpose(x, 0, 2), reordered([2, 1, 0])),
      sampleOf([2, 3, 4], (x) => transpose(x, -1, -2), reordered([0, 2, 1])),
      sampleOf(
        [3],
        (x) => transpose(x),
        (x) => x,
      ),
      sampleOf([2, 3, 4], (x) => transpose(x, 1), reordered([0, 2, 1])),
    ],
    errors: [
      {
        run: () => transpose(zeros([2, 3]), 0, 2),
        error: ShapeError,
        message: '[transpose] axis 2 is outside [-2, 2)',
      },
    ],
  },
  broadcastTo: {
    samples: [
      sampleOf(
        [3],
        (x) => broadcastTo(x, [2, 3]),
        (x) => build([2, 3], (p) => at(x, p)),
      ),
      sampleOf(
        [2, 1],
        (x) => broadcastTo(x, [4, 2, 3]),
        (x) => build([4, 2, 3], (p) => at(x, p)),
      ),
      sampleOf(
        [],
        (x) => broadcastTo(x, [2, 2]),
        (x) => build([2, 2], () => x.data[0]!),
      ),
      sampleOf(
        [1],
        (x) => broadcastTo(x, [0]),
        () => values([0], []),
      ),
      sampleOf(
        [1, 3, 1, 2],
        (x) => broadcastTo(x, [5, 3, 7, 2]),
        (x) => build([5, 3, 7, 2], (p) => at(x, p)),
        undefined,
        true,
      ),
    ],
    exact: [exact('bool', () => broadcastTo(tensor([true]), [3]), 'bool', [3], [1, 1, 1])],
    errors: [
      {
        run: () => broadcastTo(zeros([2]), [3]),
        error: ShapeError,
        message: '[broadcastTo] shapes [2] and [3] do not broadcast',
      },
      {
        run: () => broadcastTo(zeros([2, 3]), [3]),
        error: ShapeError,
        message: '[broadcastTo] [2, 3] does not stretch to [3]',
      },
      {
        run: () => broadcastTo(zeros([3]), [1]),
        error: ShapeError,
        message: '[broadcastTo] [3] does not stretch to [1]',
      },
      {
        run: () => broadcastTo(ones([1]), [-3]),
        error: ShapeError,
        message: '[broadcastTo] shape [-3] has a dimension that is not a non-negative integer',
      },
    ],
  },
  slice: {
    samples: [
      sampleOf(
        [5],
        (x) => slice(x, [1, 4]),
        (x) => build([3], ([i]) => x.data[i! + 1]!),
      ),
      sampleOf(
        [5],
        (x) => slice(x, [null, null, -2]),
        (x) => build([3], ([i]) => x.data[4 - 2 * i!]!),
      ),
      sampleOf(
        [3, 4],
        (x) => slice(x, -1),
        (x) => build([4], ([j]) => at(x, [2, j!])),
      ),
      sampleOf(
        [3, 4],
        (x) => slice(x, [], [1, -1]),
        (x) => build([3, 2], ([i, j]) => at(x, [i!, j! + 1])),
      ),
      sampleOf(
        [3, 4],
        (x) => slice(x, null, 2),
        (x) => build([3], ([i]) => at(x, [i!, 2])),
      ),
      sampleOf(
        [3, 4, 2],
        (x) => slice(x, [0, 3, 2], 1, [-1, null]),
        (x) => build([2, 1], ([i]) => at(x, [2 * i!, 1, 1])),
      ),
      sampleOf(
        [4],
        (x) => slice(x, [3, 1]),
        () => values([0], []),
      ),
      sampleOf(
        [2, 2],
        (x) => slice(x),
        (x) => x,
      ),
      sampleOf(
        [67, 9],
        (x) => slice(x, [60, 2, -7], [1, 8, 3]),
        (x) => build([9, 3], ([i, j]) => at(x, [60 - 7 * i!, 1 + 3 * j!])),
        undefined,
        true,
      ),
    ],
    exact: [
      exact('int32', () => slice(counting([6]), [4, 0, -2]), 'int32', [2], [4, 2]),
      exact('an empty axis backwards', () => slice(zeros([0]), [null, null, -1]), 'float32', [0], []),
    ],
    errors: [
      { run: () => slice(zeros([3]), 3), error: ValueError, message: '[slice] index 3 of axis 0 is outside [-3, 3)' },
      { run: () => slice(zeros([3]), -4), error: ValueError, message: '[slice] index -4 of axis 0 is outside [-3, 3)' },
      {
        run: () => slice(zeros([3]), [0, 3, 0]),
        error: ValueError,
        message: '[slice] range [0, 3, 0] of axis 0: positions are whole numbers and the step is not 0',
      },
      { run: () => slice(zeros([3]), [0.5]), error: ValueError, message: 'positions are whole numbers' },
      { run: () => slice(zeros([3]), [], []), error: ShapeError, message: '[slice] 2 ranges for 1 axes' },
    ],
  },
  flip: {
    samples: [
      sampleOf(
        [5],
        (x) => flip(x),
        (x) => build([5], ([i]) => x.data[4 - i!]!),
      ),
      sampleOf(
        [2, 3],
        (x) => flip(x, -1),
        (x) => build([2, 3], ([i, j]) => at(x, [i!, 2 - j!])),
      ),
      sampleOf(
        [2, 3],
        (x) => flip(x, [0, 1]),
        (x) => values([2, 3], [...x.data].reverse()),
      ),
      sampleOf(
        [3, 1],
        (x) => flip(x, 1),
        (x) => x,
      ),
    ],
    errors: [{ run: () => flip(zeros([2]), 1), error: ShapeError, message: '[flip] axis 1 is outside [-1, 1)' }],
  },
} satisfies Record<string, OpInfo>;
