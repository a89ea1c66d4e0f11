import { arrayClass, BYTES, type Backend, type Buffer, type DType, type Scope, type TypedArray } from '../backend.js';
import { Arena, heap } from './heap.js';
import { considerKeeping, residentAddress, type ResidentCopy } from './resident.js';

/**
 * CPU memory. float32 results of a scope lie in its arena, where kernels read and write them in place; everything else is an ordinary
 * typed array, copied into the arena of the scope that first uses it.
 */
export class CpuBuffer implements Buffer {
  /** Set while the data is an ordinary array; null while it lies in an arena, or has been recycled. */
  array: TypedArray | null;
  /** Its address: in its own scope's arena, or that of the copy in `mirror`'s, which is there until that scope closes. */
  address = 0;
  scope: CpuScope | null = null;
  mirror: CpuScope | null = null;
  /** A copy in the heap that outlives scopes. */
  resident: ResidentCopy | null = null;
  /** What computes the contents, as long as nothing has read them. */
  pending: (() => void) | null = null;

  constructor(
    readonly backend: Backend,
    readonly dtype: DType,
    readonly length: number,
    array: TypedArray | null,
  ) {
    this.array = array;
  }

  get alive(): boolean {
    return this.array !== null || this.scope !== null;
  }

  /** Host data needs no extra copy here: it is the data. */
  get host(): TypedArray | undefined {
    return this.dtype === 'int32' && this.array ? this.array : undefined;
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

  /** The elements where they lie. A view of an arena is for at once: it goes stale when the heap grows. */
  view(): TypedArray {
    if (this.array) return this.array;
    this.settle();
    return new (arrayClass(this.dtype))(heap().memory.buffer, this.address, this.length);
  }

  /** A copy in ordinary memory, the caller's own. */
  copy(): TypedArray {
    if (this.array) return this.array.slice();
    this.settle();
    return copyOf(this.address, this.length); // only float32 lies in arenas
  }
}

/** An arena with the buffers in it. */
export class CpuScope implements Scope {
  readonly arena = new Arena();
  private buffers: CpuBuffer[] = [];
  private mirrored: CpuBuffer[] = [];

  constructor(
    readonly backend: Backend,
    private readonly onClose: () => void,
  ) {}

  /** A float32 buffer in the arena. */
  allocate(length: number): CpuBuffer {
    const buffer = new CpuBuffer(this.backend, 'float32', length, null);
    buffer.address = this.arena.allocate(length * 4);
    buffer.scope = this;
    this.buffers.push(buffer);
    return buffer;
  }

  /** The address of a buffer's elements for the time of a call, copied into this arena if they lie in an ordinary array and no scope has them. */
  addressOf(buffer: CpuBuffer): number {
    if (!buffer.array || buffer.mirror) return buffer.address;
    const resident = residentAddress(buffer);
    if (resident !== undefined) return resident;
    const address = this.arena.allocate(buffer.length * BYTES[buffer.dtype]);
    write(address, buffer.array);
    buffer.mirror = this;
    buffer.address = address;
    this.mirrored.push(buffer);
    return address;
  }

  release(buffer: Buffer, to: Scope | null): void {
    const own = buffer as CpuBuffer;
    if (own.scope !== this) return;
    if (to) return this.handOver(own, to as CpuScope);
    own.array = own.copy();
    own.scope = null;
  }

  /** Large pieces change hands where they lie, small ones are copied. */
  private handOver(buffer: CpuBuffer, heir: CpuScope): void {
    buffer.settle();
    const bytes = buffer.length * 4;
    if (!this.arena.handOver(buffer.address, heir.arena)) {
      const address = heir.arena.allocate(bytes);
      heap().u8.copyWithin(address, buffer.address, buffer.address + bytes);
      buffer.address = address;
    }
    buffer.scope = heir;
    heir.buffers.push(buffer);
  }

  close(): void {
    for (const buffer of this.buffers) if (buffer.scope === this) buffer.scope = buffer.pending = null;
    this.arena.close();
    considerKeeping(this.mirrored);
    this.forget();
  }

  mergeInto(owner: Scope): void {
    const heir = owner as CpuScope;
    for (const buffer of this.buffers) if (buffer.scope === this) buffer.scope = heir;
    heir.buffers = heir.buffers.concat(this.buffers);
    heir.arena.absorb(this.arena);
    this.forget();
  }

  private forget(): void {
    for (const buffer of this.mirrored) buffer.mirror = null;
    this.mirrored = [];
    this.buffers = [];
    this.onClose();
  }
}

/** Elements from which on copying takes longer than preparing it. */
const MANY = 4096;

const isNode = typeof process !== 'undefined' && Boolean(process.versions?.node);

interface NodeBuffers {
  allocUnsafeSlow(bytes: number): { buffer: ArrayBuffer; fill(pattern: Uint8Array): void };
}

/**
 * An array of its own with the elements at an address of the heap. Node gives large ones without zeroes, and fills them with a pattern, here
 * all of the data, by memcpy; `set` copies out of shared memory word by word.
 */
function copyOf(address: number, length: number): Float32Array {
  const node = isNode ? (globalThis as { Buffer?: NodeBuffers }).Buffer : undefined; // a page's own idea of Buffer would be slower
  if (length < MANY || !node) return heap().f32.slice(address / 4, address / 4 + length);
  const out = node.allocUnsafeSlow(length * 4);
  out.fill(heap().u8.subarray(address, address + length * 4));
  return new Float32Array(out.buffer);
}

/** Copies an ordinary array to an address of the heap. */
export function write(address: number, data: TypedArray): void {
  if (data.length === 1 && data instanceof Float32Array)
    heap().f32[address / 4] = data[0]!; // scalars come often, and calling set() takes longer
  else writeAll(address, data);
}

function writeAll(address: number, data: TypedArray): void {
  if (data instanceof Float32Array) heap().f32.set(data, address / 4);
  else if (data instanceof Int32Array) heap().i32.set(data, address / 4);
  else heap().u8.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), address);
}
