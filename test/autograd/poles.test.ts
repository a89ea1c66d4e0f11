import {
  type DType,
  dropout,
  grad,
  hessian,
  logSumExp,
  maximum,
  minimum,
  norm,
  pow,
  random,
  tensor,
  type Tensor,
  vjp,
  where,
} from 'tapegrad';

const INF = Infinity;
type Op = (x: Tensor) => Tensor;

/** Ops with an infinite or missing derivative, and where. */
const POLES: Readonly<Record<string, readonly [f: Op, at: readonly number[]]>> = {
  sqrt: [(x) => x.sqrt(), [0, -0, -1, INF]],
  rsqrt: [(x) => x.rsqrt(), [0, -0, -1, INF]],
  log: [(x) => x.log(), [0, -0, -1, INF]],
  log1p: [(x) => x.log1p(), [-1, -2, INF]],
  reciprocal: [(x) => x.reciprocal(), [0, -0, INF]],
  'div by x': [(x) => tensor(1).cast(x.dtype).div(x), [0, INF]],
  'x / 0': [(x) => x.div(0), [0, 1]],
  'x * Infinity': [(x) => x.mul(INF), [0, 1]],
  'x^0.5': [(x) => pow(x, 0.5), [0, -1, INF]],
  'x^-1': [(x) => pow(x, -1), [0, INF]],
  '0^x': [(x) => pow(0, x), [-1, 0]],
  'Infinity^x': [(x) => pow(INF, x), [1, 0, -1]],
  exp: [(x) => x.exp(), [INF, 1000, -INF]],
  expm1: [(x) => x.expm1(), [INF, 1000, -INF]],
  square: [(x) => x.square(), [INF, -INF]],
  sin: [(x) => x.sin(), [INF]],
  cos: [(x) => x.cos(), [-INF]],
  tan: [(x) => x.tan(), [INF, -INF]],
  asin: [(x) => x.asin(), [1, -1, 2, INF]],
  acos: [(x) => x.acos(), [1, -1, -2, -INF]],
  atan: [(x) => x.atan(), [INF, -INF]],
  tanh: [(x) => x.tanh(), [INF, -INF]],
  erf: [(x) => x.erf(), [INF, -INF]],
  sigmoid: [(x) => x.sigmoid(), [INF, -INF]],
  silu: [(x) => x.silu(), [INF, -INF]],
  gelu: [(x) => x.gelu(), [INF, -INF]],
  softplus: [(x) => x.softplus(), [INF, -INF]],
  abs: [(x) => x.abs().log(), [0]],
  norm: [(x) => norm(x).log().broadcastTo(x.shape), [0, INF]],
  logSumExp: [(x) => logSumExp(x).broadcastTo(x.shape), [INF, -INF]],
  softmax: [(x) => x.softmax(), [INF, -INF]],
  logSoftmax: [(x) => x.logSoftmax(), [INF, -INF]],
  variance: [(x) => x.variance().sqrt().broadcastTo(x.shape), [1, INF]],
  mean: [(x) => x.mean().log().broadcastTo(x.shape), [0]],
  prod: [(x) => x.prod().log().broadcastTo(x.shape), [0]],
  cumsum: [(x) => x.cumsum().log(), [0]],
  NaN: [(x) => x.mul(NaN), [1]],
};
const OPS = Object.entries(POLES);
const DTYPES = ['float32', 'float64', 'float16', 'bfloat16'] as const;

const at = (data: readonly number[], dtype: DType): Tensor => tensor([...data], { dtype: 'float64' }).cast(dtype);
const zeros = (n: number): number[] => new Array<number>(n).fill(0);
const numbers = (t: Tensor): number[] => Array.from(t.dataSync(), (value) => value + 0);

describe.each(DTYPES)('what does not reach the result has derivative 0, %s', (dtype) => {
  test.each(OPS)('%s under a cotangent of 0', (_name, [f, points]) => {
    for (const point of points) {
      const x = at([point, point], dtype);
      expect([point, numbers(vjp(f, x, at([0, 0], dtype))[1])]).toEqual([point, [0, 0]]);
      const unused = grad((t: Tensor) => where(tensor([false, false]), f(t), 0).sum())(x);
      expect([point, numbers(unused)]).toEqual([point, [0, 0]]);
      // The same of a slice: the rest of the result is 0 to it.
      const sliced = grad((t: Tensor) => f(t).slice([0, 0]).sum())(x);
      expect([point, numbers(sliced)]).toEqual([point, [0, 0]]);
    }
  });

  test.each(OPS)('%s twice', (_name, [f, points]) => {
    for (const point of points) {
      const x = at([point, point], dtype);
      const unused = (t: Tensor): Tensor => where(tensor([false, false]), f(t), t.square()).sum();
      const second = grad((t: Tensor) => grad(unused)(t).sum())(x);
      expect([point, numbers(second)]).toEqual([point, [2, 2]]);
    }
  });
});

/** Functions that are 0 and constant at the point, where sqrt and log have infinite slopes. */
const CONSTANT: readonly (readonly [string, Op, number])[] = [
  ['relu', (x) => x.relu(), -1],
  ['maximum', (x) => x.maximum(0), -1],
  ['maximum, swapped', (x) => maximum(0, x), -1],
  ['minimum', (x) => minimum(x, 0), 1],
  ['clip', (x) => x.clip(0, 1), -1],
  ['clip above', (x) => x.clip(-1, 0), 3],
  ['floor', (x) => x.floor(), 0.5],
  ['sign', (x) => x.sign().sub(1), 2],
  ['abs at 0', (x) => x.abs(), 0],
  ['times 0', (x) => x.mul(0), 2],
  ['0 times', (x) => tensor(0).cast(x.dtype).mul(x), 2],
  ['a mask', (x) => x.mul(tensor([false]).cast(x.dtype)), -3],
  ['over Infinity', (x) => x.div(INF), 2],
  ['pow(x, 0)', (x) => pow(x, 0).sub(1), 3],
  ['where', (x) => where(x.less(0), 0, x), -1],
  ['max of others', (x) => x.stack([tensor([0]).cast(x.dtype)]).max(0), -1],
  ['min of others', (x) => x.stack([tensor([0]).cast(x.dtype)]).min(0), 1],
  [
    'softmax of -Infinity',
    (x) =>
      x
        .stack([tensor([0]).cast(x.dtype)])
        .softmax(0)
        .slice(0),
    -INF,
  ],
];

describe.each(DTYPES)('a constant has derivative 0 beside an infinite slope, %s', (dtype) => {
  test.each(CONSTANT)('%s', (_name, f, point) => {
    const x = at([point], dtype);
    expect(numbers(grad((t: Tensor) => f(t).sqrt().sum())(x))).toEqual([0]);
    expect(numbers(grad((t: Tensor) => f(t).log().sum())(x))).toEqual([0]);
    if (Number.isFinite(point))
      expect(numbers(grad((t: Tensor) => grad((u: Tensor) => f(u).sqrt().sum())(t).sum())(x))).toEqual([0]);
  });

  test('the norm of zeros', () => {
    const x = at([0, 0], dtype);
    expect(numbers(grad((t: Tensor) => norm(t))(x))).toEqual([0, 0]);
    expect(numbers(grad((t: Tensor) => norm(t).sqrt())(x))).toEqual([0, 0]);
  });

  test('dropout: what is dropped is 0, whatever it held', () => {
    const x = at([-INF, NaN, 1, 2, 3, 4, 5, 6], dtype);
    const dropped = dropout(x, 0.5, random(3));
    const gradient = numbers(grad((t: Tensor) => dropout(t, 0.5, random(3)).sqrt().sum())(x.abs()));
    const kept = numbers(dropout(at(zeros(8).fill(1), dtype), 0.5, random(3)));
    kept.forEach((scale, i) => {
      if (scale === 0) expect([i, numbers(dropped)[i], gradient[i]]).toEqual([i, 0, 0]);
      else expect(numbers(dropped)[i]).toEqual(numbers(x)[i]! * 2);
    });
    expect(kept.filter((scale) => scale === 0).length).toBeGreaterThan(1);
  });
});

describe.each(['float32', 'float64'] as const)('NaN that reaches the result stays, %s', (dtype) => {
  const SMOOTH: readonly (readonly [string, Op])[] = [
    ...OPS.filter(([name]) => !['x / 0', 'x * Infinity', 'mean', 'cumsum', 'prod'].includes(name)).map(
      ([name, [f]]) => [name, f] as const,
    ),
    ['relu', (x) => x.relu()],
    ['maximum', (x) => x.maximum(0)],
    ['minimum', (x) => minimum(1, x)],
    ['clip', (x) => x.clip(-1, 1)],
    ['max', (x) => x.max(0, { keepDims: true })],
    ['min', (x) => x.min(0, { keepDims: true })],
    ['norm 1', (x) => norm(x, 0, { ord: 1, keepDims: true })],
    ['norm Infinity', (x) => norm(x, 0, { ord: INF, keepDims: true })],
  ];
  test.each(SMOOTH)('%s', (_name, f) => {
    expect(numbers(grad((t: Tensor) => f(t).sum())(at([NaN], dtype)))).toEqual([NaN]);
  });

  test('the other side of a maximum', () => {
    const of = (f: (a: Tensor, b: Tensor) => Tensor, a: number, b: number): number[] =>
      grad((x: Tensor, y: Tensor) => f(x, y).sum(), { argnums: [0, 1] })(at([a], dtype), at([b], dtype)).map((t) =>
        t.itemSync(),
      );
    expect([of(maximum, NaN, 1), of(maximum, 1, NaN), of(minimum, NaN, 1)]).toEqual([
      [NaN, NaN],
      [NaN, NaN],
      [NaN, NaN],
    ]);
  });
});

const DERIVATIVES: readonly (readonly [string, Op, readonly number[], readonly number[]])[] = [
  ['x^0', (x) => pow(x, 0), [0, -0, 1, -1, 2, -2, INF, -INF], zeros(8)],
  ['x^1', (x) => pow(x, 1), [0, -0, 1, -1, INF, -INF], [1, 1, 1, 1, 1, 1]],
  ['x^2', (x) => pow(x, 2), [0, 1, -1, INF, -INF], [0, 2, -2, INF, -INF]],
  ['x^3', (x) => pow(x, 3), [0, -2, INF, -INF], [0, 12, INF, INF]],
  ['x^0.5', (x) => pow(x, 0.5), [0, 1, 4, INF], [INF, 0.5, 0.25, 0]],
  ['x^-1', (x) => pow(x, -1), [0, 1, -1, 2, INF, -INF], [-INF, -1, -1, -0.25, 0, 0]],
  ['x^-2', (x) => pow(x, -2), [1, -1, 2, INF, -INF], [-2, 2, -0.25, 0, 0]],
  ['x^Infinity', (x) => pow(x, INF), [0, 0.5, 2, INF], [0, 0, INF, INF]],
  ['x^-Infinity', (x) => pow(x, -INF), [0.5, 2, INF], [-INF, 0, 0]],
  ['0^x', (x) => pow(0, x), [0, 0.5, 1, 2, INF, -1], [0, 0, 0, 0, 0, -INF]],
  ['1^x', (x) => pow(1, x), [0, 1, -1, INF, -INF], zeros(5)],
  ['2^x', (x) => pow(2, x), [0, 1, INF, -INF], [Math.LN2, 2 * Math.LN2, INF, 0]],
  ['0.5^x', (x) => pow(0.5, x), [0, INF, -INF], [-Math.LN2, 0, -INF]],
  ['Infinity^x', (x) => pow(INF, x), [1, -1], [INF, 0]],
  ['silu', (x) => x.silu(), [INF, -INF, 1e30, -1e30], [1, 0, 1, 0]],
  ['gelu', (x) => x.gelu(), [INF, -INF, 1e30, -1e30], [1, 0, 1, 0]],
  ['sigmoid', (x) => x.sigmoid(), [INF, -INF], [0, 0]],
  ['tanh', (x) => x.tanh(), [INF, -INF], [0, 0]],
  ['erf', (x) => x.erf(), [INF, -INF, 1e30], [0, 0, 0]],
  ['softplus', (x) => x.softplus(), [INF, -INF], [1, 0]],
  ['exp', (x) => x.exp(), [INF, -INF], [INF, 0]],
  ['expm1', (x) => x.expm1(), [INF, -INF, -20], [INF, 0, Math.exp(-20)]],
  ['asin', (x) => x.asin(), [1, -1, 0], [INF, INF, 1]],
  ['acos', (x) => x.acos(), [1, -1, 0], [-INF, -INF, -1]],
  ['atan', (x) => x.atan(), [INF, -INF, 0, 1e30], [0, 0, 1, 0]],
  ['tan', (x) => x.tan(), [0, 0.5], [1, 1 / Math.cos(0.5) ** 2]],
  ['sqrt', (x) => x.sqrt(), [INF, 0], [0, INF]],
  ['rsqrt', (x) => x.rsqrt(), [INF, 0], [0, -INF]],
  ['log', (x) => x.log(), [INF, 0], [0, INF]],
  ['log1p', (x) => x.log1p(), [INF, -1], [0, INF]],
  ['reciprocal', (x) => x.reciprocal(), [INF, -INF, 0], [0, 0, -INF]],
  ['1 / x', (x) => tensor(1).cast(x.dtype).div(x), [INF, -INF, 0], [0, 0, -INF]],
  [
    'logSumExp beside 1000',
    (x) => logSumExp(x.expandDims(1).concat([x.mul(0).expandDims(1)], 1), 1),
    [1000, -1000],
    [1, 0],
  ],
  ['norm of each', (x) => norm(x.expandDims(1), 1), [0, 3, -3, 1e-30, INF, -INF], [0, 1, -1, 1, 1, -1]],
  ['norm, ord 1', (x) => norm(x, 0, { ord: 1 }), [0, 3, -3], [0, 1, -1]],
  ['norm, ord Infinity', (x) => norm(x, 0, { ord: INF }), [0, 3, -3, 1], [0, 0.5, -0.5, 0]],
  ['norm of large numbers', (x) => norm(x), [3e30, -4e30], [0.6, -0.8]],
];

describe.each(['float32', 'float64'] as const)('derivatives at zeros and infinities, %s', (dtype) => {
  test.each(DERIVATIVES)('%s', (_name, f, points, want) => {
    const got = numbers(grad((x: Tensor) => f(x).sum())(at(points, dtype)));
    expect(got).toEqual(want.map((value) => (Number.isFinite(value) ? (expect.closeTo(value, 6) as number) : value)));
    const small = want.findIndex((value) => value !== 0 && Math.abs(value) < 1e-6);
    if (small >= 0) expect(got[small]! / want[small]!).toBeCloseTo(1, 5);
  });

  test.each(['silu', 'gelu', 'sigmoid', 'tanh', 'erf', 'softplus'])('the second derivative of %s is 0', (name) => {
    const [, f] = DERIVATIVES.find(([known]) => known === name)!;
    const second = grad((x: Tensor) => grad((y: Tensor) => f(y).sum())(x).sum());
    expect(numbers(second(at([INF, -INF, 1e30, -1e30], dtype)))).toEqual([0, 0, 0, 0]);
  });

  test('pow, mixed and second', () => {
    const second = hessian((t: Tensor) => pow(t.slice(0), t.slice(1)))(at([2, 0], dtype));
    // a^b at (2, 0): b (b - 1) a^(b - 2) = 0; a^(b - 1) (1 + b log a) = 1/2; a^b log(a)^2
    expect(second.flatten().arraySync()).toEqual(
      [0, 0.5, 0.5, Math.LN2 ** 2].map((v) => expect.closeTo(v, 6) as number),
    );
    for (const [power, want] of [
      [0, 0],
      [1, 0],
      [2, 2],
      [3, 0],
    ] as const)
      expect(hessian((t: Tensor) => pow(t, power).sum())(at([0], dtype)).itemSync()).toBe(want);
  });
});
