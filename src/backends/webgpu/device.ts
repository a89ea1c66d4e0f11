/**
 * WebGPU as a device of gpu/: buffers, pipelines and submissions. Everything that WebGPU finds out is found out in the background; what is
 * wrong comes as a rejection of `ready` or `done()`, never as an uncaptured error.
 */
import { arrayClass, type DType, type TypedArray } from '../backend.js';
import type { GpuDevice, GpuMemory, Launch, ReadRequest, Submission } from '../gpu/device.js';
import { GROUP_WIDTH, LEAST_BYTES } from '../gpu/limits.js';
import type { Kernel } from '../kernel.js';
import { DeviceError, OutOfMemoryError } from '../../errors.js';
import {
  type GPU,
  type GPUAdapter,
  type GPUBuffer,
  type GPUCommandEncoder,
  type GPUComputePipeline,
  type GPUDevice,
  type GPUError,
  type Limits,
  USAGE,
} from './api.js';
import { Parameters } from './parameters.js';
import { type Binding, WebGpuProgram } from './program.js';
import { type Copy, Reader } from './reader.js';
import { BYTES_ON_DEVICE, fromDevice, toDevice } from './storage.js';

/** What the kernels need: all of it within what WebGPU guarantees of every adapter but a few in compatibility mode. */
const NEEDED: Partial<Limits> = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: GROUP_WIDTH,
  maxComputeWorkgroupSizeX: GROUP_WIDTH,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** Limits that are asked for as the adapter has them. */
const WANTED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'minUniformBufferOffsetAlignment',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
] as const;

/** Threads of a group at most: more are of no use to any kernel here. */
const MOST_THREADS = 1024;

/** Bytes of group memory that the kernels which may be launched with more than `GROUP_WIDTH` threads take for each. */
const GROUP_BYTES_PER_THREAD = 40;

const NO_ADAPTER =
  'there is no adapter: WebGPU finds no GPU that it can use. A driver may be missing (on Linux a Vulkan one, which for a software device is ' +
  "Mesa's lavapipe, 24 or newer), or the browser may have it switched off. The CPU needs nothing: await device('cpu')";

export class WebGpuDevice implements GpuDevice {
  readonly name: string;
  readonly maxBufferLength: number;
  readonly maxGroupSize: number;
  readonly writesInOrder = true;
  /** Settles when the device is gone: it was destroyed, its driver failed, or its GPU was taken away. */
  readonly lost: Promise<DeviceError>;
  private loss: DeviceError | null = null;
  onError: (error: unknown) => void = () => undefined;
  private readonly parameters: Parameters;
  private readonly reader: Reader;
  /** Kernels whose texts are equal are one. */
  private readonly programs = new Map<string, WebGpuProgram>();

  private constructor(
    readonly handle: GPUDevice,
    adapter: GPUAdapter,
  ) {
    const { vendor, architecture, description } = adapter.info;
    this.name = description || [vendor, architecture].filter(Boolean).join(' ') || 'an unnamed adapter';
    this.maxBufferLength = Math.min(handle.limits.maxBufferSize, handle.limits.maxStorageBufferBindingSize);
    const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize } =
      handle.limits;
    const room = maxComputeWorkgroupStorageSize / GROUP_BYTES_PER_THREAD;
    this.maxGroupSize = Math.min(
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX,
      MOST_THREADS,
      32 * Math.floor(room / 32),
    );
    this.parameters = new Parameters(handle);
    this.reader = new Reader(handle);
    handle.onuncapturederror = (event) => {
      event.preventDefault?.();
      this.onError(errorOf(event.error));
    };
    this.lost = handle.lost.then(({ reason, message }) => {
      const why = reason === 'destroyed' ? 'it was destroyed' : message || reason;
      this.loss ??= new DeviceError(
        'webgpu',
        `the device is lost: ${why}. Its tensors are gone; await device('webgpu') opens a new one`,
      );
      this.onError(this.loss);
      return this.loss;
    });
  }

  /**
   * Opens the fastest adapter.
   *
   * @throws {DeviceError} There is none, or it has less than the kernels need.
   */
  static async open(gpu: GPU): Promise<WebGpuDevice> {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) throw new DeviceError('webgpu', NO_ADAPTER);
    for (const [limit, least] of Object.entries(NEEDED) as [keyof Limits, number][])
      if (adapter.limits[limit] < least)
        throw new DeviceError(
          'webgpu',
          `the adapter's ${limit} is ${adapter.limits[limit]}; the kernels need ${least}. Use another GPU, or the CPU`,
        );
    const requiredLimits: Partial<Limits> = Object.fromEntries(WANTED.map((limit) => [limit, adapter.limits[limit]]));
    try {
      return new WebGpuDevice(await adapter.requestDevice({ requiredLimits }), adapter);
    } catch (error) {
      throw new DeviceError('webgpu', `the adapter gives no device: ${messageOf(error)}`, { cause: error });
    }
  }

  buffer(bytes: number): WebGpuMemory {
    if (bytes > this.maxBufferLength)
      throw new OutOfMemoryError(
        'webgpu',
        `a buffer of ${bytes} bytes is over the ${this.maxBufferLength} bytes that ${this.name} allows for one; split the tensor, or use the CPU`,
      );
    const size = Math.ceil(Math.max(bytes, LEAST_BYTES) / 4) * 4;
    return this.scoped(
      () => this.handle.createBuffer({ size, usage: USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST }),
      (buffer, ready) => new WebGpuMemory(this, buffer, bytes, ready),
    );
  }

  program(source: string, _entry: string, kernel: Kernel): WebGpuProgram {
    const known = this.programs.get(source);
    if (known) return known;
    const program = this.scoped(
      () => this.handle.createShaderModule({ code: source, label: kernel.name }),
      (module, ready) => new WebGpuProgram(this.handle, module, kernel, this.maxGroupSize, ready),
    );
    this.programs.set(source, program);
    return program;
  }

  /** Error scopes cost as much as some launches, so they are for launches that have not been seen to be valid; `onError` is told of what they would have missed. */
  run(launches: readonly Launch[], read?: ReadRequest): Submission {
    const fresh: Binding[] = [];
    let isScoped = false;
    let outcome = DONE;
    const onFresh = (): void => {
      if (!isScoped) this.enterScopes();
      isScoped = true;
    };
    if (read && !this.reader.hasRoom(bytesOf(read))) onFresh();
    try {
      const encoder = this.encode(launches, fresh, onFresh);
      const copy = read && this.reader.copy(encoder, (read.memory as WebGpuMemory).buffer, bytesOf(read));
      this.handle.queue.submit([encoder.finish()]);
      const contents = copy && this.contentsOf(copy, read.dtype);
      return { done: () => outcome, ...(contents && { contents }) };
    } finally {
      if (isScoped) {
        outcome = this.leaveScopes();
        void outcome.then(() => {
          for (const binding of fresh) binding.isValid = true;
        }, IGNORE);
      }
    }
  }

  async idle(): Promise<void> {
    await this.orLost(this.handle.queue.onSubmittedWorkDone());
  }

  close(): void {
    this.handle.destroy();
  }

  write(buffer: GPUBuffer, dtype: DType, data: TypedArray): void {
    if (data.length > 0 && !this.loss) this.handle.queue.writeBuffer(buffer, 0, toDevice(dtype, data));
  }

  /** @throws {DeviceError} the device is lost */
  async read(buffer: GPUBuffer, dtype: DType, length: number): Promise<TypedArray> {
    if (length === 0) return new (arrayClass(dtype))(0);
    const bytes = bytesOf({ dtype, length });
    const copy = (): Promise<TypedArray> => {
      const encoder = this.handle.createCommandEncoder();
      const under = this.reader.copy(encoder, buffer, bytes);
      this.handle.queue.submit([encoder.finish()]);
      return this.contentsOf(under, dtype);
    };
    if (this.reader.hasRoom(bytes)) return copy();
    return this.scoped(copy, (contents, ready) =>
      contents.catch(async (error: unknown) => {
        await ready; // knows why
        throw error;
      }),
    );
  }

  private async contentsOf(copy: Copy, dtype: DType): Promise<TypedArray> {
    return fromDevice(dtype, await this.orLost(this.reader.contents(copy)));
  }

  /** @param fresh where bindings go that are not known to be valid */
  private encode(launches: readonly Launch[], fresh: Binding[], onFresh: () => void): GPUCommandEncoder {
    const { handle, parameters } = this;
    parameters.begin(launches);
    const encoder = handle.createCommandEncoder();
    const pass = encoder.beginComputePass();
    let last: GPUComputePipeline | null = null;
    for (const launch of launches) {
      const binding = this.bindingOf(launch, onFresh);
      const { pipeline, group, isValid } = binding;
      if (!isValid) fresh.push(binding);
      if (pipeline !== last) pass.setPipeline(pipeline);
      last = pipeline;
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(launch.groups);
    }
    pass.end();
    parameters.write();
    return encoder;
  }

  /** What a launch needs to be encoded: what it had the last time, unless its place is another one's by now. @param onFresh told before what is not known to be valid */
  private bindingOf(launch: Launch, onFresh: () => void): Binding {
    const { params, width } = launch;
    const before = launch.prepared as Binding | null;
    if (before && this.parameters.put(before.place, params)) {
      if (!before.isValid) onFresh();
      return before;
    }
    onFresh();
    const place = this.parameters.place(params);
    this.parameters.put(place, params);
    const buffers = launch.buffers as readonly WebGpuMemory[];
    const binding = (launch.program as WebGpuProgram).binding(buffers, place, params.byteLength, width);
    launch.prepared = binding;
    return binding;
  }

  /** Does something within error scopes. `made` gets the promise of its success as well; it need not be looked at. */
  private scoped<T, R>(make: () => T, made: (thing: T, ready: Promise<void>) => R): R {
    this.enterScopes();
    let ready: Promise<void>;
    let thing: T;
    try {
      thing = make();
    } finally {
      ready = this.leaveScopes();
    }
    return made(thing, ready);
  }

  private enterScopes(): void {
    const { handle } = this;
    handle.pushErrorScope('validation');
    handle.pushErrorScope('out-of-memory');
    handle.pushErrorScope('internal');
  }

  /** Rejects with what went wrong since `enterScopes`; it need not be looked at. */
  private leaveScopes(): Promise<void> {
    const { handle } = this;
    const outcome = Promise.all([handle.popErrorScope(), handle.popErrorScope(), handle.popErrorScope()]);
    const ready = this.orLost(outcome).then(([internal, memory, validation]) => {
      if (this.loss) throw this.loss;
      const error = memory ?? validation ?? internal;
      if (error) throw errorOf(error, error === memory);
    });
    ready.catch(IGNORE);
    return ready;
  }

  /** What a call of the API comes to; where the device was lost meanwhile, that. */
  private async orLost<T>(call: Promise<T>): Promise<T> {
    try {
      const result = await call;
      if (this.loss) throw this.loss;
      return result;
    } catch (error) {
      // The API may reject before it says that the device is lost. What it says comes in order, so that is known when a later question has been answered.
      if (!this.loss) await this.handle.queue.onSubmittedWorkDone().catch(IGNORE);
      throw this.loss ?? new Error(messageOf(error));
    }
  }
}

const bytesOf = ({ dtype, length }: Pick<ReadRequest, 'dtype' | 'length'>): number => length * BYTES_ON_DEVICE[dtype];

const DONE = Promise.resolve();
const IGNORE = (): undefined => undefined;

const errorOf = (error: GPUError, isMemory = error.constructor.name === 'GPUOutOfMemoryError'): Error =>
  isMemory
    ? new OutOfMemoryError('webgpu', `the GPU has no memory left: ${messageOf(error)}`)
    : new Error(messageOf(error));

const messageOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);

/** Device memory. Its writes are queued in order with the launches that are submitted. */
export class WebGpuMemory implements GpuMemory {
  constructor(
    private readonly device: WebGpuDevice,
    readonly buffer: GPUBuffer,
    readonly bytes: number,
    readonly ready: Promise<void>,
  ) {}

  write(dtype: DType, data: TypedArray): void {
    this.device.write(this.buffer, dtype, data);
  }

  read(dtype: DType, length: number): Promise<TypedArray> {
    return this.device.read(this.buffer, dtype, length);
  }

  poison(): void {
    this.device.write(this.buffer, 'int32', new Int32Array(this.buffer.size / 4).fill(-1));
  }

  release(): void {
    this.buffer.destroy();
  }
}
