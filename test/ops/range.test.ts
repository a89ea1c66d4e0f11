import { grad, gradCheck, hessian, hvp, layerNorm, prod, random, tensor, type Tensor } from 'tapegrad';

/** Results that a dtype holds, although a step on the way to them would leave its range. */

const close = (found: Tensor, wanted: readonly number[], relative = 1e-5): void => {
  const data = [...found.dataSync()];
  expect(data).toHaveLength(wanted.length);
  data.forEach((value, i) => {
    expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(relative * Math.abs(wanted[i]!));
  });
};

describe('prod', () => {
  test.each([
    [[1e30, 1e-30, 1e30, 1e-30, 2]],
    [[1e30, 1e30, 1e-30, 1e-30, 2]],
    [[1e-30, 1e-30, 1e30, 1e30, 2]],
    [[-1e-20, 1e38, 1e-20, 2e-18, 1e30, 1e-10]],
  ])('of %j and its derivatives', (values) => {
    const x = tensor(values);
    const others = (...left: number[]): number =>
      [...x.dataSync()].reduce((product, value, i) => (left.includes(i) ? product : product * value), 1);
    close(prod(x), [others()]);
    close(
      grad((t) => t.prod())(x),
      values.map((_, i) => others(i)),
    );
    const second = hessian((t) => t.prod())(x);
    values.forEach((_, i) => {
      values.forEach((__, j) => {
        const want = i === j ? 0 : others(i, j);
        if (want === 0 || (Math.abs(want) < 1e38 && Math.abs(want) > 1e-37)) close(second.slice(i, j), [want]);
      });
    });
  });

  test('zeros among them: the derivatives are products of the others', () => {
    const one = tensor([1e30, 0, 1e30, 1e-30, 1e-30]);
    close(grad((t) => t.prod())(one), [0, 1, 0, 0, 0]);
    const two = tensor([1e30, 0, 0, 3e-30]);
    close(grad((t) => t.prod())(two), [0, 0, 0, 0]);
    expect(
      hessian((t) => t.prod())(two)
        .slice(1, 2)
        .itemSync(),
    ).toBeCloseTo(3, 5);
  });

  test('float16 and bfloat16 of values whose products leave their range', () => {
    close(prod(tensor([300, 300, 1 / 256, 1 / 256]).cast('float16')).cast('float32'), [(300 * 300) / 65536], 1e-3);
    close(prod(tensor([2 ** 100, 2 ** 100, 2 ** -100, 2 ** -100]).cast('bfloat16')).cast('float32'), [1]);
  });

  test('along axes, and exact where integers wrap', () => {
    close(
      tensor([
        [1e30, 1],
        [1e30, 2],
        [1e-30, 3],
        [1e-30, 4],
      ]).prod(0),
      [1, 24],
    );
    expect(
      tensor([2 ** 30, 6], { dtype: 'int32' })
        .prod()
        .itemSync(),
    ).toBe((2 ** 30 * 6) | 0);
  });
});

describe('layerNorm', () => {
  const x = random(1).normal([3, 8], { dtype: 'float64' });
  const v = random(2).normal([3, 8], { dtype: 'float64' });
  const weights = random(3).normal([3, 8], { dtype: 'float64' });
  const f =
    (eps: number) =>
    (t: Tensor): Tensor =>
      layerNorm(t, { eps }).mul(weights.cast(t.dtype)).sin().sum();

  test.each([1, 1e10, 1e19, 1e25, 1e37])('second derivatives at %d, whose squares leave float32', (scale) => {
    // The result does not change with the scale of x: second derivatives shrink with its square.
    const wanted = hvp(f(0), x, v);
    const found = hvp(f(0), x.mul(scale).cast('float32'), v.mul(scale).cast('float32'));
    expect(found.dtype).toBe('float32');
    const largest = wanted.abs().max().itemSync();
    const off = found.cast('float64').mul(scale).sub(wanted).abs().max().itemSync();
    expect(off).toBeLessThan(1e-5 * largest);
  });

  test('of the third order in float64', () => {
    gradCheck(f(0.1), [x], { order: 3, tolerance: 1e-5 });
  });
});
