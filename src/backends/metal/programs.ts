/** The kernels of metal/*.metal and those generated from elementwise code: which there are, and their compiled pipelines. */
import type { Dispatch, DType, Kernel } from '../backend.js';
import type { MetalDevice, Pipeline } from './device.js';
import { ELEMENTWISE_PARAMS, elementwiseEntry, elementwiseSource } from './elementwise.js';
import { MetalError } from './errors.js';
import { sources } from './generated/sources.js';
import { MSL_TYPE } from './types.js';

/** How the kernels of a family are launched: a thread for each unit of the grid, or groups of threads that share rows of it. */
export type Layout = 'threads' | 'rows';

interface Family {
  readonly layout: Layout;
  /** Element types of the buffers that its kernels take. */
  readonly types: readonly DType[];
}

const FAMILIES: Readonly<Record<string, Family>> = {
  copy: { layout: 'threads', types: ['float32', 'int32', 'bool', 'float16', 'bfloat16'] },
  reduce: { layout: 'rows', types: ['float32', 'int32'] },
  softmax: { layout: 'rows', types: ['float32'] },
  norm: { layout: 'rows', types: ['float32'] },
  matmul: { layout: 'threads', types: ['float32', 'int32'] },
  conv: { layout: 'threads', types: ['float32', 'int32'] },
  gather: { layout: 'threads', types: ['float32', 'int32', 'bool'] },
  optimizer: { layout: 'threads', types: ['float32'] },
  ctc: { layout: 'rows', types: ['float32', 'int32'] },
  'ctc-curvature': { layout: 'rows', types: ['float32', 'int32'] },
};

/** Kernels of a family that make sense for fewer element types than the others. */
const FLOAT_ONLY: ReadonlySet<string> = new Set(['logSumExp']);
/** Kernels whose input and output have one element type. */
const SAME_TYPE: ReadonlySet<string> = new Set(['copy', 'sum', 'max', 'min', 'cumsum', 'matmul', 'unfold', 'fold', 'take', 'takeAdjoint', 'takeAlongAxis', 'scatterAlongAxis']);

const typesOf = ({ inputs, outputs }: Dispatch): DType[] => [...inputs, ...outputs].map((buffer) => buffer.dtype);

/** A file of metal/ with its local includes put in. */
export function sourceOf(name: string): string {
  const text = sources[name];
  if (text === undefined) throw new MetalError(`there is no metal/${name}.metal`);
  return text.replace(/^#include "([\w-]+)\.metal"$/gm, (_, included: string) => sourceOf(included));
}

/** A compiled kernel and how it is launched. */
export interface Program {
  readonly pipeline: Pipeline;
  readonly layout: Layout;
}

export class Programs {
  private readonly programs = new Map<string, Program>();
  private readonly generated = new Map<string, string | null>();

  constructor(private readonly device: MetalDevice) {}

  has(launch: Dispatch): boolean {
    const { kernel } = launch;
    const types = typesOf(launch);
    if (kernel.elementwise) return this.elementwise(kernel, types) !== null;
    const family = FAMILIES[kernel.family];
    if (!family || !hasEntry(kernel) || !types.every((type) => family.types.includes(type))) return false;
    if (FLOAT_ONLY.has(kernel.name) && types[0] !== 'float32') return false;
    return !SAME_TYPE.has(kernel.name) || types[0] === types[types.length - 1];
  }

  get(launch: Dispatch): Program {
    const { kernel } = launch;
    const types = typesOf(launch);
    const key = kernel.elementwise ? elementwiseKey(kernel, types) : `${kernel.family}/${kernel.name}/${types.join(' ')}`;
    const known = this.programs.get(key);
    if (known) return known;
    const program = kernel.elementwise ? this.compileElementwise(kernel, types) : this.compileFile(launch, types);
    this.programs.set(key, program);
    return program;
  }

  release(): void {
    for (const { pipeline } of this.programs.values()) pipeline.release();
    this.programs.clear();
  }

  /** The generated source; null where the op is not meant for these element types. */
  private elementwise(kernel: Kernel, types: readonly DType[]): string | null {
    const key = elementwiseKey(kernel, types);
    let source = this.generated.get(key);
    if (source === undefined) {
      source = elementwiseSource(kernel, types);
      this.generated.set(key, source);
    }
    return source;
  }

  private compileElementwise(kernel: Kernel, types: readonly DType[]): Program {
    const source = this.elementwise(kernel, types);
    if (source === null) throw new MetalError(`${kernel.name} has no kernel for ${types.join(', ')}`);
    return { pipeline: this.compile(sourceOf('math') + ELEMENTWISE_PARAMS + source, elementwiseEntry(kernel, types)), layout: 'threads' };
  }

  private compileFile({ kernel, inputs, outputs }: Dispatch, types: readonly DType[]): Program {
    const element = MSL_TYPE[inputs[0]?.dtype ?? outputs[0]!.dtype];
    const result = MSL_TYPE[outputs[0]?.dtype ?? types[0]!];
    const source = `#define IN ${element}\n#define OUT ${result}\n#line 1 "metal/${kernel.family}.metal"\n${sourceOf(kernel.family)}`;
    return { pipeline: this.compile(source, kernel.name), layout: kernel.name === 'cumsum' ? 'threads' : FAMILIES[kernel.family]!.layout };
  }

  private compile(source: string, entry: string): Pipeline {
    const library = this.device.library(source);
    try { return library.pipeline(entry); } finally { library.release(); }
  }
}

const elementwiseKey = (kernel: Kernel, types: readonly DType[]): string => `${kernel.elementwise!.code} -> ${elementwiseEntry(kernel, types)}`;

const hasEntry = (kernel: Kernel): boolean => sources[kernel.family]?.includes(`kernel void ${kernel.name}(`) ?? false;
