/** Kernels that users have registered, beside those that a device comes with. Backends look here. */
import type { DeviceName, TypedArray } from './backend.js';
import type { Kernel, Params } from './kernel.js';

/** What a kernel's function on the CPU gets: the elements of its buffers where they lie, in the order of the declaration. Outputs are to be written. */
export interface KernelCall {
  readonly inputs: readonly TypedArray[];
  readonly outputs: readonly TypedArray[];
  readonly params: Params;
}

/** A kernel on the CPU. It must write every element of its outputs, which begin uninitialised, and keep none of the arrays. */
export type KernelFunction = (call: KernelCall) => void;

const functions = new Map<Kernel, KernelFunction>();
const sources = new Map<DeviceName, Map<Kernel, string>>();

/** The function of a registered kernel on the CPU. */
export const functionOf = (kernel: Kernel): KernelFunction | undefined => functions.get(kernel);

/** Whether there are any functions to look up. */
export const hasRegistered = (): boolean => functions.size > 0;

/** The text of a registered kernel in a GPU's language. */
export const textOf = (device: DeviceName, kernel: Kernel): string | undefined => sources.get(device)?.get(kernel);

/** Registers a kernel; false if it is there already. */
export function addKernel(device: DeviceName, kernel: Kernel, implementation: KernelFunction | string): boolean {
  if (typeof implementation === 'function') {
    if (functions.has(kernel)) return false;
    functions.set(kernel, implementation);
    return true;
  }
  const own = sources.get(device) ?? new Map<Kernel, string>();
  sources.set(device, own);
  if (own.has(kernel)) return false;
  own.set(kernel, implementation);
  return true;
}
