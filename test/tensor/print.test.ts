import { inspect } from 'node:util';
import { arange, grad, ones, tensor, type Tensor, zeros } from 'tapegrad';

test('shape, dtype and values, as Node shows them in the console', () => {
  expect(String(tensor(3))).toBe('Tensor(float32[]) 3');
  expect(String(tensor([1, -0, 0.1, NaN, -Infinity]))).toBe('Tensor(float32[5]) [1, -0, 0.1, NaN, -Infinity]');
  expect(
    inspect(
      tensor([
        [1.23456789, 1e-7],
        [123456.789, 1e20],
      ]),
    ),
  ).toBe('Tensor(float32[2, 2]) \n[[1.2346, 1e-7],\n [123460, 100000002004087730000]]');
  expect(String(tensor([true, false]))).toBe('Tensor(bool[2]) [true, false]');
  expect(String(tensor([1.5], { dtype: 'float16' }))).toBe('Tensor(float16[1]) [1.5]');
  expect(String(zeros([0]))).toBe('Tensor(float32[0]) []');
  expect(String(zeros([2, 0]))).toBe('Tensor(float32[2, 0]) \n[[],\n []]');
  expect(String(ones([1, 1, 2], { dtype: 'int32' }))).toBe('Tensor(int32[1, 1, 2]) \n[[[1, 1]]]');
});

test('long axes are shortened to three at each end, short ones beside them are not', () => {
  expect(String(arange(1001))).toBe('Tensor(int32[1001]) [0, 1, 2, ..., 998, 999, 1000]');
  expect(String(arange(1000))).toContain('499, 500');
  const lines = String(arange(4000).reshape([1000, 4])).split('\n');
  expect(lines.slice(1)).toEqual([
    '[[0, 1, 2, 3],',
    ' [4, 5, 6, 7],',
    ' [8, 9, 10, 11],',
    ' ...,',
    ' [3988, 3989, 3990, 3991],',
    ' [3992, 3993, 3994, 3995],',
    ' [3996, 3997, 3998, 3999]]',
  ]);
});

test('inside a transform the values are shown, and that it is traced', () => {
  let text = '';
  grad((x: Tensor) => {
    text = String(x.mul(2));
    return x.sum();
  })(tensor([1, 2]));
  expect(text).toBe('Tensor(float32[2], traced) [2, 4]');
});
