import { grad, gradCheck, random, scope, softmax, tensor, type Tensor } from 'tapegrad';
import { sum } from '../../src/ops/broadcast.js';
import { mulNoNaN, sub } from '../../src/ops/elementwise.js';

/* The derivative of softmax, a kernel of its own, against the ops that it stands for: the same bits, whatever the rows hold. */

const VIEWS: readonly (readonly [shape: readonly number[], axis: number])[] = [
  [[1, 1], 1],
  [[3, 2], 1],
  [[5, 7], 1],
  [[2, 37], 1],
  [[1, 1031], 1],
  [[3, 4, 3], 1],
  [[2, 9, 17], 1],
  [[2, 5, 517], 1],
  [[1025, 3], 0],
  [[2, 0, 3], 1],
];
const rng = random(9);
const bitsOf = (t: Tensor): Buffer => {
  const { buffer, byteOffset, byteLength } = t.dataSync();
  return Buffer.from(buffer, byteOffset, byteLength);
};

/** The same numbers, some of them replaced. */
function broken(t: Tensor, values: readonly number[]): Tensor {
  const data = t.dataSync().slice();
  if (data.length > 1) for (const value of values) data[rng.integer(0, data.length)] = value;
  return tensor(data, { shape: t.shape });
}

describe.each(['float32', 'float64'] as const)('%s', (dtype) => {
  test.each(VIEWS)('shape %j along axis %d', (shape, axis) => {
    for (const special of [[], [Infinity, NaN, 0, -Infinity]]) {
      // -Infinity has no probability: there the cotangent may be anything.
      const x = broken(rng.normal(shape, { dtype }), special.length > 0 ? [-Infinity, -Infinity, -Infinity] : []);
      const g = broken(rng.normal(shape, { dtype }), special);
      const y = softmax(x, axis);
      const weighted = mulNoNaN(g, y);
      const expected = sub(weighted, mulNoNaN(y, sum(weighted, axis, { keepDims: true })));
      const gradientOf = grad((t: Tensor) => sum(mulNoNaN(softmax(t, axis), g)));
      expect(bitsOf(gradientOf(x)).equals(bitsOf(expected))).toBe(true);
      expect(bitsOf(scope(() => gradientOf(x.add(0)).add(0))).equals(bitsOf(expected.add(0)))).toBe(true);
    }
  });
});

test('a cotangent beside a probability of 0 reaches nothing, whatever it is', () => {
  const x = tensor([[-Infinity, 0, 1]]);
  const finite = grad((t: Tensor) =>
    softmax(t)
      .mul([[5, 2, 3]])
      .sum(),
  )(x);
  for (const value of [Infinity, NaN])
    expect(grad((t: Tensor) => mulNoNaN(softmax(t), tensor([[value, 2, 3]])).sum())(x).dataSync()).toEqual(
      finite.dataSync(),
    );
});

test('derivatives of second order by both operands, along any axis', () => {
  for (const axis of [0, 1, 2])
    gradCheck(
      (x: Tensor, g: Tensor) => grad((t: Tensor) => softmax(t, axis).mul(g).sum())(x).square(),
      [rng.normal([3, 4, 5], { dtype: 'float64' }), rng.normal([3, 4, 5], { dtype: 'float64' })],
      { order: 2 },
    );
});
