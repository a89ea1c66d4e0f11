import { device, DeviceError, memory, tensor } from 'tapegrad';
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
  await expect(device('webgpu')).rejects.toThrow(DeviceError);
  await expect(device('webgpu')).rejects.toThrow(/^\[device\] no device 'webgpu'; there are 'cpu'/);
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
