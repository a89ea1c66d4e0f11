import { type Arena, arrayClass, BYTES, type Backend, type Buffer, type DType, type TypedArray } from '../backend.js';
import { DeviceError } from '../../errors.js';
import { Allocator } from './allocator.js';
import { heap } from './heap.js';
import type { Source } from './nursery.js';
import { considerKeeping, isHandedOut, residentAddress, type ResidentCopy } from './resident.js';
import { copyOf, write } from './transfer.js';

/**
 * CPU memory. What is computed in an arena lies there, where kernels read and write it in place; everything else is an ordinary typed array,
 * copied into the arena of the transform that first uses it.
 */
export class CpuBuffer implements Buffer {
  /** Set while the data is an ordinary array; null while it lies in an arena, or has been recycled. */
  array: TypedArray | null;
  /** Its address: in its own arena, or that of the copy in `mirror`, which is there until that arena closes. */
  address = 0;
  arena: CpuArena | null = null;
  mirror: CpuArena | null = null;
  private copyInHeap: ResidentCopy | null = null;
  /** What computes the contents, as long as nothing has read them. */
  pending: (() => void) | null = null;
  /** Settled when the contents have come from another device; then null. The array is there before. */
  arrival: Promise<void> | null = null;
  /** What shows the collector how much goes with this buffer, where that is memory which it does not see. */
  weight: object | null = null;
  /** Results that will be computed from this one when something reads them. */
  private waiting: CpuBuffer[] | null = null;
  claims = 0;
  disposable = false;
  donatedTo?: string;
  isDisposed?: boolean;
  /** Whether it is going to be written over, so that less of a size is enough for the shelf. */
  staysNear = false;
  /** Where the contents come from, if something has been made of them or they can be computed again. */
  source: Source | null = null;

  constructor(
    readonly backend: Backend,
    readonly dtype: DType,
    readonly length: number,
    array: TypedArray | null,
  ) {
    this.array = array;
  }

  get alive(): boolean {
    if (this.donatedTo !== undefined) return false;
    return this.array !== null || (this.arena !== null ? this.arena.isOpen : this.pending !== null);
  }

  /** A copy in the heap that outlives arenas. */
  get resident(): ResidentCopy | null {
    return this.copyInHeap?.isGone === false ? this.copyInHeap : null;
  }

  set resident(copy: ResidentCopy | null) {
    this.copyInHeap = copy;
  }

  /** Host data needs no extra copy here: it is the data. */
  get host(): TypedArray | undefined {
    return this.dtype === 'int32' && this.array && !this.arrival ? this.array : undefined;
  }

  get isHandedOut(): boolean {
    return isHandedOut(this);
  }

  get isArriving(): boolean {
    return this.arrival !== null;
  }

  get bytes(): number {
    return this.length * BYTES[this.dtype];
  }

  /** Computes the contents if that has been put off. */
  settle(): void {
    const { pending } = this;
    if (!pending) return;
    this.pending = null;
    try {
      pending();
    } catch (error) {
      this.pending = pending; // memory may have run out, and be there the next time
      throw error;
    }
  }

  /** Puts off what computes the contents out of the inputs. */
  putOff(inputs: readonly CpuBuffer[], compute: () => void): void {
    this.pending = compute;
    for (const input of inputs) if (input.arena) input.isAwaitedBy(this);
  }

  private isAwaitedBy(reader: CpuBuffer): void {
    const { waiting } = this;
    // What outlives many arenas would collect their readers.
    if (waiting && waiting.length >= 16)
      this.waiting = waiting.filter(({ pending, alive }) => pending !== null && alive);
    (this.waiting ??= []).push(reader);
  }

  /** Computes what has been put off and reads this buffer: its memory is about to change. */
  settleReaders(): void {
    const { waiting } = this;
    if (!waiting) return;
    for (const reader of waiting) if (reader.alive) reader.settle();
    this.waiting = null;
  }

  /** The elements where they lie. A view of an arena is for at once: it goes stale when the heap grows. */
  view(): TypedArray {
    if (this.arrival) throw notThere();
    this.settle();
    if (this.array) return this.array;
    return new (arrayClass(this.dtype))(heap().memory.buffer, this.address, this.length);
  }

  /** A copy in ordinary memory, the caller's own. */
  copy(): TypedArray {
    if (this.arrival) throw notThere();
    this.settle();
    if (this.array) return this.array.slice();
    return copyOf(this.address, this.length, this.dtype);
  }
}

const notThere = (): DeviceError =>
  new DeviceError('dataSync', "the contents are still on their way from another device; write 'await t.data()'");

/** A stretch of the heap with the buffers in it. */
export class CpuArena implements Arena {
  isOpen = true;
  protected readonly pieces = new Allocator();
  private mirrored: CpuBuffer[] = [];

  /** @param beyond where what leaves the arena may go, if it has room; else it moves to ordinary memory */
  constructor(
    readonly backend: Backend,
    private readonly onClose: () => void,
    private readonly beyond: Beyond | null = null,
  ) {}

  allocate(dtype: DType, length: number): CpuBuffer {
    const buffer = new CpuBuffer(this.backend, dtype, length, null);
    buffer.address = this.pieces.allocate(length * BYTES[dtype]);
    buffer.arena = this;
    return buffer;
  }

  /** The address of a buffer's elements for the time of a call, copied into this arena if they lie in an ordinary array and no arena has them. */
  addressOf(buffer: CpuBuffer): number {
    if (!buffer.array || buffer.mirror) return buffer.address;
    const resident = residentAddress(buffer);
    if (resident !== undefined) return resident;
    const address = this.pieces.allocate(buffer.bytes);
    write(address, buffer.array);
    buffer.mirror = this;
    buffer.address = address;
    this.mirrored.push(buffer);
    return address;
  }

  holds(buffer: Buffer): boolean {
    return (buffer as CpuBuffer).arena === this;
  }

  /** Moves a buffer of this arena. */
  release(buffer: Buffer, to: Arena | null): void {
    const own = buffer as CpuBuffer;
    own.settle();
    own.settleReaders();
    if (to) return this.handOver(own, to as CpuArena);
    if (!this.beyond?.takes(own.dtype, own.length, own.staysNear)) return this.moveOut(own);
    this.handOver(own, this.beyond);
    this.beyond.keep(own);
  }

  /** Moves a buffer of this arena to ordinary memory. */
  moveOut(buffer: CpuBuffer): void {
    buffer.settle();
    buffer.settleReaders();
    buffer.array = buffer.copy();
    buffer.arena = null;
    this.pieces.give(buffer.address, buffer.bytes);
  }

  /** Large pieces change hands where they lie, small ones are copied. */
  private handOver(buffer: CpuBuffer, heir: CpuArena): void {
    const { address, bytes } = buffer;
    if (!this.pieces.handOver(address, heir.pieces)) {
      buffer.address = heir.pieces.allocate(bytes);
      heap().u8.copyWithin(buffer.address, address, address + bytes);
      this.pieces.give(address, bytes);
    }
    buffer.arena = heir;
  }

  /** Takes a buffer's memory back; the buffer is dead from here on. */
  discard(buffer: CpuBuffer): void {
    buffer.pending = null;
    buffer.settleReaders();
    buffer.arena = null;
    this.pieces.give(buffer.address, buffer.bytes);
  }

  renew(buffer: CpuBuffer): CpuBuffer {
    buffer.settle();
    buffer.settleReaders();
    const heir = new CpuBuffer(this.backend, buffer.dtype, buffer.length, null);
    heir.address = buffer.address;
    heir.arena = this;
    buffer.arena = null;
    return heir;
  }

  close(): void {
    this.isOpen = false;
    this.pieces.close();
    for (const buffer of this.mirrored) buffer.mirror = null;
    considerKeeping(this.mirrored);
    this.mirrored = [];
    this.onClose();
  }
}

/** An arena for what has left its own. */
export interface Beyond extends CpuArena {
  /** Whether it has room for a result; for one that stays near it has even if it is not large. */
  takes(dtype: DType, length: number, staysNear: boolean): boolean;
  /** Keeps a buffer that has been handed over to it. */
  keep(buffer: CpuBuffer): void;
}
