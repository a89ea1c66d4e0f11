import type { Backend } from '../backend.js';
import { DeviceError } from '../../errors.js';
import type { GPU } from './api.js';
import { WebGpuBackend } from './backend.js';

/** Opens the 'webgpu' device of the browser, or of a runtime that has `navigator.gpu`. */
export async function openWebGpu(find: () => Promise<GPU | undefined> = inNavigator): Promise<Backend> {
  const gpu = await find();
  if (!gpu)
    throw new DeviceError(
      'webgpu',
      'there is no navigator.gpu here: WebGPU wants a browser that has it, and a page served over HTTPS or from localhost',
    );
  return WebGpuBackend.open(gpu);
}

export const inNavigator = (): Promise<GPU | undefined> =>
  Promise.resolve((globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu);
