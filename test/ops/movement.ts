import {
  broadcastTo, cast, clone, concat, DTypeError, dropout, expandDims, flatten, flip, ones, pad, permute, random, reshape, ShapeError, slice, split, squeeze, stack, tensor, type Tensor, transpose, ValueError, zeros,
} from 'tapegrad';
import { at, build, spread, type Values, values } from '../reference.js';
import type { Exact, OpInfo, Sample } from './info.js';

const ints = (shape: number[]): Tensor => tensor(Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i), { shape });
const exact = (name: string, run: () => Tensor, dtype: Exact['dtype'], shape: number[], numbers: number[]): Exact => ({ name, run, dtype, shape, values: numbers });
const sample = (shape: readonly number[], run: Sample['run'], want: (x: Values) => Values, name = `[${shape.join(',')}]`, forwardOnly = false): Sample => ({ name, inputs: [spread(shape, -3, 3)], run, want, forwardOnly });
const shaped = (shape: number[]) => (x: Values): Values => values(shape, x.data);
const reordered = (order: number[]) => (x: Values): Values => build(order.map((axis) => x.shape[axis]!), (p) => at(x, x.shape.map((_, axis) => p[order.indexOf(axis)]!)));

export const movementInfo = {
  reshape: {
    samples: [sample([2, 3], (x) => reshape(x, [3, 2]), shaped([3, 2])), sample([2, 3], (x) => reshape(x, [-1]), shaped([6])), sample([4], (x) => reshape(x, [2, -1, 1]), shaped([2, 2, 1])), sample([1], (x) => reshape(x, []), shaped([])), sample([0, 3], (x) => reshape(x, [-1, 3]), shaped([0, 3])), sample([], (x) => reshape(x, [1, 1]), shaped([1, 1]))],
    exact: [exact('bool', () => reshape(tensor([true, false]), [2, 1]), 'bool', [2, 1], [1, 0])],
    errors: [
      { run: () => reshape(zeros([2, 3]), [4]), error: ShapeError, message: '[reshape] cannot reshape [2, 3] (6 elements) to [4]' },
      { run: () => reshape(zeros([2, 3]), [-1, -1]), error: ShapeError, message: '[reshape] cannot reshape [2, 3] (6 elements) to [-1, -1]' },
      { run: () => reshape(zeros([2, 3]), [-1, 4]), error: ShapeError, message: '[reshape] cannot reshape [2, 3] (6 elements) to [-1, 4]' },
      { run: () => reshape(zeros([0]), [-1, 0]), error: ShapeError, message: '[reshape] cannot reshape [0] (0 elements) to [-1, 0]' },
      { run: () => reshape(zeros([4]), [-2, -2]), error: ShapeError, message: '[reshape] shape [-2, -2] has a dimension that is not a non-negative integer' },
      { run: () => reshape(zeros([4]), [2.5]), error: ShapeError, message: '[reshape] shape [2.5] has a dimension that is not a non-negative integer' },
    ],
  },
  flatten: {
    samples: [sample([2, 3], (x) => flatten(x), shaped([6])), sample([], (x) => flatten(x), shaped([1])), sample([2, 3, 4], (x) => flatten(x, 1), shaped([2, 12])), sample([2, 3, 4], (x) => flatten(x, 0, 1), shaped([6, 4])), sample([2, 3, 4], (x) => flatten(x, -3, -2), shaped([6, 4]))],
    errors: [{ run: () => flatten(zeros([2, 3]), 1, 0), error: ShapeError, message: '[flatten] axes from 1 to 0: the first comes after the last' }],
  },
  squeeze: {
    samples: [sample([1, 3, 1], (x) => squeeze(x), shaped([3])), sample([1, 3, 1], (x) => squeeze(x, -1), shaped([1, 3])), sample([1, 1], (x) => squeeze(x, [0, 1]), shaped([]))],
    errors: [{ run: () => squeeze(zeros([1, 3]), 1), error: ShapeError, message: '[squeeze] axis 1 of [1, 3] has length 3, not 1' }],
  },
  expandDims: {
    samples: [sample([2, 3], (x) => expandDims(x, 0), shaped([1, 2, 3])), sample([2, 3], (x) => expandDims(x, -1), shaped([2, 3, 1])), sample([], (x) => expandDims(x, 0), shaped([1]))],
    errors: [{ run: () => expandDims(zeros([2]), 2), error: ShapeError, message: '[expandDims] axis 2 is outside [-2, 2)' }],
  },
  permute: {
    samples: [
      sample([2, 3], (x) => permute(x, [1, 0]), reordered([1, 0])), sample([2, 3, 4], (x) => permute(x, [2, 0, 1]), reordered([2, 0, 1])), sample([2, 3, 4], (x) => permute(x, [0, -1, 1]), reordered([0, 2, 1])),
      sample([1, 3, 1], (x) => permute(x, [1, 0, 2]), reordered([1, 0, 2])), sample([0, 2], (x) => permute(x, [1, 0]), reordered([1, 0])),
      sample([37, 41], (x) => permute(x, [1, 0]), reordered([1, 0]), undefined, true), sample([3, 17, 2, 5], (x) => permute(x, [3, 1, 0, 2]), reordered([3, 1, 0, 2]), undefined, true),
    ],
    exact: [exact('int32', () => permute(ints([2, 2]), [1, 0]), 'int32', [2, 2], [0, 2, 1, 3]), exact('bool', () => permute(tensor([[true, false], [true, true]]), [1, 0]), 'bool', [2, 2], [1, 1, 0, 1])],
    errors: [
      { run: () => permute(zeros([2, 3]), [0]), error: ShapeError, message: '[permute] order [0] does not name each of the 2 axes once' },
      { run: () => permute(zeros([2, 3]), [0, 0]), error: ShapeError, message: '[permute] order [0, 0] does not name each of the 2 axes once' },
      { run: () => permute(zeros([2, 3]), [0, 2]), error: ShapeError, message: '[permute] axis 2 is outside [-2, 2)' },
    ],
  },
  transpose: {
    samples: [sample([2, 3, 4], (x) => transpose(x), reordered([2, 1, 0])), sample([2, 3, 4], (x) => transpose(x, 0, 2), reordered([2, 1, 0])), sample([2, 3, 4], (x) => transpose(x, -1, -2), reordered([0, 2, 1])), sample([3], (x) => transpose(x), (x) => x), sample([2, 3, 4], (x) => transpose(x, 1), reordered([0, 2, 1]))],
    errors: [{ run: () => transpose(zeros([2, 3]), 0, 2), error: ShapeError, message: '[transpose] axis 2 is outside [-2, 2)' }],
  },
  broadcastTo: {
    samples: [
      sample([3], (x) => broadcastTo(x, [2, 3]), (x) => build([2, 3], (p) => at(x, p))), sample([2, 1], (x) => broadcastTo(x, [4, 2, 3]), (x) => build([4, 2, 3], (p) => at(x, p))), sample([], (x) => broadcastTo(x, [2, 2]), (x) => build([2, 2], () => x.data[0]!)),
      sample([1], (x) => broadcastTo(x, [0]), () => values([0], [])), sample([1, 3, 1, 2], (x) => broadcastTo(x, [5, 3, 7, 2]), (x) => build([5, 3, 7, 2], (p) => at(x, p)), undefined, true),
    ],
    exact: [exact('bool', () => broadcastTo(tensor([true]), [3]), 'bool', [3], [1, 1, 1])],
    errors: [
      { run: () => broadcastTo(zeros([2]), [3]), error: ShapeError, message: '[broadcastTo] shapes [2] and [3] do not broadcast' },
      { run: () => broadcastTo(zeros([2, 3]), [3]), error: ShapeError, message: '[broadcastTo] [2, 3] does not stretch to [3]' },
      { run: () => broadcastTo(zeros([3]), [1]), error: ShapeError, message: '[broadcastTo] [3] does not stretch to [1]' },
      { run: () => broadcastTo(ones([1]), [-3]), error: ShapeError, message: '[broadcastTo] shape [-3] has a dimension that is not a non-negative integer' },
    ],
  },
  slice: {
    samples: [
      sample([5], (x) => slice(x, [1, 4]), (x) => build([3], ([i]) => x.data[i! + 1]!)), sample([5], (x) => slice(x, [null, null, -2]), (x) => build([3], ([i]) => x.data[4 - 2 * i!]!)), sample([3, 4], (x) => slice(x, -1), (x) => build([4], ([j]) => at(x, [2, j!]))),
      sample([3, 4], (x) => slice(x, [], [1, -1]), (x) => build([3, 2], ([i, j]) => at(x, [i!, j! + 1]))), sample([3, 4], (x) => slice(x, null, 2), (x) => build([3], ([i]) => at(x, [i!, 2]))), sample([3, 4, 2], (x) => slice(x, [0, 3, 2], 1, [-1, null]), (x) => build([2, 1], ([i]) => at(x, [2 * i!, 1, 1]))),
      sample([4], (x) => slice(x, [3, 1]), () => values([0], [])), sample([2, 2], (x) => slice(x), (x) => x), sample([67, 9], (x) => slice(x, [60, 2, -7], [1, 8, 3]), (x) => build([9, 3], ([i, j]) => at(x, [60 - 7 * i!, 1 + 3 * j!])), undefined, true),
    ],
    exact: [exact('int32', () => slice(ints([6]), [4, 0, -2]), 'int32', [2], [4, 2]), exact('an empty axis backwards', () => slice(zeros([0]), [null, null, -1]), 'float32', [0], [])],
    errors: [
      { run: () => slice(zeros([3]), 3), error: ValueError, message: '[slice] index 3 of axis 0 is outside [-3, 3)' }, { run: () => slice(zeros([3]), -4), error: ValueError, message: '[slice] index -4 of axis 0 is outside [-3, 3)' },
      { run: () => slice(zeros([3]), [0, 3, 0]), error: ValueError, message: '[slice] range [0, 3, 0] of axis 0: positions are whole numbers and the step is not 0' }, { run: () => slice(zeros([3]), [0.5]), error: ValueError, message: 'positions are whole numbers' },
      { run: () => slice(zeros([3]), [], []), error: ShapeError, message: '[slice] 2 ranges for 1 axes' },
    ],
  },
  flip: {
    samples: [sample([5], (x) => flip(x), (x) => build([5], ([i]) => x.data[4 - i!]!)), sample([2, 3], (x) => flip(x, -1), (x) => build([2, 3], ([i, j]) => at(x, [i!, 2 - j!]))), sample([2, 3], (x) => flip(x, [0, 1]), (x) => values([2, 3], [...x.data].reverse())), sample([3, 1], (x) => flip(x, 1), (x) => x)],
    errors: [{ run: () => flip(zeros([2]), 1), error: ShapeError, message: '[flip] axis 1 is outside [-1, 1)' }],
  },
  pad: {
    samples: [
      sample([3], (x) => pad(x, [[1, 2]]), (x) => values([6], [0, ...x.data, 0, 0])), sample([2, 2], (x) => pad(x, [[0, 1], [1, 0]], 7), (x) => build([3, 3], ([i, j]) => (i! < 2 && j! > 0 ? at(x, [i!, j! - 1]) : 7))), sample([2], (x) => pad(x, [[0, 0]]), (x) => x),
      sample([0], (x) => pad(x, [[1, 1]], -1), () => values([2], [-1, -1])), sample([], (x) => pad(x, []), (x) => x), sample([9, 13], (x) => pad(x, [[3, 4], [5, 6]]), (x) => build([16, 24], ([i, j]) => (i! >= 3 && i! < 12 && j! >= 5 && j! < 18 ? at(x, [i! - 3, j! - 5]) : 0)), undefined, true),
    ],
    exact: [exact('int32', () => pad(ints([2]), [[1, 0]], 9), 'int32', [3], [9, 0, 1]), exact('bool', () => pad(tensor([true]), [[1, 1]]), 'bool', [3], [0, 1, 0]), exact('float16', () => pad(tensor([1.5], { dtype: 'float16' }), [[0, 1]], 0.5), 'float16', [2], [1.5, 0.5])],
    errors: [
      { run: () => pad(zeros([2, 2]), [[1, 1]]), error: ShapeError, message: '[pad] widths [[1,1]] for 2 axes: one pair of non-negative integers for each axis' }, { run: () => pad(zeros([2]), [[-1, 1]]), error: ShapeError, message: '[pad] widths [[-1,1]] for 1 axes' },
      { run: () => pad(ints([2]), [[1, 1]], 0.5), error: DTypeError, message: '[pad] value 0.5 in a tensor of int32' }, { run: () => pad(ints([2]), [[1, 1]], NaN), error: DTypeError, message: '[pad] value NaN in a tensor of int32' },
    ],
  },
  concat: {
    samples: [
      { name: '[2] and [3]', inputs: [spread([2], -3, 3), spread([3], -3, 3, 1)], run: (a, b) => concat([a, b]), want: (a, b) => values([5], [...a.data, ...b.data]) },
      { name: '[2,1], [2,0] and [2,2] along -1', inputs: [spread([2, 1], -3, 3), spread([2, 0], 0, 1), spread([2, 2], -3, 3, 1)], run: (a, b, c) => concat([a, b, c], -1), want: (a, _, c) => build([2, 3], ([i, j]) => (j! < 1 ? at(a, [i!, 0]) : at(c, [i!, j! - 1]))) },
      { name: 'the same twice', inputs: [spread([2, 2], -3, 3)], run: (x) => concat([x, x]), want: (x) => values([4, 2], [...x.data, ...x.data]) },
      { name: 'one', inputs: [spread([2], -3, 3)], run: (x) => concat([x]), want: (x) => x },
      { name: '[5,33] and [5,19] along 1', inputs: [spread([5, 33], -3, 3), spread([5, 19], -3, 3, 1)], run: (a, b) => concat([a, b], 1), want: (a, b) => build([5, 52], ([i, j]) => (j! < 33 ? at(a, [i!, j!]) : at(b, [i!, j! - 33]))), forwardOnly: true },
    ],
    exact: [exact('int32', () => concat([ints([2]), ints([1])]), 'int32', [3], [0, 1, 0])],
    errors: [
      { run: () => concat([]), error: ShapeError, message: '[concat] no tensors to join' }, { run: () => concat([zeros([2]), zeros([2, 1])]), error: ShapeError, message: '[concat] part 1 is [2, 1] beside [2]; all axes but axis 0 must agree' },
      { run: () => concat([zeros([2, 3]), zeros([2, 4])]), error: ShapeError, message: '[concat] part 1 is [2, 4] beside [2, 3]; all axes but axis 0 must agree' }, { run: () => concat([zeros([2]), ints([2])]), error: DTypeError, message: '[concat] part 1 is int32 beside float32; cast one' },
    ],
  },
  stack: {
    samples: [{ name: '[3] twice along 1', inputs: [spread([3], -3, 3), spread([3], -3, 3, 1)], run: (a, b) => stack([a, b], 1), want: (a, b) => build([3, 2], ([i, j]) => (j === 0 ? a.data[i!]! : b.data[i!]!)) }, { name: 'scalars', inputs: [spread([], -3, 3), spread([], -3, 3, 1)], run: (a, b) => stack([a, b]), want: (a, b) => values([2], [...a.data, ...b.data]) }],
    errors: [{ run: () => stack([zeros([2]), zeros([3])]), error: ShapeError, message: '[stack] part 1 is [3] beside [2]; all must have one shape' }, { run: () => stack([]), error: ShapeError, message: '[stack] no tensors to join' }],
  },
  split: {
    samples: [sample([6], (x) => split(x, 3)[1]!, (x) => build([2], ([i]) => x.data[2 + i!]!)), sample([2, 5], (x) => concat(split(x, [1, 0, 4], 1).reverse(), 1), (x) => build([2, 5], ([i, j]) => at(x, [i!, (j! + 1) % 5])))],
    errors: [{ run: () => split(zeros([5]), 2), error: ShapeError, message: '[split] cannot cut axis 0 of length 5 into 2 equal parts' }, { run: () => split(zeros([5]), [2, 2]), error: ShapeError, message: '[split] cannot cut axis 0 of length 5 into parts of [2, 2]' }, { run: () => split(zeros([5]), 0), error: ShapeError, message: '[split] cannot cut axis 0 of length 5 into 0 equal parts' }, { run: () => split(zeros([5]), -1), error: ShapeError, message: '[split] cannot cut axis 0 of length 5 into -1 equal parts' }],
  },
  clone: { samples: [sample([2, 3], (x) => clone(x), (x) => x), sample([], (x) => clone(x), (x) => x), sample([0], (x) => clone(x), (x) => x), sample([1027], (x) => clone(x), (x) => x, undefined, true)], exact: [exact('bool', () => clone(tensor([true, false])), 'bool', [2], [1, 0])] },
  cast: {
    samples: [sample([5], (x) => cast(x, 'float32').cast(x.dtype), (x) => values(x.shape, x.data.map(Math.fround)), undefined, true), sample([1027], (x) => cast(x, x.dtype), (x) => x, undefined, true)],
    exact: [
      exact('to int32 cuts off', () => cast(tensor([1.9, -1.9, 0.5, -0.5]), 'int32'), 'int32', [4], [1, -1, 0, 0]), exact('to int32 beyond its range', () => cast(tensor([3e9, -3e9, Infinity, -Infinity, NaN]), 'int32'), 'int32', [5], [2147483647, -2147483648, 2147483647, -2147483648, 0]),
      exact('to bool', () => cast(tensor([0, -0, 2, NaN]), 'bool'), 'bool', [4], [0, 0, 1, 1]), exact('bool to float32', () => cast(tensor([true, false]), 'float32'), 'float32', [2], [1, 0]), exact('int32 to float64', () => cast(tensor([2147483647], { dtype: 'int32' }), 'float64'), 'float64', [1], [2147483647]),
      exact('int32 to float32 rounds', () => cast(tensor([16777217], { dtype: 'int32' }), 'float32'), 'float32', [1], [16777216]), exact('to float16', () => cast(tensor([2049, 2051, 65519, 65520, -1e-8]), 'float16'), 'float16', [5], [2048, 2052, 65504, Infinity, -0]),
      exact('float64 to float16 rounds once', () => cast(tensor(new Float64Array([1 + 2 ** -11 + 2 ** -40])), 'float16'), 'float16', [1], [1 + 2 ** -10]), exact('to bfloat16', () => cast(tensor([257, 259, 3.4e38]), 'bfloat16'), 'bfloat16', [3], [256, 260, Infinity]),
      exact('float16 to bool', () => cast(tensor([0, -0, 6e-8], { dtype: 'float16' }), 'bool'), 'bool', [3], [0, 0, 1]),
    ],
  },
  dropout: {
    samples: [{ name: '[1027]', inputs: [spread([1027], 1, 3)], run: (x) => dropout(x, 0.3, random(7)), want: dropped, forwardOnly: true }, { name: '[4,5]', inputs: [spread([4, 5], 1, 3)], run: (x) => dropout(x, 0.3, random(7)), want: dropped }, { name: 'rate 0', inputs: [spread([3], 1, 3)], run: (x) => dropout(x, 0, random(7)), want: (x) => x }],
    ulps: 1.5, absolute: 1e-7,
    errors: [1, -0.1, NaN, 1.5].map((rate) => ({ run: () => dropout(zeros([2]), rate, random(0)), error: ValueError, message: `[dropout] rate ${rate}; it must be in [0, 1)` })),
  },
} satisfies Record<string, OpInfo>;

function dropped(x: Values): Values {
  const source = random(7);
  return values(x.shape, x.data.map((value) => (source.next() < 0.3 ? 0 : value / 0.7)));
}
