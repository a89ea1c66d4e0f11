/** The 'webgpu' device as a whole: element types, reads, two devices at once, training, and what goes wrong. */
import * as tapegrad from 'tapegrad';
import {
  ctcLoss,
  device as openNamed,
  DeviceError,
  grad,
  KernelError,
  nn,
  optim,
  random,
  scope,
  tensor,
  type Tensor,
  valueAndGrad,
} from 'tapegrad';
import { inNavigator, openWebGpu } from '../../src/backends/webgpu/index.js';
import { WebGpuDevice } from '../../src/backends/webgpu/device.js';
import { elementTypeSuite, layerSuite, trainingSuite } from '../gpu/backend.suite.js';
import { openDevice, suiteOnDevice, webGpuTests } from './harness.js';

suiteOnDevice('element types on webgpu', elementTypeSuite);
suiteOnDevice('training on webgpu', trainingSuite);
suiteOnDevice('layers on webgpu', layerSuite);

suiteOnDevice('matrix products on webgpu', (device) => {
  test.each([
    [130, 70, 37],
    [65, 300, 33],
    [90, 130, 200],
  ])('%d x %d, of %d terms, with gradients that transpose either operand', async (m, n, k) => {
    const [a, b, w] = [random(1).normal([m, k]), random(2).normal([k, n]), random(3).normal([m, n])];
    const f = (weights: Tensor) => (x: Tensor, y: Tensor) => x.matmul(y).mul(weights).sum();
    const [want, wantGradients] = [a.matmul(b), grad(f(w), { argnums: [0, 1] })(a, b)];
    const [x, y] = [a.to(device()), b.to(device())];
    const [got, gradients] = [x.matmul(y), grad(f(w.to(device())), { argnums: [0, 1] })(x, y)];
    for (const [ours, theirs, terms] of [
      [got, want, k],
      [gradients[0], wantGradients[0], n],
      [gradients[1], wantGradients[1], m],
    ] as const) {
      const data = await ours.data();
      let worst = 0;
      theirs.dataSync().forEach((value, i) => {
        worst = Math.max(worst, Math.abs(data[i]! - value));
      });
      expect(worst).toBeLessThanOrEqual(1e-6 * 10 * Math.sqrt(terms));
    }
  });

  test('batches, whole numbers, and sums over steps of one weight', async () => {
    const [a, b] = [random(1).integers([3, 70, 9], -50, 50), random(2).integers([3, 9, 66], -50, 50)];
    expect(Array.from(await a.to(device()).matmul(b.to(device())).data())).toEqual(Array.from(a.matmul(b).dataSync()));
    // A recurrence adds each step's product to one gradient.
    const [weight, x] = [random(3).normal([96, 96]).mul(0.05), random(4).normal([96, 40])];
    const f = (input: Tensor) => (u: Tensor) => {
      let state = input;
      for (let i = 0; i < 3; i++) state = tapegrad.tanh(u.matmul(state));
      return state.square().sum();
    };
    const want = grad(f(x))(weight).dataSync();
    const got = await grad(f(x.to(device())))(weight.to(device())).data();
    let worst = 0;
    want.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(got[i]! - value));
    });
    expect(worst).toBeLessThanOrEqual(1e-4);
  });
});

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

interface Arrival {
  readonly data: Promise<Float32Array>;
  readonly arrive: (data: Float32Array) => void;
}

suiteOnDevice('two devices', (device) => {
  const model = nn.sequential(nn.linear(4, 6), tapegrad.tanh, nn.linear(6, 3));
  const params = model.init(random(1));
  const x = random(2).normal([9, 2, 4]);
  const loss = (logits: Tensor): Tensor =>
    ctcLoss(logits, [[1], [2, 1]], undefined, undefined, { from: 'logits', reduction: 'sum' });
  const [, want] = valueAndGrad((p: typeof params) => loss(model.apply(p, x)))(params);

  async function check(gradients: typeof params): Promise<void> {
    const all = tapegrad.tensorsOf(gradients);
    for (const [i, t] of tapegrad.tensorsOf(want).entries()) {
      const data = await all[i]!.data();
      t.dataSync().forEach((value, j) => {
        expect(Math.abs(data[j]! - value)).toBeLessThanOrEqual(1e-5);
      });
    }
  }

  test('parameters on the CPU, the model on the GPU', async () => {
    const [value, gradients] = valueAndGrad((p: typeof params) =>
      loss(
        model.apply(
          tapegrad.mapTensors((t) => t.to(device()), p),
          x.to(device()),
        ),
      ),
    )(params);
    expect([value.device.name, tapegrad.tensorsOf(gradients)[0]!.device.name]).toEqual(['webgpu', 'cpu']);
    await check(gradients);
  });

  test('parameters on the GPU, the loss on the CPU', async () => {
    const cpu = await openNamed('cpu');
    const there = tapegrad.mapTensors((t) => t.to(device()), params);
    const [value, gradients] = valueAndGrad((p: typeof params) => loss(model.apply(p, x.to(device())).to(cpu)))(there);
    expect([value.device.name, tapegrad.tensorsOf(gradients)[0]!.device.name]).toEqual(['cpu', 'webgpu']);
    await check(gradients);
  });

  test('back and forth any number of times without an await, computing on the way', async () => {
    const cpu = await openNamed('cpu');
    let x = tensor([1, 2, 3]).to(device());
    const early = x.mul(10).data();
    for (let i = 0; i < 4; i++) x = x.add(1).to(cpu).to(device()).mul(2);
    const [late, other] = [x.data(), x.sub(x).add(5)];
    expect(Array.from(await early)).toEqual([10, 20, 30]);
    expect(Array.from(await late)).toEqual([46, 62, 78]);
    expect(Array.from(await other.data())).toEqual([5, 5, 5]);
    await device().sync();
  });

  test('what waits for the other device keeps the memory that it reads and writes', async () => {
    const gpu = device();
    const [first, second] = [0, 1].map(() => {
      let arrive: (data: Float32Array) => void = () => undefined;
      return { data: new Promise<Float32Array>((resolve) => (arrive = resolve)), arrive };
    }) as [Arrival, Arrival];
    const received = (data: Promise<Float32Array>): Tensor =>
      new tapegrad.Tensor(gpu.receive('float32', 512, data), [512], null, 'to');
    const late = received(first.data);
    const made = Array.from({ length: 3 }, (_, i) =>
      scope(() => {
        const ours = tensor(new Float32Array(512).fill(i)).to(gpu).add(0.25);
        return ours.add(late);
      }),
    );
    const next = received(second.data); // into memory that what waits may still read
    const uploaded = Array.from({ length: 5 }, () => tensor(new Float32Array(512).fill(-1)).to(gpu));
    made.push(next.add(late));
    second.arrive(new Float32Array(512).fill(7));
    await Promise.resolve();
    const all = Promise.all([...made, ...uploaded].map((t) => t.data()));
    first.arrive(new Float32Array(512).fill(100));
    const values = (await all).map((data) => [...new Set(Array.from(data))]);
    expect(values).toEqual([[100.25], [101.25], [102.25], [107], ...uploaded.map(() => [-1])]);
  });

  test('contents that never come are an error of what is made of them, and of nothing else', async () => {
    const gpu = device();
    const failed = new tapegrad.Tensor(
      gpu.receive('float32', 2, Promise.reject(new Error('they are lost'))),
      [2],
      null,
      'to',
    );
    const [made, other] = [failed.add(1), tensor([3]).to(gpu)];
    const after = tensor([4])
      .to(await openNamed('cpu'))
      .to(gpu);
    await expect(made.data()).rejects.toThrow("[to] on device 'webgpu': they are lost");
    expect(Array.from(await other.add(1).data())).toEqual([4]);
    expect(Array.from(await after.data())).toEqual([4]);
  });

  test('tensors of both in one op are refused', () => {
    expect(() => x.add(x.to(device()))).toThrow("[add] tensors on 'cpu' and 'webgpu' in one op");
  });
});

webGpuTests('what goes wrong on webgpu', () => {
  const quiet = (['error', 'warn', 'log'] as const).map((name) => jest.spyOn(console, name).mockImplementation());
  afterAll(() => {
    for (const spy of quiet) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });

  test('the device is lost in the middle of a backward pass: typed errors, the CPU goes on, and a new device works', async () => {
    const gpu = await openNamed('webgpu');
    expect(await openNamed('webgpu')).toBe(gpu);
    const here = tensor([0.5, -1]);
    const x = here.to(gpu);
    const kept = x.exp();
    await kept.data();
    const destroying = tapegrad.customVjp(
      (t: Tensor) => t.mul(2),
      (g: Tensor) => {
        (gpu as unknown as { device: { destroy(): void } }).device.destroy();
        return [g.mul(2)];
      },
    );
    const gradient = grad((t: Tensor) => destroying(t.exp()).square().sum())(x);
    await expect(gradient.data()).rejects.toThrow(DeviceError);
    await expect(gradient.data()).rejects.toThrow(
      /on device 'webgpu': the device is lost: .*await device\('webgpu'\) opens a new one/,
    );
    await expect(kept.data()).rejects.toThrow(DeviceError);
    await expect(gpu.sync()).rejects.toThrow(DeviceError);
    // Also what is launched from now on, there or on the way there, ends so.
    await expect(Promise.resolve().then(() => x.add(1).data())).rejects.toThrow(DeviceError);
    expect(Array.from(grad((t: Tensor) => t.square().sum())(here).dataSync())).toEqual([1, -2]);

    const fresh = await openNamed('webgpu');
    expect(fresh).not.toBe(gpu);
    expect(Array.from(await here.to(fresh).mul(2).data())).toEqual([1, -2]);
    expect(() => here.to(fresh).add(x)).toThrow(DeviceError);
    (fresh as unknown as { close(): void }).close();
  });

  test('a kernel that does not compile, registered by a user: the read rejects with the text, later launches are refused, others run', async () => {
    const gpu = await openDevice();
    const kernel: tapegrad.Kernel = {
      name: 'broken',
      family: 'broken',
      inputs: ['x'],
      outputs: ['out'],
      params: { size: 'u32' },
    };
    tapegrad.registerKernel('webgpu', kernel, 'fn main() { nonsense }');
    const broken = tapegrad.defineOp<null>({
      name: 'broken',
      infer: ([x]) => x!,
      run: (call, [x]) => {
        const { inputs, outputs } = call;
        call.launch({ kernel, inputs, outputs, params: { size: x!.size }, grid: x!.size });
      },
    });
    const x = tensor([1, 2]).to(gpu);
    await expect(broken([x], null).data()).rejects.toThrow(tapegrad.KernelError);
    expect(() => broken([x], null)).toThrow(/^\[broken\] on device 'webgpu': Error while parsing WGSL/);
    expect(Array.from(await x.add(1).data())).toEqual([2, 3]);
    await expect(gpu.sync()).resolves.toBeUndefined();
    gpu.close();
  });

  test("a user's kernel, with a file of wgsl/ put in", async () => {
    const gpu = await openDevice();
    const kernel: tapegrad.Kernel = {
      name: 'nextOrNaN',
      family: 'own',
      inputs: ['x'],
      outputs: ['out'],
      types: { x: ['float32', 'int32'], out: 'x' },
      params: { size: 'u32', step: 'f32' },
    };
    tapegrad.registerKernel(
      'webgpu',
      kernel,
      `// include math.wgsl
struct OwnParams { size: u32, step: f32 }
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: OwnParams;
@compute @workgroup_size(WIDTH)
fn anyName(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) { out[i] = select(x[i] + IN(p.step), x[i], isNaN(f32(x[i]))); }
}`,
    );
    const own = tapegrad.defineOp<null>({
      name: 'nextOrNaN',
      infer: ([x]) => x!,
      run: (call, [x]) => {
        const { inputs, outputs } = call;
        call.launch({ kernel, inputs, outputs, params: { size: x!.size, step: 2 }, grid: x!.size });
      },
    });
    const on = (data: number[], dtype: 'float32' | 'int32'): Tensor =>
      own([tensor(data, { dtype, device: gpu })], null);
    expect(Array.from(await on([1, NaN, -0.5], 'float32').data())).toEqual([3, NaN, 1.5]);
    expect(Array.from(await on([1, -7], 'int32').data())).toEqual([3, -5]);
    gpu.close();
  });

  test('a launch that was valid and is so no longer: its read rejects, with the op, and others go on', async () => {
    const gpu = await openDevice();
    const x = tensor([1, 2, 3]).to(gpu);
    const twice = (): Tensor => scope(() => x.mul(2));
    for (let i = 0; i < 4; i++) {
      const result = twice();
      expect(Array.from(await result.data())).toEqual([2, 4, 6]);
      result.dispose();
    }
    const other = tensor([4]).to(gpu);
    await other.data();
    const scopes = jest.spyOn(gpu.device, 'pushErrorScope');
    (x.buffer as unknown as { block: { memory: { release(): void } } }).block.memory.release();
    const failed = twice();
    await expect(failed.data()).rejects.toThrow(KernelError);
    expect(scopes).not.toHaveBeenCalled();
    await expect(failed.data()).rejects.toThrow(/^\[mul\] on device 'webgpu': .*destroyed/s);
    expect(() => failed.add(1)).toThrow(KernelError);
    expect(Array.from(await other.mul(2).data())).toEqual([8]);
    await gpu.sync();
    gpu.close();
  });

  test('no room for what is read to lie in: that read rejects, typed and with the reason, and nothing is said of it later', async () => {
    const gpu = await openDevice();
    const uploaded = tensor(new Float32Array(2000).fill(5)).to(gpu);
    const made = uploaded.add(1);
    await gpu.sync();
    const create = gpu.device.createBuffer.bind(gpu.device);
    const refusing = jest
      .spyOn(gpu.device, 'createBuffer')
      .mockImplementation((wanted) => create((wanted.usage & 1) === 0 ? wanted : { ...wanted, size: 2 ** 50 })); // 1: MAP_READ
    for (const t of [uploaded, made]) {
      const failed = await t.data().catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(tapegrad.KernelError);
      expect((failed as Error).message).toMatch(/^\[data\] on device 'webgpu': Buffer size .*exceeds/s);
    }
    refusing.mockRestore();
    await gpu.sync();
    expect(new Set(Array.from(await uploaded.data()))).toEqual(new Set([5]));
    expect(new Set(Array.from(await made.add(1).data()))).toEqual(new Set([7]));
    gpu.close();
  });

  test('no WebGPU, no adapter, an adapter that is too small: errors that say what to do', async () => {
    expect(await inNavigator()).toBeUndefined();
    await expect(openWebGpu()).rejects.toThrow(
      '[webgpu] there is no navigator.gpu here: WebGPU wants a browser that has it',
    );
    const none = { requestAdapter: () => Promise.resolve(null) };
    await expect(WebGpuDevice.open(none)).rejects.toThrow(DeviceError);
    await expect(WebGpuDevice.open(none)).rejects.toThrow(/there is no adapter: .*await device\('cpu'\)/);
    const info = { vendor: '', architecture: '', device: '', description: '' };
    const limits = {
      maxBufferSize: 2 ** 28,
      maxStorageBufferBindingSize: 2 ** 27,
      maxStorageBuffersPerShaderStage: 4,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupSizeX: 256,
      maxComputeWorkgroupStorageSize: 16384,
      maxComputeWorkgroupsPerDimension: 65535,
      minUniformBufferOffsetAlignment: 256,
    };
    const requestDevice = (): Promise<never> => Promise.reject(new Error('no device today'));
    const small = { requestAdapter: () => Promise.resolve({ info, limits, requestDevice }) };
    await expect(WebGpuDevice.open(small)).rejects.toThrow(
      "[webgpu] the adapter's maxStorageBuffersPerShaderStage is 4; the kernels need 8. Use another GPU, or the CPU",
    );
    limits.maxStorageBuffersPerShaderStage = 8;
    await expect(WebGpuDevice.open(small)).rejects.toThrow('[webgpu] the adapter gives no device: no device today');
  });
});
