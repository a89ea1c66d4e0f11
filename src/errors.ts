/** Every error that tapegrad throws on purpose. The message begins with a tag that names the op: `[matmul] ...`. */
export class TapegradError extends Error {
  override readonly name: string = 'TapegradError';
  constructor(
    /** The op or function that refused. */
    readonly op: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`[${op}] ${problem}`, options);
  }
}

/** Shapes, axes or sizes that do not fit together. */
export class ShapeError extends TapegradError {
  override readonly name = 'ShapeError';
}

/** An element type that the op does not take. */
export class DTypeError extends TapegradError {
  override readonly name = 'DTypeError';
}

/** A value out of its range: an index, a label, a length, an option. */
export class ValueError extends TapegradError {
  override readonly name = 'ValueError';
}

/** Tensors of different devices in one op, or a device that is not there. */
export class DeviceError extends TapegradError {
  override readonly name = 'DeviceError';
}

/** The device has no kernel for this op and element type. tapegrad never falls back to another device on its own. */
export class UnsupportedOpError extends TapegradError {
  override readonly name = 'UnsupportedOpError';
  constructor(op: string, dtype: string, device: string) {
    super(op, `has no ${dtype} kernel on device '${device}'`);
  }
}

/**
 * A device refused or gave up on what it was given to run: a kernel that does not compile, a launch that it finds invalid, work that it stopped.
 * Devices may learn of it late; then the next read of what depends on it, or `sync()`, rejects with it.
 */
export class KernelError extends TapegradError {
  override readonly name = 'KernelError';
}

/** The device has no memory left for what was asked. */
export class OutOfMemoryError extends TapegradError {
  override readonly name = 'OutOfMemoryError';
}

/** A BLAS library is not there, or is none that can be used. */
export class BlasError extends TapegradError {
  override readonly name = 'BlasError';
}

/** A tensor was used after the transform or scope that owned its memory had returned. */
export class RecycledError extends TapegradError {
  override readonly name = 'RecycledError';
}

/** A transform (grad, vjp, ...) was asked for a derivative that does not exist. */
export class GradientError extends TapegradError {
  override readonly name = 'GradientError';
}

/** A file that is not what it claims to be. */
export class FormatError extends TapegradError {
  override readonly name = 'FormatError';
}
