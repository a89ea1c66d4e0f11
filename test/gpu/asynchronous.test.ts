/** What a device that works in the background asks of the contract: reads that wait, moves that wait, errors that come late. */
import {
  type Backend,
  ctcLoss,
  defineOp,
  device,
  DeviceError,
  grad,
  type Kernel,
  KernelError,
  OutOfMemoryError,
  random,
  scope,
  tensor,
  type Tensor,
  UnsupportedOpError,
  valueAndGrad,
} from 'tapegrad';
import { addKernel } from '../../src/backends/registry.js';
import { remoteDevice } from '../devices.js';
import { FakeGpu } from './fake.js';

const close = (got: ArrayLike<number>, want: ArrayLike<number>, digits = 6): void => {
  expect(got.length).toBe(want.length);
  Array.from(want).forEach((value, i) => {
    expect(got[i]).toBeCloseTo(value, digits);
  });
};

describe('a device that works in the background', () => {
  test('ops, broadcasting and gradients of any order give what the CPU gives, and only await shows it', async () => {
    const gpu = new FakeGpu();
    const f = (x: Tensor): Tensor => x.mul(x.exp()).add(x.sum(0)).tanh().sum();
    const x = random(1).normal([3, 4]);
    const second = (t: Tensor): Tensor => grad((u: Tensor) => grad(f)(u).square().sum())(t);
    const there = x.to(gpu);
    const [value, gradient] = valueAndGrad(f)(there);
    expect(() => value.itemSync()).toThrow("device 'webgpu' cannot be read synchronously; write 'await t.data()'");
    expect(await value.item()).toBeCloseTo(f(x).itemSync(), 5);
    close(await gradient.data(), grad(f)(x).dataSync(), 5);
    close(await second(there).data(), second(x).dataSync(), 4);
  });

  test('many launches, scopes and uploads between them keep their order', async () => {
    const gpu = new FakeGpu();
    let x = tensor([1, 2, 3]).to(gpu);
    for (let i = 0; i < 300; i++) x = scope(() => x.add(tensor([1, 1, 1]).to(gpu)).mul(1));
    expect(Array.from(await x.data())).toEqual([301, 302, 303]);
    await expect(gpu.sync()).resolves.toBeUndefined();
  });

  test('begins with the first launches when it has nothing to do, then takes twice as many each time', async () => {
    const sizes: number[] = [];
    const gpu = new FakeGpu({ onRun: (kernels) => sizes.push(kernels.length) });
    const small = tensor([1, 2, 3]).to(gpu);
    const large = tensor(new Float32Array(2 ** 21)).to(gpu);
    const launch = (count: number): Tensor => {
      let x = small;
      for (let i = 0; i < count; i++) x = x.add(1);
      return x;
    };
    const many = launch(400);
    expect(sizes).toEqual([16, 32, 64, 128, 128]);
    expect(Array.from(await many.data())).toEqual([401, 402, 403]);
    expect(sizes.splice(0)).toEqual([16, 32, 64, 128, 128, 32]);
    // What has many elements is not waited for, but once.
    const [first, second] = [large.add(1), large.add(2)];
    const few = launch(31);
    expect(sizes).toEqual([1, 32]);
    await Promise.all([first, second, few].map((t) => t.sum().item()));
    expect(sizes.splice(0)).toEqual([1, 32, 1, 1, 1]);
    // Who reads what is past while the next is under way finds it under way.
    const now = launch(20);
    await many.data();
    launch(20);
    expect(sizes).toEqual([16]);
    await now.data();
  });

  test('a kernel that it does not have is refused at once', () => {
    expect(() =>
      tensor([[1, 2]])
        .to(new FakeGpu())
        .softmax(),
    ).toThrow(UnsupportedOpError);
  });
});

describe('x.to(device), where reads are asynchronous', () => {
  const x = tensor([0.3, -0.7, 1.2]);
  const w = tensor([2, -1, 0.5]);

  test('to the device: the gradient comes back to the host, with all that the host computes from it', async () => {
    const gpu = new FakeGpu();
    const f = (on: Backend) => (t: Tensor) => t.mul(w).square().to(on).exp().sum();
    const cpu = await device('cpu');
    const gradient = grad(f(gpu))(x);
    expect(gradient.device).toBe(cpu);
    expect(() => gradient.dataSync()).toThrow(DeviceError);
    expect(() => gradient.dataSync()).toThrow("still on their way from another device; write 'await t.data()'");
    close(await gradient.data(), grad(f(cpu))(x).dataSync());
    // Once it is there it is like any other.
    close(gradient.dataSync(), grad(f(cpu))(x).dataSync());
  });

  test('from the device: the host goes on with what comes, and the gradient goes back', async () => {
    const gpu = new FakeGpu();
    const cpu = await device('cpu');
    const f = (t: Tensor) => t.exp().to(cpu).mul(w).logSumExp();
    const there = x.to(gpu);
    const [value, gradient] = valueAndGrad(f)(there);
    expect(gradient.device).toBe(gpu);
    expect(await value.item()).toBeCloseTo(f(x).itemSync(), 6);
    close(await gradient.data(), grad(f)(x).dataSync());
  });

  test('there and back, twice differentiated, in a scope, and used on both sides', async () => {
    const gpu = new FakeGpu();
    const cpu = await device('cpu');
    const f = (on: Backend) => (t: Tensor) => t.to(on).square().to(cpu).mul(t).add(t.exp()).sum();
    const second = (on: Backend) => grad((t: Tensor) => grad(f(on))(t).mul(w).sum());
    close(await scope(() => grad(f(gpu))(x)).data(), grad(f(cpu))(x).dataSync());
    close(await second(gpu)(x).data(), second(cpu)(x).dataSync());
  });

  test('back and forth without an await, computing on the way: nothing waits for what comes later', async () => {
    const gpu = new FakeGpu();
    const cpu = await device('cpu');
    let there = x.to(gpu);
    for (let i = 0; i < 4; i++) there = there.add(1).to(cpu).to(gpu).mul(2);
    close(await there.data(), [34.8, 18.8, 49.2], 4);
    await gpu.sync();
  });

  test('integers and truth values move as well', async () => {
    const gpu = new FakeGpu();
    const cpu = await device('cpu');
    const ints = tensor([3, -4], { dtype: 'int32' }).to(gpu).add(1).to(cpu);
    expect(Array.from(await ints.data())).toEqual([4, -3]);
    expect(Array.from(await x.to(gpu).greater(0).to(cpu).data())).toEqual([1, 0, 1]);
  });

  test('between two such devices', async () => {
    const [a, b] = [new FakeGpu(), new FakeGpu()];
    const f = (t: Tensor) => t.exp().to(b).square().sum();
    const there = x.to(a);
    const [value, gradient] = valueAndGrad(f)(there);
    expect(await value.item()).toBeCloseTo(x.exp().square().sum().itemSync(), 5);
    close(await gradient.data(), x.exp().square().mul(2).dataSync(), 5);
  });

  test('ctcLoss on the host of scores from the device, and of losses that go to the device', async () => {
    const gpu = await remoteDevice();
    const cpu = await device('cpu');
    const scores = random(3).normal([8, 2, 4]);
    const f = (on: Backend) => (t: Tensor) =>
      ctcLoss(t, [[1, 2], [3]], [8, 6], undefined, { from: 'logits' })
        .to(on)
        .square()
        .sum();
    close(await grad(f(gpu))(scores).data(), grad(f(cpu))(scores).dataSync());
    const back = (t: Tensor) => ctcLoss(t.to(cpu), [[1, 2], [3]], [8, 6], undefined, { from: 'logits' }).sum();
    close(await grad(back)(scores.to(gpu)).data(), grad(back)(scores).dataSync());
  });
});

describe('errors that come late', () => {
  const x = tensor([1, 2, 3]);

  test('a kernel that does not compile: the next read rejects, naming the op, and so does whatever was made of the result', async () => {
    const gpu = new FakeGpu({ compile: 'exp_' });
    const there = x.to(gpu);
    const good = there.add(1);
    const bad = there.exp();
    const worse = bad.mul(2);
    expect(Array.from(await there.data())).toEqual([1, 2, 3]);
    await expect(bad.data()).rejects.toThrow(KernelError);
    await expect(worse.data()).rejects.toThrow("[exp] on device 'webgpu': exp_float32_float32:1: expected ';'");
    // Known by now: what would be made of it is refused at once.
    expect(() => worse.sum()).toThrow(KernelError);
    delete gpu.faults.compile;
    expect(Array.from(await there.sub(1).data())).toEqual([0, 1, 2]);
    expect(good.shape).toEqual([3]);
    await expect(gpu.sync()).resolves.toBeUndefined();
  });

  test('a kernel over the limits that all GPUs share is refused where it is launched, and nothing else is', async () => {
    const launching = (buffers: number, words: number): ((x: Tensor) => Tensor) => {
      const kernel: Kernel = {
        name: 'count',
        family: 'count',
        inputs: Array.from({ length: buffers - 1 }, (_, i) => `x${i}`),
        outputs: ['out'],
        params: Object.fromEntries(Array.from({ length: words }, (_, i) => [`p${i}`, 'u32' as const])),
      };
      addKernel('webgpu', kernel, 'function count(...all) { new Out(all.at(-2))[0] = all.length - 1; }');
      const op = defineOp<null>({
        name: `count${buffers}x${words}`,
        infer: () => ({ shape: [], dtype: 'float32' }),
        run: (call) => {
          const { inputs, outputs } = call;
          const params = Object.fromEntries(Object.keys(kernel.params).map((name) => [name, 0]));
          call.launch({ kernel, inputs, outputs, params, grid: 1 });
        },
      });
      return (x) => op(new Array<Tensor>(buffers - 1).fill(x), null);
    };
    const gpu = new FakeGpu();
    const there = x.to(gpu);
    expect(await launching(8, 1024)(there).item()).toBe(8);
    for (const [buffers, words, problem] of [
      [9, 1, '9 buffers; on a GPU it may have 8, inputs and outputs together'],
      [8, 1025, '4112 bytes of parameters; on a GPU it may have 4096'],
    ] as const) {
      const launch = launching(buffers, words);
      const refused = (): unknown => launch(there);
      expect(refused).toThrow(KernelError);
      expect(refused).toThrow(`[count${buffers}x${words}] on device 'webgpu': kernel 'count' has ${problem}`);
    }
    expect(await there.sum().item()).toBe(6);
    await expect(gpu.sync()).resolves.toBeUndefined();
  });

  test('launches that the device refuses in place: their reads reject, not the op that submits them, and others go on', async () => {
    const gpu = new FakeGpu();
    const there = x.to(gpu);
    gpu.faults.onRun = () => {
      throw new OutOfMemoryError('fake', 'no room for a list of commands');
    };
    let bad = there;
    for (let i = 0; i < 16; i++) bad = bad.exp(); // as many as are submitted at once
    delete gpu.faults.onRun;
    expect(Array.from(await there.data())).toEqual([1, 2, 3]);
    await expect(bad.data()).rejects.toThrow(OutOfMemoryError);
    await expect(bad.data()).rejects.toThrow("[exp] on device 'webgpu': no room for a list of commands");
    expect(() => bad.exp()).toThrow(OutOfMemoryError);
    expect(Array.from(await there.add(1).data())).toEqual([2, 3, 4]);
    await expect(gpu.sync()).resolves.toBeUndefined();
  });

  test('sync() reports what nobody has read, once', async () => {
    const gpu = new FakeGpu({ launch: 'sqrt' });
    x.to(gpu).sqrt();
    const failed = await gpu.sync().catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(KernelError);
    expect(failed).toMatchObject({ op: 'sqrt', message: "[sqrt] on device 'webgpu': binding 1 of sqrt is missing" });
    expect((failed as Error).cause).toBeInstanceOf(Error);
    await expect(gpu.sync()).resolves.toBeUndefined();
  });

  test('memory that is not there is an OutOfMemoryError', async () => {
    const gpu = new FakeGpu({ memory: 4096 });
    const small = tensor([[1, 2, 3]]).to(gpu);
    const big = small.mul(tensor(new Float32Array(300), { shape: [300, 1] }).to(gpu));
    expect(big.shape).toEqual([300, 3]);
    gpu.faults.memory = 256;
    const late = small.mul(tensor([[1], [2]]).to(gpu)).exp();
    await expect(late.data()).resolves.toHaveLength(6);
    const more = big.exp();
    await expect(more.data()).rejects.toThrow(OutOfMemoryError);
    await expect(more.data()).rejects.toThrow("[exp] on device 'webgpu': no 3840 bytes left");
    await expect(tensor(new Float32Array(5000)).to(gpu).data()).rejects.toThrow("[upload] on device 'webgpu'");
  });

  test('a lost device stays lost', async () => {
    const gpu = new FakeGpu();
    const there = x.to(gpu);
    gpu.faults.lost = true;
    await expect(there.exp().data()).rejects.toThrow("[exp] on device 'webgpu': the device is lost");
    await expect(gpu.sync()).rejects.toThrow(DeviceError);
    await expect(there.data()).rejects.toThrow(DeviceError);
  });

  test('a gradient on the host rejects with what went wrong on the device, and so does what is made of it', async () => {
    const gpu = new FakeGpu({ launch: 'exp' });
    const gradient = grad((t: Tensor) => t.to(gpu).exp().sum())(x);
    const scaled = gradient.mul(2);
    await expect(gradient.data()).rejects.toThrow(/^\[exp, .*\] on device 'webgpu': binding 1 of exp is missing$/);
    await expect(scaled.data()).rejects.toThrow(KernelError);
    expect(() => scaled.dataSync()).toThrow(DeviceError);
  });

  test('nothing is written to the console, and no rejection goes unhandled', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const said = (['error', 'warn', 'log'] as const).map((name) => jest.spyOn(console, name).mockImplementation());
    try {
      const gpu = new FakeGpu({ compile: 'exp_', memory: 64 });
      grad((t: Tensor) => t.to(gpu).exp().sum())(tensor(new Float32Array(1000))).mul(2);
      // The device takes a few turns of the event loop for what it does.
      for (let turn = 0; turn < 50; turn++)
        await new Promise((resolve) => {
          setTimeout(resolve, 1);
        });
      expect(unhandled).not.toHaveBeenCalled();
      for (const spy of said) expect(spy).not.toHaveBeenCalled();
      await expect(gpu.sync()).rejects.toThrow();
    } finally {
      process.off('unhandledRejection', unhandled);
      for (const spy of said) spy.mockRestore();
    }
  });
});
