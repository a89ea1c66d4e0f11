import { Worker } from 'node:worker_threads';

const CODE = `
  const { writeSync } = require('node:fs');
  const { workerData: { ms, message } } = require('node:worker_threads');
  setTimeout(() => {
    writeSync(2, message + '\\n');
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
  const worker = new Worker(CODE, { eval: true, workerData: { ms, message }, execArgv: [] });
  worker.unref();
  return () => void worker.terminate();
}
