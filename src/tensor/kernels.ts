import { type DeviceName } from '../backends/backend.js';
import { type Kernel, overLimits } from '../backends/kernel.js';
import { addKernel, type KernelFunction } from '../backends/registry.js';
import { DeviceError, ValueError } from '../errors.js';
import { describe, nameOf } from './arguments.js';
import { deviceNames } from './device.js';

const OP = 'registerKernel';

/**
 * Gives a kernel that an op declares to a device: the kernel's function or, for a GPU, its text. What has been registered is looked up by the
 * declaration itself, so two kernels may have one name. A kernel with `elementwise` code needs no registration: every device makes it from that.
 *
 * ```ts
 * registerKernel('cpu', cubeKernel, ({ inputs: [x], outputs: [out] }) => x!.forEach((v, i) => { out![i] = v ** 3; }));
 * registerKernel('metal', cubeKernel, cubeInMetal);
 * ```
 * @param device a device's name; it need not be open.
 * @param kernel the declaration that the op launches: see `Kernel`.
 * @param implementation for `'cpu'` a function over typed arrays; float16 and bfloat16 are float32 by then, unless the op only moves elements. For
 * `'metal'` text in Metal Shading Language with the entry point `kernel void NAME(`, its buffers in the declaration's order and the parameter
 * struct behind them (arrays as two vectors of four); `IN` and `OUT` are the element types of the first input and output. For `'webgpu'` a WGSL module with
 * one compute entry point of `@workgroup_size(WIDTH)`, bindings 0, 1 ... of group 0 in that order, the parameters as a uniform behind them.
 * @throws {DeviceError} there is no such device.
 * @throws {ValueError} what is given is no kernel or not what the device takes, a GPU's kernel has more than 8 buffers or 4096 bytes of parameters, or the
 * kernel is registered for it already.
 */
export function registerKernel(device: 'cpu', kernel: Kernel, implementation: KernelFunction): void;
export function registerKernel(device: Exclude<DeviceName, 'cpu'>, kernel: Kernel, implementation: string): void;
export function registerKernel(device: DeviceName, kernel: Kernel, implementation: KernelFunction | string): void {
  const names = deviceNames();
  if (!names.includes(device))
    throw new DeviceError(
      OP,
      `no device ${describe(device)}; there are ${names.map((name) => `'${name}'`).join(', ')}`,
    );
  checkKernel(kernel);
  const wanted = device === 'cpu' ? 'function' : 'string';
  if (typeof implementation !== wanted)
    throw new ValueError(
      OP,
      `kernel '${kernel.name}' for '${device}' is ${nameOf(implementation)}; it must be ${device === 'cpu' ? 'a function' : 'the text of the kernel'}`,
    );
  const problem = device === 'cpu' ? null : overLimits(kernel);
  if (problem) throw new ValueError(OP, problem);
  if (!addKernel(device, kernel, implementation))
    throw new ValueError(OP, `kernel '${kernel.name}' is registered for '${device}' already`);
}

function checkKernel(kernel: unknown): void {
  const { name, family, inputs, outputs, params } = (kernel ?? {}) as Partial<Record<keyof Kernel, unknown>>;
  const isDeclared =
    typeof name === 'string' &&
    typeof family === 'string' &&
    Array.isArray(inputs) &&
    Array.isArray(outputs) &&
    typeof params === 'object' &&
    params !== null;
  if (!isDeclared)
    throw new ValueError(
      OP,
      `${nameOf(kernel)} is no declaration of a kernel; it needs name, family, inputs, outputs and params`,
    );
}
