import {
  add,
  customVjp,
  grad,
  gradCheck,
  GradientError,
  jacobian,
  linear,
  logSoftmax,
  matmul,
  memory,
  OutOfMemoryError,
  random,
  RecycledError,
  scope,
  tensor,
  type Tensor,
  valueAndGrad,
  vjp,
  where,
} from 'tapegrad';
import { heap } from '../../src/backends/cpu/heap.js';
import { Tape } from '../../src/autograd/tape.js';
import { bitsOf, poisonMemory } from './poison.js';

/* Memory is overwritten when it comes back: see recycling-fuzz.test.ts, which compares random programs. */

beforeAll(() => {
  Tape.leastDropped = 1; // the tensors here are small
});

afterEach(() => {
  jest.restoreAllMocks();
  expect(memory().scopes).toBe(0);
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

test('a product that is put off and that a transform further out records keeps its operands', () => {
  // The inner cotangent of linear is no constant of the function, nor traced: where() makes it in the inner backward pass.
  const mask = tensor([[true], [false], [true]]);
  const [x, w] = [random(1).normal([3, 2], { dtype: 'float64' }), random(2).normal([2, 2], { dtype: 'float64' })];
  gradCheck((a, b) => where(mask, linear(a, b), 0), [x, w], { order: 2 });
  gradCheck((a, b) => where(mask, matmul(where(mask, a, 0), b).tanh(), 0), [x, w], { order: 3, tolerance: 1e-5 });
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
