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

/** Bindings that a program remembers. A training step has the same ones again and again, as memory is recycled. */
const MOST_BINDINGS_KEPT = 1024;

interface Bound {
  readonly id: number;
  readonly buffer: GPUBuffer;
}

/** A launch but for its parameters. */
export interface Binding {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  /** Whether it has been launched without an error. */
  isValid: boolean;
}

/** A kernel's module, with a pipeline for each width that it is launched with. The layout is the declaration's. */
export class WebGpuProgram implements GpuProgram {
  private readonly layout: GPUBindGroupLayout;
  private readonly pipelineLayout: GPUPipelineLayout;
  private readonly pipelines = new Map<number, GPUComputePipeline>();
  private readonly bindings = new Map<string, Binding>();
  private uniform: GPUBuffer | null = null;

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

  /** The kernel's pipeline for a width, with its buffers and the one that its parameters lie in. @param onFresh told before what is not known to be valid */
  binding(
    buffers: readonly Bound[],
    uniform: GPUBuffer,
    paramsBytes: number,
    width: number,
    onFresh: () => void,
  ): Binding {
    if (uniform !== this.uniform || this.bindings.size >= MOST_BINDINGS_KEPT) this.bindings.clear();
    this.uniform = uniform;
    let key = `${width}`;
    for (const { id } of buffers) key += `,${id}`;
    let binding = this.bindings.get(key);
    if (!binding?.isValid) onFresh();
    if (!binding) {
      const resources = [
        ...buffers.map(({ buffer }) => ({ buffer })),
        { buffer: uniform, offset: 0, size: paramsBytes },
      ];
      const entries = resources.map((resource, at) => ({ binding: at, resource }));
      const group = this.device.createBindGroup({ layout: this.layout, entries });
      binding = { pipeline: this.pipeline(width), group, isValid: false };
      this.bindings.set(key, binding);
    }
    return binding;
  }

  release(): void {
    this.bindings.clear();
    this.pipelines.clear();
  }
}

/** Inputs, outputs and the parameters, in this order. Outputs may be read as well: what adds to them does. */
function layoutOf({ inputs, outputs }: Kernel): LayoutEntry[] {
  const buffers = [
    ...inputs.map(() => ({ type: 'read-only-storage' as const })),
    ...outputs.map(() => ({ type: 'storage' as const })),
    { type: 'uniform' as const, hasDynamicOffset: true },
  ];
  return buffers.map((buffer, binding) => ({ binding, visibility: STAGE_COMPUTE, buffer }));
}
