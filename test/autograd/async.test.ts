import { grad, memory, RecycledError, tensor, type Tensor, valueAndGrad } from 'tapegrad';

const pause = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 1);
  });

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

test('an async function gives a promise of value and gradient', async () => {
  const [value, gradient] = await valueAndGrad(async (x: Tensor) => {
    const y = x.exp();
    await pause();
    return y.mul(x).sum();
  })(tensor([0, 1], { dtype: 'float64' }));
  expect(value.itemSync()).toBeCloseTo(Math.E, 12);
  expect(gradient.arraySync<number[]>()[1]).toBeCloseTo(2 * Math.E, 12);
});

test('two that take turns do not mix, whichever ends first', async () => {
  const run = (scale: number, pauses: number): Promise<Tensor> =>
    grad(async (x: Tensor) => {
      let y = x;
      for (let i = 0; i < pauses; i++) {
        y = y.mul(scale).sin().add(y);
        await pause();
      }
      return y.sum();
    })(tensor([0.1, 0.2, 0.3]));
  const alone = [await run(2, 1), await run(3, 5), await run(5, 3)].map((t) => t.arraySync());
  const together = await Promise.all([run(2, 1), run(3, 5), run(5, 3)]);
  expect(together.map((t) => t.arraySync())).toEqual(alone);
});

test('other work between the turns stays outside', async () => {
  const pending = grad(async (x: Tensor) => {
    const y = x.square();
    await pause();
    return y.sum();
  })(tensor([1, 2]));
  const eager = tensor([1, 2]).exp();
  const inner = grad((x: Tensor) => x.exp().sum())(tensor([0]));
  expect((await pending).arraySync()).toEqual([2, 4]);
  expect(eager.arraySync<number[]>()[0]).toBeCloseTo(Math.E, 5);
  expect(inner.arraySync()).toEqual([1]);
});

test('throwing before and after a pause recycles everything', async () => {
  const before = memory().usedBytes;
  const failing =
    (late: boolean) =>
    async (x: Tensor): Promise<Tensor> => {
      x.exp();
      if (late) await pause();
      throw new Error('on purpose');
    };
  await expect(grad(failing(false))(tensor([1]))).rejects.toThrow('on purpose');
  await expect(grad(failing(true))(tensor([1]))).rejects.toThrow('on purpose');
  await expect(
    valueAndGrad(async (x: Tensor) => {
      await pause();
      return x;
    })(tensor([1, 2])),
  ).rejects.toThrow('a gradient needs a scalar');
  expect(memory()).toMatchObject({ scopes: 0, usedBytes: before });
});

test('nested: an async inner gradient in an async outer one', async () => {
  // d/dw of d/dx (w x^3) at x = 2 is 3 x^2
  const outer = await grad(async (w: Tensor) => {
    const inner = await grad(async (x: Tensor) => {
      const y = x.pow(3);
      await pause();
      return y.mul(w);
    })(tensor(2, { dtype: 'float64' }));
    await pause();
    return inner.mul(w);
  })(tensor(5, { dtype: 'float64' }));
  expect(outer.itemSync()).toBe(2 * 12 * 5);
});

describe('a synchronous inner gradient of a constant that closes over a tensor of the async transform around it', () => {
  const inner = (w: Tensor): Tensor => grad((x: Tensor) => x.square().mul(w).sum())(tensor([1, 2]));
  const want = 2 * 3 * (4 + 16);

  test('shares its memory before the first await', async () => {
    const outer = await grad(async (w: Tensor) => {
      const g = inner(w);
      await pause();
      return g.square().sum();
    })(tensor(3));
    expect(outer.itemSync()).toBe(want);
  });

  test('has memory of its own after an await: refused, with advice', async () => {
    const before = memory().usedBytes;
    const outer = grad(async (w: Tensor) => {
      await pause();
      const g = inner(w);
      await pause();
      return g.square().sum();
    })(tensor(3));
    await expect(outer).rejects.toThrow(RecycledError);
    await expect(outer).rejects.toThrow(
      'begin it before the `await`, or differentiate by the outer tensors that it uses',
    );
    expect(memory().usedBytes).toBe(before);
  });

  test('shares it after an await as well if the outer tensor is an argument', async () => {
    const both = grad((x: Tensor, w: Tensor) => x.square().mul(w).sum(), { argnums: [0, 1] });
    const outer = await grad(async (w: Tensor) => {
      await pause();
      const [g] = both(tensor([1, 2]), w);
      await pause();
      return g.square().sum();
    })(tensor(3));
    expect(outer.itemSync()).toBe(want);
  });
});

test('hasAux and argnums work on promises', async () => {
  const [[value, aux], [da, db]] = await valueAndGrad(
    async (a: Tensor, b: Tensor) => {
      await pause();
      return [a.mul(b).sum(), { product: a.mul(b), note: 'kept' }] as const;
    },
    { argnums: [0, 1], hasAux: true },
  )(tensor([1, 2]), tensor([3, 4]));
  expect([value.itemSync(), aux.product.arraySync(), aux.note, da.arraySync(), db.arraySync()]).toEqual([
    11,
    [3, 8],
    'kept',
    [3, 4],
    [1, 2],
  ]);
  const [gradient, text] = await grad(
    async (a: Tensor) => {
      await pause();
      return [a.sum(), 'text'] as const;
    },
    { hasAux: true },
  )(tensor([1, 2]));
  expect([gradient.arraySync(), text]).toEqual([[1, 1], 'text']);
});

test("an inner transform that nobody awaits ends on its own, without the outer one's memory", async () => {
  const before = memory().usedBytes;
  let stray!: Promise<Tensor>;
  const outer = grad((w: Tensor) => {
    stray = grad(async (x: Tensor) => {
      const y = x.mul(w);
      await pause();
      return y.sum();
    })(tensor([1, 2]));
    return w.square();
  })(tensor(3));
  expect(outer.itemSync()).toBe(6);
  await expect(stray).rejects.toThrow(RecycledError);
  expect(memory()).toMatchObject({ scopes: 0, usedBytes: before });
});
