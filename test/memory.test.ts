import {
  ctcLoss,
  grad,
  logSoftmax,
  memory,
  OutOfMemoryError,
  random,
  scope,
  tensor,
  type Tensor,
  valueAndGrad,
  zeros,
} from 'tapegrad';
import { heap } from '../src/backends/cpu/heap.js';
import { heldBytes } from './garbage.js';

const source = random(0);
const x = source.normal([32, 20]);
const y = source.integers([32], 0, 5);
const start = (): { hidden: Tensor; out: Tensor; bias: Tensor } => ({
  hidden: source.normal([20, 40], { std: 0.2 }),
  out: source.normal([40, 5], { std: 0.2 }),
  bias: zeros([5]),
});
type Parameters = ReturnType<typeof start>;

function loss({ hidden, out, bias }: Parameters): Tensor {
  const logits = x.matmul(hidden).tanh().matmul(out).add(bias);
  return logits
    .logSoftmax()
    .gather(y.reshape([32, 1]), 1)
    .mean()
    .neg();
}

/** A training step as anyone would write it: nothing is disposed of, the old parameters are just dropped. */
function step(parameters: Parameters, f: (p: Parameters) => Tensor = loss): Parameters {
  const [, gradient] = valueAndGrad(f)(parameters);
  return {
    hidden: parameters.hidden.sub(gradient.hidden.mul(0.1)),
    out: parameters.out.sub(gradient.out.mul(0.1)),
    bias: parameters.bias.sub(gradient.bias.mul(0.1)),
  };
}

/** Runs many steps after a warm-up and gives what the process and the device then hold beyond what they held. */
async function growth(
  steps: number,
  run: (i: number) => unknown,
): Promise<{ held: number; reserved: number; used: number; scopes: number }> {
  const warmUp = Math.ceil(steps / 4);
  for (let i = 0; i < warmUp; i++) await run(i);
  const [before, held] = [memory(), heldBytes()];
  for (let i = 0; i < steps; i++) await run(i);
  const after = memory();
  return {
    held: heldBytes() - held,
    reserved: after.reservedBytes - before.reservedBytes,
    used: after.usedBytes - before.usedBytes,
    scopes: after.scopes,
  };
}

const MIB = 2 ** 20;
/** 1000 steps make about 100 MiB of intermediates. The rest is compiled code. */
const LITTLE = 8 * MIB;
const FLAT = { reserved: 0, used: 0, scopes: 0 };

describe('1000 steps hold memory flat without a dispose', () => {
  test('in a synchronous loop, which gives the event loop no turn', () => {
    let parameters = start();
    const first = loss(parameters).itemSync();
    for (let i = 0; i < 200; i++) parameters = step(parameters);
    const [before, held] = [memory(), heldBytes()];
    for (let i = 0; i < 1000; i++) parameters = step(parameters);
    const after = memory();
    expect({
      reserved: after.reservedBytes - before.reservedBytes,
      used: after.usedBytes - before.usedBytes,
      scopes: after.scopes,
    }).toEqual(FLAT);
    expect(heldBytes() - held).toBeLessThan(LITTLE);
    expect(loss(parameters).itemSync()).toBeLessThan(first / 2);
  });

  test('when the function is async', async () => {
    let parameters = start();
    const { held, ...device } = await growth(1000, async () => {
      const [, gradient] = await valueAndGrad(async (p: Parameters) => {
        const value = loss(p);
        await Promise.resolve();
        return value.mul(1);
      })(parameters);
      parameters = { ...parameters, out: parameters.out.sub(gradient.out.mul(0.1)) };
    });
    expect(device).toEqual(FLAT);
    expect(held).toBeLessThan(LITTLE);
  });

  test('when the function throws, early, late, in the backward pass, or in a promise', async () => {
    const parameters = start();
    const failures: ((p: Parameters) => unknown)[] = [
      () => {
        throw new Error('at once');
      },
      (p) => {
        loss(p);
        throw new Error('late');
      },
      (p) => loss(p).reshape([1]), // not a scalar
      (p) =>
        x
          .matmul(p.hidden)
          .tanh()
          .matmul(p.out)
          .add(zeros([7])), // shapes do not fit
      async (p) => {
        loss(p);
        await Promise.resolve();
        throw new Error('in a promise');
      },
    ];
    let thrown = 0;
    const { held, ...device } = await growth(1000, async (i) => {
      try {
        await (grad(failures[i % failures.length] as (p: Parameters) => Tensor)(parameters) as unknown);
      } catch {
        thrown++;
      }
    });
    expect(thrown).toBe(1250);
    expect(device).toEqual(FLAT);
    expect(held).toBeLessThan(LITTLE);
  });

  test('with second derivatives and values that leave by aux', async () => {
    let kept: Tensor | undefined;
    const { held, ...device } = await growth(300, () => {
      const penalty = (w: Tensor): Tensor =>
        grad((t: Tensor) => t.matmul(w).tanh().sum())(x)
          .square()
          .sum();
      const [[, aux]] = valueAndGrad((w: Tensor) => [penalty(w), w.exp()] as const, { hasAux: true })(
        tensor(new Float32Array(20 * 8).fill(0.1), { shape: [20, 8] }),
      );
      kept = aux;
    });
    expect(kept!.shape).toEqual([20, 8]);
    expect(device).toEqual(FLAT);
    expect(held).toBeLessThan(LITTLE);
  });

  test('outside transforms, eagerly and in scope(fn)', async () => {
    const { held, ...device } = await growth(1000, () => {
      x.exp().mul(2).sum();
      return scope(() => x.exp().mul(2).sum());
    });
    expect(device).toEqual(FLAT);
    expect(held).toBeLessThan(LITTLE);
  });
});

describe('the arena', () => {
  test('is open inside and closed afterwards', () => {
    expect(memory().scopes).toBe(0);
    const before = memory().usedBytes;
    let inside = 0;
    grad((t: Tensor) => {
      const value = t.exp().exp().sum();
      inside = memory().usedBytes;
      expect(memory().scopes).toBe(1);
      return value;
    })(tensor(new Float32Array(100_000)));
    expect(inside - before).toBeGreaterThanOrEqual(3 * 400_000); // the argument's copy and two results
    expect(memory()).toMatchObject({ scopes: 0, usedBytes: before });
  });

  test('is used again by the next transform: nothing more is reserved, whatever the sizes', () => {
    const run = (size: number): unknown => grad((t: Tensor) => t.exp().sum())(tensor(new Float32Array(size)));
    run(3_000_000);
    const { reservedBytes } = memory();
    for (const size of [10, 2_999_999, 1, 70_000, 3_000_000, 65_536, 1_500_000, 3_000_000]) run(size);
    expect(memory().reservedBytes).toBe(reservedBytes);
  });

  test('an ordinary tensor is copied into it once, however often it is used, and again in the next transform', () => {
    const data = tensor(new Float32Array(500_000));
    for (let i = 0; i < 3; i++) {
      grad((t: Tensor) => {
        const before = memory().usedBytes;
        for (let use = 0; use < 20; use++) data.matmul(t);
        expect(memory().usedBytes - before).toBeLessThan(3 * 2_000_000);
        return t.sum();
      })(zeros([500_000]));
    }
  });

  test('results that leave it are ordinary arrays: reading them costs nothing later, and new arenas do not touch them', () => {
    const [value, gradient] = valueAndGrad((t: Tensor) => t.exp().sum())(tensor([0, 0, 0]));
    for (let i = 0; i < 5; i++) grad((t: Tensor) => t.mul(1234).sum())(tensor(new Float32Array(100_000).fill(7)));
    expect([value.itemSync(), gradient.arraySync()]).toEqual([3, [1, 1, 1]]);
  });

  test('more memory than there is left is a typed error, and everything works afterwards', () => {
    const f = (t: Tensor): Tensor =>
      t
        .exp()
        .broadcastTo([2 ** 18, 2 ** 13])
        .sum(); // 8 GiB
    expect(() => grad(f)(zeros([2 ** 13]))).toThrow(/no room for \d+ bytes/);
    expect(memory().scopes).toBe(0);
    expect(grad((t: Tensor) => t.square().sum())(tensor([1, 2])).arraySync()).toEqual([2, 4]);
  });
});

describe('when memory runs out in the middle', () => {
  const failing = (call: number): void => {
    const take = heap().take.bind(heap());
    let calls = 0;
    jest.spyOn(heap(), 'take').mockImplementation((bytes) => {
      if (++calls === call) throw new OutOfMemoryError('cpu', 'no room');
      return take(bytes);
    });
  };
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const x = random(3).normal([40, 32, 600]);
  const labels = Array.from({ length: 32 }, (_, n) => [1 + n, 2 + n]);
  const step = (): unknown =>
    scope(() => valueAndGrad((t: Tensor) => ctcLoss(logSoftmax(t).mul(1), labels).mean())(x)[1]);

  test('nothing is held afterwards, wherever it happens', () => {
    step();
    const before = memory();
    let failures = 0;
    for (let call = 1; call <= 20; call++) {
      failing(call);
      try {
        step();
      } catch (error) {
        expect(error).toBeInstanceOf(OutOfMemoryError);
        failures++;
      }
      jest.restoreAllMocks();
      expect(memory()).toMatchObject({ usedBytes: before.usedBytes, scopes: 0 });
    }
    expect(failures).toBeGreaterThan(3);
  });

  test('what was put off is computed when it is read again', () => {
    scope(() => {
      const y = logSoftmax(random(4).normal([40, 32, 600]));
      failing(1); // the argument has to come to the heap
      expect(() => y.dataSync()).toThrow(OutOfMemoryError);
      jest.restoreAllMocks();
      expect(
        (y.dataSync() as Float32Array).subarray(0, 600).reduce((sum, value) => sum + Math.exp(value), 0),
      ).toBeCloseTo(1, 4);
    });
  });
});

test('a tensor whose ndarray was handed out is read anew by every transform', () => {
  const x = random(1).normal([200, 200]); // large enough to be kept in the heap
  const total = valueAndGrad((t: Tensor) => t.mul(1).sum());
  for (let i = 0; i < 4; i++) total(x);
  x.ndarray().data.fill(2);
  for (let i = 0; i < 4; i++) expect(total(x)[0].itemSync()).toBe(80_000);
});
