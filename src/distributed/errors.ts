import { TapegradError } from '../errors.js';

/** MPI is not there, is not the launcher's, or one of its calls failed. */
export class MpiError extends TapegradError {
  override readonly name = 'MpiError';
}

/** The ranks are at different calls, or at the same call with different trees. Every rank throws it, with the same message. */
export class MismatchError extends TapegradError {
  override readonly name = 'MismatchError';
}

/** The other ranks did not come to a call in time. What was sent is lost: nothing more can be done in this world but to end. */
export class TimeoutError extends TapegradError {
  override readonly name = 'TimeoutError';
}
