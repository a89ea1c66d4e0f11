import { add, grad, hvp, layerNorm, mul, random, scope, tensor, type Tensor, valueAndGrad, zeros } from 'tapegrad';
import { mulNoNaN } from '../../src/ops/elementwise.js';

/* A layer norm with weight and bias, and its derivative, kernels of their own for float32, against the ops that they stand for and against float64. */

const rng = random(3);
const inOps = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => add(mul(layerNorm(x), weight), bias);
const inOne = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => layerNorm(x, { weight, bias });
type Norm = typeof inOne;

/** The numbers to the last bit; one NaN is as good as another. */
const bitsOf = (t: Tensor): string =>
  Array.from(t.dataSync(), (value) => (Object.is(value, -0) ? '-0' : value)).join(' ');

/** A result and the cotangents of all three operands, for cotangents of the result of both signs. */
function passes(norm: Norm, operands: readonly Tensor[], g: Tensor): Tensor[] {
  const weighed = (x: Tensor, weight: Tensor, bias: Tensor): Tensor => mulNoNaN(norm(x, weight, bias), g).sum();
  const [x, weight, bias] = operands as [Tensor, Tensor, Tensor];
  return [norm(x, weight, bias), ...valueAndGrad(weighed, { argnums: [0, 1, 2] })(x, weight, bias)[1]];
}

/** The same numbers, some of them replaced. */
function broken(t: Tensor, values: readonly number[]): Tensor {
  const data = t.dataSync().slice();
  for (const value of values) data[rng.integer(0, data.length)] = value;
  return tensor(data, { shape: t.shape });
}

// Up to 256 rows their sums are formed in the order in which `sum` forms them.
test.each([[[1, 1]], [[7]], [[3, 2]], [[8, 3]], [[9, 4]], [[2, 5, 7]], [[17, 61]], [[256, 12]], [[3, 1031]]])(
  'shape %j has the bits of the ops, whatever the rows hold',
  (shape) => {
    const width = shape.at(-1)!;
    for (const special of [[], [Infinity, NaN, 0, -Infinity]]) {
      const operands = [rng.normal(shape), rng.normal([width]), rng.normal([width])].map((t) => broken(t, special));
      const g = broken(rng.normal(shape), special);
      const expected = passes(inOps, operands, g).map(bitsOf);
      expect(passes(inOne, operands, g).map(bitsOf)).toEqual(expected);
      expect(scope(() => passes(inOne, operands, g).map((t) => t.add(0))).map(bitsOf)).toEqual(
        scope(() => passes(inOps, operands, g).map((t) => t.add(0))).map(bitsOf),
      );
    }
  },
);

test('many rows, far from 0, against float64', () => {
  const operands = [rng.normal([1500, 37]).add(1000), rng.normal([37]), rng.normal([37])];
  const g = rng.normal([1500, 37]);
  const exact = passes(
    inOps,
    operands.map((t) => t.cast('float64')),
    g.cast('float64'),
  );
  passes(inOne, operands, g).forEach((found, i) => {
    const wanted = exact[i]!;
    const error = found.cast('float64').sub(wanted).abs().max().itemSync();
    expect(error).toBeLessThan(2e-6 * wanted.abs().max().itemSync());
  });
});

test('a weight that a cotangent of 0 meets is not looked at', () => {
  const x = tensor([[1, 2, 4]]);
  const by = (weight: readonly number[]): string =>
    bitsOf(grad((t: Tensor) => mulNoNaN(inOne(t, tensor(weight), zeros([3])), tensor([[0, 1, -2]])).sum())(x));
  expect(by([Infinity, 2, 3])).toBe(by([1, 2, 3]));
});

test('only what is wanted gets a cotangent', () => {
  const [x, weight, bias] = [rng.normal([4, 5]), rng.normal([5]), rng.normal([5])];
  const g = rng.normal([4, 5]);
  const [, ...all] = passes(inOne, [x, weight, bias], g);
  const each = [
    grad((t: Tensor) => inOne(t, weight, bias).mul(g).sum())(x),
    grad((t: Tensor) => inOne(x, t, bias).mul(g).sum())(weight),
    grad((t: Tensor) => inOne(x, weight, t).mul(g).sum())(bias),
  ];
  expect(each.map(bitsOf)).toEqual(all.map(bitsOf));
});

test('no rows give weight and bias a cotangent of 0', () => {
  const [, , byWeight, byBias] = passes(inOne, [zeros([0, 4]), rng.normal([4]), rng.normal([4])], zeros([0, 4]));
  expect([byWeight, byBias].map((t) => t!.arraySync())).toEqual([
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
});

test('second derivatives are those of the ops', () => {
  const operands = [rng.normal([3, 5]), rng.normal([5]), rng.normal([5])];
  const along = [rng.normal([3, 5]), rng.normal([5]), rng.normal([5])];
  const curved =
    (norm: Norm) =>
    ([x, weight, bias]: Tensor[]): Tensor =>
      norm(x!, weight!, bias!).sin().sum();
  const found = hvp(curved(inOne), operands, along);
  const exact = hvp(
    curved(inOps),
    operands.map((t) => t.cast('float64')),
    along.map((t) => t.cast('float64')),
  );
  found.forEach((t, i) => {
    expect(t.cast('float64').sub(exact[i]!).abs().max().itemSync()).toBeLessThan(
      1e-5 * exact[i]!.abs().max().itemSync(),
    );
  });
});
