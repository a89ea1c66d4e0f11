import {
  checkpoint,
  ctcLoss,
  customVjp,
  dropout,
  grad,
  gradCheck,
  GradientError,
  hessian,
  hvp,
  jacobian,
  jvp,
  logSoftmax,
  memory,
  nn,
  Random,
  random,
  relu,
  resetPeakMemory,
  stopGradient,
  tensor,
  type Tensor,
  tensorsOf,
  valueAndGrad,
  vjp,
} from 'tapegrad';

const source = random(5);
const MIB = 2 ** 20;
/** The function itself in the place of checkpoint's. */
const plainly = ((f: unknown) => f) as typeof checkpoint;
const values = (tree: unknown): number[] => tensorsOf(tree).flatMap((t) => Array.from(t.dataSync()));
const wave = (...shape: number[]): Tensor => source.normal(shape, { dtype: 'float64' });

function expectSame(actual: unknown, expected: unknown, digits = 12): void {
  const [a, b] = [values(actual), values(expected)];
  expect(a.length).toBe(b.length);
  a.forEach((value, i) => {
    expect(value).toBeCloseTo(b[i]!, digits);
  });
}

describe('derivatives through checkpoint', () => {
  const [x, w, v] = [wave(4, 3), wave(3, 3), wave(3)];
  const tanh = (p: { w: Tensor; v: Tensor }, y: Tensor): Tensor => y.matmul(p.w).add(p.v).tanh();

  test('one block, of trees', () => {
    const block = checkpoint(tanh);
    const loss = (step: typeof block) => (p: { w: Tensor; v: Tensor }) => step(p, x).square().sum();
    const [value, gradient] = valueAndGrad(loss(block))({ w, v });
    const [plain, expected] = valueAndGrad(loss(tanh))({ w, v });
    expect(value.itemSync()).toBe(plain.itemSync());
    expectSame(gradient, expected);
  });

  test('what it closes over has its gradient as well', () => {
    const through = (wrap: typeof checkpoint) => (a: Tensor, b: Tensor) => {
      const doubled = b.mul(2);
      return wrap((y: Tensor) => y.matmul(a).mul(doubled).add(b).tanh())(x)
        .square()
        .sum();
    };
    const both = { argnums: [0, 1] } as const;
    expectSame(grad(through(checkpoint), both)(w, v), grad(through(plainly), both)(w, v));
  });

  test('of any order, against differences', () => {
    const block = checkpoint((y: Tensor, a: Tensor) => y.matmul(a).tanh());
    const f = (y: Tensor, a: Tensor): Tensor => block(block(y, a), a).mul(y);
    gradCheck(f, [x, w], { order: 2 });
    gradCheck((a) => checkpoint(() => checkpoint((y: Tensor) => y.matmul(a).tanh())(x).mul(a.slice([], 0)))(), [w], {
      order: 2,
    });
  });

  test('several results, each with a cotangent or without, results that are arguments, constants beside them', () => {
    const many = (a: Tensor, b: Tensor) => ({
      sum: a.add(b),
      list: [a.mul(b).exp(), a.square(), a] as const,
      label: 'name',
      fixed: tensor([1, 2]).add(1),
      count: a.greater(0),
    });
    const f = (wrap: (fn: typeof many) => typeof many) => (a: Tensor, b: Tensor) => {
      const { sum, list, label, fixed, count } = wrap(many)(a, b);
      expect([label, fixed.arraySync(), count.dtype]).toEqual(['name', [2, 3], 'bool']);
      return sum.mul(list[0]).add(list[2]).mul(list[2]);
    };
    gradCheck(f(checkpoint), [v, wave(3)], { order: 2 });
    gradCheck((a) => checkpoint(many)(a, a).list[0], [v], { order: 2 });
    gradCheck((a) => checkpoint((y: Tensor) => y)(a).mul(a), [v], { order: 2 });
    gradCheck((a) => checkpoint((y: Tensor) => y.reshape([3, 1]))(a).mul(a), [v], { order: 2 });
  });

  test('more results than a call has arguments', () => {
    const both = (x: Tensor): Tensor => {
      const parts = checkpoint((t: Tensor) => Array.from({ length: 130_000 }, () => t))(x);
      return parts[0]!.add(parts.at(-1)!).sum();
    };
    expect(grad(both)(tensor([1, 2])).arraySync()).toEqual([2, 2]);
  });

  test('vjp, jvp, hvp, jacobian and hessian', () => {
    const block = (y: Tensor): Tensor => y.matmul(w).tanh().mul(y);
    const [plain, wrapped] = [block, checkpoint(block)].map((f) => {
      const scalar = (y: Tensor): Tensor => f(f(y)).square().sum();
      const row = x.slice([0, 1]);
      return [
        vjp((y: Tensor) => f(f(y)), x, x),
        jvp((y: Tensor) => f(f(y)), x, x),
        hvp(scalar, x, x),
        jacobian((y: Tensor) => f(f(y)))(row),
        hessian(scalar)(row),
      ];
    });
    expectSame(wrapped, plain);
  });

  test('inside of another function with a derivative: a gradient, a vjp of a user, CTC', () => {
    const penalty = checkpoint((a: Tensor) =>
      grad((y: Tensor) => y.matmul(a).tanh().sum())(x)
        .square()
        .sum(),
    );
    gradCheck((a) => penalty(a), [w], { order: 2, tolerance: 1e-4 });
    const cube = customVjp(
      (y: Tensor) => y.pow(3),
      (g, [y]) => [g.mul(y.square().mul(3))],
    );
    gradCheck((a) => checkpoint((y: Tensor) => cube(y.add(1)).mul(y))(a), [v], { order: 2 });
    const scores = source.normal([6, 2, 4]);
    const read = (y: Tensor): Tensor => ctcLoss(logSoftmax(y), [[1, 2, 2], [3]], [6, 4], [3, 1]);
    const [loss, gradient] = valueAndGrad((y: Tensor) => checkpoint(read)(y).sum())(scores);
    const [wanted, expected] = valueAndGrad((y: Tensor) => read(y).sum())(scores);
    expect(loss.itemSync()).toBe(wanted.itemSync());
    expect(values(gradient)).toEqual(values(expected));
  });

  test('in functions that wait', async () => {
    const block = checkpoint((y: Tensor) => y.matmul(w).tanh());
    const f = async (y: Tensor): Promise<Tensor> => {
      const first = block(y);
      await Promise.resolve();
      return block(first).square().sum();
    };
    const other = valueAndGrad(f)(x.mul(2));
    const [, gradient] = await valueAndGrad(f)(x);
    expectSame(gradient, grad((y: Tensor) => y.matmul(w).tanh().matmul(w).tanh().square().sum())(x));
    await other;
    expect(memory().scopes).toBe(0);
  });

  test('outside of transforms, and where nothing is differentiated, it is the function', () => {
    const given = checkpoint((y: Tensor) => ({ y: y.add(1), n: 3 }))(v);
    expectSame(given.y, v.add(1));
    expect(given.n).toBe(3);
    expectSame(
      grad((y: Tensor) =>
        checkpoint((c: Tensor) => stopGradient(c).exp())(y)
          .mul(y)
          .sum(),
      )(v),
      v.exp(),
    );
  });
});

describe('random programs', () => {
  /** A program of ops on some values, cut into checkpoints, nested ones too, at random. */
  function program(seed: number, wraps: boolean): (inputs: readonly Tensor[]) => Tensor {
    const rng = random(seed);
    const pick = <T>(list: readonly T[]): T => list[rng.integer(0, list.length)]!;
    type Op = (pool: readonly Tensor[]) => Tensor;
    const operation = (size: number): Op => {
      const [i, j] = [rng.integer(0, size), rng.integer(0, size)];
      return pick<Op>([
        (pool) => pool[i]!.add(pool[j]!),
        (pool) => pool[i]!.mul(pool[j]!),
        (pool) => pool[i]!.tanh(),
        (pool) => pool[i]!.reshape([3, 2]).transpose(0, 1).reshape([2, 3]),
        (pool) =>
          pool[i]!.slice([], [0, 2]).pad([
            [0, 0],
            [1, 0],
          ]),
        (pool) => pool[i]!.sum(0, { keepDims: true }).mul(pool[j]!).sin(),
      ]);
    };
    const part = (size: number, depth: number): ((pool: readonly Tensor[]) => Tensor[]) => {
      const steps: ((pool: readonly Tensor[]) => readonly Tensor[])[] = [];
      let now = size;
      for (let n = rng.integer(2, 6); n > 0; n--) {
        if (depth > 0 && rng.next() < 0.4) {
          const inner = part(now, depth - 1);
          const kept = rng.integer(1, 3);
          const run = (pool: readonly Tensor[]): readonly Tensor[] => inner(pool).slice(-kept);
          const wrapped = rng.next() < 0.7;
          steps.push(wraps && wrapped ? checkpoint(run) : run);
          now += kept;
        } else {
          const op = operation(now);
          steps.push((pool) => [op(pool)]);
          now += 1;
        }
      }
      return (pool) => steps.reduce<Tensor[]>((all, step) => [...all, ...step(all)], [...pool]);
    };
    const body = part(2, 3);
    return (inputs) =>
      body(inputs)
        .slice(-2)
        .reduce((a, b) => a.add(b))
        .square()
        .sum();
  }

  test.each(Array.from({ length: 40 }, (_, seed) => seed))('%i: first and second derivative', (seed) => {
    const inputs = [wave(2, 3), wave(2, 3)];
    const [plain, wrapped] = [false, true].map((wraps) => {
      const f = program(seed, wraps);
      const slope = (ins: readonly Tensor[]): Tensor =>
        grad((i: readonly Tensor[]) => f(i), { allowConstant: true })(ins)
          .map((t) => t.square().sum())
          .reduce((a, b) => a.add(b));
      return [f(inputs), grad((i: readonly Tensor[]) => f(i))(inputs), grad(slope, { allowConstant: true })(inputs)];
    });
    const scale = Math.max(1, ...values(plain).map(Math.abs));
    expectSame(
      wrapped!.flatMap((t) => values(t)).map((v) => tensor(v / scale, { dtype: 'float64' })),
      plain!.flatMap((t) => values(t)).map((v) => tensor(v / scale, { dtype: 'float64' })),
      10,
    );
  });
});

describe('random numbers', () => {
  const x = source.normal([30, 20]);

  test('are the same when they are drawn again, and the source goes on as without', () => {
    const run = (wrap: typeof checkpoint) => {
      const [rng, other] = [random(1), random(2)];
      const block = wrap((y: Tensor, given: typeof rng) => {
        const dropped = dropout(y, 0.5, given);
        return dropped
          .mul(other.normal([30, 20]))
          .add(random(3).uniform([30, 20]))
          .tanh();
      });
      const [value, gradient] = valueAndGrad((y: Tensor) => block(block(y, rng).mul(other.uniform([20])), rng).sum())(
        x,
      );
      return [values(value), values(gradient), rng.state, other.state];
    };
    expect(run(checkpoint)).toEqual(run(plainly));
  });

  test('nested, and through a copy of the source', () => {
    const run = (wrap: typeof checkpoint) => {
      const rng = random(1);
      const inner = wrap((y: Tensor) => dropout(y, 0.5, rng).tanh());
      const outer = wrap((y: Tensor) => inner(inner(dropout(y, 0.1, rng))).mul(rng.next()));
      const copied = wrap((y: Tensor) => dropout(y, 0.5, Random.fromState(rng.state)));
      const gradient = grad((y: Tensor) =>
        outer(copied(outer(y)))
          .square()
          .sum(),
      )(x);
      return [values(gradient), rng.state];
    };
    expect(run(checkpoint)).toEqual(run(plainly));
  });
});

describe('memory', () => {
  const peakOf = (run: () => unknown): number => {
    resetPeakMemory();
    const before = memory().peakBytes;
    run();
    return memory().peakBytes - before;
  };

  test('a chain of n blocks needs n results and one block, not n blocks', () => {
    const result = 64 * 128 * 4;
    const weights = 128 * 128 * 4;
    const x = source.normal([64, 128]);
    const step = (w: Tensor, y: Tensor): Tensor => {
      for (let i = 0; i < 5; i++) y = y.matmul(w).tanh().mul(y).add(1).sin();
      return y;
    };
    const measure = (blocks: number, block: typeof step): number => {
      const ws = Array.from({ length: blocks }, () => source.normal([128, 128], { std: 0.05 }));
      return peakOf(() => grad((p: Tensor[]) => p.reduce((y, w) => block(w, y), x).sum())(ws)) - blocks * 2 * weights;
    };
    const inside = 5 * 5 * result;
    const plain = measure(12, step);
    expect(plain).toBeGreaterThan(11 * inside);
    for (const blocks of [4, 12, 24]) {
      const wrapped = measure(blocks, checkpoint(step));
      expect(wrapped).toBeLessThan(blocks * result + 1.4 * inside + MIB / 4);
    }
    // Checkpoints in checkpoints: the square root of the blocks, twice.
    const nested = checkpoint((ws: readonly Tensor[], y: Tensor) => ws.reduce((z, w) => checkpoint(step)(w, z), y));
    const ws = Array.from({ length: 36 }, () => source.normal([128, 128], { std: 0.05 }));
    const groups = Array.from({ length: 6 }, (_, i) => ws.slice(6 * i, 6 * i + 6));
    const peak = peakOf(() => grad((p: Tensor[][]) => p.reduce((y, group) => nested(group, y), x).sum())(groups));
    expect(peak - 36 * 2 * weights).toBeLessThan(12 * result + 1.4 * inside + MIB / 4);
  });

  test('nothing stays from step to step, and rows of a jacobian need no more than one', () => {
    const w = source.normal([64, 64], { std: 0.1 });
    const block = checkpoint((y: Tensor) => y.matmul(w).tanh().matmul(w).tanh());
    const x = source.normal([8, 64]);
    const rows = 512;
    const peak = peakOf(() => jacobian((y: Tensor) => block(block(y)))(x));
    expect(peak).toBeLessThan(rows * rows * 4 + MIB / 2); // a leak of one value a row would be 1 MiB
    const step = (): number => peakOf(() => grad((y: Tensor) => block(block(y)).sum())(x));
    const first = step();
    for (let i = 0; i < 20; i++) expect(step()).toBeLessThanOrEqual(first);
    expect(memory().scopes).toBe(0);
  });

  test('in a model: dropout and a recurrence inside, with the gradients of the plain one', () => {
    const layers = [nn.linear(16, 16), nn.gru(16, 16)] as const;
    const params = layers.map((layer) => layer.init(source)) as unknown as readonly [
      nn.LinearParams,
      nn.RecurrentParams,
    ];
    const x = source.normal([2, 5, 16]);
    const run = (wrap: typeof checkpoint) => {
      const rng = random(9);
      return grad((p: typeof params) => {
        const first = wrap((y: Tensor) => dropout(relu(layers[0].apply(p[0], y)), 0.2, rng))(x);
        return wrap((q: typeof p, y: Tensor) => layers[1].apply(q[1], y))(p, first)
          .square()
          .sum();
      })(params);
    };
    expectSame(run(checkpoint), run(plainly), 6);
  });
});

describe('refused', () => {
  const x = tensor([1, 2, 3]);

  test('an asynchronous function', async () => {
    const waits = checkpoint(async (y: Tensor) => Promise.resolve(y.add(1)));
    expect(() => waits(x)).toThrow('[checkpoint] the function is asynchronous');
    expect(() => grad((y: Tensor) => waits(y) as never)(x)).toThrow(GradientError);
    expect(() => checkpoint(3 as never)).toThrow('[checkpoint] fn is 3; it must be a function');
    await Promise.resolve();
    expect(memory().scopes).toBe(0);
  });

  test('a function that does something else the second time', () => {
    let calls = 0;
    const grows = checkpoint((y: Tensor) => (calls++ % 2 === 0 ? y.mul(2) : y.mul(2).slice([0, 2])));
    expect(() => grad((y: Tensor) => grows(y).sum())(x)).toThrow(
      '[checkpoint] computed again, the function gave float32[2] where it gave float32[3]; it must do the same every time',
    );
    const vanishes = checkpoint((y: Tensor) => (calls++ % 2 === 0 ? [y.mul(2)] : []));
    expect(() => grad((y: Tensor) => vanishes(y)[0]!.sum())(x)).toThrow('the function gave fewer tensors');
  });

  test('a tensor of the inside that got out some other way', () => {
    const leaks = (escape: (y: Tensor) => Tensor) => (y: Tensor) => {
      let kept: Tensor = y;
      const z = checkpoint((t: Tensor) => {
        kept = escape(t);
        return kept.mul(3);
      })(y);
      return z.add(kept).sum();
    };
    expect(() => grad(leaks((t) => t.exp()))(x)).toThrow("the float32 tensor [3] that 'exp' made was recycled");
    expect(() => grad(leaks((t) => t.reshape([3, 1]).reshape([3])))(x)).toThrow(
      '[checkpoint] a tensor that the function computed was used outside, though the function did not return it',
    );
  });

  test('an error in the function leaves nothing open', () => {
    const fails = checkpoint((y: Tensor) => y.matmul(y.reshape([3, 1])).matmul(y));
    expect(() => grad((y: Tensor) => fails(y).sum())(x)).toThrow('[matmul]');
    expect(memory().scopes).toBe(0);
    expectSame(grad((y: Tensor) => checkpoint((t: Tensor) => t.square())(y).sum())(x), x.mul(2));
  });
});
