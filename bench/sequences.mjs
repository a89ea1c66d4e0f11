// A batch of sequences over threads, for `npm run bench -- beam`, beside what the machine has to give: `twoThreads` in harness.mjs.
import { isMainThread, parentPort } from 'node:worker_threads';
import { beamDecodeSync, tensor } from '../dist/index.js';
import { emissions } from './emissions.mjs';
import { serveWork, twoThreads } from './harness.mjs';

const [SEQUENCES, FRAMES, CLASSES] = [32, 1500, 32];

function decoder() {
  const all = new Float32Array(SEQUENCES * FRAMES * CLASSES);
  for (let n = 0; n < SEQUENCES; n++)
    all.set(emissions({ frames: FRAMES, classes: CLASSES, labels: 150, seed: n + 1 }).scores, n * FRAMES * CLASSES);
  const x = tensor(all, { shape: [SEQUENCES, FRAMES, CLASSES] });
  return () => beamDecodeSync(x, { layout: 'NTC', width: 64, rescore: false });
}

export async function benchSequences() {
  const { one, two, alone, both, faster, machineGives } = await twoThreads(decoder(), import.meta.url);
  console.log(
    `\n${SEQUENCES} sequences, width 64, wall time: one thread ${one.toFixed(0)} ms, two ${two.toFixed(0)} ms, ${faster.toFixed(2)} times as fast`,
  );
  console.log(
    `two workers that share nothing: ${machineGives.toFixed(2)} times as much as one (${alone.toFixed(0)} ms alone, ${both.toFixed(0)} ms both): what this machine gives`,
  );
}

if (!isMainThread && parentPort) serveWork(decoder());
