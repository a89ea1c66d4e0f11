import {
  add,
  concat,
  ctcLoss,
  customVjp,
  grad,
  GradientError,
  hessian,
  hvp,
  jacobian,
  layerNorm,
  logSoftmax,
  memory,
  mul,
  OutOfMemoryError,
  type Random,
  random,
  RecycledError,
  scope,
  split,
  stopGradient,
  tensor,
  type Tensor,
  valueAndGrad,
  vjp,
} from 'tapegrad';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';
import { Tape } from '../../src/autograd/tape.js';
import { Region } from '../../src/tensor/region.js';

/*
 * A backward pass that gives memory back while somebody can still read it would be the worst of faults. Here memory is overwritten with
 * NaN when it is handed out and when it comes back, and results are compared, bit for bit, with those of passes that recycle nothing.
 */

/** Overwrites whatever is handed out or comes back. */
function poisonMemory(): void {
  const original = (name: 'allocate' | 'give'): unknown =>
    Object.getOwnPropertyDescriptor(Allocator.prototype, name)!.value;
  const allocate = original('allocate') as (this: Allocator, bytes: number) => number;
  const give = original('give') as (this: Allocator, address: number, bytes: number) => void;
  const poison = (address: number, bytes: number): void => void heap().u8.fill(0xff, address, address + bytes);
  jest.spyOn(Allocator.prototype, 'allocate').mockImplementation(function (this: Allocator, bytes) {
    const address = allocate.call(this, bytes);
    poison(address, bytes);
    return address;
  });
  jest.spyOn(Allocator.prototype, 'give').mockImplementation(function (this: Allocator, address, bytes) {
    poison(address, bytes);
    give.call(this, address, bytes);
  });
}

/** Nothing goes back before its transform ends, and no sum is formed in place. */
function recycleNothing(): void {
  jest.replaceProperty(Tape, 'leastDropped', Infinity);
  jest.spyOn(Region.prototype, 'sweep').mockImplementation(() => undefined);
  jest.spyOn(Allocator.prototype, 'give').mockImplementation(() => undefined);
}

beforeAll(() => {
  Tape.leastDropped = 1; // the tensors here are small
});

afterEach(() => {
  jest.restoreAllMocks();
  expect(memory().scopes).toBe(0);
});

const bitsOf = (tree: readonly Tensor[]): string[] =>
  tree.map((t) => {
    const data = t.dataSync();
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
  });

/** The bits of a result under either treatment. */
function bothWays(run: () => readonly Tensor[]): { recycled: string[]; kept: string[] } {
  recycleNothing();
  const kept = bitsOf(run());
  jest.restoreAllMocks();
  poisonMemory();
  const recycled = bitsOf(run());
  jest.restoreAllMocks();
  return { recycled, kept };
}

/** Functions with derivatives of their own that treat tensors as badly as they can. */
const rude: readonly ((a: Tensor) => Tensor)[] = [
  customVjp(
    (x) => x.mul(1),
    (g) => [g],
  ),
  customVjp(
    (x) => x.sin(),
    (g, [x]) => [g.mul(x.cos())],
  ),
  (a) =>
    a.mul(
      customVjp(
        (x: Tensor, y: Tensor) => x.mul(y),
        (g) => [g, g],
      )(a, a),
    ),
  (a) =>
    customVjp(
      (x: Tensor) => x.sum(),
      (_g, [x]) => [x],
    )(a), // gives its input
  (a) =>
    customVjp(
      (x: Tensor) => x.exp().sum(),
      (g, [x]) => [x.exp().mul(g).reshape([x.size]).reshape(x.shape)],
    )(a),
];

type Step = (a: Tensor, b: Tensor, pick: number) => Tensor;
/** After an `await` a scope has memory of its own, and the backward pass is told so. */
const scoped: Step = (a) => scope(() => a.mul(a.tanh().mul(2)));
const STEPS: readonly Step[] = [
  add,
  mul,
  (a) => a.add(a),
  (a, b) => a.sub(b).add(b),
  (a) => a.tanh(),
  (a) => a.square().add(1).log(),
  (a) => a.reshape([a.size]).reshape(a.shape).add(a),
  (a) => a.transpose().transpose().mul(a.reshape(a.shape)),
  (a, _b, pick) =>
    a
      .slice([pick % 3, null])
      .sum(0, { keepDims: true })
      .add(a),
  (a, _b, pick) =>
    add(a.slice(pick % 4), a.slice([], [1, 3]).sum(1, { keepDims: true }).transpose().slice([], [0, 1])).add(a),
  (a, _b, pick) => a.take([0, pick % 4, pick % 4, 3], 0).mul(a),
  (a) =>
    a
      .gather(
        [
          [0, 1, 2, 3],
          [1, 1, 1, 1],
          [3, 2, 1, 0],
          [0, 0, 3, 3],
        ],
        1,
      )
      .add(a),
  (a) => concat(split(a, 2, 0).reverse(), 0).add(a),
  (a, b) => concat([a, b, a], 0).slice([2, 6]).mul(b),
  (a, b) => a.matmul(b).mul(0.2),
  (a, b) => a.matmul(b).add(b.matmul(a)).matmul(b).mul(0.02),
  (a) => logSoftmax(a).add(a),
  (a) => a.add(logSoftmax(a).reshape([16]).reshape([4, 4])),
  (a) => a.softmax(0),
  // Ops that save more than their result for the derivative
  (a) => layerNorm(a).mul(a),
  (a, b, pick) => a.add(layerNorm(b, { weight: a.slice(pick % 4), bias: a.slice([], 0), eps: 0.1 })),
  (a, _b, pick) => a.mul(ctcLoss(logSoftmax(a), [[1 + (pick % 3), 2]]).mul(0.1)),
  (a, b) => a.mul(ctcLoss(b.reshape([4, 1, 4]), [[3, 1]], { from: 'logits' }).mul(0.1)),
  (a) => a.cumsum(1).mul(0.3),
  (a) => a.flip(0).maximum(a),
  (a, b) => stopGradient(a).mul(b).add(a),
  (a, b) => grad((t: Tensor) => t.pow(3).mul(b).mean())(a).add(a),
  (a, b) => hvp((t: Tensor) => t.sin().mul(t).sum(), a, b),
  (a, b) => vjp((t: Tensor) => t.slice([0, 2]).exp(), a, b.slice([1, 3]))[1].mul(0.1),
  scoped,
  (a) => grad((t: Tensor) => t.square().sum())(stopGradient(a)).mul(a),
  (a) => a.mul(jacobian((t: Tensor) => t.slice(0).mul(2))(a).sum([0])),
  ...rude.map(
    (f) =>
      (a: Tensor): Tensor =>
        a.add(f(a)),
  ),
];

const UNSCOPED = STEPS.filter((step) => step !== scoped);

/** A random program over [4, 4] tensors, with values used again and again. */
function program(source: Random, count: number, steps = STEPS): (...inputs: Tensor[]) => Tensor {
  const plan = Array.from({ length: count }, () =>
    [steps.length, 1000, 1000, 1000].map((most) => source.integer(0, most)),
  );
  return (...inputs) => {
    const pool = [...inputs];
    for (const [step, left, right, pick] of plan as [number, number, number, number][])
      pool.push(steps[step]!(pool[left % pool.length]!, pool[right % pool.length]!, pick).tanh());
    return pool.map((t, i) => t.mean().mul(i + 1)).reduce(add);
  };
}

test.each(['float32', 'float64', 'float16', 'bfloat16'] as const)('random programs in %s', async (dtype) => {
  for (let seed = 0; seed < 60; seed++) {
    const source = random(seed);
    const f = program(source, 7);
    const inputs = Array.from({ length: 2 }, () => source.normal([4, 4]).cast(dtype));
    const direction = source.normal([4, 4]).cast(dtype);
    const runs: Record<string, () => readonly Tensor[]> = {
      gradient: () => valueAndGrad(f, { argnums: [0, 1] })(...inputs).flat(),
      second: () =>
        grad((a: Tensor, b: Tensor) => grad(f)(a, b).mul(direction).sum(), { argnums: [0, 1] })(inputs[0]!, inputs[1]!),
      inScope: () => [scope(() => grad(f)(inputs[0]!, inputs[1]!).add(grad(f)(inputs[1]!, inputs[0]!)))],
      ...(seed % 6 === 0 && {
        hessian: () => [hessian((t: Tensor) => f(t.reshape([4, 4]), inputs[1]!))(inputs[0]!.reshape([16]))],
        jacobian: () => [jacobian((t: Tensor) => f(t, inputs[1]!).mul(t.slice(0)))(inputs[0]!)],
      }),
    };
    for (const [name, run] of Object.entries(runs)) {
      const { recycled, kept } = bothWays(run);
      expect({ seed, name, bits: recycled }).toEqual({ seed, name, bits: kept });
    }
    if (seed % 6) continue;
    const unscoped = program(source, 7, UNSCOPED);
    const later = grad(
      async (a: Tensor, b: Tensor) => {
        const first = f(a, b);
        await Promise.resolve();
        return first.add(unscoped(a, b));
      },
      { argnums: [0, 1] },
    );
    const two = async (): Promise<string[]> => {
      const found = await Promise.all([later(inputs[0]!, inputs[1]!), later(inputs[1]!, inputs[0]!)]);
      return bitsOf(found.flat());
    };
    recycleNothing();
    const kept = await two();
    jest.restoreAllMocks();
    poisonMemory();
    const recycled = await two();
    jest.restoreAllMocks();
    expect({ seed, bits: recycled }).toEqual({ seed, bits: kept });
  }
});

describe('whoever keeps a tensor of a backward pass', () => {
  interface Kept {
    readonly t: Tensor;
    readonly bits: string[];
  }

  /** Right numbers or an error; never anything else. */
  const check = ({ t, bits }: Kept): void => {
    try {
      expect(bitsOf([t.mul(1)])).toEqual(bits);
    } catch (error) {
      if (!(error instanceof RecycledError)) throw error;
      expect(error.message).toContain('was recycled when its transform, vjp or scope returned');
    }
  };

  test.each(['float32', 'float64'] as const)('meets the same numbers or a RecycledError (%s)', (dtype) => {
    poisonMemory();
    const kept: Kept[] = [];
    const keep = (...tensors: Tensor[]): void => {
      kept.push(...tensors.map((t) => ({ t, bits: bitsOf([t]) })));
    };
    const nosy = customVjp(
      (x: Tensor) => x.sin(),
      (g, [x], y) => {
        kept.slice(-30).forEach(check);
        const part = g.mul(x.cos());
        keep(g, part, y, x, g.add(0));
        return [part];
      },
    );
    const passing = customVjp(
      (x: Tensor) => x.mul(1),
      (g) => {
        kept.slice(-30).forEach(check);
        keep(g);
        return [g];
      },
    );
    const f = (x: Tensor): Tensor => {
      let y = x;
      for (let i = 0; i < 6; i++)
        y = add(nosy(y), passing(y))
          .add(passing(x).mul(nosy(x)))
          .add(y.slice([0, 1]).sum());
      return y.sum();
    };
    const x = random(1).normal([3]).cast(dtype);
    const want = (n: number): number[] => {
      const [value, gradient] = valueAndGrad(f)(x);
      expect(value.rank + n).toBe(n);
      return [...gradient.dataSync()];
    };
    const first = want(0);
    kept.forEach(check);
    expect(want(1)).toEqual(first);
    jacobian((t: Tensor) => grad(f)(t))(x);
    kept.forEach(check);
    const outer = grad((t: Tensor) => {
      const g = grad(f)(t);
      kept.forEach(check);
      return g.square().sum();
    })(x);
    kept.forEach(check);
    expect(outer.dataSync().every(Number.isFinite)).toBe(true);
  });

  test('a value that the function keeps outlives nothing but its transform', () => {
    const values: Tensor[] = [];
    const gradient = grad((x: Tensor) => {
      const y = x.exp();
      values.push(
        y,
        y.reshape([2, 1]),
        x.mul(tensor([2, 3])).cast('float64'),
        x.greater(0),
        x.argmax(),
        x.cast('int32'),
        y.cast('float16'),
        y.cast('bfloat16'),
      );
      values.push(tensor([1, 2]).mul(3)); // untraced
      for (const t of values) expect(t.dataSync().length).toBeGreaterThan(0);
      return y.sum();
    })(tensor([0, 1]));
    expect(gradient.arraySync()).toEqual([1, Math.fround(Math.E)]);
    for (const t of values) {
      expect(() => t.dataSync()).toThrow(RecycledError);
      expect(() => t.add(1)).toThrow(RecycledError);
      expect(() => t.ndarray()).toThrow(RecycledError);
    }
  });

  test.each(['float64', 'int32', 'bool', 'float16', 'bfloat16'] as const)(
    '%s escapees of a scope are refused',
    (dtype) => {
      let escaped!: Tensor;
      const returned = scope(() => {
        escaped = tensor([1, 0, 1]).cast(dtype);
        return tensor([0, 1, 1]).cast(dtype);
      });
      expect(() => escaped.dataSync()).toThrow(RecycledError);
      expect([...returned.cast('float32').dataSync()]).toEqual([0, 1, 1]);
    },
  );

  test('values, aux and results that share memory are what they were', () => {
    poisonMemory();
    const x = tensor([1, 2, 3]);
    const [[value, aux], gradient] = valueAndGrad(
      (t: Tensor) => {
        const y = t.mul(2);
        const z = y.reshape([3, 1]);
        return [y.add(0).sum(), { y, z, t, again: [z, y], p: logSoftmax(t), unread: logSoftmax(y) }] as const;
      },
      { hasAux: true },
    )(x);
    expect(value.itemSync()).toBe(12);
    expect([aux.y, aux.z.reshape([3]), aux.t, aux.again[1]].map((t) => t.arraySync())).toEqual([
      [2, 4, 6],
      [2, 4, 6],
      [1, 2, 3],
      [2, 4, 6],
    ]);
    expect(gradient.arraySync()).toEqual([2, 2, 2]);
    expect(bitsOf([aux.unread])).toEqual(bitsOf([logSoftmax(tensor([2, 4, 6]))]));
    const [ga, gb] = grad((a: Tensor, b: Tensor) => a.add(b).sum(), { argnums: [0, 1] })(x, x);
    expect([ga.arraySync(), gb.arraySync()]).toEqual([
      [1, 1, 1],
      [1, 1, 1],
    ]);
    const v = tensor([5, 6, 7]);
    const [, same] = vjp((t: Tensor) => t.add(0).reshape([3]), x, v);
    expect([same.arraySync(), v.arraySync()]).toEqual([
      [5, 6, 7],
      [5, 6, 7],
    ]);
    const [, both] = vjp((t: Tensor) => [t.add(0), t.mul(1), t], x, [v, v, v]);
    expect([both.arraySync(), v.arraySync()]).toEqual([
      [15, 18, 21],
      [5, 6, 7],
    ]);
  });
});

describe('when a backward pass fails midway', () => {
  const failing = customVjp(
    (x: Tensor) => x.mul(1),
    (g) => {
      g.mul(2);
      throw new Error('on purpose');
    },
  );
  const badShape = customVjp(
    (x: Tensor) => x.mul(1),
    (g) => [g.sum()],
  );

  test('nothing is held, and the operands can be used again', () => {
    const x = random(0).normal([300, 300]);
    const deep = (f: (t: Tensor) => Tensor): (() => unknown) =>
      grad((t: Tensor) =>
        f(t.mul(2).slice([0, 200]))
          .matmul(t)
          .tanh()
          .add(t.slice([0, 200]))
          .sum(),
      ).bind(null, x);
    const before = memory().usedBytes;
    for (let i = 0; i < 20; i++) {
      expect(deep(failing)).toThrow('on purpose');
      expect(deep(badShape)).toThrow(GradientError);
      expect(memory()).toMatchObject({ usedBytes: before, scopes: 0 });
    }
    const whole = deep((t) => t)() as Tensor;
    expect(whole.dataSync().every(Number.isFinite)).toBe(true);
  });

  test('also where the memory itself runs out', () => {
    const x = random(0).normal([300, 300]);
    const run = (): Tensor =>
      grad((t: Tensor) =>
        t
          .slice([0, 200])
          .matmul(t)
          .tanh()
          .add(t.slice([100, 300]))
          .sum(),
      )(x);
    const want = bitsOf([run()]);
    const before = memory().usedBytes;
    let failures = 0;
    for (let call = 1; call <= 12; call++) {
      const take = heap().take.bind(heap());
      let calls = 0;
      jest.spyOn(heap(), 'take').mockImplementation((bytes) => {
        if (++calls === call) throw new OutOfMemoryError('cpu', 'no room');
        return take(bytes);
      });
      try {
        run();
      } catch (error) {
        expect(error).toBeInstanceOf(OutOfMemoryError);
        failures++;
      }
      jest.restoreAllMocks();
      expect(memory()).toMatchObject({ usedBytes: before, scopes: 0 });
      expect(bitsOf([run()])).toEqual(want);
    }
    expect(failures).toBeGreaterThan(4);
  });
});
