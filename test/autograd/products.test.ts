import {
  add,
  ctcLoss,
  grad,
  GradientError,
  hessian,
  hvp,
  jacobian,
  jvp,
  logSoftmax,
  memory,
  random,
  relu,
  sign,
  stopGradient,
  tensor,
  type Tensor,
  valueAndGrad,
  ValueError,
  vjp,
} from 'tapegrad';
import { remoteDevice } from '../devices.js';

const f64 = (values: number[]): Tensor => tensor(Float64Array.from(values));
const loose = <T>(value: unknown): T => value as T;

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

describe('jvp', () => {
  const functions: [string, (x: Tensor) => Tensor][] = [
    ['linear', (x) => x.mul(3).sub(1)],
    ['the argument itself', (x) => x],
    ['powers', (x) => x.pow(3).add(x.sqrt())],
    ['softmax', (x) => x.softmax()],
    ['a matrix product with itself', (x) => x.reshape([2, 3]).matmul(x.reshape([3, 2]))],
    ['reductions and slices', (x) => x.slice([1, 4]).mul(x.max()).cumsum()],
    ['a constant', () => f64([1, 2])],
    ['CTC', (x) => ctcLoss(logSoftmax(x.reshape([3, 1, 2])), [[1]], [3], [1])],
    ['zero beside an infinite slope', (x) => x.sub(x).mul(1).add(x)],
  ];
  const x = random(1).uniform([6], { low: 0.5, high: 2, dtype: 'float64' });
  const v = random(2).normal([6], { dtype: 'float64' });

  test.each(functions)('%s: the value, and the derivative along a direction', (_, f) => {
    const [y, dy] = jvp(f, x, v);
    expect([y.shape, y.dtype, y.arraySync()]).toEqual([f(x).shape, 'float64', f(x).arraySync()]);
    expect([dy.shape, dy.dtype]).toEqual([y.shape, y.dtype]);
    const at = (h: number): Float64Array => f(x.add(v.mul(h))).dataSync() as Float64Array;
    const h = 1e-3;
    const [a, b, c, d] = [at(h), at(-h), at(2 * h), at(-2 * h)];
    dy.dataSync().forEach((value, i) => {
      expect(value).toBeCloseTo((8 * (a[i]! - b[i]!) - (c[i]! - d[i]!)) / (12 * h), 8);
    });
  });

  test.each(functions)('%s: the transpose of vjp, to rounding', (_, f) => {
    const [y, dy] = jvp(f, x, v);
    const u = random(3).normal(y.shape, { dtype: 'float64' });
    const [, dx] = vjp(f, x, u);
    const [left, right] = [dy.mul(u).sum().itemSync(), dx.mul(v).sum().itemSync()];
    expect(Math.abs(left - right)).toBeLessThanOrEqual(1e-13 * Math.max(1, Math.abs(right)));
  });

  test('trees with constants, in and out; integers have the tangent 0', () => {
    const point = { a: f64([1, 2]), rate: 3, list: [f64([4]), null, 'text'] as const };
    const [out, tangent] = jvp(
      (p: typeof point) => ({
        y: p.a.mul(p.rate).mul(p.list[0]),
        kind: p.list[2],
        at: p.a.argmax(),
        both: [p.a, tensor([7])] as const,
      }),
      point,
      { a: f64([1, 0]), rate: 0, list: [f64([0.5]), null, 'text'] },
    );
    expect([out.y.arraySync(), out.kind, out.at.itemSync()]).toEqual([[12, 24], 'text', 1]);
    expect([tangent.y.arraySync(), tangent.kind, tangent.at.dtype, tangent.at.itemSync()]).toEqual([
      [13.5, 3],
      'text',
      'int32',
      0,
    ]);
    expect([tangent.both[0].arraySync(), tangent.both[1].arraySync()]).toEqual([[1, 0], [0]]);
  });

  test('inside a gradient, inside itself, and around one', () => {
    // d/dx of (3 x^2 v) summed is 6 x v
    const g = grad((t) => jvp((u: Tensor) => u.pow(3), t, f64([1, -2]))[1].sum())(f64([2, 3]));
    expect(g.arraySync()).toEqual([12, -36]);
    const [, second] = jvp((t: Tensor) => jvp((u: Tensor) => u.pow(3), t, f64([1]))[1], f64([2]), f64([1]));
    expect(second.arraySync()).toEqual([12]);
    const f = (t: Tensor): Tensor => t.pow(3).sum();
    const direct = jvp((t: Tensor) => grad(f)(t), f64([2, 3]), f64([1, -2]))[1];
    expect(direct.arraySync()).toEqual(hvp(f, f64([2, 3]), f64([1, -2])).arraySync());
    expect(grad((t) => jvp((u: Tensor) => u.mul(2), t, f64([1]))[1].sum())(f64([2])).arraySync()).toEqual([0]);
  });

  test('float32 and float16 stay what they are; another device', async () => {
    const [, half] = jvp(
      (t: Tensor) => t.square(),
      tensor([1.5], { dtype: 'float16' }),
      tensor([1], { dtype: 'float16' }),
    );
    expect([half.dtype, half.arraySync()]).toEqual(['float16', [3]]);
    const remote = await remoteDevice();
    const [, there] = jvp(
      (t: Tensor) => t.square().sum(),
      tensor([1, 2], { device: remote }),
      tensor([1, 1], { device: remote }),
    );
    expect([there.device.name, await there.item()]).toEqual(['webgpu', 6]);
  });

  test('asynchronous functions', async () => {
    const f = async (t: Tensor): Promise<Tensor> => {
      await Promise.resolve();
      return t.square();
    };
    const [y, dy] = await jvp(f, f64([3]), f64([2]));
    expect([y.arraySync(), dy.arraySync()]).toEqual([[9], [12]]);
    const [z, dx] = await vjp(f, f64([3]), f64([2]));
    expect([z.arraySync(), dx.arraySync()]).toEqual([[9], [12]]);
    expect((await hvp(async (t: Tensor) => (await f(t)).sum(), f64([3]), f64([2]))).arraySync()).toEqual([4]);
    expect((await jacobian(f)(f64([3]))).arraySync()).toEqual([[6]]);
  });

  test('what is refused', () => {
    const f = (p: { a: Tensor }): Tensor => p.a;
    const point = { a: f64([1, 2]) };
    expect(() => jvp(f, point, loose({}))).toThrow(GradientError);
    expect(() => jvp(f, point, loose({}))).toThrow(
      '[jvp] the tangent has nothing at .a, where the input has a tensor of shape [2]; their structures must agree',
    );
    expect(() => jvp(f, point, { a: f64([1]) })).toThrow('[jvp] the tangent at .a is [1]; its input is [2]');
    expect(() => hvp((p: { a: Tensor }) => p.a.sum(), point, { a: f64([1]) })).toThrow(
      '[hvp] the direction at .a is [1]; its input is [2]',
    );
    expect(() => vjp(f, point, loose({ a: f64([1, 2]) }))).toThrow(
      '[vjp] the cotangent has an object, where the output has',
    );
    expect(() => jvp(loose<(p: unknown) => Tensor>(point), f, f)).toThrow(
      '[jvp] the first argument is an object; it must be the function',
    );
    expect(() => jvp((t: Tensor) => t, loose(3), loose(1))).toThrow(
      '[jvp] the input is a number, which holds no tensor',
    );
    expect(() => hvp((t: Tensor) => t, f64([1, 2]), f64([1, 2]))).toThrow(
      '[hvp] the function returned a tensor of shape [2]',
    );
  });
});

test('cotangents go by name, not by order', () => {
  const [, dx] = vjp((t: Tensor) => ({ a: t.mul(2), b: t.mul(3) }), f64([1]), { b: f64([10]), a: f64([1]) });
  expect(dx.arraySync()).toEqual([32]);
});

describe('numbers and other constants beside tensors', () => {
  const act = relu;
  const params = {
    w: f64([1, -2]),
    rate: 0.5,
    name: 'net',
    act,
    on: true,
    none: null,
    ids: Int32Array.of(1, 0),
    list: [3, f64([4])] as const,
  };
  const loss = (p: typeof params): Tensor =>
    p.on ? p.act(p.w.take(p.ids)).mul(p.rate).mul(p.list[0]).mul(p.list[1]).sum() : p.w.sum();

  test('they are constants of valueAndGrad, and stand in the gradient as they are', () => {
    const [value, gradient] = valueAndGrad(loss)(params);
    expect(value.itemSync()).toBe(6);
    expect([gradient.w.arraySync(), gradient.list[1].arraySync()]).toEqual([[6, 0], [1.5]]);
    expect({ ...gradient, w: null, list: gradient.list[0] }).toEqual({ ...params, w: null, list: 3 });
  });

  test('the same for vjp and hvp', () => {
    expect(vjp(loss, params, tensor(2))[1].w.arraySync()).toEqual([12, 0]);
    const found = hvp(
      (p: { w: Tensor; power: number }) => p.w.pow(p.power).sum(),
      { w: f64([2]), power: 3 },
      { w: f64([1]), power: 3 },
    );
    expect([found.w.arraySync(), found.power]).toEqual([[12], 3]);
  });
});

describe('jacobian and hessian are curried', () => {
  test('further arguments are constants; argnums names another one', () => {
    const f = (scale: number, t: Tensor, ids: number[]): Tensor => t.take(ids).mul(scale);
    expect(jacobian(f, { argnums: 1 })(2, f64([1, 2]), [1, 1]).arraySync()).toEqual([
      [0, 2],
      [0, 2],
    ]);
    const h = hessian((t: Tensor, power: number) => t.pow(power).sum());
    expect([h(f64([2]), 3).arraySync(), h(f64([2]), 2).arraySync()]).toEqual([[[12]], [[2]]]);
    expect(hessian((a, b) => a.mul(b).mul(b).sum(), { argnums: 1 })(f64([3]), f64([5])).arraySync()).toEqual([[6]]);
  });

  test('of linear functions the Hessian is zeros', () => {
    expect(hessian((t) => t.mul(3).sum())(f64([1, 2])).arraySync()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(hvp((t: Tensor) => t.sum(), f64([1, 2]), f64([1, 1])).arraySync()).toEqual([0, 0]);
  });

  test('the old forms, and what else is refused', () => {
    const f = (t: Tensor): Tensor => t.square().sum();
    expect(() => hessian(f, loose(f64([1])))).toThrow(ValueError);
    expect(() => hessian(f, loose(f64([1])))).toThrow(
      '[hessian] the point is given to what hessian returns: hessian(f)(x)',
    );
    expect(() => jacobian(f, loose(f64([1])))).toThrow(
      '[jacobian] the point is given to what jacobian returns: jacobian(f)(x)',
    );
    expect(() => hessian(f, loose({ argnum: 1 }))).toThrow(
      "[hessian] there is no option 'argnum'; there are argnums, allowConstant",
    );
    expect(() => jacobian(f, loose({ argnums: [0] }))).toThrow(
      '[jacobian] argnums is an array; a jacobian is taken by one argument',
    );
    expect(() => jacobian(f, { argnums: 1 })(f64([1]))).toThrow("[jacobian] can't compute the gradient of argument 1");
    expect(() => jacobian(loose<(t: { a: Tensor }) => Tensor>(f))({ a: f64([1]) })).toThrow(
      '[jacobian] argument 0 is an object; a jacobian is taken by one tensor',
    );
    expect(() => jacobian(f)(tensor([1], { dtype: 'int32' }))).toThrow('[jacobian] argument 0 is int32');
    expect(() => jacobian(loose<typeof f>(3))).toThrow(
      '[jacobian] the first argument is a number; it must be the function',
    );
    expect(() => valueAndGrad(f, loose<object>([0, 1]))).toThrow('[valueAndGrad] the options are an array');
  });
});

describe('a value that has lost its trace', () => {
  const x = tensor([1, 2]);
  const lost: [string, (t: Tensor) => Tensor][] = [
    ['a number read on the way', (t) => tensor(t.sum().itemSync())],
    ['a constant', () => tensor(3)],
    ['an argmax', (t) => t.argmax().cast('float32')],
    ['a comparison', (t) => t.greater(0).cast('float32').sum()],
    ['stopGradient', (t) => stopGradient(t).sum()],
  ];

  test.each(lost)('%s: an error, or zeros where that is allowed', (_, f) => {
    for (const op of ['grad', 'valueAndGrad'] as const) {
      const run = (): unknown => (op === 'grad' ? grad(f)(x) : valueAndGrad(f)(x));
      expect(run).toThrow(GradientError);
      expect(run).toThrow(new RegExp(`^\\[${op}\\] the value \\(made by '\\w+'\\) does not depend on the arguments`));
    }
    expect(grad(f, { allowConstant: true })(x).arraySync()).toEqual([0, 0]);
    expect(() => hessian(f)(x)).toThrow('[hessian] the value');
    expect(() => hvp(f, x, x)).toThrow('[hvp] the value');
    expect(hessian(f, { allowConstant: true })(x).arraySync()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(hvp(f, x, x, { allowConstant: true }).arraySync()).toEqual([0, 0]);
    expect(grad((t) => grad(f, { allowConstant: true })(t).sum())(x).arraySync()).toEqual([0, 0]);
  });

  test('in an asynchronous function, with aux', async () => {
    const f = async (t: Tensor): Promise<[Tensor, number]> => [tensor(await t.sum().item()), 1];
    await expect(valueAndGrad(f, { hasAux: true })(x)).rejects.toThrow('[valueAndGrad] the value');
    const [[value], gradient] = await valueAndGrad(f, { hasAux: true, allowConstant: true })(x);
    expect([value.itemSync(), gradient.arraySync()]).toEqual([3, [0, 0]]);
  });

  test('what is constant in some arguments, or has the derivative 0, has not', () => {
    expect(
      grad((a, b) => b.sum().add(a.sum().itemSync()), { argnums: [0, 1] })(x, x).map((g) => g.arraySync()),
    ).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(grad((t) => t.floor().add(sign(t)).sum())(x).arraySync()).toEqual([0, 0]);
    expect(grad((t) => t.cast('int32').cast('float32').sum())(x).arraySync()).toEqual([0, 0]);
    expect(grad((t) => t.mul(0).sum())(x).arraySync()).toEqual([0, 0]);
    expect(grad((t) => stopGradient(t).mul(t).sum())(x).arraySync()).toEqual([1, 2]);
  });

  test('derivatives of linear functions and polynomials have not: theirs are 0', () => {
    const nth = (f: (t: Tensor) => Tensor, n: number): ((t: Tensor) => Tensor) =>
      n === 0 ? f : nth((t) => grad(f)(t), n - 1);
    expect([0, 1, 2, 3, 4, 5].map((n) => nth((t) => t.mul(t).mul(t), n)(f64([]).sum().add(2)).itemSync())).toEqual([
      8, 12, 12, 6, 0, 0,
    ]);
    expect(grad((t) => vjp((u: Tensor) => u.mul(3), t, x)[1].sum())(x).arraySync()).toEqual([0, 0]);
    expect(grad((t) => jacobian((u) => u.mul(3))(t).sum())(x).arraySync()).toEqual([0, 0]);
    expect(grad((t) => grad((u) => relu(u).sum())(t).sum())(x).arraySync()).toEqual([0, 0]);
    const both = grad((t: Tensor) => add(...grad((a, b) => a.add(b).sum(), { argnums: [0, 1] })(t, t)).sum())(x);
    expect(both.arraySync()).toEqual([0, 0]);
  });
});
