// A batch of sequences over threads, for `npm run bench -- beam`, beside what the machine has to give: the same batch decoded in one Node worker, and in
// two at once that share nothing. Cores that are hyperthreads of one another, or busy with other work, give two workers less than twice of one.
// Wall time, medians; all take turns.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { beamDecodeSync, setThreads, tensor } from '../dist/index.js';
import { warmThreads } from '../dist/internals.js';
import { emissions } from './emissions.mjs';

const [SEQUENCES, FRAMES, CLASSES] = [32, 1500, 32];
const ROUNDS = 9;

function decoder() {
  const all = new Float32Array(SEQUENCES * FRAMES * CLASSES);
  for (let n = 0; n < SEQUENCES; n++)
    all.set(emissions({ frames: FRAMES, classes: CLASSES, labels: 150, seed: n + 1 }).scores, n * FRAMES * CLASSES);
  const x = tensor(all, { shape: [SEQUENCES, FRAMES, CLASSES] });
  return () => beamDecodeSync(x, { layout: 'NTC', width: 64, rescore: false });
}

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

export async function benchSequences() {
  const decode = decoder();
  const workers = [1, 2].map(() => new Worker(fileURLToPath(import.meta.url)));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const ask = (some) =>
    Promise.all(
      some.map((worker) => {
        worker.postMessage('decode');
        return once(worker, 'message');
      }),
    );
  const times = { one: [], two: [], alone: [], both: [] };
  const clock = async (name, work) => {
    const start = performance.now();
    await work();
    times[name].push(performance.now() - start);
  };
  setThreads(2);
  await warmThreads();
  for (let round = 0; round < ROUNDS; round++) {
    setThreads(1);
    await clock('one', decode);
    setThreads(2);
    await warmThreads();
    await clock('two', decode);
    await clock('alone', () => ask(workers.slice(0, 1)));
    await clock('both', () => ask(workers));
  }
  setThreads(1);
  await Promise.all(workers.map((worker) => worker.terminate()));
  const [one, two, alone, both] = Object.values(times).map(median);
  console.log(
    `\n${SEQUENCES} sequences, width 64, wall time: one thread ${one.toFixed(0)} ms, two ${two.toFixed(0)} ms, ${(one / two).toFixed(2)} times as fast`,
  );
  console.log(
    `two workers that share nothing: ${((2 * alone) / both).toFixed(2)} times as much as one (${alone.toFixed(0)} ms alone, ${both.toFixed(0)} ms both): what this machine gives`,
  );
}

if (!isMainThread && parentPort) {
  setThreads(1);
  const decode = decoder();
  decode();
  parentPort.on('message', () => {
    decode();
    parentPort.postMessage('done');
  });
  parentPort.postMessage('ready');
}
