import ndarray from 'ndarray';
import ops from 'ndarray-ops';
import { random } from 'tapegrad';
import { copyStrided } from '../src/backends/strided.js';
import { drawView } from './views.js';

const row = (shape: readonly number[]): number[] => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));

test('copies any strided view into any other as ndarray-ops does', () => {
  const rng = random(3);
  for (let round = 0; round < 600; round++) {
    const rank = round % 6;
    const shape = Array.from({ length: rank }, () => rng.integers([], round % 50 === 0 ? 0 : 1, 6).itemSync());
    const from = drawView(rng, shape, true);
    const to = drawView(rng, shape, false);
    const source = Float64Array.from({ length: from.length }, (_, i) => i + 1);
    const [got, want] = [new Float64Array(to.length), new Float64Array(to.length)];
    copyStrided(shape, source, from, got, to);
    ops.assign(ndarray(want, shape, to.strides, to.offset), ndarray(source, shape, from.strides, from.offset));
    expect({ shape, from, to, got }).toEqual({ shape, from, to, got: want });
  }
});

test.each([
  [[100, 70], [1, 100], 0],
  [[3, 65, 33], [1, 3, 195], 0],
  [[40, 40], [-1, -40], 1599],
] as const)('transpositions that are cut into tiles: %j with strides %j', (shape, strides, offset) => {
  const source = Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i * 7);
  const [got, want] = [new Int32Array(source.length), new Int32Array(source.length)];
  copyStrided(shape, source, { strides, offset }, got, { strides: row(shape), offset: 0 });
  ops.assign(ndarray(want, [...shape]), ndarray(source, [...shape], [...strides], offset));
  expect(got).toEqual(want);
});

test('reads plain arrays, big integers and what answers get(i)', () => {
  const flat = { strides: [1], offset: 0 };
  const target = new Float64Array(3);
  copyStrided([3], [1, 2, 3], { strides: [-1], offset: 2 }, target, flat);
  expect([...target]).toEqual([3, 2, 1]);
  copyStrided([3], { get: (i: number) => i * i }, { strides: [2], offset: 1 }, target, flat);
  expect([...target]).toEqual([1, 9, 25]);
  const big = new BigInt64Array(2);
  copyStrided([2], BigInt64Array.of(1n, -2n), flat, big, { strides: [-1], offset: 1 });
  expect([...big]).toEqual([-2n, 1n]);
});
