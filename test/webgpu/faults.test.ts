/** What goes wrong on the 'webgpu' device: its loss, kernels and launches that are invalid, no memory, no adapter. */
import * as tapegrad from 'tapegrad';
import { device as openNamed, DeviceError, grad, KernelError, scope, tensor, type Tensor } from 'tapegrad';
import { WebGpuDevice } from '../../src/backends/webgpu/device.js';
import { inNavigator, openWebGpu } from '../../src/backends/webgpu/index.js';
import { openDevice, webGpuTests } from './harness.js';

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
