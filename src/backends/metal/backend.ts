import type { Buffer, TypedArray } from '../backend.js';
import { GpuBackend } from '../gpu/backend.js';
import type { PoolOptions } from '../gpu/memory.js';
import { MetalDevice } from './device.js';
import { metal } from './dialect.js';

/** Apple GPUs: kernels of metal/ in memory that CPU and GPU share. */
export class MetalBackend extends GpuBackend {
  readonly name = 'metal';
  readonly description: string;

  private constructor(device: MetalDevice, options: PoolOptions) {
    super(device, metal, options);
    this.description = `Metal (${device.name})`;
  }

  /**
   * Opens the system's GPU.
   *
   * @param library A library to use in place of Apple's frameworks.
   * @throws {DeviceError} No Metal here, or the GPU is too old.
   */
  static async open(library?: string, options: PoolOptions = {}): Promise<MetalBackend> {
    return new MetalBackend(await MetalDevice.open(library), options);
  }

  readSync(buffer: Buffer): TypedArray {
    return this.readNow(buffer);
  }
}
