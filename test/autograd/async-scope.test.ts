import { runInNewContext } from 'node:vm';
import { grad, memory, nn, optim, random, RecycledError, scope, tensor, type Tensor, valueAndGrad } from 'tapegrad';

const pause = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 1);
  });

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

test('an asynchronous scope keeps what it returns and recycles the rest, what came after an await too', async () => {
  const made: Tensor[] = [];
  const x = tensor([1, 2, 3], { dtype: 'float64' });
  const kept = await scope(async () => {
    const y = x.square();
    await pause();
    expect(memory().scopes).toBe(1);
    const z = y.add(1);
    made.push(y, z);
    await pause();
    return { z2: z.mul(2), count: 3 };
  });
  expect(kept.z2.arraySync()).toEqual([4, 10, 20]);
  expect(kept.count).toBe(3);
  for (const t of made) expect(() => t.add(1)).toThrow(RecycledError);
});

test('what is computed of tensors from elsewhere after an await is ordinary, and so is other work meanwhile', async () => {
  const x = tensor([1, 2]);
  const outside: Tensor[] = [];
  const pending = scope(async () => {
    const y = x.exp();
    await pause();
    outside.push(x.neg());
    await pause();
    return y.log();
  });
  outside.push(x.add(1));
  expect((await pending).arraySync<number[]>()[1]).toBeCloseTo(2, 6);
  expect(outside.map((t) => t.arraySync())).toEqual([
    [2, 3],
    [-1, -2],
  ]);
});

test('several take turns, one in another too, and each has its own', async () => {
  const run = (value: number, pauses: number): Promise<Tensor> =>
    scope(async () => {
      let y = tensor([value]).mul(1);
      for (let i = 0; i < pauses; i++) {
        const before = y;
        await pause();
        y = await scope(async () => {
          const z = before.mul(2);
          await pause();
          return z.add(1);
        });
      }
      return y;
    });
  const results = await Promise.all([run(1, 1), run(2, 4), run(3, 2)]);
  expect(results.map((t) => t.itemSync())).toEqual([3, 47, 15]);
});

test.each(['before', 'after'])('a scope that throws %s an await is closed', async (when) => {
  const { usedBytes } = memory();
  await expect(
    scope(async () => {
      tensor([1, 2, 3]).exp();
      if (when === 'after') await pause();
      throw new Error('on purpose');
    }),
  ).rejects.toThrow('on purpose');
  expect(memory().usedBytes).toBe(usedBytes);
});

test('transforms in it, before and after an await', async () => {
  const x = tensor([0.5, -1], { dtype: 'float64' });
  const f = (t: Tensor): Tensor => t.square().mul(t).sum();
  const [early, late, nested] = await scope(async () => {
    const first = grad(f)(x);
    await pause();
    const second = grad(f)(first);
    const third = valueAndGrad((t: Tensor) => grad(f)(t).sum())(first)[1];
    await pause();
    return [first.mul(1), second, third];
  });
  expect(early?.arraySync()).toEqual([0.75, 3]);
  expect(late?.arraySync()).toEqual([3 * 0.75 ** 2, 27]);
  expect(nested?.arraySync()).toEqual([6 * 0.75, 18]);
});

test('in a function that is differentiated it shares the memory of the transform', async () => {
  const gradient = await grad(async (x: Tensor) => {
    const y = await scope(async () => {
      const z = x.exp();
      await pause();
      return z.mul(z);
    });
    return y.sum();
  })(tensor([0, 1], { dtype: 'float64' }));
  expect(gradient.arraySync<number[]>()[1]).toBeCloseTo(2 * Math.E ** 2, 10);
});

test('training steps that read their loss inside hold memory flat', async () => {
  const rng = random(1);
  const model = nn.linear(8, 4);
  const optimizer = optim.adamw({ learningRate: 0.01 });
  let params = model.init(rng);
  let state = optimizer.init(params);
  const x = rng.normal([16, 8]);
  const step = valueAndGrad((p: typeof params) => model.apply(p, x).square().mean());
  const losses: number[] = [];
  const seen: number[] = [];
  for (let i = 0; i < 30; i++) {
    ({ params, state } = await scope(async () => {
      const [loss, gradients] = step(params);
      losses.push(await loss.item());
      return optimizer.update(params, gradients, state);
    }));
    seen.push(memory().usedBytes);
  }
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  expect(seen.at(-1)).toBeLessThanOrEqual(seen[5]!);
});

test('promises of another realm, and of libraries, are promises', async () => {
  const x = tensor([1, 2]);
  const foreign = runInNewContext('(async (f) => { const y = f(); await null; return y; })') as (
    f: () => Tensor,
  ) => Promise<Tensor>;
  expect((await scope(() => foreign(() => x.mul(2)))).arraySync()).toEqual([2, 4]);
  expect((await grad((t: Tensor) => foreign(() => t.square().sum()))(x)).arraySync()).toEqual([2, 4]);
});
