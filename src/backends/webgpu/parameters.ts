import { type GPUBuffer, type GPUDevice, USAGE } from './api.js';

/** Where the parameters of a launch lie, for as long as its page is in use. */
export interface Place {
  readonly page: GPUBuffer;
  /** Bytes from the page's beginning. */
  readonly offset: number;
  /** What it holds, or is going to hold when the page is written. */
  params: Uint32Array | null;
  /** The number of the submission that read it last. */
  usedIn: number;
}

/** Bytes of a page. */
const PAGE = 2 ** 20;

/**
 * The parameters of launches, each in a place of its own of one uniform buffer: what comes again is there already, and a bind group names the place. Between
 * one submission and the next a place may be written again, since the queue works in order.
 */
export class Parameters {
  private page: GPUBuffer | null = null;
  private words = new Uint32Array(0);
  private end = 0;
  /** What is to be written, in words. */
  private from = Infinity;
  private to = 0;
  private submission = 0;
  private readonly step: number;

  constructor(private readonly device: GPUDevice) {
    this.step = device.limits.minUniformBufferOffsetAlignment;
  }

  /** Begins a submission that may want new places for all of its launches. */
  begin(launches: readonly { readonly params: Uint32Array }[]): void {
    this.submission++;
    let bytes = 0;
    for (const { params } of launches) bytes += this.stride(params);
    if (this.page && this.end + bytes <= this.page.size) return;
    // What is on its way keeps the old page alive.
    this.page?.destroy();
    const size = Math.max(PAGE, bytes);
    this.page = this.device.createBuffer({ size, usage: USAGE.UNIFORM | USAGE.COPY_DST });
    this.words = new Uint32Array(size / 4);
    this.end = 0;
    this.from = Infinity;
    this.to = 0;
  }

  /** A new place. */
  place(params: Uint32Array): Place {
    const offset = this.end;
    this.end += this.stride(params);
    return { page: this.page!, offset, params: null, usedIn: 0 };
  }

  /** Sees to it that the submission finds parameters in a place; false where it needs others there, or the page is not in use any more. */
  put(place: Place, params: Uint32Array): boolean {
    if (place.page !== this.page) return false;
    if (place.params !== params) {
      if (place.usedIn === this.submission) return false;
      const at = place.offset / 4;
      this.words.set(params, at);
      this.from = Math.min(this.from, at);
      this.to = Math.max(this.to, at + params.length);
      place.params = params;
    }
    place.usedIn = this.submission;
    return true;
  }

  /** Writes what is new, before the launches are submitted. */
  write(): void {
    if (this.to === 0) return;
    this.device.queue.writeBuffer(this.page!, 4 * this.from, this.words.subarray(this.from, this.to));
    this.from = Infinity;
    this.to = 0;
  }

  private stride({ byteLength }: Uint32Array): number {
    return Math.ceil(byteLength / this.step) * this.step;
  }
}
