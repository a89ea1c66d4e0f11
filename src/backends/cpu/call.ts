import { BYTES } from '../backend.js';
import type { Dispatch, Params } from '../kernel.js';
import { Allocator } from './allocator.js';
import type { CpuArena, CpuBuffer } from './buffer.js';
import { copyTo, write } from './transfer.js';

/** A kernel of the CPU: reads and writes the call's buffers, by address (WebAssembly) or through views (JavaScript). */
export type CpuKernel = (call: CpuCall) => void;

/** Scratch memory of the call that runs: calls do not nest, and what one leaves the next one takes. */
const scratch = new Allocator();

/** Bytes of the heap that are kept for scratch memory. */
export const scratchBytes = (): number => scratch.size;

/** Ordinary arrays up to this many bytes are copied anew for each call: most are numbers that one op is given. */
const TINY = 64;

/** One launch, as CPU kernels see it. */
export class CpuCall {
  readonly inputs: readonly CpuBuffer[];
  readonly outputs: readonly CpuBuffer[];
  readonly params: Params;
  private pending: { buffer: CpuBuffer; address: number }[] | null = null;

  constructor(
    readonly launch: Dispatch,
    private readonly arena: CpuArena,
  ) {
    this.inputs = launch.inputs as readonly CpuBuffer[];
    this.outputs = launch.outputs as readonly CpuBuffer[];
    this.params = launch.params;
  }

  /** Whether every buffer is float32, the fast kernels' type. */
  get isFloat32(): boolean {
    for (const { dtype } of this.inputs) if (dtype !== 'float32') return false;
    for (const { dtype } of this.outputs) if (dtype !== 'float32') return false;
    return true;
  }

  /** A number of the parameter struct. */
  number(name: string): number {
    return this.params[name] as number;
  }

  /** An array of the parameter struct. */
  numbers(name: string): readonly number[] {
    return this.params[name] as readonly number[];
  }

  /**
   * The address of input `i` in the heap.
   * @param short bytes up to which an ordinary array is copied for this call alone, as one that comes once is sooner copied than kept track of.
   */
  in(i: number, short = TINY): number {
    const buffer = this.inputs[i]!;
    if (!buffer.array) return buffer.address;
    return buffer.bytes <= short ? this.copyOf(buffer) : this.arena.addressOf(buffer);
  }

  private copyOf(buffer: CpuBuffer): number {
    const address = scratch.allocate(buffer.bytes);
    write(address, buffer.array!);
    return address;
  }

  /** The address where output `i` goes; copied to where it belongs when the kernel is done. */
  out(i: number): number {
    const buffer = this.outputs[i]!;
    if (!buffer.array) return buffer.address;
    const address = this.scratch(buffer.length * BYTES[buffer.dtype]);
    (this.pending ??= []).push({ buffer, address });
    return address;
  }

  /** The address of output `i` with what it holds so far, for kernels that write only a part of it or add to it. */
  update(i: number): number {
    const buffer = this.outputs[i]!;
    const address = this.out(i);
    if (buffer.array) write(address, buffer.array);
    return address;
  }

  /** Heap memory for the time of the call. */
  scratch(bytes: number): number {
    return scratch.allocate(bytes);
  }

  /** Gives scratch memory back before the call ends, for the call itself to take again. */
  giveScratch(address: number, bytes: number): void {
    scratch.give(address, bytes);
  }

  /** @internal */
  finish(): void {
    for (const { buffer, address } of this.pending ?? []) copyTo(buffer.array!, address);
  }

  /** @internal Gives the scratch memory back, also after a kernel has failed. */
  close(): void {
    scratch.rewind();
  }
}
