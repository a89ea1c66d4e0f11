import { type Backend, device } from 'tapegrad';

/**
 * A second device for tests: the CPU's memory and kernels under another name. Like WebGPU it has no float64, and unless it is told how it
 * cannot be read synchronously, so whatever assumes host memory or a synchronous read fails on it.
 */
export async function remoteDevice(readSync?: Backend['readSync']): Promise<Backend> {
  const own = { name: 'webgpu', isHost: false, readSync, supports: (dtype: string) => dtype !== 'float64', arenas: 0 };
  return Object.create(
    await device('cpu'),
    Object.fromEntries(Object.entries(own).map(([key, value]) => [key, { value, writable: true }])),
  ) as Backend;
}
