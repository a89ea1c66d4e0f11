import { customVjp, gradCheck, GradientError, memory, random, tensor, type Tensor } from 'tapegrad';

const x = tensor([0.5, -1.5, 2.5, 0.25], { dtype: 'float64', shape: [2, 2] });

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

test('reports how close it was and where', () => {
  const report = gradCheck((t) => t.tanh().mul(t), [random(3).normal([3, 4])], { order: 2 });
  expect(report.error).toBeGreaterThan(0);
  expect(report.error).toBeLessThan(1e-9);
  expect([1, 2]).toContain(report.worst.order);
  expect(report.worst.position).toHaveLength(2);
});

test('finds one wrong element, and names it', () => {
  const off = customVjp(
    (t: Tensor) => t.square(),
    (g, [t]) => [
      g.mul(t).mul(
        tensor(
          [
            [2, 2],
            [2, 2.001],
          ],
          { dtype: 'float64' },
        ),
      ),
    ],
  );
  let found: unknown;
  try {
    gradCheck(off, [x]);
  } catch (error) {
    found = error;
  }
  expect(found).toBeInstanceOf(GradientError);
  expect(String(found)).toMatch(
    /^GradientError: \[gradCheck\] order 1, input 0, element \[1, 1\]: the derivative is -?0\.\d+, differences give -?0\.\d+ \(off by \d\.\d\de-\d, allowed 0\.000001\)$/,
  );
});

test.each([
  [
    'a forgotten factor',
    customVjp(
      (t: Tensor) => t.square(),
      (g, [t]) => [g.mul(t)],
    ),
  ],
  [
    'a sign',
    customVjp(
      (t: Tensor) => t.cos(),
      (g, [t]) => [g.mul(t.sin())],
    ),
  ],
  [
    'an ignored cotangent',
    customVjp(
      (t: Tensor) => t.square(),
      (_g, [t]) => [t.mul(2)],
    ),
  ],
  [
    'a transposed result',
    customVjp(
      (t: Tensor) => t.square(),
      (g, [t]) => [g.mul(t).mul(2).transpose()],
    ),
  ],
  [
    'no gradient at all',
    customVjp(
      (t: Tensor) => t.square(),
      () => [null],
    ),
  ],
  [
    'NaN',
    customVjp(
      (t: Tensor) => t.square(),
      (g) => [g.mul(NaN)],
    ),
  ],
  [
    'Infinity',
    customVjp(
      (t: Tensor) => t.square(),
      (g) => [g.mul(Infinity)],
    ),
  ],
])('catches %s', (_what, planted) => {
  expect(() => gradCheck(planted, [x])).toThrow(GradientError);
});

test('catches a right gradient with a wrong second derivative', () => {
  const planted = customVjp(
    (t: Tensor) => t.pow(3),
    (g, [t]) => [g.mul(tensor(t.square().mul(3).dataSync(), { shape: t.shape }))],
  ); // a constant to the outer transform
  gradCheck(planted, [x]);
  expect(() => gradCheck(planted, [x], { order: 2 })).toThrow('order 2, input 0');
});

test('errors that cancel in the sum of the results are caught: cotangents are random', () => {
  const planted = customVjp(
    (t: Tensor) => t.mul(1),
    (g) => [g.flip()],
  );
  expect(() => gradCheck(planted, [x])).toThrow(GradientError);
});

test('the wrong one of several inputs', () => {
  const planted = customVjp(
    (a: Tensor, b: Tensor) => a.mul(b),
    (g, [a, b]) => [g.mul(b), g.mul(a).mul(1.01)],
  );
  expect(() => gradCheck(planted, [x, x.add(1)])).toThrow('order 1, input 1');
});

test('a kink within reach of the differences is caught, not averaged', () => {
  expect(() => gradCheck((t) => t.abs(), [tensor([0.0005])])).toThrow(GradientError);
});

test('empty inputs are fine; integer ones are refused', () => {
  expect(gradCheck((t) => t.exp(), [tensor(new Float64Array(0))]).error).toBe(0);
  expect(() => gradCheck((t) => t, [tensor([1], { dtype: 'int32' })])).toThrow(
    '[gradCheck] input 0 is int32; close over it instead: only float tensors have gradients',
  );
});

test('step and tolerance can be chosen; the seed changes the cotangents', () => {
  expect(() => gradCheck((t) => t.exp(), [x], { tolerance: 0 })).toThrow('allowed 0)');
  expect(gradCheck((t) => t.exp(), [x], { seed: 1 }).error).not.toBe(gradCheck((t) => t.exp(), [x], { seed: 2 }).error);
  expect(gradCheck((t) => t.exp(), [x], { step: 1e-2, tolerance: 1e-5 }).error).toBeGreaterThan(
    gradCheck((t) => t.exp(), [x]).error,
  );
});
