import { writeSync } from 'node:fs';

/**
 * How long a process that is about to end the job leaves its launcher to pass its last words on, in milliseconds. A launcher reads what the ranks
 * print through pipes, and ends itself as soon as it hears that the job is over: on a busy machine MPICH's loses what it has not read by then, and
 * with it the only line that says why the job has ended.
 */
export const LAST_WORDS_MS = 2000;

/** Stops the thread, event loop and all: for a process whose event loop does not run any more. */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/**
 * Writes to stderr from an exit handler. A full pipe is waited for, a while; whatever else is wrong with stderr must not keep the process from ending
 * the job, without which the other ranks would wait for ever.
 */
export function sayLast(text: string): void {
  const until = performance.now() + LAST_WORDS_MS;
  for (let rest = Buffer.from(text); rest.length > 0 && performance.now() < until;) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      pause(5);
    }
  }
}
