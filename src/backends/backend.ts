/**
 * The contract between tapegrad and a device: memory and dispatch. A backend knows no op; it is handed kernels (kernel.ts), with buffers and
 * parameters in the order that the op has written down, and answers each by a function of its own or by a plan of smaller launches.
 */
import type { Dispatch } from './kernel.js';

/** Element types. float16 and bfloat16 are storage: arithmetic on them happens in float32. */
export type DType = 'float32' | 'float64' | 'int32' | 'bool' | 'float16' | 'bfloat16';

/** Host arrays. bool is one byte an element; float16 and bfloat16 travel as their bits. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array | Uint16Array;

export type DeviceName = 'cpu' | 'metal' | 'webgpu';

/** A piece of device memory holding `length` elements; opaque to everything but its own backend. */
export interface Buffer {
  readonly backend: Backend;
  readonly dtype: DType;
  readonly length: number;
  /** False once the memory has been recycled or given away. What a live buffer holds never changes. */
  readonly alive: boolean;
  /** Who has been given the memory, for messages; the buffer is dead since. */
  donatedTo?: string;
  /** Whether `dispose()` has ended it, for messages. */
  isDisposed?: boolean;
  /** Whether the user holds the array itself, by `ndarray()`, and could write to it. */
  readonly isHandedOut?: boolean;
  /** Whether the device turned out to have no room for it, so that whatever is made of it fails. */
  readonly isMissing?: boolean;
  /** Integers that came from the host stay there as well, so that labels and indices are checked without a read. */
  readonly host?: TypedArray | undefined;
  /** Books of the backward pass that runs: how many cotangents lie here, and whether the memory goes back when none does. */
  claims: number;
  disposable: boolean;
  /** Whether the contents are still on their way from another device: what is launched on them waits, and only `read` may look at them. */
  readonly isArriving?: boolean;
}

/** Device memory that is recycled as a whole: what a transform, or scope(fn), computes on one device. */
export interface Arena {
  readonly backend: Backend;
  /** Whether a buffer lies in it. */
  holds(buffer: Buffer): boolean;
  /** Gives a buffer of the arena over to another one of the same device, or, for null, to memory of its own that outlives all arenas. */
  release(buffer: Buffer, to: Arena | null): void;
  /** Recycles the memory. Buffers still pointing into it are dead from here on. */
  close(): void;
}

/** What a device holds at the moment. */
export interface MemoryInfo {
  /** Bytes of device memory reserved from the system; on the CPU without the room for large results outside of scopes, at most 256 MiB. */
  reservedBytes: number;
  /** Bytes in use by open scopes, and by live buffers that the backend itself keeps track of. */
  usedBytes: number;
  /** The most bytes that were in use at one time, kernels' scratch memory included, since the last `resetPeakMemory()`. */
  peakBytes: number;
  /** Scopes that are open and have memory here: calls of `scope(fn)`, and transforms with memory of their own. */
  scopes: number;
}

/**
 * What contents are read for: 'view', to be looked at before anything else runs; 'copy', as the caller's own; 'share', as an array of its own
 * that stays the tensor's memory where that is host memory.
 */
export type ReadUse = 'view' | 'copy' | 'share';

export interface Backend {
  readonly name: DeviceName;
  /** The device's own description, for messages. */
  readonly description: string;
  /** Whether its memory is the host's own, so that a read costs nothing and waits for nothing. */
  readonly isHost: boolean;
  /** Bytes of one buffer at most. */
  readonly maxBufferBytes: number;
  /** Settles when the device is gone for good, with the reason; absent where that does not happen. `device(name)` then opens a new one. */
  readonly lost?: Promise<unknown>;
  supports(dtype: DType): boolean;
  openArena(): Arena;
  /** Uninitialised memory, in the arena or, without one, on its own. */
  allocate(dtype: DType, length: number, arena: Arena | null): Buffer;
  /** Takes back a buffer that nothing needs any more, at once instead of when its arena closes or it is collected. It is dead from here on. */
  discard(buffer: Buffer): void;
  /** A new buffer over the memory of an arena's buffer, which is dead from here on: so that no live buffer ever changes, what is added to in place gets a new identity. */
  renew(buffer: Buffer): Buffer;
  /** Whether a kernel may read the buffer and write to its renewed self in one launch, element by element. Absent: never. */
  isRewritable?(buffer: Buffer): boolean;
  /** Sees to it that launches that read the buffer need no more memory for that, as long as the arena is open. */
  bringNear?(buffer: Buffer, arena: Arena): void;
  /** Says that the buffer is going to be written over before long: it may stay where kernels write when it leaves its arena, if it is not a small one. */
  keepNear?(buffer: Buffer): void;
  /** A buffer with the given contents, in the arena or on its own. The array may be kept: the caller gives it away. */
  upload(dtype: DType, data: TypedArray, arena?: Arena | null): Buffer;
  /** A buffer whose contents come from another device, later. Where they do not come, reads of it and of what was made of it reject. */
  receive(dtype: DType, length: number, data: Promise<TypedArray>): Buffer;
  /** A copy of the contents on the host. Rejects with what went wrong with the launches that made them, if a device learns of that late. */
  read(buffer: Buffer): Promise<TypedArray>;
  /** The same at once, where the device can; absent where it cannot. */
  readSync?(buffer: Buffer, use: ReadUse): TypedArray;
  /** Whether the launch's kernel exists here for the element types of its buffers. */
  has(launch: Dispatch): boolean;
  /** @param op what asked for the launch, for errors that come later */
  dispatch(launch: Dispatch, arena: Arena | null, op: string): void;
  /**
   * Settles when all that was launched has run. Rejects with what went wrong since the last time, with a typed error that names the op, if no
   * read has reported it: a kernel that does not compile or that the device refuses, memory that it does not have, the loss of the device.
   */
  sync(): Promise<void>;
  memory(): MemoryInfo;
  /** Lets `peakBytes` begin again with what is in use now. */
  resetPeak(): void;
}

/** Bytes an element. */
export const BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  int32: 4,
  bool: 1,
  float16: 2,
  bfloat16: 2,
};

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  bool: Uint8Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const;

/** The typed array class that holds a dtype on the host. */
export const arrayClass = (dtype: DType): (typeof ARRAYS)[DType] => ARRAYS[dtype];
