import { GpuBackend } from '../gpu/backend.js';
import type { PoolOptions } from '../gpu/memory.js';
import type { GPU, GPUDevice } from './api.js';
import { WebGpuDevice } from './device.js';
import { wgsl } from './dialect.js';

/** Any GPU, through WebGPU: kernels of wgsl/. It works in the background and cannot be waited for in place. */
export class WebGpuBackend extends GpuBackend {
  readonly name = 'webgpu';
  readonly description: string;
  readonly lost: Promise<unknown>;
  /** The device of the API. To destroy it loses it, with all its tensors. */
  readonly device: GPUDevice;

  private constructor(device: WebGpuDevice, options: PoolOptions) {
    super(device, wgsl, options);
    this.description = `WebGPU (${device.name})`;
    this.lost = device.lost;
    this.device = device.handle;
  }

  /**
   * Opens the fastest adapter.
   *
   * @throws {DeviceError} There is none, or it has less than the kernels need.
   */
  static async open(gpu: GPU, options: PoolOptions = {}): Promise<WebGpuBackend> {
    return new WebGpuBackend(await WebGpuDevice.open(gpu), options);
  }
}
