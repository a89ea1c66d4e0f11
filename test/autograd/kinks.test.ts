import {
  clip,
  type DType,
  elu,
  glu,
  grad,
  hardSwish,
  hessian,
  huber,
  leakyRelu,
  logSoftmax,
  logSumExp,
  maximum,
  maxPool2d,
  minimum,
  pow,
  relu,
  silu,
  softmax,
  softplus,
  tensor,
  type Tensor,
  where,
} from 'tapegrad';

const INF = Infinity;
const cases: readonly (readonly [
  what: string,
  f: (x: Tensor) => Tensor,
  at: readonly number[],
  want: readonly number[],
])[] = [
  ['relu at 0', relu, [0, -0, 1e-30, -1e-30], [0, 0, 1, 0]],
  ['leakyRelu at 0', (x) => leakyRelu(x, 0.25), [0, -0, 2, -2], [0.25, 0.25, 1, 0.25]],
  ['leakyRelu far out', (x) => leakyRelu(x, 0), [INF, -INF, 1e38], [1, 0, 1]],
  ['elu at 0 and far out', (x) => elu(x, 2), [0, -0, 1e8, -1e8, INF, -INF], [2, 2, 1, 0, 1, 0]],
  ['hardSwish at its ends', hardSwish, [-3, 3, 0, -INF, INF], [0, 1, 0.5, 0, 1]],
  ['glu far out', (x) => glu(x), [3, -INF], [0, 0]],
  ['huber at delta', (x) => huber(x, [0, 0, 0], { reduction: 'sum' }), [1, -1, 0], [1, -1, 0]],
  ['abs at 0', (x) => x.abs(), [0, -0, 2, -2], [0, 0, 1, -1]],
  ['maximum of equals', (x) => maximum(x, x.mul(1)), [3], [1]],
  ['maximum with a constant', (x) => maximum(x, 1), [1, 2, 0], [0.5, 1, 0]],
  ['minimum with a constant', (x) => minimum(1, x), [1, 2, 0], [0.5, 0, 1]],
  ['max: ties share', (x) => x.max(), [1, 3, 3, 3, 3], [0, 0.25, 0.25, 0.25, 0.25]],
  ['min: ties share', (x) => x.min(), [1, 1, 2], [0.5, 0.5, 0]],
  ['maxPool2d: the first of equals', (x) => maxPool2d(x.reshape([1, 2, 2, 1]), 2), [5, 5, 5, 1], [1, 0, 0, 0]],
  ['clip at its ends', (x) => clip(x, -1, 1), [-2, -1, 0, 1, 2], [0, 1, 1, 1, 0]],
  ['clip with the ends crossed', (x) => clip(x, 1, -1), [-2, 0, 2], [0, 0, 0]],
  ['floor and sign', (x) => x.floor().add(x.sign()), [0.5, 0, -1], [0, 0, 0]],
  ['sqrt at 0', (x) => x.sqrt(), [0, 4], [INF, 0.25]],
  ['log at 0', (x) => x.log(), [0, 2], [INF, 0.5]],
  ['pow(x, 2) at 0', (x) => pow(x, 2), [0, -3], [0, -6]],
  ['pow(x, 1) at 0', (x) => pow(x, 1), [0, -3], [1, 1]],
  ['pow(x, 0)', (x) => pow(x, 0), [0, 2, -3], [0, 0, 0]],
  ['pow(x, 0.5) at 0', (x) => pow(x, 0.5), [0], [INF]],
  ['pow(0, x)', (x) => pow(0, x), [2, 1], [0, 0]],
  ['where: nothing through the branch not taken', (x) => where(x.greater(0), x, INF), [1, -1], [1, 0]],
  ['logSumExp beside -Infinity', (x) => logSumExp(x), [-INF, 0, 0], [0, 0.5, 0.5]],
  ['logSumExp of nothing but -Infinity', (x) => logSumExp(x), [-INF, -INF], [0, 0]],
  ['logSumExp with Infinity', (x) => logSumExp(x), [INF, 0], [1, 0]],
  ['logSumExp with several', (x) => logSumExp(x), [INF, 0, INF, -INF], [0.5, 0, 0.5, 0]],
  ['logSumExp with NaN', (x) => logSumExp(x), [NaN, 0], [NaN, NaN]],
  ['logSoftmax beside -Infinity', (x) => logSoftmax(x).slice([1, 2]), [-INF, 0, 0], [0, 0.5, -0.5]],
  ['softmax far apart', (x) => softmax(x).slice(0), [1000, 0], [0, 0]],
  ['prod with one zero', (x) => x.prod(), [2, 0, 3], [0, 6, 0]],
  ['prod with two zeros', (x) => x.prod(), [0, 0, 3], [0, 0, 0]],
  ['silu far out', silu, [1e8, -1e8, 30, -INF], [1, 0, 1, 0]],
  ['gelu far out', (x) => x.gelu(), [100, -100], [1, 0]],
  ['softplus far out', softplus, [1e8, -1e8], [1, 0]],
  ['sigmoid and tanh far out', (x) => x.sigmoid().add(x.tanh()), [1000, -1000], [0, 0]],
  ['variance of equals', (x) => x.variance(), [2, 2], [0, 0]],
];

describe.each(['float32', 'float64'] as const)('derivatives at kinks and ends, %s', (dtype: DType) => {
  test.each(cases)('%s', (_what, f, at, want) => {
    const found = grad((x: Tensor) => f(x).sum())(tensor([...at], { dtype })).arraySync<number[]>();
    expect(found.map((value) => value + 0)).toEqual(
      want.map((value) => (Number.isFinite(value) ? (expect.closeTo(value, 6) as number) : value)),
    );
  });
});

test('second derivatives at 0', () => {
  const second = (f: (x: Tensor) => Tensor, at: number): number =>
    hessian((x) => f(x).sum())(tensor([at], { dtype: 'float64' })).itemSync();
  expect([
    second((x) => pow(x, 2), 0),
    second((x) => pow(x, 3), 0),
    second((x) => x.square(), 0),
    second(relu, 0),
    second((x) => x.abs(), 0),
    second((x) => pow(x, 1), 0),
  ]).toEqual([2, 0, 2, 0, 0, 0]);
  expect(hessian((x) => x.prod())(tensor([2, 0, 3], { dtype: 'float64' })).arraySync()).toEqual([
    [0, 3, 0],
    [3, 0, 2],
    [0, 2, 0],
  ]);
  expect(hessian((x) => x.max())(tensor([1, 1], { dtype: 'float64' })).arraySync()).toEqual([
    [0, 0],
    [0, 0],
  ]);
});
