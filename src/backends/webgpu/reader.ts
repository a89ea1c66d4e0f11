import { type GPUBuffer, type GPUCommandEncoder, type GPUDevice, MAP_READ, USAGE } from './api.js';

/** Buffers up to this size are kept for further reads. */
const KEPT_BYTES = 2 ** 20;

const sizeFor = (bytes: number): number => 2 ** Math.ceil(Math.log2(Math.max(bytes, 256)));

/** A copy under way. */
export interface Copy {
  readonly staging: GPUBuffer;
  readonly size: number;
  readonly bytes: number;
}

/** Copies of device memory on the host, by way of buffers that can be mapped. */
export class Reader {
  private readonly idle = new Map<number, GPUBuffer[]>();

  constructor(private readonly device: GPUDevice) {}

  /** Whether a copy of so many bytes needs no new buffer, which there may be no room for. */
  hasRoom(bytes: number): boolean {
    return (this.idle.get(sizeFor(bytes))?.length ?? 0) > 0;
  }

  /** Has the first bytes of a buffer copied, as what is encoded before leaves them. */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, bytes: number): Copy {
    const size = sizeFor(bytes);
    const staging = this.idle.get(size)?.pop() ?? this.stagingBuffer(size);
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    return { staging, size, bytes };
  }

  /** What was copied, when the encoder's work is done, which must have been submitted. */
  async contents({ staging, size, bytes }: Copy): Promise<ArrayBuffer> {
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
