/** Kernels as the ops that own them declare them, once for all devices; and how their parameters become bytes. */
import type { Buffer, DType } from './backend.js';

/** 4-byte members of a kernel's parameter struct, in order; 'u32x8' and 'i32x8' are arrays of eight (shapes and strides). */
export type ParamType = 'u32' | 'i32' | 'f32' | 'u32x8' | 'i32x8';
export type Params = Readonly<Record<string, number | readonly number[]>>;

/** How an elementwise kernel computes: an expression of x, y, z in the notation of src/backends/expression.ts. */
export interface ElementwiseCode {
  readonly code: string;
  readonly arity: 1 | 2 | 3;
  /** A truth value is stored as one byte, 0 or 1. */
  readonly result: 'number' | 'bool';
  readonly operands: readonly ('number' | 'bool')[];
}

/**
 * A kernel as the op that owns it declares it: the same entry name, buffer order and parameter struct in wasm/, metal/ and wgsl/.
 * Buffers are bound in order, inputs first; the parameter struct comes last. A launch may leave out the last inputs and outputs where the
 * kernel's function on every device copes.
 */
export interface Kernel {
  readonly name: string;
  /** The file that holds it: `matmul` means wasm/matmul.ts, metal/matmul.metal. */
  readonly family: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly params: Readonly<Record<string, ParamType>>;
  /**
   * Element types that GPUs have the kernel for, by buffer: a list, or the name of an earlier buffer that has the same type. A buffer that is
   * not named here is float32. The CPU's kernels read typed arrays and are not bound by this.
   */
  readonly types?: Readonly<Record<string, readonly DType[] | string>>;
  /**
   * How GPUs launch it: 'threads' (when left out) is a thread for each unit of the grid, 'groups' a group of threads that share one, or
   * one after another. Either way a kernel strides: there may be fewer threads or groups than units.
   */
  readonly layout?: 'threads' | 'groups';
  readonly elementwise?: ElementwiseCode;
}

/** Element types that GPUs calculate with, and all that they store: lists for `Kernel.types`. */
export const NUMBERS: readonly DType[] = ['float32', 'int32'];
export const STORED: readonly DType[] = ['float32', 'int32', 'bool', 'float16', 'bfloat16'];

/** One launch of a kernel. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly inputs: readonly Buffer[];
  readonly outputs: readonly Buffer[];
  readonly params: Params;
  /** Independent units of work, for devices that launch a grid: see `Kernel.layout`. */
  readonly grid: number;
  /** Threads of a group, for kernels launched in groups that want fewer than the device's usual number. */
  readonly groupSize?: number;
  /** Whether the result may wait until something reads it: for results that often nothing reads. A backend need not wait. */
  readonly lazy?: boolean;
}

/** Whether a GPU has the kernel for buffers of these element types: what `kernel.types` says. */
export function takesTypes(kernel: Kernel, inputs: readonly DType[], outputs: readonly DType[]): boolean {
  const given = new Map<string, DType>();
  inputs.forEach((dtype, i) => given.set(kernel.inputs[i]!, dtype));
  outputs.forEach((dtype, i) => given.set(kernel.outputs[i]!, dtype));
  for (const [name, dtype] of given) {
    const wanted = kernel.types?.[name] ?? FLOAT32;
    if (typeof wanted === 'string' ? given.get(wanted) !== dtype : !wanted.includes(dtype)) return false;
  }
  return true;
}

const FLOAT32: readonly DType[] = ['float32'];

/** Where each parameter lies in the struct, in 4-byte words. */
interface StructLayout {
  readonly members: readonly {
    readonly name: string;
    readonly at: number;
    readonly count: number;
    readonly isFloat: boolean;
    readonly isSigned: boolean;
  }[];
  /** Where parameters are put together. */
  readonly words: Uint32Array;
  readonly signed: Int32Array;
  readonly floats: Float32Array;
}

/** Words that an array, and the struct as a whole, begins and ends at: arrays are vectors of four in MSL and in WGSL's uniforms alike. */
const VECTOR = 4;
const upToVector = (words: number): number => Math.ceil(words / VECTOR) * VECTOR;

const layouts = new WeakMap<Kernel, StructLayout>();

function layoutOf(kernel: Kernel): StructLayout {
  let layout = layouts.get(kernel);
  if (layout) return layout;
  let words = 0;
  const members = Object.entries(kernel.params).map(([name, type]) => {
    const count = type.endsWith('x8') ? 8 : 1;
    const at = count > 1 ? upToVector(words) : words;
    words = at + count;
    return { name, at, count, isFloat: type === 'f32', isSigned: type.startsWith('i32') };
  });
  const struct = new Uint32Array(upToVector(Math.max(words, 1)));
  layout = {
    members,
    words: struct,
    signed: new Int32Array(struct.buffer),
    floats: new Float32Array(struct.buffer),
  };
  layouts.set(kernel, layout);
  return layout;
}

/** What WebGPU guarantees everywhere: buffers of one kernel beside its parameters, and bytes of its parameter struct, at most. */
const MOST_BUFFERS = 8;
const MOST_PARAM_BYTES = 4096;

/** What a declaration asks for that GPUs need not have; null where it keeps to the limits. */
export function overLimits(kernel: Kernel): string | null {
  const buffers = kernel.inputs.length + kernel.outputs.length;
  if (buffers > MOST_BUFFERS)
    return `kernel '${kernel.name}' has ${buffers} buffers; on a GPU it may have ${MOST_BUFFERS}, inputs and outputs together`;
  const bytes = layoutOf(kernel).words.byteLength;
  if (bytes > MOST_PARAM_BYTES)
    return `kernel '${kernel.name}' has ${bytes} bytes of parameters; on a GPU it may have ${MOST_PARAM_BYTES}`;
  return null;
}

/**
 * Parameters as the kernel's struct, in whole vectors of 16 bytes; arrays shorter than eight are filled up with zeros. They are to be copied before
 * others of the kernel are packed.
 */
export function packParams(kernel: Kernel, params: Params): Uint32Array {
  const { members, words, signed, floats } = layoutOf(kernel);
  for (const { name, at, count, isFloat, isSigned } of members) {
    const value = params[name];
    if (value === undefined) throw new TypeError(`kernel ${kernel.name} is launched without its parameter ${name}`);
    const target = isFloat ? floats : isSigned ? signed : words;
    if (typeof value === 'number') target[at] = value;
    else for (let i = 0; i < count; i++) target[at + i] = value[i] ?? 0;
  }
  return words;
}

/** Sets every element to one value: of `full`, and of plans that add to what begins as 0. */
export const fillKernel: Kernel = {
  name: 'fill',
  family: 'copy',
  inputs: [],
  outputs: ['out'],
  types: { out: STORED },
  params: { size: 'u32', value: 'f32' },
};
