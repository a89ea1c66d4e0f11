// What the benchmarks share: fair timing of alternatives side by side, and a description of the machine.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker } from 'node:worker_threads';
import { setThreads, useBlas } from '../dist/index.js';
import { warmThreads } from '../dist/internals.js';

/**
 * What two threads make of some work, beside what the machine has to give: the same work in one Node worker, and in two at once that share nothing. Cores that
 * are hyperthreads of one another, or busy with other work, give two workers less than twice of one. Wall time, medians; all take turns.
 *
 * `run` does the work once, here; `file` is the program of the workers, given `workerData`, which does it as `serveWork` says.
 */
export async function twoThreads(run, file, { rounds = 9, workerData } = {}) {
  const workers = [1, 2].map(() => new Worker(fileURLToPath(file), { workerData }));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const ask = (some) =>
    Promise.all(
      some.map((worker) => {
        worker.postMessage('go');
        return once(worker, 'message');
      }),
    );
  const times = { one: [], two: [], alone: [], both: [] };
  const clock = async (name, work) => {
    const start = performance.now();
    await work();
    times[name].push(performance.now() - start);
  };
  for (let round = 0; round < rounds; round++) {
    for (const [name, count] of [
      ['one', 1],
      ['two', 2],
    ]) {
      setThreads(count);
      await warmThreads();
      run(); // a thread that has just been started does its first work more slowly
      await clock(name, run);
    }
    await clock('alone', () => ask(workers.slice(0, 1)));
    await clock('both', () => ask(workers));
  }
  setThreads(1);
  await Promise.all(workers.map((worker) => worker.terminate()));
  const [one, two, alone, both] = Object.values(times).map(medianOf);
  return { one, two, alone, both, faster: one / two, machineGives: (2 * alone) / both };
}

/** A worker's part in `twoThreads`: does `run`, on one thread, whenever it is asked. */
export function serveWork(run) {
  setThreads(1);
  run();
  parentPort.on('message', () => {
    run();
    parentPort.postMessage('done');
  });
  parentPort.postMessage('ready');
}

/** Milliseconds of one call of each alternative: the median and the best over `rounds`, the alternatives taking turns. */
export async function race(alternatives, { rounds = 15, minRoundMs = 20 } = {}) {
  const entries = Object.entries(alternatives);
  const calls = new Map();
  for (const [name, run] of entries) {
    const warm = performance.now();
    let count = 0;
    // The first calls run unoptimised code, and some engines compile on first use.
    while (count < 3 || performance.now() - warm < 200) {
      await run();
      count++;
    }
    const start = performance.now();
    await run();
    calls.set(name, Math.max(1, Math.ceil(minRoundMs / (performance.now() - start))));
  }
  const times = new Map(entries.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of entries) {
      const count = calls.get(name);
      const start = performance.now();
      for (let i = 0; i < count; i++) await run();
      times.get(name).push((performance.now() - start) / count);
    }
  }
  return Object.fromEntries(
    [...times].map(([name, list]) => {
      list.sort((a, b) => a - b);
      return [name, { median: list[list.length >> 1], best: list[0], worst: list[list.length - 1] }];
    }),
  );
}

/** One line that says where the numbers come from. */
export const machine = () =>
  `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`;

/** Milliseconds of processor time of one call: the median of five rounds after a warm-up, or of the only one where a call takes long. */
export function processorTime(run, milliseconds = 200) {
  const once = () => {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  const first = once();
  if (first > milliseconds) return first;
  for (let warm = first; warm < milliseconds; warm += once());
  const count = Math.max(1, Math.ceil(milliseconds / 5 / Math.max(once(), 0.01)));
  const rounds = [];
  for (let round = 0; round < 5; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < count; i++) run();
    const { user, system } = process.cpuUsage(start);
    rounds.push((user + system) / 1000 / count);
  }
  return rounds.sort((a, b) => a - b)[2];
}

/** The same of several alternatives that take turns: medians of nine rounds. */
export const processorTimes = (runs, milliseconds = 200) => processorRounds(runs, milliseconds, 9).map(medianOf);

/**
 * Each alternative's times, round by round, for `ratio`: what one round takes longer than another, because the machine is busy with other things, it takes longer
 * for all of them.
 */
export function processorRounds(runs, milliseconds = 200, rounds = 31) {
  const counts = runs.map((run) =>
    Math.max(1, Math.ceil(milliseconds / rounds / Math.max(processorTime(run, milliseconds / 9), 0.01))),
  );
  const times = runs.map(() => []);
  for (let round = 0; round < rounds; round++)
    runs.forEach((run, i) => {
      const start = process.cpuUsage();
      for (let k = 0; k < counts[i]; k++) run();
      const { user, system } = process.cpuUsage(start);
      times[i].push((user + system) / 1000 / counts[i]);
    });
  return times;
}

/**
 * The first Python that can run a program, as a conversation of lines: `hello` is the program's first one, `ask` sends a job as JSON and gives the
 * answer. null where there is none.
 */
export async function startPython(...args) {
  for (const python of ['python3', '/usr/bin/python3']) {
    const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value;
    const hello = await next();
    if (hello === undefined) continue;
    return {
      hello,
      ask: async (job) => {
        child.stdin.write(`${JSON.stringify(job)}\n`);
        return next();
      },
      stop: () => child.stdin.end(),
    };
  }
  return null;
}

/** torch on one thread, by processor time; null where no python3 can import it. `prepare` takes Python code that defines run(). */
export async function startTorch() {
  const python = await startPython(fileURLToPath(new URL('yardsticks/torch_server.py', import.meta.url)));
  if (!python) return null;
  return {
    ...JSON.parse(python.hello),
    prepare: async (setup) => {
      if ((await python.ask({ setup })) !== 'ready') throw new Error(`torch cannot run this:\n${setup}`);
    },
    time: async (count) => Number(await python.ask({ count })),
    stop: python.stop,
  };
}

/** What is said of a torch, or of its absence. */
export const describeTorch = (torch) =>
  torch ? `torch ${torch.version} (${torch.instructions}) with ${torch.blas}, one thread` : 'no python3 with torch';

/** Milliseconds of this process's processor time of one call out of `count`, collecting garbage included. */
export async function processorTimeOf(run, count) {
  const start = process.cpuUsage();
  for (let i = 0; i < count; i++) await run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000 / count;
}

/** The same with matrix products by the system's BLAS; null where there is none that can be used. */
export async function withBlas(run) {
  try {
    await useBlas();
    await useBlas(null);
  } catch {
    return null;
  }
  return async (count) => {
    await useBlas();
    const time = await processorTimeOf(run, count);
    await useBlas(null);
    return time;
  };
}

/**
 * Alternatives in turns, each for about `roundMs` a round; an alternative takes a count and gives the milliseconds of one call. After a warm-up (engines
 * compile on first use) gives each one's times, round by round: neighbours on the machine slow whole rounds down.
 */
export async function takeTurns(alternatives, { rounds = 9, roundMs = 60, warmUpMs = 300 } = {}) {
  const entries = Object.entries(alternatives);
  const counts = new Map();
  for (const [name, run] of entries) {
    let once = Math.max(await run(1), 1e-3);
    for (let spent = once; spent < warmUpMs; spent += once) once = Math.max(await run(1), 1e-3);
    counts.set(name, Math.max(1, Math.round(roundMs / Math.max(await run(Math.ceil(10 / once)), 1e-4))));
  }
  const times = Object.fromEntries(entries.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of entries) times[name].push(await run(counts.get(name)));
  return times;
}

export const medianOf = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

export const summary = (list) => ({ median: medianOf(list), best: Math.min(...list), worst: Math.max(...list) });

/** How much longer a takes than b: the median of what the rounds say. */
export const ratio = (a, b) => medianOf(a.map((time, round) => time / b[round]));
