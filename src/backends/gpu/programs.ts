/** The kernels of a GPU's folder and those generated from elementwise code: which there are, and their compiled programs. */
import type { Buffer, DeviceName, DType } from '../backend.js';
import { type Dispatch, type Kernel, overLimits, takesTypes } from '../kernel.js';
import type { GpuDevice, GpuProgram } from './device.js';
import type { Dialect } from './dialect.js';
import { textOf } from '../registry.js';
import { KernelError } from '../../errors.js';
import { elementwiseEntry, elementwiseSource } from './elementwise.js';
import type { Plan } from './plan.js';
import { plans } from './plans.js';

/** @internal A file of kernels, or what one of them needs of it, with the files that it includes put in. Exported for tests of the texts. */
export function sourceOf(dialect: Dialect, family: string, kernel?: string): string {
  const text = dialect.sources[family];
  if (text === undefined) throw new TypeError(`there is no file of kernels named '${family}'`);
  const selected = kernel === undefined ? undefined : dialect.select?.(text, dialect.entry(kernel));
  return withIncludes(dialect, selected ?? text);
}

const withIncludes = (dialect: Dialect, text: string): string =>
  text.replace(dialect.include, (_, included: string) => sourceOf(dialect, included));

/** What is known of a kernel for one combination of element types; compiled when it is first launched. */
interface Variant {
  /** The source and the entry point in it; null where the kernel does not exist for these types. */
  readonly code: { readonly source: () => string; readonly entry: string } | null;
  program: GpuProgram | null;
}

const CODES: Readonly<Record<DType, number>> = { float32: 0, int32: 1, bool: 2, float16: 3, bfloat16: 4, float64: 5 };

const typesOf = (buffers: readonly Buffer[]): DType[] => buffers.map(({ dtype }) => dtype);

/** A launch's element types as one number. */
function codeOf({ inputs, outputs }: Dispatch): number {
  let code = inputs.length;
  for (const { dtype } of inputs) code = code * 8 + CODES[dtype];
  for (const { dtype } of outputs) code = code * 8 + CODES[dtype];
  return code;
}

export class Programs {
  private readonly variants = new Map<Kernel, Map<number, Variant>>();
  private readonly entries = new Map<Kernel, boolean>();
  private readonly planned = new Map<Kernel, boolean>();
  /** Whether kernels that plans answer take element types. */
  private readonly takenBy = new Map<Kernel, Map<number, boolean>>();

  constructor(
    private readonly device: GpuDevice,
    private readonly dialect: Dialect,
    private readonly name: () => DeviceName,
  ) {}

  has(launch: Dispatch): boolean {
    const { kernel } = launch;
    if (!this.planOf(kernel)) return this.variant(launch).code !== null;
    const types = codeOf(launch);
    const before = this.takenBy.get(kernel);
    const known = before?.get(types);
    if (known !== undefined) return known;
    const taken =
      takesTypes(kernel, typesOf(launch.inputs), typesOf(launch.outputs)) && this.hasParts(plans[kernel.name]!);
    this.takenBy.set(kernel, (before ?? new Map<number, boolean>()).set(types, taken));
    return taken;
  }

  /** The plan that answers a kernel, if one does: where its parts are missing, the kernel is used if it has a text. */
  planOf(kernel: Kernel): Plan | undefined {
    const plan = plans[kernel.name];
    if (!plan || textOf(this.name(), kernel) !== undefined) return undefined;
    let isUsed = this.planned.get(kernel);
    if (isUsed === undefined) {
      isUsed = this.hasParts(plan) || !this.hasEntry(kernel);
      this.planned.set(kernel, isUsed);
    }
    return isUsed ? plan : undefined;
  }

  private hasParts(plan: Plan): boolean {
    return plan.kernels.every((part) => this.hasEntry(part));
  }

  /** Whether there is a file with the kernel's text. */
  private hasEntry(kernel: Kernel): boolean {
    const { dialect, entries } = this;
    let found = entries.get(kernel);
    if (found === undefined) {
      found = dialect.sources[kernel.family]?.includes(dialect.entry(kernel.name)) ?? false;
      entries.set(kernel, found);
    }
    return found;
  }

  /** The program of a launch for which `has` is true. @throws {KernelError} The kernel is over the limits that GPUs share. */
  get(launch: Dispatch): GpuProgram {
    const variant = this.variant(launch);
    if (variant.program) return variant.program;
    const { source, entry } = variant.code!;
    const problem = overLimits(launch.kernel);
    if (problem) throw new KernelError(launch.kernel.name, problem);
    return (variant.program = this.device.program(source(), entry, launch.kernel));
  }

  release(): void {
    for (const variants of this.variants.values()) for (const { program } of variants.values()) program?.release();
    this.variants.clear();
  }

  private variant(launch: Dispatch): Variant {
    const { kernel, inputs, outputs } = launch;
    let variants = this.variants.get(kernel);
    if (!variants) this.variants.set(kernel, (variants = new Map<number, Variant>()));
    const key = codeOf(launch);
    let variant = variants.get(key);
    if (!variant?.code) {
      const types = [typesOf(inputs), typesOf(outputs)] as const;
      variant = {
        code: kernel.elementwise ? this.elementwiseCode(kernel, types.flat()) : this.fileCode(kernel, ...types),
        program: null,
      };
      variants.set(key, variant);
    }
    return variant;
  }

  private elementwiseCode(kernel: Kernel, types: readonly DType[]): Variant['code'] {
    const { dialect } = this;
    const text = elementwiseSource(dialect, kernel, types);
    return text === null
      ? null
      : { source: () => sourceOf(dialect, 'elementwise') + text, entry: elementwiseEntry(kernel, types) };
  }

  private fileCode(kernel: Kernel, inputs: readonly DType[], outputs: readonly DType[]): Variant['code'] {
    const { dialect } = this;
    const { name, family } = kernel;
    const own = textOf(this.name(), kernel);
    if (!(own ?? this.hasEntry(kernel)) || !takesTypes(kernel, inputs, outputs)) return null;
    return {
      source: () =>
        dialect.prelude(own ? name : family, inputs[0] ?? outputs[0], outputs[0]) +
        (own ? withIncludes(dialect, own) : sourceOf(dialect, family, name)),
      entry: name,
    };
  }
}
