/**
 * The compute subset of Metal as plain objects: a device, compiled libraries, pipelines, shared buffers and command buffers. It knows
 * nothing of tensors or ops.
 */
import { arrayClass, type DType, type TypedArray } from '../backend.js';
import type { GpuDevice, GpuMemory, GpuProgram, Launch, Submission as GpuSubmission } from '../gpu/device.js';
import { MetalCompileError, MetalError, MetalExecutionError, outOfMemory, unavailable } from './errors.js';
import type { ErrorSlot, Id, Messages } from './messages.js';
import { Runtime } from './objc.js';

/** MTLGPUFamily: the two oldest families that the kernels are written for. */
const FAMILY = { apple5: 1005, mac2: 2002 } as const;

const STORAGE_SHARED = 0; // MTLResourceStorageModeShared
const STATUS_COMPLETED = 4; // MTLCommandBufferStatusCompleted

/** The system's GPU, a queue on it, and the runtime that reaches it. */
export class MetalDevice implements GpuDevice {
  readonly name: string;
  readonly maxBufferLength: number;
  private readonly send: Messages;
  private readonly queue: Id;
  private closed = false;

  private constructor(
    readonly runtime: Runtime,
    readonly handle: Id,
  ) {
    this.send = runtime.send;
    this.name = runtime.pool(() => this.text(this.send.name(handle)));
    this.maxBufferLength = this.send.maxBufferLength(handle);
    this.queue = this.required(this.send.newCommandQueue(handle), 'newCommandQueue');
  }

  /**
   * Opens the system's default GPU.
   *
   * @param library A library to use in place of Apple's frameworks.
   * @throws {DeviceError} No Metal here.
   * @throws {DeviceError} The GPU is older than the families Apple5 and Mac2.
   */
  static async open(library?: string): Promise<MetalDevice> {
    const runtime = await Runtime.load(library);
    const handle = defaultDevice(runtime);
    const { apple5, mac2 } = FAMILY;
    if (!runtime.send.supportsFamily(handle, apple5) && !runtime.send.supportsFamily(handle, mac2)) {
      const name = runtime.pool(() => runtime.send.utf8String(runtime.send.name(handle)!));
      runtime.release(handle);
      throw unavailable(`${name} is of no supported family; the kernels need Apple5 (A12, M1) or Mac2, or newer`);
    }
    return new MetalDevice(runtime, handle);
  }

  /** Whether the GPU has everything of that family (a number of MTLGPUFamily). */
  supports(family: number): boolean {
    return this.send.supportsFamily(this.handle, family);
  }

  /**
   * Compiles Metal Shading Language text, with fast math off: it would let the compiler assume away the infinities that stand for
   * impossible paths and padded maxima.
   *
   * @throws {MetalCompileError} With the compiler's text.
   */
  library(source: string): MetalLibrary {
    return this.runtime.pool(() => {
      const options = this.required(
        this.send.newOptions(this.runtime.classOf('MTLCompileOptions')),
        'MTLCompileOptions',
      );
      this.send.setFastMathEnabled(options, false);
      const slot: ErrorSlot = [null];
      // Synchronous on purpose: koffi's worker threads have 128 KiB of stack, and a compiler needs more.
      const handle = this.send.newLibrary(this.handle, this.string(source), options, slot);
      this.runtime.release(options);
      if (handle === null) throw new MetalCompileError(`a kernel does not compile: ${this.describe(slot[0])}`);
      return new MetalLibrary(this, handle);
    });
  }

  /**
   * Memory that CPU and GPU share.
   *
   * @throws {OutOfMemoryError} The device has none left, or the size is over its limit for one buffer.
   */
  buffer(bytes: number): MetalMemory {
    if (bytes > this.maxBufferLength) {
      throw outOfMemory(
        `a buffer of ${bytes} bytes is over the ${this.maxBufferLength} bytes that ${this.name} allows for one`,
      );
    }
    const handle = this.send.newBuffer(this.handle, bytes, STORAGE_SHARED);
    if (handle === null) throw outOfMemory(`${this.name} has no memory left for a buffer of ${bytes} bytes`);
    return new MetalMemory(this, handle, bytes);
  }

  /**
   * Records dispatches into one command buffer and submits it. Where `record` throws, nothing is submitted.
   *
   * @returns The submitted work, to wait for.
   */
  submit(record: (encoder: Encoder) => void): Submission {
    return this.runtime.pool(() => {
      const commandBuffer = this.required(this.send.commandBuffer(this.queue), 'commandBuffer');
      const encoder = this.required(this.send.computeCommandEncoder(commandBuffer), 'computeCommandEncoder');
      try {
        record(new Encoder(this, encoder));
      } finally {
        this.send.endEncoding(encoder);
      }
      this.send.commit(commandBuffer);
      return new Submission(this, this.runtime.retain(commandBuffer));
    });
  }

  program(source: string, entry: string): Pipeline {
    const library = this.library(source);
    try {
      return library.pipeline(entry);
    } finally {
      library.release();
    }
  }

  run(launches: readonly Launch[]): Submission {
    return this.submit((encoder) => {
      for (const { program, buffers, params, groups, width } of launches) {
        const memory = (buffers as readonly MetalMemory[]).map((own) => ({ memory: own, offset: 0 }));
        encoder.dispatch(program as Pipeline, [...memory, params], [groups, 1, 1], width);
      }
    });
  }

  /** The text of an NSError; call inside a pool. */
  describe(error: Id | null): string {
    return error === null ? 'Metal gave no reason' : this.text(this.send.localizedDescription(error));
  }

  /** An NSString on loan from the surrounding pool. */
  string(text: string): Id {
    return this.required(this.send.stringWithUTF8String(this.runtime.classOf('NSString'), text), 'NSString');
  }

  /** Gives the GPU back. Buffers and pipelines made from it must be released before. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.runtime.release(this.queue);
    this.runtime.release(this.handle);
  }

  private text(string: Id | null): string {
    return string === null ? '' : this.send.utf8String(string);
  }

  private required(object: Id | null, what: string): Id {
    if (object === null) throw outOfMemory(`Metal has no resources left for a new ${what}`);
    return object;
  }
}

function defaultDevice(runtime: Runtime): Id {
  const preferred = runtime.cFunction<() => Id | null>('void *MTLCreateSystemDefaultDevice()')();
  if (preferred !== null) return preferred;
  // A process without a window server may have GPUs but no default one.
  const all = runtime.cFunction<() => Id | null>('void *MTLCopyAllDevices()')();
  const first = all === null ? null : runtime.send.firstObject(all);
  const handle = first === null ? null : runtime.retain(first);
  if (all !== null) runtime.release(all);
  if (handle === null) throw unavailable('this Mac shows no GPU to Metal (a virtual machine without graphics?)');
  return handle;
}

/** Compiled kernels. */
class MetalLibrary {
  constructor(
    private readonly device: MetalDevice,
    private readonly handle: Id,
  ) {}

  /**
   * A kernel, ready to run.
   *
   * @throws {MetalCompileError} There is no kernel of that name, or Metal cannot build it for this GPU.
   */
  pipeline(name: string): Pipeline {
    const { runtime, handle } = this.device;
    const { send } = runtime;
    return runtime.pool(() => {
      const kernel = send.newFunction(this.handle, this.device.string(name));
      if (kernel === null) throw new MetalCompileError(`no kernel is named ${name}`);
      const slot: ErrorSlot = [null];
      const pipeline = send.newPipeline(handle, kernel, slot);
      runtime.release(kernel);
      if (pipeline === null)
        throw new MetalCompileError(`kernel ${name} does not build: ${this.device.describe(slot[0])}`);
      return new Pipeline(this.device, pipeline, name, send.maxThreads(pipeline));
    });
  }

  release(): void {
    this.device.runtime.release(this.handle);
  }
}

/** A kernel, built for the device. */
export class Pipeline implements GpuProgram {
  constructor(
    private readonly device: MetalDevice,
    readonly handle: Id,
    readonly name: string,
    readonly maxThreads: number,
  ) {}

  release(): void {
    this.device.runtime.release(this.handle);
  }
}

/** Shared memory. Its view is handed out only inside this backend: after `release` it would point at nothing. */
export class MetalMemory implements GpuMemory {
  private memory: ArrayBuffer | null;

  constructor(
    private readonly device: MetalDevice,
    readonly handle: Id,
    readonly bytes: number,
  ) {
    const contents = device.runtime.send.contents(handle);
    if (contents === null) throw outOfMemory(`a buffer of ${bytes} bytes cannot be seen by the CPU`);
    this.memory = device.runtime.view(contents, bytes);
  }

  /** The memory itself; writes are seen by work that is submitted afterwards. */
  get view(): ArrayBuffer {
    if (this.memory === null) throw new MetalError('a released buffer was used');
    return this.memory;
  }

  write(dtype: DType, data: TypedArray): void {
    new (arrayClass(dtype))(this.view, 0, data.length).set(data);
  }

  /** A copy: a view would dangle when the memory is recycled. */
  read(dtype: DType, length: number): TypedArray {
    return new (arrayClass(dtype))(this.view, 0, length).slice();
  }

  poison(): void {
    new Uint8Array(this.view).fill(0xff);
  }

  release(): void {
    if (this.memory === null) return;
    this.memory = null;
    this.device.runtime.release(this.handle);
  }
}

/** A kernel's argument: memory (from an offset in bytes), or up to 4096 bytes by value. */
type Argument = { readonly memory: MetalMemory; readonly offset: number } | ArrayBufferView;

/** Records dispatches while `MetalDevice.submit` runs. */
class Encoder {
  private readonly send: Messages;

  constructor(
    device: MetalDevice,
    private readonly handle: Id,
  ) {
    this.send = device.runtime.send;
  }

  /** Runs `groups` threadgroups of `threads` threads, the arguments bound in order. */
  dispatch(
    pipeline: Pipeline,
    args: readonly Argument[],
    groups: readonly [number, number, number],
    threads: number,
  ): void {
    const { send, handle } = this;
    send.setPipeline(handle, pipeline.handle);
    args.forEach((argument, index) => {
      if (ArrayBuffer.isView(argument)) send.setBytes(handle, argument, argument.byteLength, index);
      else send.setBuffer(handle, argument.memory.handle, argument.offset, index);
    });
    send.dispatchThreadgroups(
      handle,
      { width: groups[0], height: groups[1], depth: groups[2] },
      { width: threads, height: 1, depth: 1 },
    );
  }
}

/** Submitted work. It may be waited for any number of times, in place and asynchronously. */
class Submission implements GpuSubmission {
  private outcome: { readonly seconds: number } | { readonly error: Error } | null = null;

  constructor(
    private readonly device: MetalDevice,
    private readonly handle: Id,
  ) {}

  /**
   * Blocks until the GPU is done.
   *
   * @returns Seconds that the GPU spent.
   * @throws {MetalExecutionError} The GPU gave up.
   */
  wait(): number {
    if (!this.outcome) this.device.runtime.send.waitUntilCompleted(this.handle);
    return this.finish();
  }

  /** The same without blocking the event loop. */
  async done(): Promise<number> {
    if (this.outcome) return this.finish();
    const { runtime } = this.device;
    // The waiting thread's own: somebody else may finish in place meanwhile and give the other one back.
    runtime.retain(this.handle);
    try {
      await runtime.sendAsync('waitUntilCompleted', this.handle);
    } finally {
      runtime.release(this.handle);
    }
    return this.finish();
  }

  private finish(): number {
    this.outcome ??= this.readOutcome();
    if ('error' in this.outcome) throw this.outcome.error;
    return this.outcome.seconds;
  }

  private readOutcome(): { seconds: number } | { error: Error } {
    const { runtime } = this.device;
    const { send } = runtime;
    return runtime.pool(() => {
      try {
        if (send.status(this.handle) === STATUS_COMPLETED)
          return { seconds: send.gpuEndTime(this.handle) - send.gpuStartTime(this.handle) };
        return { error: new MetalExecutionError(`the GPU stopped: ${this.device.describe(send.error(this.handle))}`) };
      } finally {
        runtime.release(this.handle);
      }
    });
  }
}
