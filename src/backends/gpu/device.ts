/**
 * What a GPU's API has to offer: all that a backend of gpu/ needs to be told of Metal or WebGPU. What goes wrong may be thrown or, where the device
 * learns of it later, be a rejection of `ready` or `done()`: an OutOfMemoryError for memory, a DeviceError for the loss of the device, anything
 * else for kernels and launches.
 */
import type { DType, TypedArray } from '../backend.js';
import type { Kernel } from '../kernel.js';

/** A piece of device memory. */
export interface GpuMemory {
  readonly bytes: number;
  /** Settled when it is known whether there is room, for devices that learn it in the background; absent where it is known. */
  readonly ready?: Promise<void>;
  /** Puts elements at its beginning, before any work that is submitted later. Unless the device writes in order, no submitted work may still use it. */
  write(dtype: DType, data: TypedArray): void;
  /** A copy of the elements at its beginning, as work that has been submitted leaves them. */
  read(dtype: DType, length: number): TypedArray | Promise<TypedArray>;
  /** For tests: overwrites it with NaN. */
  poison?(): void;
  release(): void;
}

/** A compiled kernel. */
export interface GpuProgram {
  /** Threads of a group at most. */
  readonly maxThreads: number;
  /** Settled when it is known whether it compiled, for devices that compile in the background; absent where it has. */
  readonly ready?: Promise<void>;
  release(): void;
}

/**
 * One launch, with everything resolved: `buffers` in the kernel's order, the parameters behind them. It may come again, and `prepared` with it, also where
 * only the parameters are other ones; then it is another object.
 */
export interface Launch {
  /** What the device has made of it for the next time; null at first. */
  prepared: object | null;
  readonly program: GpuProgram;
  readonly buffers: readonly GpuMemory[];
  readonly params: Uint32Array;
  readonly groups: number;
  readonly width: number;
}

/** Elements at the beginning of a piece of memory, to be read behind the launches of a submission. */
export interface ReadRequest {
  readonly memory: GpuMemory;
  readonly dtype: DType;
  readonly length: number;
}

/** Launches under way together. */
export interface Submission {
  /** What was asked to be read. */
  readonly contents?: Promise<TypedArray>;
  /** Waits; rejects with a typed error where the device gave up. */
  done(): Promise<unknown>;
  /** The same in place, where the device can. */
  wait?(): unknown;
}

export interface GpuDevice {
  /** The GPU's own name. */
  readonly name: string;
  /** Bytes of one buffer at most. */
  readonly maxBufferLength: number;
  /** Threads of a group at most, where a launch may ask for more than `GROUP_WIDTH`. */
  readonly maxGroupSize?: number;
  /** Whether what is written waits its turn among submissions, so that memory which they use may be written at once. */
  readonly writesInOrder?: boolean;
  /** Set by the backend, for a device that finds out later: told of what went wrong with work for which no promise says so, and of the device's loss. */
  onError?: (error: unknown) => void;
  /** @throws {OutOfMemoryError} The device has none left, or the size is over its limit for one buffer. */
  buffer(bytes: number): GpuMemory;
  /** Compiles a kernel of a source; `entry` is its name there. Errors are thrown, or reported by `ready`. */
  program(source: string, entry: string, kernel: Kernel): GpuProgram;
  /** Submits launches, to run in this order and after all that was submitted before. A device that writes in order takes a request to read as well. */
  run(launches: readonly Launch[], read?: ReadRequest): Submission;
  /** Settles when all that was submitted has run, for devices whose `done()` settles when they know that nothing is wrong. */
  idle?(): Promise<void>;
  close(): void;
}
