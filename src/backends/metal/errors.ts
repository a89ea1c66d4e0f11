import { DeviceError, OutOfMemoryError, TapegradError } from '../../errors.js';

/** The binding was used wrongly: a message with arguments of the wrong kind, or an object after its release. */
export class MetalError extends TapegradError {
  override readonly name: string = 'MetalError';
  constructor(problem: string) {
    super('metal', problem);
  }
}

/** A kernel did not compile; the message carries the compiler's own text. */
export class MetalCompileError extends MetalError {
  override readonly name = 'MetalCompileError';
}

/** The GPU gave up on submitted work; the message carries Metal's own text. */
export class MetalExecutionError extends MetalError {
  override readonly name = 'MetalExecutionError';
}

/** There is no Metal here, or no GPU that the kernels run on. */
export const unavailable = (problem: string): DeviceError => new DeviceError('metal', problem);

/** The device has no room. */
export const outOfMemory = (problem: string): OutOfMemoryError => new OutOfMemoryError('metal', problem);
