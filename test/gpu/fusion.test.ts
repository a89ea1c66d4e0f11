/** Elementwise launches as one: the numbers of one after the other, in fewer launches. */
import { concat, grad, random, type Random, scope, tensor, type Tensor, where } from 'tapegrad';
import { FakeGpu } from './fake.js';

/** Runs something until its combinations are known, and tells which kernels the last run took. */
async function kernelsOf(gpu: FakeGpu, run: () => Promise<unknown>): Promise<string[]> {
  for (let i = 0; i < 3; i++) await run();
  const kernels: string[] = [];
  gpu.faults.onRun = (names) => kernels.push(...names);
  await run();
  delete gpu.faults.onRun;
  return kernels;
}

const close = (got: ArrayLike<number>, want: ArrayLike<number>, digits: number): void => {
  expect(got.length).toBe(want.length);
  Array.from(want).forEach((value, i) => {
    expect(got[i]).toBeCloseTo(value, digits);
  });
};

const [X, B] = [random(1).normal([6, 4]), random(2).normal([4])];

describe('what becomes one launch', () => {
  const gpu = new FakeGpu();
  const [x, b] = [X.to(gpu), B.to(gpu)];

  test('a chain that has been met twice; what is still held is written, too', async () => {
    const names: string[][] = [];
    const held: Tensor[] = [];
    for (let i = 0; i < 3; i++) {
      gpu.faults.onRun = (kernels) => names.push([...kernels]);
      const sum = x.add(b);
      const result = sum.tanh();
      held.push(sum, result);
      await result.data();
    }
    delete gpu.faults.onRun;
    expect(names).toEqual([['add', 'tanh'], ['add', 'tanh'], ['add_tanh']]);
    for (const [i, t] of held.entries()) {
      const want = i % 2 === 0 ? X.add(B) : X.add(B).tanh();
      close(await t.data(), want.dataSync(), 6);
    }
  });

  test('scalars are computed by whoever needs them, and copies are steps like others', async () => {
    const s = tensor(3).to(gpu);
    const run = () => scope(() => x.mul(s.mul(2).add(1)).transpose(0, 1).exp()).data();
    expect(await kernelsOf(gpu, run)).toEqual(['mul_add_mul', 'copy_exp']);
    const want = X.mul(7).transpose(0, 1).exp().dataSync();
    close(await run(), want, 3);
  });

  test('a scalar that is cut out of something', async () => {
    const run = () => scope(() => x.mul(b.slice([2, 3]).reshape([]))).data();
    expect(await kernelsOf(gpu, run)).toEqual(['copy_mul']);
    close(await run(), X.mul(B.dataSync()[2]!).dataSync(), 6);
  });

  test('what has to be complete before it is read is not: sums, transposes, broadcasting', async () => {
    const run = () => scope(() => x.exp().transpose(0, 1).add(x.sum(1)).add(x.exp().sum())).data();
    const kernels = await kernelsOf(gpu, run);
    expect(kernels.filter((name) => name === 'sum')).toHaveLength(2);
    expect(kernels.indexOf('exp')).toBeLessThan(kernels.findIndex((name) => name.startsWith('copy')));
    const want = X.exp().transpose(0, 1).add(X.sum(1)).add(X.exp().sum()).dataSync();
    close(await run(), want, 4);
  });

  test('never more than eight buffers', async () => {
    const long = () => scope(() => Array.from({ length: 20 }).reduce((y: Tensor) => y.neg(), x)).data();
    expect((await kernelsOf(gpu, long)).map((name) => name.split('_').length)).toEqual([7, 7, 6]);
    const many = Array.from({ length: 12 }, (_, i) => X.add(i).to(gpu));
    const wide = () => scope(() => many.reduce((a, y) => a.add(y))).data();
    for (const name of await kernelsOf(gpu, wide)) expect(name.split('_').length).toBeLessThanOrEqual(4);
    expect((await wide())[0]).toBeCloseTo(12 * X.dataSync()[0]! + 66, 3);
  });

  test('one that does not compile is left alone', async () => {
    const own = new FakeGpu({ compile: 'exp_tanh' });
    const there = X.to(own);
    const run = () => scope(() => there.exp().tanh()).data();
    expect(await kernelsOf(own, run)).toEqual(['exp', 'tanh']);
    await expect(own.sync()).resolves.toBeUndefined();
  });

  test('gradients take fewer launches than ops', async () => {
    const f = (u: Tensor) => u.add(b).tanh().mul(u).exp().sum();
    const [kernels, ops] = [[] as string[], [] as string[]];
    for (const list of [ops, kernels, kernels, kernels]) {
      list.length = 0;
      gpu.faults.onRun = (names) => list.push(...names);
      await scope(() => grad(f)(x)).data();
    }
    delete gpu.faults.onRun;
    expect(kernels.length).toBeLessThan(0.7 * ops.length);
    const want = grad((u: Tensor) => u.add(B).tanh().mul(u).exp().sum())(X).dataSync();
    const got = await grad(f)(x).data();
    close(got, want, 4);
  });
});

describe('whatever happens to the results meanwhile', () => {
  test('a cotangent that the backward pass goes on adding to', async () => {
    const gpu = new FakeGpu();
    const there = X.to(gpu);
    const f = (u: Tensor) => {
      const part = u.slice([null, null, -1]).sum(); // as large as u, so that one chain holds what both uses give
      return u.add(1).mul(2).sum().add(part);
    };
    const run = () => scope(() => grad(f)(there)).data();
    expect((await kernelsOf(gpu, run)).slice(-2)).toEqual(['add_copy_mulNoNaN_copy', 'accumulate']);
    expect(Array.from(await run())).toEqual(Array.from(X.dataSync(), () => 3));
  });

  test('a read that waits for another device when the scope is over', async () => {
    const [gpu, other] = [new FakeGpu(), new FakeGpu()];
    const elsewhere = X.to(other);
    const want = X.neg().tanh().dataSync();
    for (let i = 0; i < 4; i++) {
      const reads: Promise<ArrayLike<number>>[] = [];
      const kept = scope(() => {
        const y = elsewhere.to(gpu).neg().tanh();
        reads.push(y.data());
        return y.mul(2);
      });
      close(
        await kept.data(),
        want.map((v) => 2 * v),
        6,
      );
      close((await reads[0])!, want, 6);
    }
  });

  /** A program of random ops, with results disposed of, kept in scopes, read before they are computed, summed and cut into pieces. */
  async function program(rng: Random, there: (t: Tensor) => Tensor): Promise<number[][]> {
    const pool = [X, X.mul(0.5), B.reshape([1, 4]), tensor(0.7), X.slice([0, 3])].map(there);
    const reads: Promise<ArrayLike<number>>[] = [];
    const pick = (): Tensor => pool[rng.integer(0, pool.length)]!;
    /** One that broadcasts with it. */
    const beside = (t: Tensor): Tensor => {
      const other = pick();
      const fits =
        t.rank === 0 ||
        other.rank === 0 ||
        (t.rank === 2 &&
          other.rank === 2 &&
          (other.shape[0] === 1 || t.shape[0] === 1 || other.shape[0] === t.shape[0]));
      return fits ? other : t;
    };
    const made = (): Tensor => {
      const t = pick();
      switch (rng.integer(0, 12)) {
        case 0:
          return t.add(beside(t));
        case 1:
          return t.mul(beside(t)).tanh();
        case 2:
          return t.sub(beside(t)).neg();
        case 3:
          return where(t.greater(0.1), t, t.mul(0.5));
        case 4:
          return t.sum().tanh();
        case 5:
          return t.rank === 2 ? t.transpose(0, 1).exp().transpose(0, 1).tanh() : t.exp().tanh();
        case 6:
          return t.rank === 2 ? concat([t.slice([1]), t.slice([0, 1])]) : t.neg();
        case 7:
          return scope(() => {
            const u = t.abs().add(1);
            return u.div(u.add(1)).mul(t);
          });
        case 8:
          return grad((u: Tensor) => u.tanh().mul(u).add(u.square()).sum())(t);
        case 9:
          return t.rank === 2 ? t.slice([0, Math.ceil(t.shape[0]! / 2)]) : t.abs();
        case 10:
          return where(t.less(0.2).logicalOr(t.greater(0.9)), t.square(), t.tanh());
        default:
          return t.sign().mul(0.3).add(beside(t)).tanh();
      }
    };
    for (let i = 0; i < 40; i++) {
      const t = made();
      const place = rng.integer(0, 8);
      if (place < 5) pool[place] = t;
      else pool.push(t);
      if (rng.integer(0, 6) === 0) reads.push(t.data());
      // Dispose of one that is in the pool only once, and not among the first ones any more.
      if (pool.length > 9) {
        const [gone] = pool.splice(rng.integer(5, pool.length), 1);
        if (!pool.some((other) => other.buffer === gone!.buffer)) gone!.dispose();
      }
      if (rng.integer(0, 15) === 0) await Promise.resolve();
    }
    for (const t of pool) reads.push(t.data());
    return (await Promise.all(reads)).map((data) => Array.from(data));
  }

  test.each(Array.from({ length: 30 }, (_, seed) => seed))('random program %d', async (seed) => {
    const gpu = new FakeGpu();
    const want = await program(random(seed), (t) => t);
    let longest = 0;
    gpu.faults.onRun = (names) => {
      for (const name of names) longest = Math.max(longest, name.split('_').length);
    };
    for (let turn = 0; turn < 4; turn++) {
      const got = await program(random(seed), (t) => t.to(gpu));
      expect(got.map((list) => list.length)).toEqual(want.map((list) => list.length));
      got.forEach((list, i) => {
        list.forEach((value, at) => {
          expect(value).toBeCloseTo(want[i]![at]!, 4);
        });
      });
    }
    expect(longest).toBeGreaterThan(1);
  });
});
