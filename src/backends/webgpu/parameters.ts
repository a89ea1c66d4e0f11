import { type GPUBuffer, type GPUDevice, USAGE } from './api.js';

/**
 * The parameters of a submission's launches, in one uniform buffer that is written once. The next submission may write over them: the queue
 * works in order.
 */
export class Parameters {
  private buffer: GPUBuffer | null = null;
  private words = new Uint32Array(0);
  private offset = 0;
  private readonly step: number;

  constructor(private readonly device: GPUDevice) {
    this.step = device.limits.minUniformBufferOffsetAlignment;
  }

  /** Writes the parameters of all launches to come, in their order. */
  begin(all: readonly Uint32Array[]): void {
    const bytes = all.reduce((sum, { byteLength }) => sum + this.stride(byteLength), 0);
    if (!this.buffer || this.buffer.size < bytes) {
      // What is on its way keeps the old one alive.
      this.buffer?.destroy();
      this.buffer = this.device.createBuffer({ size: Math.max(bytes, LEAST), usage: USAGE.UNIFORM | USAGE.COPY_DST });
    }
    if (this.words.byteLength < bytes) this.words = new Uint32Array(this.buffer.size / 4);
    let at = 0;
    for (const params of all) {
      this.words.set(params, at / 4);
      at += this.stride(params.byteLength);
    }
    this.device.queue.writeBuffer(this.buffer, 0, this.words.subarray(0, bytes / 4));
    this.offset = 0;
  }

  /** Where the next launch's parameters are. */
  next({ byteLength }: Uint32Array): readonly [GPUBuffer, number] {
    const at = this.offset;
    this.offset += this.stride(byteLength);
    return [this.buffer!, at];
  }

  private stride(bytes: number): number {
    return Math.ceil(bytes / this.step) * this.step;
  }
}

const LEAST = 2 ** 16;
