import { KernelError, TapegradError, ValueError } from '../../errors.js';
import { canShare, heap } from './heap.js';
import { mayStartWorkers, startWorker, type WorkerHandle } from './worker.js';

/**
 * A pool of threads for single kernels. The caller cuts a kernel's work into tasks, each a call of the same WebAssembly function over its
 * own range; threads claim tasks one by one, the caller as well, and the call returns when all are done. Which thread takes which task
 * changes nothing, so results are the same for any number of threads.
 *
 * Threads are started when there has been work for them that is worth it, and are used from the moment they are ready: nothing waits for them, and
 * nothing is kept alive by them.
 */

/** Tasks of one call of `parallel` that are shared. */
export const MOST_TASKS = 256;
const MOST_ARGUMENTS = 24;

/** Words of the control block, shared with src/backends/cpu/worker.ts. */
const CONTROL = {
  ready: 0,
  generation: 1,
  remaining: 2,
  kernel: 3,
  argumentCount: 4,
  finished: 5,
  flags: 16,
} as const;
const ARGUMENTS_AT = (CONTROL.flags + MOST_TASKS) * 4;
const CONTROL_BYTES = ARGUMENTS_AT + MOST_TASKS * MOST_ARGUMENTS * 8;

/** Work below this many multiplications or so (about 0.3 ms) is done faster than it is shared. */
const WORTH_SHARING = 1 << 20;

/**
 * Work that is done on one thread, in the same unit, before others are started: to start one takes some 40 ms of a processor, in which the caller had better
 * have the machine to itself if there is no more to do than that.
 */
const WORTH_A_THREAD = 1 << 27;

/**
 * A thread that has claimed a task and does not finish it in this many milliseconds, or in this many times what the caller's own tasks took, is
 * given up, and the call with it. Nothing tells a thread that was lost in the middle of a task from one that works, so this is
 * longer than any task should take.
 */
const PATIENCE = { least: 60_000, times: 100 };

/** Threads that ended before they were ready, in a row, after which no more are started until `setThreads` is called. */
const MOST_STILLBORN = 8;

interface Pool {
  readonly control: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly args: Float64Array;
  readonly names: readonly string[];
  readonly workers: Set<WorkerHandle>;
}

let wished: number | null = null;
let pool: Pool | null = null;
let stillborn = 0;
let doneAlone = 0;
let haveStarted = false;
let tellOthers: (n: number) => void = () => undefined;

/** Has somebody else, with threads of its own, told what `setThreads` is given. */
export function followThreads(tell: (n: number) => void): void {
  tellOthers = tell;
}

/**
 * Threads that kernels are shared among, the caller included: one where no more can be started (a page without cross-origin isolation or
 * whose content security policy has no `worker-src blob:`, Node with `--permission`). A page finds out by trying, so that there it is one
 * until the first thread has started.
 */
export function threads(): number {
  const most = wanted();
  return most === 1 || mayStartWorkers() || haveStarted || readyWorkers() > 0 ? most : 1;
}

/** Threads to be used as soon as they are ready. */
function wanted(): number {
  if (wished === 1 || !canShare || mayStartWorkers() === false) return 1;
  const most = wished ?? available();
  return stillborn < MOST_STILLBORN ? most : Math.min(most, 1 + (pool?.workers.size ?? 0));
}

/**
 * Sets the number of threads for kernels with enough work to share (CTC, matmul, convolutions, reductions, softmax, large elementwise ops and
 * copies). The default is the number of cores. Results do not depend on it, to the last bit (with `useBlas` they may). Where threads cannot be started
 * there is one, whatever is set; `threads()` tells.
 * @throws {ValueError} unless n is a whole number from 1 to 64.
 */
export function setThreads(n: number): void {
  if (!Number.isInteger(n) || n < 1 || n > 64)
    throw new ValueError(
      'setThreads',
      `n is ${typeof n === 'number' ? n : typeof n}; it must be a whole number from 1 to 64`,
    );
  wished = n;
  stillborn = 0;
  doneAlone = WORTH_A_THREAD; // who asks for threads has work for them
  tellOthers(n);
  if (pool) while (pool.workers.size > n - 1) retire(pool, [...pool.workers].pop()!);
}

function available(): number {
  const { hardwareConcurrency } = (globalThis.navigator as { hardwareConcurrency?: number } | undefined) ?? {};
  return Math.min(hardwareConcurrency ?? builtinParallelism(), 16);
}

function builtinParallelism(): number {
  const os = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:os');
  return os?.availableParallelism() ?? 1;
}

/**
 * How many parts to cut work into: 1 if it is not worth sharing, else one for each thread that is ready, twice if the parts may be uneven.
 * @param work multiplications or so.
 */
export function partsFor(work: number, uneven = false): number {
  if (work < WORTH_SHARING || wanted() === 1) return 1;
  if (!pool && (doneAlone += work) < WORTH_A_THREAD) return 1;
  const ready = readyWorkers();
  return ready === 0
    ? 1
    : Math.min((ready + 1) * (uneven ? 2 : 1), MOST_TASKS, Math.max(1, Math.floor(work / (WORTH_SHARING / 4))));
}

/** Cuts [0, total) into at most `parts` ranges whose bounds are multiples of `grain`. */
export function cut(total: number, parts: number, grain = 1): [begin: number, end: number][] {
  const ranges: [number, number][] = [];
  const units = Math.ceil(total / grain);
  for (let part = 0; part < parts; part++) {
    const begin = Math.floor((units * part) / parts) * grain;
    const end = Math.min(Math.floor((units * (part + 1)) / parts) * grain, total);
    if (end > begin) ranges.push([begin, end]);
  }
  return ranges;
}

/** Threads that wait for work; starts missing ones on the way. */
function readyWorkers(): number {
  pool ??= createPool();
  while (pool.workers.size < wanted() - 1) {
    const worker = hire(pool);
    if (!worker) return 0;
  }
  const ready = Math.min(Atomics.load(pool.words, CONTROL.ready), pool.workers.size);
  haveStarted ||= ready > 0;
  return ready;
}

function createPool(): Pool {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  return {
    control,
    words: new Int32Array(control, 0, ARGUMENTS_AT / 4),
    args: new Float64Array(control, ARGUMENTS_AT),
    names: Object.keys(heap().functions),
    workers: new Set(),
  };
}

function hire(to: Pool): WorkerHandle | null {
  const { module, memory } = heap();
  let worker: WorkerHandle | null = null;
  worker = startWorker({ module, memory, control: to.control }, (how) => {
    if (worker && !to.workers.delete(worker)) return; // it was retired
    // It died: the next call starts another one.
    stillborn = how === 'served' ? 0 : how === 'refused' ? MOST_STILLBORN : stillborn + 1;
    if (how === 'served') Atomics.sub(to.words, CONTROL.ready, 1);
  });
  if (worker) to.workers.add(worker);
  return worker;
}

function retire(from: Pool, worker: WorkerHandle): void {
  if (from.workers.delete(worker)) {
    if (worker.isReady()) Atomics.sub(from.words, CONTROL.ready, 1);
    worker.stop();
  }
}

/**
 * Calls the kernel once for each task's arguments, on all threads that are ready. Tasks must be independent: outputs and scratch memory
 * of their own.
 * @throws {TapegradError} when a task fails; all others have ended by then.
 * @throws {KernelError} when a thread was lost in a task.
 */
export function parallel(name: string, tasks: readonly (readonly number[])[]): void {
  const kernel = heap().functions[name]!;
  if (tasks.length <= 1 || tasks.length > MOST_TASKS || !pool || pool.workers.size === 0) {
    for (const task of tasks) kernel(...task);
    return;
  }
  const { words, args } = pool;
  tasks.forEach((task, t) => {
    args.set(task, t * MOST_ARGUMENTS);
    Atomics.store(words, CONTROL.flags + t, 0);
  });
  words[CONTROL.kernel] = pool.names.indexOf(name);
  words[CONTROL.argumentCount] = tasks[0]!.length;
  Atomics.store(words, CONTROL.finished, 0);
  Atomics.store(words, CONTROL.remaining, tasks.length); // from here on tasks can be claimed
  Atomics.add(words, CONTROL.generation, 1);
  Atomics.notify(words, CONTROL.generation);
  const start = performance.now();
  for (let left = Atomics.sub(words, CONTROL.remaining, 1); left > 0; left = Atomics.sub(words, CONTROL.remaining, 1))
    runHere(kernel, tasks[left - 1]!, left - 1);
  settle(name, tasks.length, performance.now() - start);
}

/** Flags of a task: 0 while it is open. */
const DONE = 1;
const FAILED = 2;

function runHere(kernel: (...args: number[]) => number, task: readonly number[], t: number): void {
  const { words } = pool!;
  try {
    kernel(...task);
    Atomics.store(words, CONTROL.flags + t, DONE);
  } catch {
    Atomics.store(words, CONTROL.flags + t, FAILED);
  }
  Atomics.add(words, CONTROL.finished, 1);
}

/** Waits for the tasks that others have claimed. */
function settle(name: string, count: number, ownTime: number): void {
  const { words } = pool!;
  let patience = Math.max(PATIENCE.least, PATIENCE.times * ownTime);
  let then = performance.now();
  for (let spins = 0; Atomics.load(words, CONTROL.finished) < count; spins++) {
    if (spins < SPINS) continue;
    const finished = Atomics.load(words, CONTROL.finished);
    if (finished < count) waitFor(words, CONTROL.finished, finished);
    // What was longer than a wait is the process having been stopped, threads and all: they have not had that time either.
    const now = performance.now();
    patience -= Math.min(now - then, 2 * WAIT_MS);
    then = now;
    if (patience <= 0) giveUp(name, count);
  }
  for (let t = 0; t < count; t++) {
    if (Atomics.load(words, CONTROL.flags + t) === FAILED)
      throw new TapegradError('cpu', `a kernel failed in part ${t} of ${count}; this is a bug in tapegrad`);
  }
}

/**
 * Ends a call in which a thread was lost in the middle of a task. Nobody knows how far it came, and a kernel that adds to what it finds, or writes over it, must
 * not do so twice.
 */
function giveUp(name: string, count: number): never {
  const lost = pool!;
  pool = null; // a thread that is still on its way out knows only the old control block
  const open = Array.from({ length: count }, (_, t) => t).filter(
    (t) => Atomics.load(lost.words, CONTROL.flags + t) === 0,
  );
  for (const worker of [...lost.workers]) retire(lost, worker);
  throw new KernelError(
    'cpu',
    `a thread was lost in part ${open.join(', ')} of ${count} of the kernel '${name}', and what it was computing with it; others are started in place of all of them`,
  );
}

const SPINS = 20_000;
const WAIT_MS = 50;

/** Sleeps until the word changes; a page's main thread may not sleep, and goes on spinning. */
function waitFor(words: Int32Array, index: number, value: number): void {
  try {
    Atomics.wait(words, index, value, WAIT_MS);
  } catch {
    // a browser's main thread
  }
}

/** @internal For tests. */
export const poolState = (): { workers: readonly WorkerHandle[]; ready: number } => ({
  workers: [...(pool?.workers ?? [])],
  ready: pool ? Atomics.load(pool.words, CONTROL.ready) : 0,
});

/** @internal Waits until all threads are ready, for tests and benchmarks. */
export async function warmThreads(): Promise<number> {
  if (wanted() === 1) return 1;
  while (readyWorkers() < wanted() - 1) await new Promise((resolve) => setTimeout(resolve, 10));
  return readyWorkers() + 1;
}
