import {
  add,
  concat,
  ctcLoss,
  customVjp,
  grad,
  hessian,
  hvp,
  jacobian,
  layerNorm,
  logSoftmax,
  memory,
  mul,
  type Random,
  random,
  scope,
  split,
  stopGradient,
  type Tensor,
  valueAndGrad,
  vjp,
} from 'tapegrad';
import { Tape } from '../../src/autograd/tape.js';
import { bitsOf, bothWays, poisonMemory, recycleNothing } from './poison.js';

/*
 * A backward pass that gives memory back while somebody can still read it would be the worst of faults. Here memory is overwritten with
 * NaN when it is handed out and when it comes back, and results are compared, bit for bit, with those of passes that recycle nothing.
 */

beforeAll(() => {
  Tape.leastDropped = 1; // the tensors here are small
});

afterEach(() => {
  jest.restoreAllMocks();
  expect(memory().scopes).toBe(0);
});

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
