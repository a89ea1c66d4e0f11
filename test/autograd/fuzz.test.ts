import { add, concat, grad, gradCheck, layerNorm, memory, mul, type Random, random, type Tensor } from 'tapegrad';

const SHAPES = [[3, 4], [4], [3, 1], [], [1, 4]] as const;

/** Smooth ways on from one or two tensors; those along an axis leave scalars alone. */
const STEPS: readonly ((a: Tensor, b: Tensor, axis: number) => Tensor)[] = [
  add,
  mul,
  (a, b) => a.sub(b.mul(0.3)),
  (a, b) => a.div(b.square().add(1)),
  (a) => a.tanh(),
  (a) => a.sigmoid(),
  (a) => a.sin(),
  (a) => a.mul(0.3).exp(),
  (a) => a.square().add(1).log(),
  (a) => a.erf(),
  (a) => a.gelu(),
  (a) => a.softplus(),
  (a, _b, axis) => a.softmax(axis),
  (a, _b, axis) => a.sum(axis, { keepDims: true }),
  (a, _b, axis) => a.logSumExp(axis),
  (a, _b, axis) => a.mean(axis),
  (a, _b, axis) => a.flip(axis),
  (a, _b, axis) => a.cumsum(axis),
  (a, _b, axis) => concat([a, a.cos()], axis),
  (a) => layerNorm(a, { eps: 0.3 }),
  (a) => a.transpose(),
  (a, _b, axis) => a.take([0, 0, -1], axis),
  (a) => a.expandDims(0).matmul(a.expandDims(-1)).mul(0.1),
  (a, b) => grad((t: Tensor) => t.pow(3).mul(b.sum()).mean())(a), // a transform inside, that closes over b
];
const FIRST_WITH_AXIS = 12;

/** A random program of six steps, always the same for one seed. */
function program(source: Random): (...inputs: Tensor[]) => Tensor {
  const plan = Array.from({ length: 6 }, () => ({
    step: source.integer(0, STEPS.length),
    left: source.next(),
    right: source.next(),
    axis: source.integer(0, 3),
  }));
  return (...inputs) => {
    const pool = [...inputs];
    for (const { step, left, right, axis } of plan) {
      const [a, b] = [left, right].map((share) => pool[Math.floor(share * pool.length)]!) as [Tensor, Tensor];
      if (step >= FIRST_WITH_AXIS && a.rank === 0) continue;
      const fits = [...a.shape].reverse().every((dim, i) => {
        const other = [...b.shape].reverse()[i] ?? 1;
        return dim === 1 || other === 1 || dim === other;
      });
      pool.push(STEPS[step]!(a, fits ? b : a, a.rank > 0 ? axis % a.rank : 0).tanh());
    }
    return pool
      .slice(-3)
      .map((t) => t.mean())
      .reduce(add);
  };
}

test.each(Array.from({ length: 10 }, (_, group) => group))(
  'random programs, group %i: first and second order against differences',
  (group) => {
    for (let seed = 8 * group; seed < 8 * group + 8; seed++) {
      const source = random(seed);
      const inputs = Array.from({ length: 3 }, () =>
        source.uniform(SHAPES[source.integer(0, SHAPES.length)]!, { low: 0.4, high: 1.6, dtype: 'float64' }),
      );
      try {
        gradCheck(program(source), inputs, { order: 2 });
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      }
    }
    expect(memory().scopes).toBe(0);
  },
);
