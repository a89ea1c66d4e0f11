/** Reads on the 'webgpu' device: what they wait for, what they see, and that there are no others. */
import * as tapegrad from 'tapegrad';
import { ctcLoss, nn, optim, random, scope, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import { openDevice, suiteOnDevice } from './harness.js';

suiteOnDevice('reads on webgpu', (device) => {
  test('see what was launched before them, in any number', async () => {
    let x = tensor([1, 2, 3]).to(device());
    for (let i = 0; i < 300; i++) x = x.add(1);
    const [a, b, c] = await Promise.all([x.mul(2).data(), x.sum().item(), x.array()]);
    expect([Array.from(a), b, c]).toEqual([[602, 604, 606], 906, [301, 302, 303]]);
  });

  test('cannot be in place, and the message says what to write', () => {
    const x = tensor([1]).to(device());
    expect(() => x.dataSync()).toThrow(
      "[dataSync] device 'webgpu' cannot be read synchronously; write 'await t.data()'",
    );
  });

  test('a read goes on when its tensor is recycled meanwhile', async () => {
    const x = tensor(new Float32Array(500).fill(1)).to(device());
    const pending: Promise<ArrayLike<number>>[] = [];
    scope(() => {
      pending.push(x.add(41).data());
    });
    for (let i = 0; i < 20; i++) scope(() => x.mul(i).sum());
    expect(new Set(Array.from((await pending[0])!))).toEqual(new Set([42]));
  });

  test('an upload never overwrites memory that gathered work still reads', async () => {
    const totals = Array.from({ length: 200 }, (_, i) =>
      scope(() =>
        tensor(new Float32Array(1024).fill(i))
          .to(device())
          .sum()
          .mul(2 ** -10),
      ),
    );
    expect(await Promise.all(totals.map((t) => t.item()))).toEqual(totals.map((_, i) => i));
  });

  test('empty tensors', async () => {
    const x = tensor([], { shape: [0, 3] }).to(device());
    expect((await x.mul(2).data()).length).toBe(0);
    expect(Array.from(await x.sum(0).data())).toEqual([0, 0, 0]);
  });

  test('only what is asked for is read: nothing in a training step, one buffer for its loss', async () => {
    const gpu = await openDevice();
    const mapped = jest.fn();
    const { device: api } = gpu;
    const create = api.createBuffer.bind(api);
    jest.spyOn(api, 'createBuffer').mockImplementation((descriptor) => {
      const buffer = create(descriptor);
      const map = buffer.mapAsync.bind(buffer);
      buffer.mapAsync = (...args) => {
        mapped(args);
        return map(...args);
      };
      return buffer;
    });
    const model = nn.sequential(nn.linear(5, 7), tapegrad.tanh, nn.linear(7, 4));
    const optimizer = optim.adamw({ learningRate: 0.01 });
    let params = model.init(random(1), { device: gpu });
    let state = optimizer.init(params);
    const x = random(2).normal([300, 2, 5]).to(gpu);
    const loss = valueAndGrad((p: typeof params) =>
      ctcLoss(model.apply(p, x), [[1, 2], [3]], undefined, undefined, { from: 'logits', reduction: 'mean' }),
    );
    let value: Tensor | undefined;
    for (let i = 0; i < 3; i++) {
      const [found, gradients] = loss(params);
      ({ params, state } = optimizer.update(params, optim.clipByGlobalNorm(gradients, 1).gradients, state));
      value = found;
    }
    await gpu.sync();
    expect(mapped).not.toHaveBeenCalled();
    await value!.item();
    expect(mapped).toHaveBeenCalledTimes(1);
    gpu.close();
  });

  test('there is no float64, and the message says what to do; an op that it does not have is refused by name', () => {
    expect(() => tensor(new Float64Array(2)).to(device())).toThrow(
      "[to] device 'webgpu' has no float64; cast it first",
    );
    const nowhere = tapegrad.defineOp<null>({
      name: 'nowhere',
      infer: ([x]) => x!,
      run: (call) => {
        const kernel = { name: 'nowhere', family: 'nowhere', inputs: ['x'], outputs: ['out'], params: {} };
        call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params: {}, grid: 1 });
      },
    });
    expect(() => nowhere([tensor([1]).to(device())], null)).toThrow(
      "[nowhere] has no float32 kernel on device 'webgpu'",
    );
  });
});
