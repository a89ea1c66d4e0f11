import { type GPUBuffer, type GPUDevice, MAP_READ, USAGE } from './api.js';

/** Buffers up to this size are kept for further reads. */
const KEPT_BYTES = 2 ** 20;

/** Copies of device memory on the host, by way of buffers that can be mapped. */
export class Reader {
  private readonly idle = new Map<number, GPUBuffer[]>();

  constructor(private readonly device: GPUDevice) {}

  /** The first bytes of a buffer, as the work submitted so far leaves them. */
  async read(source: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    const { device } = this;
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 256)));
    const staging = this.idle.get(size)?.pop() ?? this.stagingBuffer(size);
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(MAP_READ, 0, size);
    } catch (error) {
      staging.destroy();
      throw error;
    }
    const copy = new ArrayBuffer(bytes);
    new Uint8Array(copy).set(new Uint8Array(staging.getMappedRange(0, bytes)));
    staging.unmap();
    this.keep(staging, size);
    return copy;
  }

  private stagingBuffer(size: number): GPUBuffer {
    return this.device.createBuffer({ size, usage: USAGE.MAP_READ | USAGE.COPY_DST });
  }

  private keep(staging: GPUBuffer, size: number): void {
    if (size > KEPT_BYTES) {
      staging.destroy();
      return;
    }
    const list = this.idle.get(size);
    if (list) list.push(staging);
    else this.idle.set(size, [staging]);
  }
}
