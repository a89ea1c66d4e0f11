/** Memory on the 'webgpu' device: scopes, disposal, what a thousand training steps hold. */
import {
  broadcastTo,
  ctcLoss,
  grad,
  memory,
  nn,
  optim,
  OutOfMemoryError,
  random,
  RecycledError,
  relu,
  scope,
  tensor,
  type Tensor,
  tensorsOf,
  valueAndGrad,
} from 'tapegrad';
import { settled } from '../garbage.js';
import { suiteOnDevice } from './harness.js';

suiteOnDevice('memory on webgpu', (device) => {
  test('a training loop holds its memory over a thousand steps', async () => {
    const model = nn.sequential(nn.linear(16, 32), relu, nn.linear(32, 6));
    const optimizer = optim.adam({ learningRate: 0.001 });
    let params = model.init(random(1), { device: device() });
    let state = optimizer.init(params);
    const loss = (p: typeof params, x: Tensor): Tensor =>
      ctcLoss(model.apply(p, x), [[1, 2, 3], [4]], [12, 10], undefined, { from: 'logits', reduction: 'mean' });
    const rng = random(2);
    const held: number[] = [];
    const values: number[] = [];
    for (let i = 0; i < 1000; i++) {
      // What a step no longer needs goes back by name.
      const old = { params, state };
      using x = rng.normal([12, 2, 16]).to(device());
      const made = scope(() => {
        const [value, gradients] = valueAndGrad(loss)(params, x);
        return { ...optimizer.update(params, gradients, state), value };
      });
      ({ params, state } = made);
      for (const t of tensorsOf(old)) t.dispose();
      if (i % 50 === 0) values.push(await made.value.item());
      made.value.dispose();
      held.push(memory(device()).reservedBytes);
    }
    expect(values.every(Number.isFinite)).toBe(true);
    // Uploads of one batch of launches have a block each, so it takes some steps to have met them all.
    expect(Math.max(...held.slice(200))).toBeLessThanOrEqual(Math.max(...held.slice(0, 200)));
    expect(Math.max(...held)).toBeLessThan(100_000);
    expect(memory(device()).scopes).toBe(0);
  });

  test('single numbers that come again stay on the device, each as it is', async () => {
    const write = jest.spyOn(device().device.queue, 'writeBuffer');
    const x = tensor([1, 2]).to(device());
    const numbers = [0.5, -0, 0, NaN, 3e38, 0.5, 1];
    const answers: number[][] = [];
    const writes: number[] = [];
    for (let i = 0; i < 4; i++) {
      write.mockClear();
      const made = scope(() => numbers.map((number) => x.mul(tensor(number).to(device()))));
      answers.push((await Promise.all(made.map((t) => t.array()))).flat() as number[]);
      writes.push(write.mock.calls.length);
      // One of them may be disposed of, read and differentiated: the others stay.
      using one = tensor(0.5).to(device());
      expect(await one.item()).toBe(0.5);
      expect(await grad((t: Tensor) => t.mul(2).add(t).square())(one).item()).toBe(9);
      for (const t of made) t.dispose();
    }
    write.mockRestore();
    expect(answers.slice(1)).toEqual([answers[0], answers[0], answers[0]]);
    expect(answers[0]!.map((value) => Object.is(value, -0))).toEqual(
      numbers.flatMap((n) => [Object.is(n, -0), Object.is(n, -0)]),
    );
    expect(writes[3]).toBe(1); // the launches' parameters
    expect(writes[3]).toBeLessThan(writes[0]!);
  });

  test('what a scope returns outlives an await, and using gives it back', async () => {
    const x = tensor(new Float32Array(10_000).fill(2)).to(device());
    const step = async (): Promise<Tensor> => {
      using y = scope(() => x.square().add(1).sub(1));
      const total = await y.sum().item();
      return scope(() => y.mul(total / 40_000));
    };
    (await step()).dispose();
    const { usedBytes } = memory(device());
    for (let i = 0; i < 10; i++) {
      using y = await step();
      expect((await y.data()).every((value) => value === 4)).toBe(true);
    }
    // The sums, of 256 bytes, wait for the collector.
    expect(memory(device()).usedBytes).toBeLessThanOrEqual(usedBytes + 10 * 256);
  });

  test('an asynchronous scope that reads inside gives everything back but what it returns', async () => {
    const x = tensor(new Float32Array(10_000).fill(2)).to(device());
    const step = (): Promise<Tensor> =>
      scope(async () => {
        const y = x.square().add(1).sub(1);
        const total = await y.sum().item();
        return y.mul(total / 40_000).mul(0.5);
      });
    (await step()).dispose();
    await settled();
    const { usedBytes } = memory(device());
    for (let i = 0; i < 10; i++) {
      using y = await step();
      expect((await y.data()).every((value) => value === 2)).toBe(true);
    }
    await settled(); // what the tests before have left, too
    expect(memory(device()).usedBytes).toBeLessThanOrEqual(usedBytes);
    expect(memory(device()).scopes).toBe(0);
  });

  test('a disposed tensor throws when it is used, and its transform decides what is traced', async () => {
    const x = tensor([1, 2]).to(device());
    const y = x.exp();
    const view = y.reshape([2, 1]);
    y.dispose();
    y.dispose();
    expect(() => y.add(1)).toThrow(RecycledError);
    await expect(view.data()).rejects.toThrow(RecycledError);
    const gradient = grad((t: Tensor) => {
      using factor = tensor([3, 4]).to(device());
      using product = t.mul(factor);
      return product.sum();
    })(x);
    expect(Array.from(await gradient.data())).toEqual([3, 4]);
    const here = tensor([5]);
    here.dispose();
    expect(here.itemSync()).toBe(5);
  });

  test('out of memory: at once where a buffer is too large for the adapter', () => {
    const one = tensor([[1]]).to(device());
    const rows = Math.floor(device().device.limits.maxStorageBufferBindingSize / 4) + 1;
    const huge = (): Tensor => broadcastTo(one, [rows, 1]);
    expect(huge).toThrow(OutOfMemoryError);
    expect(huge).toThrow(/bytes that .* allows for one; split the tensor, or use the CPU/);
  });
});
