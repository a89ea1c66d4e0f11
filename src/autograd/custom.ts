import { checkFunction, checkTensor } from '../tensor/arguments.js';
import { GradientError } from '../errors.js';
import { withinRegion } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';
import { type OpSpec, record } from './op.js';
import { recordingTapes } from './tape.js';
import { regionFor } from './trace.js';
import { stopGradient } from './transforms.js';

/**
 * A function of tensors with a derivative of your own in the place of the one that its ops would give.
 *
 * ```ts
 * const clippedLog = customVjp((x) => x.log(), (g, [x]) => [g.div(x.maximum(1e-3))]);
 * ```
 * @param fn computes one tensor from tensors.
 * @param vjp cotangents of the inputs (null for none) for the cotangent of the result; written in ops, it can be differentiated again.
 * @throws {GradientError} for a result that is not one tensor; in the backward pass, for a wrong number of cotangents or one of a shape that is not its input's.
 */
export function customVjp<Inputs extends Tensor[]>(
  fn: (...inputs: Inputs) => Tensor,
  vjp: (cotangent: Tensor, inputs: Inputs, output: Tensor) => readonly (Tensor | null)[],
): (...inputs: Inputs) => Tensor {
  checkFunction('customVjp', 'fn', fn);
  checkFunction('customVjp', 'vjp', vjp);
  const name = fn.name || 'customVjp';
  const spec: OpSpec<null> = {
    name,
    infer: ([x]) => x!,
    vjp: (g, { inputs, output }) => {
      const parts = vjp(g, inputs as Inputs, output);
      if (parts.length !== inputs.length)
        throw new GradientError(name, `the vjp gave ${parts.length} cotangents for ${inputs.length} inputs`);
      return parts;
    },
  };
  return (...inputs) => {
    inputs.forEach((input: unknown, i) => {
      checkTensor(name, `input ${i}`, input);
    });
    const region = regionFor(inputs);
    const call = (): Tensor => fn(...stopGradient(inputs));
    const result = region ? withinRegion(region, call) : call();
    if (!(result instanceof Tensor))
      throw new GradientError(
        name,
        `the function returned ${Array.isArray(result) ? 'an array' : typeof result}; it must return one tensor`,
      );
    if (inputs.every((input) => input.trace === null)) return result;
    if (recordingTapes([result]).length > 0)
      throw new GradientError(
        name,
        'the function closes over a tensor that is being differentiated, and the vjp gives it no cotangent: pass that tensor as an input',
      );
    return record(spec, inputs, null, [result]);
  };
}
