/** The part of the WebGPU API that the backend uses (https://www.w3.org/TR/webgpu/): TypeScript's own libraries do not have it everywhere. */

/** GPUBufferUsage, GPUShaderStage and GPUMapMode, whose globals Node does not have. */
export const USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80 } as const;
export const STAGE_COMPUTE = 0x4;
export const MAP_READ = 0x1;

export interface GPU {
  requestAdapter(options?: { powerPreference?: 'high-performance' | 'low-power' }): Promise<GPUAdapter | null>;
}

/** Limits that the kernels depend on; there are many more. */
export type Limits = Readonly<
  Record<
    | 'maxBufferSize'
    | 'maxStorageBufferBindingSize'
    | 'maxStorageBuffersPerShaderStage'
    | 'maxComputeInvocationsPerWorkgroup'
    | 'maxComputeWorkgroupSizeX'
    | 'maxComputeWorkgroupStorageSize'
    | 'maxComputeWorkgroupsPerDimension'
    | 'minUniformBufferOffsetAlignment',
    number
  >
>;

export interface GPUAdapter {
  readonly info: Readonly<Record<'vendor' | 'architecture' | 'device' | 'description', string>>;
  readonly limits: Limits;
  requestDevice(descriptor: { requiredLimits: Partial<Limits> }): Promise<GPUDevice>;
}

export interface GPUError {
  readonly message: string;
}

export interface GPUDevice {
  readonly limits: Limits;
  readonly queue: GPUQueue;
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  onuncapturederror: ((event: { readonly error: GPUError; preventDefault?(): void }) => void) | null;
  createBuffer(descriptor: { size: number; usage: number }): GPUBuffer;
  createShaderModule(descriptor: { code: string; label?: string }): GPUShaderModule;
  createBindGroupLayout(descriptor: { entries: readonly LayoutEntry[] }): GPUBindGroupLayout;
  createPipelineLayout(descriptor: { bindGroupLayouts: readonly GPUBindGroupLayout[] }): GPUPipelineLayout;
  createComputePipeline(descriptor: PipelineDescriptor): GPUComputePipeline;
  createBindGroup(descriptor: {
    layout: GPUBindGroupLayout;
    entries: readonly { binding: number; resource: { buffer: GPUBuffer; offset?: number; size?: number } }[];
  }): GPUBindGroup;
  createCommandEncoder(): GPUCommandEncoder;
  pushErrorScope(filter: 'validation' | 'out-of-memory' | 'internal'): void;
  popErrorScope(): Promise<GPUError | null>;
  destroy(): void;
}

interface PipelineDescriptor {
  readonly label?: string;
  readonly layout: GPUPipelineLayout;
  readonly compute: { readonly module: GPUShaderModule; readonly constants: Readonly<Record<string, number>> };
}

export interface LayoutEntry {
  readonly binding: number;
  readonly visibility: number;
  readonly buffer: { readonly type: 'storage' | 'read-only-storage' | 'uniform' };
}

interface GPUQueue {
  writeBuffer(buffer: GPUBuffer, offset: number, data: ArrayBufferView | ArrayBufferLike): void;
  submit(commands: readonly GPUCommandBuffer[]): void;
  onSubmittedWorkDone(): Promise<unknown>;
}

export interface GPUBuffer {
  readonly size: number;
  mapAsync(mode: number, offset?: number, size?: number): Promise<unknown>;
  getMappedRange(offset?: number, size?: number): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

export interface GPUCommandEncoder {
  beginComputePass(): GPUComputePassEncoder;
  copyBufferToBuffer(source: GPUBuffer, from: number, target: GPUBuffer, to: number, size: number): void;
  finish(): GPUCommandBuffer;
}

interface GPUComputePassEncoder {
  setPipeline(pipeline: GPUComputePipeline): void;
  setBindGroup(index: number, group: GPUBindGroup): void;
  dispatchWorkgroups(x: number): void;
  end(): void;
}

/** Handles that are only passed on. */
declare const kind: unique symbol;
interface Handle<K extends string> {
  readonly [kind]?: K;
}
export type GPUShaderModule = Handle<'module'>;
export type GPUBindGroupLayout = Handle<'bindGroupLayout'>;
export type GPUPipelineLayout = Handle<'pipelineLayout'>;
export type GPUComputePipeline = Handle<'pipeline'>;
export type GPUBindGroup = Handle<'bindGroup'>;
type GPUCommandBuffer = Handle<'commands'>;
