import {
  add,
  arange,
  defaultDevice,
  type Backend,
  device,
  DeviceError,
  DTypeError,
  eye,
  full,
  memory,
  nn,
  ones,
  onesLike,
  optim,
  random,
  relu,
  setDefaultDevice,
  shuffledBatches,
  tensor,
  type Tensor,
  tensorsOf,
  valueAndGrad,
  zeros,
  zerosLike,
} from 'tapegrad';
import { registerDevice } from '../../src/tensor/device.js';
import { remoteDevice } from '../devices.js';

test('the CPU is there at once, and is always the same', async () => {
  const cpu = await device('cpu');
  expect(cpu).toBe(await device('cpu'));
  expect(tensor([1]).device).toBe(cpu);
  expect(memory(cpu)).toEqual(memory());
  expect(
    ['float32', 'float64', 'int32', 'bool', 'float16', 'bfloat16'].every((dtype) => cpu.supports(dtype as 'float32')),
  ).toBe(true);
});

test('a device that nobody introduced is an error that says what there is', async () => {
  await expect(device('vulkan' as 'webgpu')).rejects.toThrow(DeviceError);
  await expect(device('vulkan' as 'webgpu')).rejects.toThrow(/^\[device\] no device 'vulkan'; there are 'cpu'/);
});

test('a device is opened once; one that failed to open may be tried again', async () => {
  const remote = await remoteDevice();
  let tries = 0;
  registerDevice('webgpu', () =>
    ++tries === 1 ? Promise.reject(new DeviceError('device', 'not yet')) : Promise.resolve(remote),
  );
  await expect(device('webgpu')).rejects.toThrow('[device] not yet');
  const [first, second] = await Promise.all([device('webgpu'), device('webgpu')]);
  expect([first, second, await device('webgpu')]).toEqual([remote, remote, remote]);
  expect(tries).toBe(2);
});

test('to() the same device is the tensor itself; a dtype that the other lacks is refused', async () => {
  const remote = await remoteDevice();
  const t = tensor([1, 2]);
  expect(t.to(t.device)).toBe(t);
  expect(() => tensor(Float64Array.of(1)).to(remote)).toThrow("[to] device 'webgpu' has no float64; cast it first");
  const moved = t.to(remote);
  expect([moved.device.name, moved.shape, await moved.array()]).toEqual(['webgpu', [2], [1, 2]]);
});

describe('the device at creation', () => {
  const makers: [string, (on?: Backend) => Tensor][] = [
    ['tensor', (device) => tensor([1, 2], { device })],
    ['tensor of integers', (device) => tensor([1, 2], { dtype: 'int32', shape: [2, 1], device })],
    ['zeros', (device) => zeros([2], { device })],
    ['ones', (device) => ones([2, 0], { dtype: 'bool', device })],
    ['full', (device) => full([2], 3, { dtype: 'float16', device })],
    ['zerosLike', (device) => zerosLike(tensor([1]), { device: device ?? defaultDevice() })],
    ['onesLike', (device) => onesLike(tensor([1]), { device: device ?? defaultDevice(), dtype: 'int32' })],
    ['arange', (device) => arange(3, { device })],
    ['arange with a step', (device) => arange(0, 1, 0.5, { device })],
    ['eye', (device) => eye(2, { device })],
    ['eye of a rectangle', (device) => eye(2, 3, { device })],
    ['normal', (device) => random(0).normal([2], { device })],
    ['uniform', (device) => random(0).uniform([2], { low: 1, high: 2, device })],
    ['integers', (device) => random(0).integers([2], 0, 9, { device })],
    ['permutation', (device) => random(0).permutation(4, { device })],
    [
      'init',
      (device) => tensorsOf(nn.sequential(nn.linear(2, 3), relu, nn.layerNorm(3)).init(random(0), { device }))[3]!,
    ],
  ];

  test.each(makers)('%s: as an option, or by setDefaultDevice; the values are the same', async (_, make) => {
    const [cpu, remote] = [await device('cpu'), await remoteDevice()];
    const here = make();
    expect(here.device).toBe(cpu);
    const facts = async (t: Tensor): Promise<unknown> => [t.shape, t.dtype, await t.array()];
    const there = make(remote);
    expect(there.device).toBe(remote);
    expect(await facts(there)).toEqual(await facts(here));
    setDefaultDevice(remote);
    try {
      expect(make().device).toBe(remote);
      expect(make(cpu).device).toBe(cpu);
    } finally {
      setDefaultDevice(cpu);
    }
  });

  test('like another tensor: on its device, not on the default one', async () => {
    const [cpu, remote] = [await device('cpu'), await remoteDevice()];
    const there = ones([2], { device: remote });
    expect([zerosLike(there).device, onesLike(there).device]).toEqual([remote, remote]);
    setDefaultDevice(remote);
    try {
      expect(zerosLike(ones([2], { device: cpu })).device).toBe(cpu);
    } finally {
      setDefaultDevice(cpu);
    }
  });

  test('every parameter of every layer', async () => {
    const remote = await remoteDevice();
    const layers = [
      nn.linear(2, 3),
      nn.conv1d(2, 3, 3),
      nn.conv2d(2, 3, 3),
      nn.layerNorm(3),
      nn.embedding(4, 2),
      nn.gru(2, 3, { bidirectional: true }),
      nn.lstm(2, 3),
      nn.dropout(0.5),
    ];
    for (const layer of layers as nn.Layer<unknown>[]) {
      const params = tensorsOf(layer.init(random(0), { device: remote }));
      expect(params.map((t) => t.device.name)).toEqual(params.map(() => 'webgpu'));
      const same = tensorsOf(layer.init(random(0)));
      expect(await Promise.all(params.map((t) => t.array()))).toEqual(same.map((t) => t.arraySync()));
    }
  });

  test('a dtype that the device lacks, and what is no device', async () => {
    const remote = await remoteDevice();
    const lacks = "device 'webgpu' has no float64; choose another dtype or device in the options";
    expect(() => tensor(Float64Array.of(1), { device: remote })).toThrow(DTypeError);
    expect(() => tensor(Float64Array.of(1), { device: remote })).toThrow(`[tensor] ${lacks}`);
    expect(() => random(0).normal([2], { dtype: 'float64', device: remote })).toThrow(`[normal] ${lacks}`);
    const loose =
      (device: unknown): (() => Tensor) =>
      () =>
        zeros([1], { device: device as Backend });
    expect(loose('metal')).toThrow(DeviceError);
    expect(loose('metal')).toThrow("[zeros] the device is the name 'metal'; give what 'await device(\"metal\")' gives");
    expect(loose(device('cpu'))).toThrow('[zeros] the device is a promise; await it: await device(name)');
    expect(loose(null)).toThrow("[zeros] the device is null; give what 'await device(name)' gives");
    expect(() => {
      setDefaultDevice('cpu' as never);
    }).toThrow("[setDefaultDevice] the device is the name 'cpu'");
    expect(() => tensor([1]).to('cpu' as never)).toThrow("[to] the device is the name 'cpu'");
    expect(defaultDevice()).toBe(await device('cpu'));
  });
});

describe('a default device that cannot be read at once', () => {
  test('data beside tensors, batches, a training step', async () => {
    const [cpu, remote] = [await device('cpu'), await remoteDevice()];
    const run = async (): Promise<unknown> => {
      const rng = random(3);
      const model = nn.sequential(nn.linear(2, 4), relu, nn.lstm(4, 3));
      const optimizer = optim.adamw({ learningRate: 0.1 });
      let params = model.init(rng);
      let state = optimizer.init(params);
      const x = rng.normal([2, 5, 2]);
      const losses: number[] = [];
      for (let i = 0; i < 3; i++) {
        const [loss, gradients] = valueAndGrad((p: typeof params) =>
          model
            .apply(p, x, { lengths: [5, 4] })
            .logSoftmax()
            .take([1, 0, 1], 1)
            .mul([[[1, 2, 3]]])
            .mean()
            .neg(),
        )(params);
        ({ params, state } = optimizer.update(params, gradients, state));
        losses.push(await loss.item());
      }
      return [losses, await add([1, 2], [3, 4]).array(), shuffledBatches(5, 2, rng)];
    };
    const here = await run();
    setDefaultDevice(remote);
    try {
      expect(add([1, 2], [3, 4]).device).toBe(remote);
      expect(memory()).toEqual(memory(remote));
      expect(await run()).toEqual(here);
    } finally {
      setDefaultDevice(cpu);
    }
    expect(remote.memory().scopes).toBe(0);
  });
});
