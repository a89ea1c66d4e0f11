import ndarray from 'ndarray';
import {
  arange,
  DTypeError,
  eye,
  full,
  linspace,
  ones,
  onesLike,
  ShapeError,
  tensor,
  type Tensor,
  type TensorData,
  ValueError,
  zeros,
  zerosLike,
} from 'tapegrad';
import { integersOf } from '../../src/tensor/integers.js';

const facts = (t: Tensor): unknown => ({ dtype: t.dtype, shape: t.shape, values: Array.from(t.dataSync()) });
const refused =
  (data: unknown, options?: Parameters<typeof tensor>[1]): (() => unknown) =>
  () =>
    tensor(data as TensorData, options);

describe('tensor() of plain data', () => {
  test.each([
    [3, 'float32', [], [3]],
    [true, 'bool', [], [1]],
    [[], 'float32', [0], []],
    [[[], []], 'float32', [2, 0], []],
    [[[[]]], 'float32', [1, 1, 0], []],
    [
      [
        [1, 2],
        [3, 4],
      ],
      'float32',
      [2, 2],
      [1, 2, 3, 4],
    ],
    [[true, false], 'bool', [2], [1, 0]],
    [[true, 2], 'float32', [2], [1, 2]],
    [[[[5]]], 'float32', [1, 1, 1], [5]],
    [[0.1], 'float32', [1], [Math.fround(0.1)]],
  ] as const)('%j', (data, dtype, shape, values) => {
    expect(facts(tensor(data))).toEqual({ dtype, shape, values });
  });

  test.each([
    [[[1, 2], [3]], 'ragged data: an array of length 1 at depth 1'],
    [[[1], 2], 'ragged data: a value at depth 1'],
    [[1, [2]], 'ragged data: an array'],
    [[[[1]], [2]], 'ragged data'],
    [[[], [1]], 'ragged data: an array of length 1 at depth 1'],
    [[[1], []], 'ragged data'],
  ])('%j is ragged', (data, message) => {
    expect(refused(data)).toThrow(ShapeError);
    expect(refused(data)).toThrow(message);
  });

  test('what is no number is refused', () => {
    for (const data of [null, undefined, 'text', {}, 5n, () => 1, new DataView(new ArrayBuffer(8)), new Map()])
      expect(refused(data)).toThrow(DTypeError);
    expect(refused(['1'])).toThrow('[tensor] the data holds a string; it takes numbers and booleans');
    expect(refused([1, null])).toThrow('the data holds null');
    expect(refused([1, undefined])).toThrow('the data holds undefined');
    expect(refused([1n])).toThrow('the data holds a bigint');
    expect(refused(new Array(2))).toThrow(DTypeError); // holes
    expect(refused(tensor([1]))).toThrow(DTypeError);
  });

  test('shape and dtype', () => {
    expect(facts(tensor([1, 2, 3, 4], { shape: [2, 2], dtype: 'int32' }))).toEqual({
      dtype: 'int32',
      shape: [2, 2],
      values: [1, 2, 3, 4],
    });
    expect(
      facts(
        tensor(
          [
            [1, 0],
            [NaN, -0],
          ],
          { dtype: 'bool' },
        ),
      ),
    ).toEqual({ dtype: 'bool', shape: [2, 2], values: [1, 0, 1, 0] });
    expect(refused([1, 2, 3], { shape: [2, 2] })).toThrow('[tensor] shape [2, 2] holds 4 elements, the data has 3');
    for (const shape of [[-1], [1.5], [NaN], [Infinity]]) expect(refused([1], { shape })).toThrow(ShapeError);
    for (const value of [0.5, NaN, Infinity, 2 ** 31, -(2 ** 31) - 1])
      expect(refused([1, value], { dtype: 'int32' })).toThrow(
        `[tensor] element 1 is ${value}; int32 holds whole numbers in [-2^31, 2^31)`,
      );
    expect(facts(tensor([-(2 ** 31), 2 ** 31 - 1, -0], { dtype: 'int32' }))).toMatchObject({
      values: [-(2 ** 31), 2 ** 31 - 1, 0],
    });
  });

  test('the shape given is copied', () => {
    const shape = [2];
    const t = tensor([1, 2], { shape });
    shape[0] = 5;
    expect(t.shape).toEqual([2]);
  });
});

describe('tensor() of typed arrays', () => {
  test.each([
    [Float32Array.of(0.5), 'float32'],
    [Float64Array.of(0.1), 'float64'],
    [Int8Array.of(-1, 127), 'int32'],
    [Uint8Array.of(255), 'int32'],
    [Uint8ClampedArray.of(255), 'int32'],
    [Int16Array.of(-32768), 'int32'],
    [Uint16Array.of(65535), 'int32'],
    [Int32Array.of(-(2 ** 31)), 'int32'],
    [Uint32Array.of(2 ** 31 - 1), 'int32'],
  ] as const)('%p', (data, dtype) => {
    expect(facts(tensor(data))).toEqual({ dtype, shape: [data.length], values: Array.from(data) });
  });

  test('big integers and Uint32 beyond int32 are errors, not wrapped', () => {
    expect(facts(tensor(BigInt64Array.of(5n, -7n)))).toEqual({ dtype: 'int32', shape: [2], values: [5, -7] });
    expect(facts(tensor(BigUint64Array.of(5n), { dtype: 'float64' }))).toEqual({
      dtype: 'float64',
      shape: [1],
      values: [5],
    });
    expect(refused(BigInt64Array.of(1n, 2n ** 40n))).toThrow('element 1 is 1099511627776; int32 holds');
    expect(refused(BigUint64Array.of(2n ** 63n))).toThrow(ValueError);
    expect(refused(Uint32Array.of(2 ** 31))).toThrow('element 0 is 2147483648; int32 holds');
    expect(facts(tensor(Uint32Array.of(2 ** 32 - 1), { dtype: 'float64' }))).toMatchObject({ values: [2 ** 32 - 1] });
    for (const dtype of ['float32', 'float64', 'int32', 'bool', 'float16'] as const)
      expect(facts(tensor(new BigInt64Array(0), { dtype }))).toEqual({ dtype, shape: [0], values: [] });
  });

  test('the data is copied, from a part of a buffer as well', () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const t = tensor(data.subarray(1, 3));
    data.fill(9);
    expect(t.arraySync()).toEqual([2, 3]);
  });

  test('conversions between float types', () => {
    expect(facts(tensor(Float64Array.of(0.1, 1e300), { dtype: 'float32' }))).toMatchObject({
      values: [Math.fround(0.1), Infinity],
    });
    expect(facts(tensor(Float64Array.of(2, 3), { dtype: 'int32' }))).toMatchObject({ dtype: 'int32', values: [2, 3] });
    expect(facts(tensor(Float64Array.of(2049, 1e-8), { dtype: 'float16' }))).toMatchObject({ values: [2048, 0] });
  });
});

describe('tensor() of ndarrays', () => {
  const base = Float64Array.from({ length: 24 }, (_, i) => i);

  test.each([
    ['as it lies', ndarray(base, [2, 3, 4])],
    ['transposed', ndarray(base, [2, 3, 4]).transpose(2, 0, 1)],
    ['an offset', ndarray(base, [2, 3, 4]).lo(1, 1, 2)],
    ['steps', ndarray(base, [4, 6]).step(2, 3)],
    ['negative steps', ndarray(base, [4, 6]).step(-1, -2)],
    ['one picked', ndarray(base, [2, 3, 4]).pick(null, 1, null)],
    ['stretched by stride 0', ndarray(base, [3, 4], [0, 1], 5)],
    ['empty', ndarray(base, [0, 3])],
    ['a scalar', ndarray(base, [], [], 7)],
    ['many axes', ndarray(base, [2, 1, 3, 1, 2, 2])],
  ])('%s', (_name, source) => {
    const want: number[] = [];
    const visit = (position: number[]): void => {
      if (position.length === source.shape.length) want.push(source.get(...position));
      else for (let i = 0; i < source.shape[position.length]!; i++) visit([...position, i]);
    };
    visit([]);
    expect(facts(tensor(source))).toEqual({ dtype: 'float64', shape: source.shape, values: want });
  });

  test('every kind of data', () => {
    expect(facts(tensor(ndarray([1, 2.5], [2])))).toEqual({ dtype: 'float32', shape: [2], values: [1, 2.5] });
    expect(facts(tensor(ndarray(Uint8Array.of(1, 255, 3, 4), [2, 2]).transpose(1, 0)))).toEqual({
      dtype: 'int32',
      shape: [2, 2],
      values: [1, 3, 255, 4],
    });
    expect(facts(tensor(ndarray(Float32Array.of(1, 2), [2]).step(-1)))).toEqual({
      dtype: 'float32',
      shape: [2],
      values: [2, 1],
    });
    expect(refused(ndarray(Uint32Array.of(7, 2 ** 32 - 1), [2]))).toThrow('element 1 is 4294967295; int32 holds');
    expect(facts(tensor(ndarray(BigInt64Array.of(1n, -2n), [2]) as never))).toEqual({
      dtype: 'int32',
      shape: [2],
      values: [1, -2],
    });
    expect(facts(tensor(ndarray(Float64Array.of(1, 2), [2]), { dtype: 'int32', shape: [2, 1] }))).toEqual({
      dtype: 'int32',
      shape: [2, 1],
      values: [1, 2],
    });
  });
});

describe('others', () => {
  test('zeros, ones, full, eye and their likes', () => {
    expect(facts(zeros([2, 0]))).toEqual({ dtype: 'float32', shape: [2, 0], values: [] });
    expect(facts(ones([], { dtype: 'int32' }))).toEqual({ dtype: 'int32', shape: [], values: [1] });
    expect(facts(full([2], -0))).toEqual({ dtype: 'float32', shape: [2], values: [-0, -0] });
    expect(facts(full([1], NaN))).toEqual({ dtype: 'float32', shape: [1], values: [NaN] });
    expect(facts(full([1], 1.5, { dtype: 'float16' }))).toEqual({ dtype: 'float16', shape: [1], values: [1.5] });
    expect(facts(full([1], 2, { dtype: 'bool' }))).toMatchObject({ values: [1] });
    expect(facts(full([2], true))).toEqual({ dtype: 'bool', shape: [2], values: [1, 1] });
    expect(facts(full([1], false))).toEqual({ dtype: 'bool', shape: [1], values: [0] });
    expect(facts(full([1], true, { dtype: 'float32' }))).toEqual({ dtype: 'float32', shape: [1], values: [1] });
    expect(facts(eye(2, 3))).toEqual({ dtype: 'float32', shape: [2, 3], values: [1, 0, 0, 0, 1, 0] });
    expect(facts(eye(2, 1, { dtype: 'bfloat16' }))).toMatchObject({ shape: [2, 1], values: [1, 0] });
    expect(facts(zerosLike(ones([2], { dtype: 'int32' })))).toEqual({ dtype: 'int32', shape: [2], values: [0, 0] });
    expect(facts(onesLike(zeros([1], { dtype: 'float16' })))).toEqual({ dtype: 'float16', shape: [1], values: [1] });
    for (const make of [() => zeros([-1]), () => ones([0.5]), () => eye(-1), () => full([NaN], 1)])
      expect(make).toThrow(ShapeError);
    expect(() => full([1], 0.5, { dtype: 'int32' })).toThrow(ValueError);
  });

  test('linspace', () => {
    expect(facts(linspace(0, 1, 5))).toEqual({ dtype: 'float32', shape: [5], values: [0, 0.25, 0.5, 0.75, 1] });
    expect(facts(linspace(1, 10, 10, { dtype: 'int32' }))).toMatchObject({ values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] });
    expect(facts(linspace(3, -1, 3))).toMatchObject({ values: [3, 1, -1] });
    expect(facts(linspace(5, 7, 1))).toMatchObject({ values: [5] });
    expect(facts(linspace(5, 7, 0))).toMatchObject({ shape: [0], values: [] });
    expect(facts(linspace(0.1, 0.1, 7, { dtype: 'float64' }))).toMatchObject({ values: new Array(7).fill(0.1) });
    expect(facts(linspace(-1.5e308, 1.5e308, 3, { dtype: 'float64' }))).toMatchObject({
      values: [-1.5e308, 0, 1.5e308],
    });
    const many = linspace(0.1, 0.7, 1000, { dtype: 'float64' }).dataSync();
    expect([many[0], many[999]]).toEqual([0.1, 0.7]);
    many.forEach((value, i) => {
      expect(Math.abs(value - (0.1 + (0.6 * i) / 999))).toBeLessThan(3e-16);
    });
    expect(() => linspace(0, NaN, 2)).toThrow('[linspace] from 0 to NaN: both must be finite');
    expect(() => linspace(0, 1, 2.5)).toThrow('[linspace] the count is 2.5; it must be a whole number');
    expect(() => linspace(0, 1, 3, { dtype: 'int32' })).toThrow(
      '[linspace] element 1 is 0.5; int32 holds whole numbers',
    );
  });

  test('arange', () => {
    expect(facts(arange(3))).toEqual({ dtype: 'int32', shape: [3], values: [0, 1, 2] });
    expect(facts(arange(1, 2, 0.25))).toEqual({ dtype: 'float32', shape: [4], values: [1, 1.25, 1.5, 1.75] });
    expect(facts(arange(5, 0, -2))).toMatchObject({ values: [5, 3, 1] });
    expect(facts(arange(0))).toEqual({ dtype: 'int32', shape: [0], values: [] });
    expect(facts(arange(0, -5))).toMatchObject({ shape: [0] });
    expect(facts(arange(0, 1, 0.5, { dtype: 'float64' }))).toMatchObject({ dtype: 'float64' });
    for (const [start, stop, step] of [
      [0, 1, 0],
      [0, Infinity, 1],
      [NaN, 1, 1],
    ] as const)
      expect(() => arange(start, stop, step)).toThrow(ValueError);
  });

  test('integers for labels and lengths', () => {
    expect(integersOf('op', 'labels', [1, 2])).toEqual(Int32Array.of(1, 2));
    expect(integersOf('op', 'labels', Uint8Array.of(3))).toEqual(Int32Array.of(3));
    expect(integersOf('op', 'labels', tensor([4], { dtype: 'int32' }))).toEqual(Int32Array.of(4));
    for (const data of [[0.5], Float32Array.of(1), tensor([1]), tensor([true])])
      expect(() => integersOf('op', 'labels', data)).toThrow(/\[op\] labels is|int32 holds whole numbers/);
  });
});
