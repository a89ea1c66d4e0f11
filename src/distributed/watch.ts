import { Worker } from 'node:worker_threads';
import { LAST_WORDS_MS } from './lastwords.js';

const CODE = `
  const { writeSync } = require('node:fs');
  const { workerData: { ms, message, lastWordsMs } } = require('node:worker_threads');
  setTimeout(() => {
    try {
      writeSync(2, message + '\\n');
    } catch {} // stderr is closed or full
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lastWordsMs);
    process.kill(process.pid, 'SIGKILL');
  }, ms);
`;

/**
 * Ends this process with a message unless it is called off in time: for a call that stops the event loop and may never return. The watch is kept by a
 * worker, which has an event loop of its own.
 * @returns calls it off.
 */
export function watch(ms: number, message: string): () => void {
  if (ms === Infinity) return () => undefined;
  const worker = new Worker(CODE, {
    eval: true,
    workerData: { ms, message, lastWordsMs: LAST_WORDS_MS },
    execArgv: [],
  });
  worker.unref();
  return () => void worker.terminate();
}
