import { DeviceError, grad, GradientError, hessian, ones, tensor, type Tensor, valueAndGrad, vjp } from 'tapegrad';
import type { CpuBuffer } from '../../src/backends/cpu/buffer.js';
import { remoteDevice } from '../devices.js';

const loose = (f: (...args: Tensor[]) => unknown): ((...args: unknown[]) => Tensor) =>
  f as (...args: unknown[]) => Tensor;

describe('trees', () => {
  class Opaque {
    constructor(readonly t: Tensor) {}
  }

  test('empties, null, undefined and tuples are kept where they are', () => {
    const argument = {
      a: [tensor([1, 2]), null, undefined, [], {}] as const,
      b: { c: tensor(3), d: undefined as Tensor | undefined },
    };
    const gradient = grad((p: typeof argument) => p.a[0].sum().mul(p.b.c))(argument);
    expect(Object.keys(gradient)).toEqual(['a', 'b']);
    expect(gradient.a.slice(1)).toEqual([null, undefined, [], {}]);
    expect(gradient.a[0].arraySync()).toEqual([3, 3]);
    expect(gradient.b.c.itemSync()).toBe(3);
    expect('d' in gradient.b && gradient.b.d).toBe(undefined);
  });

  test('what the function does not use gets zeros of its own shape and dtype', () => {
    const gradient = grad((p: { used: Tensor; spare: Tensor; half: Tensor }) => p.used.sum())({
      used: tensor([1]),
      spare: tensor(new Float64Array([1, 2])),
      half: tensor([[1]], { dtype: 'float16' }),
    });
    expect([gradient.spare.dtype, gradient.spare.arraySync(), gradient.half.dtype, gradient.half.arraySync()]).toEqual([
      'float64',
      [0, 0],
      'float16',
      [[0]],
    ]);
  });

  test('the gradient has the dtype of its argument, whatever the others have', () => {
    const [a, b, c] = grad((a: Tensor, b: Tensor, c: Tensor) => a.mul(b).mul(c).sum(), { argnums: [0, 1, 2] })(
      tensor([2]),
      tensor(new Float64Array([3])),
      tensor([0.5], { dtype: 'bfloat16' }),
    );
    expect([a, b, c].map((t) => [t.dtype, t.arraySync()])).toEqual([
      ['float32', [1.5]],
      ['float64', [1]],
      ['bfloat16', [6]],
    ]);
  });

  test('one tensor in two places gets two gradients', () => {
    const t = tensor(3);
    const gradient = grad((p: [Tensor, Tensor]) => p[0].square().add(p[1]))([t, t]);
    expect(gradient.map((g) => g.itemSync())).toEqual([6, 1]);
    const [first, second] = grad((a: Tensor, b: Tensor) => a.square().add(b), { argnums: [0, 1] })(t, t);
    expect([first.itemSync(), second.itemSync()]).toEqual([6, 1]);
  });

  test('arguments are not changed, and come back as they were in aux', () => {
    const argument = Object.freeze({ w: Object.freeze([tensor([1, 2])]) });
    const [[, aux]] = valueAndGrad(
      (p: typeof argument) => [p.w[0]!.sum(), { p, list: [p.w[0]!.mul(2), 'text', 7, null] }] as const,
      { hasAux: true },
    )(argument);
    expect(aux.p.w[0]!.arraySync()).toEqual([1, 2]);
    expect(aux.list[0].arraySync()).toEqual([2, 4]);
    expect(aux.list.slice(1)).toEqual(['text', 7, null]);
    expect(String(aux.p.w[0])).not.toContain('traced');
  });

  test('a leaf that is no tensor is refused with its path', () => {
    const f = loose(() => tensor(0));
    expect(() => grad(f)({ layers: [{ w: tensor(1) }, { w: new Opaque(tensor(1)) }] })).toThrow(
      '[grad] argument 0 at .layers[1].w is an object of class Opaque, not a tensor: there is no gradient by it (make it a tensor, or leave it out)',
    );
    expect(() => grad(f)(new Opaque(tensor(1)))).toThrow(
      '[grad] argument 0 is an object of class Opaque, not a tensor',
    );
    expect(() => grad(f)([tensor(1), tensor([1], { dtype: 'int32' })])).toThrow(
      '[grad] argument 0 at [1] is int32: only float tensors have gradients',
    );
    expect(() => grad(f)(tensor([true]))).toThrow('[grad] argument 0 is bool: only float tensors have gradients');
    expect(() => grad(f)({ empty: [] })).toThrow(
      '[grad] argument 0 is an object, which holds no tensor to differentiate by',
    );
    expect(() => grad(f)(null)).toThrow('[grad] argument 0 is null, which holds no tensor to differentiate by');
    for (const [value, name] of [
      [3, 'a number'],
      ['text', 'a string'],
      [[1, 2], 'an array'],
      [{ a: 1 }, 'an object'],
    ] as const)
      expect(() => grad(f)(value)).toThrow(`[grad] argument 0 is ${name}, which holds no tensor to differentiate by`);
    expect(() => grad(f, { argnums: [0, 1] })(tensor(1), [])).toThrow(
      '[grad] argument 1 is an array, which holds no tensor',
    );
  });
});

describe('argnums', () => {
  const f = (a: Tensor, b: Tensor, c: Tensor): Tensor => a.add(b.mul(2)).add(c.mul(3)).sum();
  const args = [tensor([1]), tensor([1]), tensor([1])] as const;

  test('one, several, in any order', () => {
    expect(grad(f, { argnums: 2 })(...args).arraySync()).toEqual([3]);
    expect(grad(f, { argnums: [2, 0] })(...args).map((t) => t.arraySync())).toEqual([[3], [1]]);
    expect(grad(f, { argnums: [1] })(...args).map((t) => t.arraySync())).toEqual([[2]]);
  });

  test('arguments that are not asked for may be anything', () => {
    const g = grad((options: { scale: number }, x: Tensor, ids: number[]) => x.take(ids).mul(options.scale).sum(), {
      argnums: 1,
    });
    expect(g({ scale: 3 }, tensor([1, 2]), [1, 1]).arraySync()).toEqual([0, 6]);
  });

  test('refused as MLX refuses them', () => {
    const g = loose(f);
    const call = (argnums: number | number[]): unknown => valueAndGrad(g, { argnums })(...args);
    expect(() => call(3)).toThrow(
      "[valueAndGrad] can't compute the gradient of argument 3: the function was called with 3 arguments",
    );
    expect(() => valueAndGrad(g, { argnums: 1 })(args[0])).toThrow(
      "[valueAndGrad] can't compute the gradient of argument 1: the function was called with 1 argument",
    );
    expect(() => call(-1)).toThrow('[valueAndGrad] argnums must be non-negative whole numbers; got -1');
    expect(() => call(0.5)).toThrow('[valueAndGrad] argnums must be non-negative whole numbers; got 0.5');
    expect(() => call([0, 1, 0])).toThrow('[valueAndGrad] argnums names argument 0 twice');
    expect(() => call([])).toThrow('[valueAndGrad] no argument is asked for: argnums is empty');
    expect(() => call([0, 3])).toThrow(GradientError);
  });
});

describe('the value', () => {
  test('must be a scalar float tensor', () => {
    const refused =
      (f: (x: Tensor) => unknown): (() => unknown) =>
      () =>
        grad(loose(f as never))(tensor([1, 2]));
    expect(refused((x) => x)).toThrow(
      '[grad] the function returned a tensor of shape [2]; a gradient needs a scalar (reduce it with sum() or mean(), or use vjp)',
    );
    expect(refused((x) => x.sum(0, { keepDims: true }))).toThrow('[grad] the function returned a tensor of shape [1]');
    expect(refused((x) => x.argmax())).toThrow('[grad] the function returned int32; a gradient needs a float');
    expect(refused(() => 3)).toThrow('[grad] the function returned a number; it must return a scalar tensor');
    expect(refused(() => undefined)).toThrow('[grad] the function returned undefined; it must return a scalar tensor');
    expect(refused((x) => [x.sum(), x])).toThrow(
      '[grad] the function returned an array; it must return a scalar tensor (for [value, aux] set hasAux)',
    );
    expect(() => valueAndGrad((x: Tensor) => [x.sum()] as never, { hasAux: true })(tensor([1]))).toThrow(
      '[valueAndGrad] with hasAux the function must return [value, aux]',
    );
    expect(() => hessian((x) => x)(tensor([1, 2]))).toThrow(GradientError);
  });

  test('the argument itself has a gradient of one', () => {
    const [value, gradient] = valueAndGrad((x: Tensor) => x)(tensor(3));
    expect([value.itemSync(), gradient.itemSync()]).toEqual([3, 1]);
  });

  test('integers and comparisons in between are constants', () => {
    const x = tensor([1.5, -2.5]);
    expect(grad((t: Tensor) => t.cast('int32').cast('float32').mul(t).sum())(x).arraySync()).toEqual([1, -2]);
    expect(grad((t: Tensor) => t.greater(0).cast('float32').mul(t).sum())(x).arraySync()).toEqual([1, 0]);
    expect(grad((t: Tensor) => t.floor().mul(t).sum())(x).arraySync()).toEqual([1, -3]);
    expect(grad((t: Tensor) => t.mul(tensor([2, 3], { dtype: 'int32' })).sum())(x).arraySync()).toEqual([2, 3]);
  });
});

describe('devices', () => {
  test('one op on two devices is an error that names both', async () => {
    const other = await remoteDevice();
    const [x, y] = [tensor([1]), tensor([2]).to(other)];
    expect(() => x.add(y)).toThrow(DeviceError);
    expect(() => x.add(y)).toThrow("[add] tensors on 'cpu' and 'webgpu' in one op; move one with x.to(device)");
  });

  test('the derivative travels back, and each device recycles its own memory', async () => {
    const other = await remoteDevice();
    const both = await remoteDevice((buffer) => (buffer as CpuBuffer).copy());
    const gradient = grad((x: Tensor) => x.square().to(both).mul(3).sum().to(x.device))(tensor([1, 2]));
    expect([gradient.device.name, gradient.arraySync()]).toEqual(['cpu', [6, 12]]);
    const inner = grad((x: Tensor) => x.mul(grad((y: Tensor) => y.to(both).square().to(y.device).sum())(x)).sum())(
      tensor([1, 2]),
    );
    expect(inner.arraySync()).toEqual([4, 8]);
    expect(both.memory().scopes).toBe(0);
    const late = grad((x: Tensor) => x.to(other).square().to(both).sum())(tensor([1, 2]));
    expect(Array.from(await late.data())).toEqual([2, 4]);
  });

  test('results stay on the device of the inputs, gradients too', async () => {
    const other = await remoteDevice();
    const x = ones([2, 3]).to(other);
    const [value, gradient] = valueAndGrad((t: Tensor) => t.mul(2).softmax().slice([], [0, 2]).square().mean())(x);
    expect([value.device.name, gradient.device.name, gradient.shape]).toEqual(['webgpu', 'webgpu', [2, 3]]);
    expect(await value.item()).toBeCloseTo(1 / 9, 6);
    expect(() => value.itemSync()).toThrow(
      "[dataSync] device 'webgpu' cannot be read synchronously; write 'await t.data()'",
    );
    const [, zero] = vjp(() => tensor([1]), x, tensor([1]));
    expect(zero.device.name).toBe('webgpu');
  });
});
