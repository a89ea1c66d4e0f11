import type { GpuProgram } from '../gpu/device.js';
import type { Kernel } from '../kernel.js';
import {
  type GPUBindGroup,
  type GPUBindGroupLayout,
  type GPUBuffer,
  type GPUComputePipeline,
  type GPUDevice,
  type GPUPipelineLayout,
  type GPUShaderModule,
  type LayoutEntry,
  STAGE_COMPUTE,
} from './api.js';
import type { Place } from './parameters.js';

/** What a launch needs to be encoded. */
export interface Binding {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly place: Place;
  /** Whether it has been launched without an error. */
  isValid: boolean;
}

/** A kernel's module, with a pipeline for each width that it is launched with. The layout is the declaration's. */
export class WebGpuProgram implements GpuProgram {
  private readonly layout: GPUBindGroupLayout;
  private readonly pipelineLayout: GPUPipelineLayout;
  private readonly pipelines = new Map<number, GPUComputePipeline>();

  constructor(
    private readonly device: GPUDevice,
    private readonly module: GPUShaderModule,
    private readonly kernel: Kernel,
    readonly maxThreads: number,
    readonly ready: Promise<void>,
  ) {
    this.layout = device.createBindGroupLayout({ entries: layoutOf(kernel) });
    this.pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [this.layout] });
  }

  private pipeline(width: number): GPUComputePipeline {
    let pipeline = this.pipelines.get(width);
    if (!pipeline) {
      const { module, kernel, pipelineLayout: layout } = this;
      const compute = { module, constants: { WIDTH: width } };
      pipeline = this.device.createComputePipeline({ label: kernel.name, layout, compute });
      this.pipelines.set(width, pipeline);
    }
    return pipeline;
  }

  /** The kernel's pipeline for a width, with its buffers and the place of its parameters. */
  binding(
    buffers: readonly { readonly buffer: GPUBuffer }[],
    place: Place,
    paramsBytes: number,
    width: number,
  ): Binding {
    const resources = [
      ...buffers.map(({ buffer }) => ({ buffer })),
      { buffer: place.page, offset: place.offset, size: paramsBytes },
    ];
    const entries = resources.map((resource, at) => ({ binding: at, resource }));
    const group = this.device.createBindGroup({ layout: this.layout, entries });
    return { pipeline: this.pipeline(width), group, place, isValid: false };
  }

  release(): void {
    this.pipelines.clear();
  }
}

/** Inputs, outputs and the parameters, in this order. Outputs may be read as well: what adds to them does. */
function layoutOf({ inputs, outputs }: Kernel): LayoutEntry[] {
  const buffers = [
    ...inputs.map(() => ({ type: 'read-only-storage' as const })),
    ...outputs.map(() => ({ type: 'storage' as const })),
    { type: 'uniform' as const },
  ];
  return buffers.map((buffer, binding) => ({ binding, visibility: STAGE_COMPUTE, buffer }));
}
