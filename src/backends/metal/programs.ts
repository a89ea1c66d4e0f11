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
  'ctc/loss': { layout: 'rows', types: ['float32', 'int32'] },
  'ctc/curvature': { layout: 'rows', types: ['float32', 'int32'] },
};

/** Kernels of a family that make sense for fewer element types than the others. */
const FLOAT_ONLY: ReadonlySet<string> = new Set(['logSumExp']);
/** Kernels whose input and output have one element type. */
const SAME_TYPE: ReadonlySet<string> = new Set([
  'copy',
  'sum',
  'max',
  'min',
  'cumsum',
  'matmul',
  'unfold',
  'fold',
  'take',
  'takeAdjoint',
  'takeAlongAxis',
  'scatterAlongAxis',
]);

const typesOf = ({ inputs, outputs }: Dispatch): DType[] => [...inputs, ...outputs].map((buffer) => buffer.dtype);

/** A file of metal/ with its local includes put in. */
export function sourceOf(name: string): string {
  const text = sources[name];
  if (text === undefined) throw new MetalError(`there is no metal/${name}.metal`);
  return text.replace(/^#include "([\w/-]+)\.metal"$/gm, (_, included: string) => sourceOf(included));
}

/** A compiled kernel and how it is launched. */
export interface Program {
  readonly pipeline: Pipeline;
  readonly layout: Layout;
}

/** What is known of a kernel for one combination of element types; compiled when it is first launched. */
interface Variant {
  /** The source and the entry point in it; null where the kernel does not exist for these types. */
  readonly code: { readonly source: () => string; readonly entry: string; readonly layout: Layout } | null;
  program: Program | null;
}

const CODES: Readonly<Record<DType, number>> = { float32: 0, int32: 1, bool: 2, float16: 3, bfloat16: 4, float64: 5 };

export class Programs {
  private readonly variants = new Map<Kernel, Map<number, Variant>>();

  constructor(private readonly device: MetalDevice) {}

  has(launch: Dispatch): boolean {
    return this.variant(launch).code !== null;
  }

  get(launch: Dispatch): Program {
    const variant = this.variant(launch);
    if (variant.program) return variant.program;
    const { code } = variant;
    if (!code) throw new MetalError(`${launch.kernel.name} has no kernel for ${typesOf(launch).join(', ')}`);
    const library = this.device.library(code.source());
    try {
      return (variant.program = { pipeline: library.pipeline(code.entry), layout: code.layout });
    } finally {
      library.release();
    }
  }

  release(): void {
    for (const variants of this.variants.values())
      for (const { program } of variants.values()) program?.pipeline.release();
    this.variants.clear();
  }

  private variant(launch: Dispatch): Variant {
    const { kernel, inputs, outputs } = launch;
    let variants = this.variants.get(kernel);
    if (!variants) this.variants.set(kernel, (variants = new Map<number, Variant>()));
    let key = 0;
    for (const { dtype } of inputs) key = key * 8 + CODES[dtype];
    for (const { dtype } of outputs) key = key * 8 + CODES[dtype];
    let variant = variants.get(key);
    if (!variant) {
      const types = typesOf(launch);
      variant = {
        code: kernel.elementwise ? elementwiseCode(kernel, types) : fileCode(kernel, types, inputs.length),
        program: null,
      };
      variants.set(key, variant);
    }
    return variant;
  }
}

function elementwiseCode(kernel: Kernel, types: readonly DType[]): Variant['code'] {
  const source = elementwiseSource(kernel, types);
  return source === null
    ? null
    : {
        source: () => sourceOf('math') + ELEMENTWISE_PARAMS + source,
        entry: elementwiseEntry(kernel, types),
        layout: 'threads',
      };
}

function fileCode(kernel: Kernel, types: readonly DType[], inputs: number): Variant['code'] {
  const { name, family: file } = kernel;
  const family = FAMILIES[file];
  const [first, output] = [types[0]!, types[inputs]!];
  if (!family || !hasEntry(kernel) || !types.every((type) => family.types.includes(type))) return null;
  if ((FLOAT_ONLY.has(name) && first !== 'float32') || (SAME_TYPE.has(name) && first !== output)) return null;
  const source = (): string =>
    `#define IN ${MSL_TYPE[first]}\n#define OUT ${MSL_TYPE[output]}\n#line 1 "metal/${file}.metal"\n${sourceOf(file)}`;
  return { source, entry: name, layout: name === 'cumsum' ? 'threads' : family.layout };
}

const hasEntry = (kernel: Kernel): boolean => sources[kernel.family]?.includes(`kernel void ${kernel.name}(`) ?? false;
