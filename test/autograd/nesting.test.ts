import {
  concat,
  customVjp,
  grad,
  gradCheck,
  GradientError,
  hessian,
  hvp,
  jacobian,
  layerNorm,
  logSumExp,
  memory,
  RecycledError,
  scope,
  stopGradient,
  tensor,
  type Tensor,
  valueAndGrad,
  vjp,
} from 'tapegrad';

const loose = <T>(value: unknown): T => value as T;

const f64 = (data: number | number[]): Tensor => tensor(data, { dtype: 'float64' });
const item = (t: Tensor): number => t.itemSync();

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

describe('higher orders', () => {
  test('derivatives of x^5, exp(2x) and sin to the fourth order', () => {
    const derivatives = (f: (x: Tensor) => Tensor, x: number): number[] => {
      const found: number[] = [];
      for (let order = 0, g = f; order <= 4; order++, g = grad(g)) found.push(item(g(f64(x))));
      return found;
    };
    derivatives((x) => x.pow(5), 1.5).forEach((value, n) => {
      expect(value).toBeCloseTo([7.59375, 25.3125, 67.5, 135, 180][n]!, 10);
    });
    derivatives((x) => x.mul(2).exp(), 0.3).forEach((value, n) => {
      expect(value).toBeCloseTo(2 ** n * Math.exp(0.6), 10);
    });
    derivatives((x) => x.sin(), 0.7).forEach((value, n) => {
      expect(value).toBeCloseTo(
        [Math.sin, Math.cos, (x: number) => -Math.sin(x), (x: number) => -Math.cos(x), Math.sin][n]!(0.7),
        12,
      );
    });
  });

  test('third and fourth order against differences, through layerNorm and logSumExp', () => {
    const x = tensor([0.3, -1.2, 0.8, 2.1], { dtype: 'float64', shape: [2, 2] });
    gradCheck((t) => logSumExp(t.mul(t), 1), [x], { order: 4, tolerance: 1e-5 });
    gradCheck((t) => layerNorm(t.pow(3), { eps: 0.5 }), [x.abs()], { order: 3, tolerance: 1e-5 });
  });

  test('the inner gradient as a part of the outer loss: a gradient penalty', () => {
    // d/dw |d/dx (w x^2)|^2 = d/dw (2 w x)^2 = 8 w x^2
    const penalty = (w: Tensor): Tensor =>
      grad((x: Tensor) => w.mul(x.square()).sum())(f64([1, 2, 3]))
        .square()
        .sum();
    expect(item(grad(penalty)(f64(0.5)))).toBeCloseTo(8 * 0.5 * 14, 12);
  });

  test('perturbation confusion: x * d/dy (x + y) differentiated by x is 1', () => {
    const f = (x: Tensor): Tensor => x.mul(grad((y: Tensor) => x.add(y))(x));
    expect(item(grad(f)(f64(3)))).toBe(1);
  });

  test('perturbation confusion, the product: d/dx (x * d/dy (x y)) = 2 x', () => {
    expect(item(grad((x: Tensor) => x.mul(grad((y: Tensor) => x.mul(y))(f64(7))))(f64(3)))).toBe(6);
  });

  test('three levels that close over each other', () => {
    // f(x) = d/dy [ y * d/dz (x y z^2) at z = x ] at y = x: the inner is 2 x y x, times y is 2 x^2 y^2, its derivative 4 x^2 y = 4 x^3, and f' = 12 x^2.
    const f = (x: Tensor): Tensor => grad((y: Tensor) => y.mul(grad((z: Tensor) => x.mul(y).mul(z.square()))(x)))(x);
    expect(item(f(f64(2)))).toBe(32);
    expect(item(grad(f)(f64(2)))).toBe(48);
    expect(item(grad(grad(f))(f64(2)))).toBe(48);
  });

  test('hessian, jacobian, hvp and vjp agree', () => {
    const f = (x: Tensor): Tensor => x.slice([0, 2]).prod().mul(x.slice(2).exp()).add(x.pow(3).sum());
    const x = f64([0.5, -1.5, 0.25]);
    const matrix = hessian(f)(x);
    const e = Math.exp(0.25);
    const want = [
      [3, e, -1.5 * e],
      [e, -9, 0.5 * e],
      [-1.5 * e, 0.5 * e, -0.75 * e + 1.5],
    ];
    matrix.arraySync<number[][]>().forEach((line, i) => {
      line.forEach((value, j) => {
        expect(value).toBeCloseTo(want[i]![j]!, 12);
      });
    });
    expect(jacobian((t) => grad(f)(t))(x).arraySync()).toEqual(matrix.arraySync());
    const v = f64([1, -2, 3]);
    const product = hvp(f, x, v).arraySync<number[]>();
    product.forEach((value, i) => {
      expect(value).toBeCloseTo(
        want[i]!.reduce((sum, entry, j) => sum + entry * [1, -2, 3][j]!, 0),
        12,
      );
    });
    expect(
      hessian((t) => t.square().sum())(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      ).shape,
    ).toEqual([2, 2, 2, 2]);
  });

  test('hvp of trees', () => {
    const f = (p: { a: Tensor; b: [Tensor] }): Tensor => p.a.square().mul(p.b[0]).sum();
    const found = hvp(f, { a: f64([1, 2]), b: [f64([3, 4])] as [Tensor] }, { a: f64([1, 0]), b: [f64([0, 1])] });
    // H = [[2 b, 2 a], [2 a, 0]] element by element
    expect([found.a.arraySync(), found.b[0].arraySync()]).toEqual([
      [6, 4],
      [2, 0],
    ]);
  });

  test('tens of thousands of steps, and thousands of inputs to one op', () => {
    const long = grad((x: Tensor) => {
      let y = x;
      for (let i = 0; i < 20_000; i++) y = y.add(x);
      return y.sum();
    })(tensor([1, 2]));
    expect(long.arraySync()).toEqual([20_001, 20_001]);
    const parts = Array.from({ length: 2000 }, (_, i) => tensor([i]));
    expect(grad((all: Tensor[]) => concat(all).square().sum())(parts).map((t) => t.itemSync())).toEqual(
      parts.map((_, i) => 2 * i),
    );
  });

  test('a jacobian inside a gradient', () => {
    // sum of the Jacobian of x^3 is 3 sum x^2, its gradient 6 x
    expect(grad((x: Tensor) => jacobian((t) => t.pow(3))(x).sum())(f64([1, 2])).arraySync()).toEqual([6, 12]);
  });

  test('jacobians of empty and scalar functions', () => {
    expect(jacobian((x) => x.slice([0, 0]))(f64([1, 2])).shape).toEqual([0, 2]);
    expect(jacobian((x) => x.sum())(f64([1, 2])).arraySync()).toEqual([1, 1]);
    expect(jacobian((x) => x.slice([0, 0]))(tensor(new Float64Array(0))).shape).toEqual([0, 0]);
    expect(() => jacobian((x) => x.argmax())(f64([1, 2]))).toThrow(
      '[jacobian] the function returned int32; it must return a float tensor',
    );
    expect(() => jacobian(loose<(x: Tensor) => Tensor>(() => 3))(f64([1]))).toThrow(
      '[jacobian] the function returned a number; it must return a float tensor',
    );
    expect(() => hessian((x) => x)(f64([1, 2]))).toThrow('a gradient needs a scalar');
  });
});

describe('what outer and inner transforms share', () => {
  test('a value made in the inner one lives on in the outer one', () => {
    const outer = grad((w: Tensor) => {
      const kept: Tensor[] = [];
      const inner = grad((x: Tensor) => {
        kept.push(w.mul(x).exp());
        return kept[0]!.sum();
      })(tensor([1, 2]));
      return inner.sum().add(kept[0]!.sum()); // kept[0] was made inside, but of w: it is the outer transform's
    });
    // d/dw sum(w e^(w x)) + sum(e^(w x)), at w = 0: sum(1) + sum(x) = 2 + 3
    expect(item(outer(tensor(0)))).toBeCloseTo(5, 5);
  });

  test('a constant of the inner backward pass that meets an outer tensor is kept for the outer backward pass', () => {
    const scaled = (w: Tensor): ((x: Tensor) => Tensor) =>
      customVjp(
        (x) => x.exp(),
        (g) => [g.mul(2).mul(w)],
      );
    const f = (w: Tensor): Tensor =>
      grad((x: Tensor) => scaled(w)(x.mul(3)).sum())(tensor([1, 2]))
        .square()
        .sum();
    // the inner gradient is 6 w for both elements; the sum of squares is 72 w^2
    expect(item(grad(f)(tensor(0.5)))).toBeCloseTo(72, 4);
  });

  test('a constant computed in scope(fn) and used by a traced tensor is kept for the backward pass', () => {
    const w = tensor([0.5, 1.5]);
    const gradient = grad((x: Tensor) => scope(() => x.mul(w.exp())).sum())(tensor([1, 2]));
    expect(gradient.arraySync()).toEqual(w.exp().arraySync());
  });

  test.each([100, 10_000, 20_000])(
    'what transforms inside scope(fn) give (%d elements) lives in it and ends with it; the rest of them does not pile up',
    (size) => {
      const before = memory();
      const x = tensor(new Float32Array(size).fill(1));
      const step = (t: Tensor): Tensor => t.exp().sin().exp().sin().sum();
      let last!: Tensor;
      let used = 0;
      const kept = scope(() => {
        for (let i = 0; i < 50; i++) {
          last = grad(step)(x);
          used = Math.max(used, memory().usedBytes - before.usedBytes);
        }
        expect(last.add(0).arraySync()).toEqual(grad(step)(x).arraySync());
        return scope(() => grad(step)(x)).add(0);
      });
      expect(used).toBeLessThan(50 * size * 4 + 20 * size * 4 + 2 ** 20); // 50 gradients and one transform at work; in all it would be 500
      expect(() => last.add(1)).toThrow(RecycledError);
      expect(kept.arraySync()).toEqual(grad(step)(x).arraySync());
      expect(memory().usedBytes).toBe(before.usedBytes);
    },
  );

  const cube = (w: Tensor): Tensor => w.square().mul(w).sum();

  test('a gradient taken in scope(fn) inside a traced function is kept for the backward pass', () => {
    const outer = grad((x: Tensor) => x.mul(scope(() => grad(cube)(tensor([2, 3])))).sum());
    expect(outer(tensor([1, 1])).arraySync()).toEqual([12, 27]);
  });

  test.each<[string, (x: Tensor, inner: (f: (w: Tensor) => Tensor) => Tensor) => Tensor]>([
    [
      'a scope further in',
      (x, made) => {
        const g = made(cube);
        return scope(() => x.mul(g));
      },
    ],
    [
      'two scopes further in',
      (x, made) => {
        const g = made(cube);
        return scope(() => scope(() => x.mul(g)));
      },
    ],
    [
      'an inner backward pass',
      (x, made) => {
        const g = made(cube);
        return vjp((y: Tensor) => y.mul(g), tensor([1, 1]), x)[1];
      },
    ],
    [
      "a customVjp's backward pass",
      (x, made) => {
        const g = made(cube);
        const op = customVjp(
          (y: Tensor) => y.mul(1),
          (c) => [c.mul(g.mul(x))],
        );
        return grad((y: Tensor) => op(y).sum())(tensor([1, 1]));
      },
    ],
  ])('what a scope computed is kept for the outer backward pass when %s uses it', (_, use) => {
    const before = memory();
    for (const made of [(f: typeof cube): Tensor => grad(f)(tensor([2, 3])), (): Tensor => tensor([12, 27]).mul(1)]) {
      expect(grad((x: Tensor) => scope(() => use(x, made)).sum())(tensor([1, 1])).arraySync()).toEqual([12, 27]);
    }
    expect(memory()).toMatchObject({ usedBytes: before.usedBytes, scopes: 0 });
  });

  test('an independent inner gradient is a constant to the outer one', () => {
    const f = (x: Tensor): Tensor => x.mul(grad((y: Tensor) => y.square().sum())(tensor(3)));
    expect(item(grad(f)(tensor(2)))).toBe(6);
  });

  test('stopGradient of the outer tensor inside the inner function', () => {
    expect(item(grad((x: Tensor) => grad((y: Tensor) => stopGradient(x).mul(y).mul(x))(x))(f64(3)))).toBe(3);
    expect(grad((x: Tensor) => x.mul(stopGradient({ x }).x).sum())(f64([1, 2])).arraySync()).toEqual([1, 2]);
  });

  test('an argument of the outer function used after the transform is an ordinary tensor, without a leak', () => {
    let leaked!: Tensor;
    let intermediate!: Tensor;
    grad((x: Tensor) => {
      leaked = x;
      intermediate = x.exp();
      return intermediate.sum();
    })(tensor([1, 2]));
    const before = memory();
    for (let i = 0; i < 20; i++) expect(leaked.mul(2).arraySync()).toEqual([2, 4]);
    expect(memory()).toEqual(before);
    expect(grad((x: Tensor) => x.mul(leaked).sum())(tensor([3, 4])).arraySync()).toEqual([1, 2]);
    expect(() => intermediate.add(1)).toThrow(RecycledError);
    expect(() => intermediate.add(1)).toThrow(
      "[add] the float32 tensor [2] that 'exp' made was recycled when its transform, vjp or scope returned; return it from the function (as aux: { hasAux: true }), or read it there (tensor(await t.data()))",
    );
    expect(() => intermediate.dataSync()).toThrow(RecycledError);
    expect(String(intermediate)).toContain('recycled');
    expect(() => grad((x: Tensor) => x.mul(intermediate).sum())(tensor([3, 4]))).toThrow(RecycledError);
    expect(() => valueAndGrad((x: Tensor) => x.sum())(intermediate)).toThrow(RecycledError);
  });

  test('a view of a recycled tensor is dead too; a returned one lives', () => {
    let view!: Tensor;
    const [[, flat]] = valueAndGrad(
      (x: Tensor) => {
        const y = x.exp();
        view = x.cos().reshape([2, 1]);
        return [y.sum(), y.reshape([2, 1])] as const;
      },
      { hasAux: true },
    )(tensor([0, 0]));
    expect(flat.arraySync()).toEqual([[1], [1]]);
    expect(() => view.add(1)).toThrow(RecycledError);
  });
});

describe('vjp', () => {
  test('trees in, trees out, with integers among the outputs', () => {
    const cotangents = { y: f64([1, 10]), at: tensor(0) };
    const [outputs, gradients] = vjp(
      ({ a, b }: { a: Tensor; b: [Tensor] }) => ({ y: a.mul(b[0]), at: a.argmax() }),
      { a: f64([2, 3]), b: [f64([5, 7])] as [Tensor] },
      cotangents,
    );
    expect(outputs.y.arraySync()).toEqual([10, 21]);
    expect(item(outputs.at)).toBe(1);
    expect(gradients.a.arraySync()).toEqual([5, 70]);
    expect(gradients.b[0].arraySync()).toEqual([2, 30]);
  });

  test("a cotangent of another float type is brought to the output's", () => {
    const [, gradient] = vjp((x: Tensor) => x.square(), tensor([3]), f64([1]));
    expect([gradient.dtype, gradient.arraySync()]).toEqual(['float32', [6]]);
    const [, wide] = vjp((x: Tensor) => x.square(), f64([3]), tensor([1], { dtype: 'int32' }));
    expect([wide.dtype, wide.arraySync()]).toEqual(['float64', [6]]);
  });

  test('the identity, the same output twice, and an output that does not depend on the input', () => {
    const [, gradient] = vjp((x: Tensor) => [x, x, tensor([5])], f64([3]), [f64([1]), f64([2]), tensor([9])]);
    expect(gradient.arraySync()).toEqual([3]);
    const [, zero] = vjp(() => tensor([5]), f64([3]), tensor([1]));
    expect([zero.dtype, zero.arraySync()]).toEqual(['float64', [0]]);
  });

  test('what is refused', () => {
    const run = (cotangent: unknown): unknown => vjp((x: Tensor) => x.mul(2), f64([1, 2]), cotangent as Tensor);
    expect(() => run(f64([1]))).toThrow('[vjp] the cotangent is [1]; its output is [2]');
    expect(() => run([])).toThrow('[vjp] the cotangent has an array, where the output has a tensor of shape [2]');
    expect(() => vjp((x: Tensor) => x.mul(2), tensor([1], { dtype: 'int32' }), f64([1]))).toThrow(
      '[vjp] the input is int32: only float tensors have gradients',
    );
    expect(() => vjp((x: object) => x, {}, {})).toThrow(GradientError);
  });
});
