import type * as workerThreads from 'node:worker_threads';
import type { WasmMemory } from './heap.js';

/**
 * Threads: `worker_threads` in Node, `Worker` in browsers. Their program is text, so that no bundler has to know of another file.
 */

interface WorkerInit {
  readonly module: object;
  readonly memory: WasmMemory;
  /** The control block of src/backends/cpu/pool.ts. */
  readonly control: SharedArrayBuffer;
}

export interface WorkerHandle {
  stop(): void;
  /** Whether it has counted itself as ready. */
  isReady(): boolean;
}

/**
 * The thread's program: an instance of the kernels over the shared memory, and a loop that claims tasks. After a task it spins for a
 * short while, because the next one often follows at once and waking up takes 50 us; then it sleeps. The words are those of CONTROL.
 */
const PROGRAM = `
const serve = ({ module, memory, control, own }) => {
  const READY = 0, GENERATION = 1, REMAINING = 2, KERNEL = 3, COUNT = 4, FINISHED = 5, FLAGS = 16, TASKS = 256, ARGUMENTS = 24, SPINS = 20000;
  const words = new Int32Array(control, 0, FLAGS + TASKS);
  const args = new Float64Array(control, (FLAGS + TASKS) * 4);
  const env = { memory, abort() { throw new Error('abort'); }, sin: Math.sin, cos: Math.cos };
  const functions = new WebAssembly.Instance(module, { env }).exports;
  const names = Object.keys(functions);
  let seen = Atomics.load(words, GENERATION);
  Atomics.store(own, 0, 1);
  Atomics.add(words, READY, 1);
  for (;;) {
    for (let spins = 0; spins < SPINS && Atomics.load(words, GENERATION) === seen; spins++);
    Atomics.wait(words, GENERATION, seen);
    seen = Atomics.load(words, GENERATION);
    for (let left = Atomics.sub(words, REMAINING, 1); left > 0; left = Atomics.sub(words, REMAINING, 1)) {
      const task = left - 1, start = task * ARGUMENTS;
      let flag = 1;
      try { functions[names[words[KERNEL]]](...args.subarray(start, start + words[COUNT])); } catch { flag = 2; }
      Atomics.store(words, FLAGS + task, flag);
      Atomics.add(words, FINISHED, 1);
      Atomics.notify(words, FINISHED);
    }
  }
};
`;

/** How a thread ended by itself: after it had been ready, before that, or because threads are forbidden. */
type Ending = 'served' | 'stillborn' | 'refused';

/**
 * Starts a thread, or gives null where that is not possible. `ended` is called when it has ended by itself, at once where that is known.
 */
export function startWorker(init: WorkerInit, ended: (how: Ending) => void): WorkerHandle | null {
  const own = new Int32Array(new SharedArrayBuffer(4));
  const isReady = (): boolean => Atomics.load(own, 0) === 1;
  const died = (): void => {
    ended(isReady() ? 'served' : 'stillborn');
  };
  const data = { ...init, own };
  const node = nodeThreads();
  try {
    if (node) {
      const worker = new node.Worker(`${PROGRAM}serve(require('node:worker_threads').workerData);`, {
        eval: true,
        workerData: data,
        execArgv: [], // this process's may say that texts are modules, or load what a thread has no use for
      });
      worker.unref();
      worker.on('error', died);
      worker.on('exit', died);
      return { isReady, stop: () => void worker.terminate() };
    }
    const url = URL.createObjectURL(
      new Blob([`${PROGRAM}onmessage = ({ data }) => serve(data);`], { type: 'text/javascript' }),
    );
    const worker = new Worker(url);
    // A script that fails says how; a content security policy that forbids the script does not.
    worker.onerror = (event: object) => {
      if ('message' in event) died();
      else ended('refused');
    };
    worker.postMessage(data);
    return {
      isReady,
      stop: () => {
        worker.terminate();
      },
    };
  } catch {
    died();
    return null;
  }
}

/** Whether threads may be started. Node knows; a page's content security policy shows only when one has been tried: undefined. */
export function mayStartWorkers(): boolean | undefined {
  if (nodeThreads()) return (process as { permission?: NodePermission }).permission?.has('worker') ?? true;
  return typeof Worker === 'undefined' || typeof Blob === 'undefined' ? false : undefined;
}

/** There with `--permission` (`--experimental-permission` in Node 20). */
interface NodePermission {
  has(permission: string): boolean;
}

/** Node's module without an import, which bundlers for browsers would stumble over. */
const nodeThreads = (): typeof workerThreads | undefined =>
  typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:worker_threads');
