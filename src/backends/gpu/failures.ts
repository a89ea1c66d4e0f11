/** What went wrong with work that had been submitted, and which contents are not to be trusted for it. */
import { DeviceError, KernelError, OutOfMemoryError, type TapegradError } from '../../errors.js';

interface Failure {
  readonly error: TapegradError;
  /** Submissions that may have worked with wrong contents, from the first to the last before it was known. */
  readonly from: number;
  until: number;
  reported: boolean;
}

/** The error as the user sees it: with the ops that asked for the work, and the device. */
export function typedError(cause: unknown, ops: string, device: string): TapegradError {
  const text = cause instanceof Error ? cause.message.replace(/^\[[^\]]*\] /, '') : String(cause);
  const Class =
    cause instanceof OutOfMemoryError ? OutOfMemoryError : cause instanceof DeviceError ? DeviceError : KernelError;
  return new Class(ops, `on device '${device}': ${text}`, { cause });
}

const MOST_NAMED = 4;

/** Up to four ops by name, each once. */
export function nameOps(ops: readonly string[]): string {
  const names = [...new Set(ops)];
  return names.length > MOST_NAMED ? `${names.slice(0, MOST_NAMED).join(', ')}, ...` : names.join(', ');
}

export class Failures {
  private readonly all: Failure[] = [];
  private lost: TapegradError | null = null;

  constructor(private readonly device: () => string) {}

  /** Takes note of an error. @param from the submission that it is about, @param until the last one that did not know of it */
  add(cause: unknown, ops: string, from: number, until: number): void {
    const error = typedError(cause, ops, this.device());
    if (error instanceof DeviceError) this.lost ??= error;
    // That work is refused which is known to be wrong is a consequence.
    const known = this.all.find((other) => from >= other.from && from <= other.until);
    if (known && error instanceof KernelError) {
      known.until = Math.max(known.until, until);
      return;
    }
    this.all.push({ error, from, until, reported: false });
  }

  /** Throws if the contents that a submission wrote may be wrong. Contents from the host have number 0. */
  check(written: number): void {
    if (this.all.length === 0) return;
    const failure = this.all.find(({ from, until }) => written >= from && written <= until);
    if (!failure && !this.lost) return;
    if (failure) failure.reported = true;
    throw failure?.error ?? this.lost!;
  }

  /** Throws the first error that nobody has seen yet, and forgets about the others; the loss of a device is thrown every time. */
  report(): void {
    const unseen = this.all.find(({ reported }) => !reported);
    for (const failure of this.all) failure.reported = true;
    if (unseen ?? this.lost) throw unseen?.error ?? this.lost!;
  }
}
