import { device, setDefaultDevice } from 'tapegrad';
import { heldOutLines, judge, readLines } from '../digits/evaluation.mjs';
import { splitDigits } from '../digits/images.mjs';
import { loadRun, rateOf, saveRun, startRun, trainStep } from '../digits/training.mjs';
import { unpackDigits } from './bytes.mjs';

/** Training, in a Web Worker, so that the page stays free. Messages in: { train } and { stop }; out: those of `trainer.mjs`. */

const LINES = 200;
const EVALUATIONS = 12;
/** Not more often than after so many steps; and at the end. */
const LEAST_INTERVAL = 25;
/** The page gets new weights this often, in milliseconds. */
const INTERVAL = 1500;

let isStopped = false;

addEventListener('message', ({ data }) => {
  if (data.stop) isStopped = true;
  if (data.train) train(data.train).catch((error) => postMessage({ failure: error.message }));
});

/** @param {{ digits: string, device: 'cpu' | 'webgpu', file: Uint8Array | null, options: { seed: number, steps: number, batch: number } }} order */
async function train(order) {
  setDefaultDevice(await device(order.device));
  const digits = splitDigits(unpackDigits(await fetchPacked(order.digits)));
  const run = order.file ? loadRun(order.file) : startRun(order.options);
  const lines = heldOutLines(digits.heldOut, LINES);
  const interval = Math.max(LEAST_INTERVAL, Math.ceil(run.steps / EVALUATIONS));
  let sent = performance.now();
  postMessage({ began: { steps: run.steps, losses: run.losses, evaluations: run.evaluations } });
  while (run.step < run.steps && !isStopped) {
    await trainStep(run, digits.training);
    const { step, phase } = run;
    let evaluation = null;
    if (step % interval === 0 || step === run.steps) {
      const { rate: characterErrorRate } = judge(lines, await readLines(run.params, lines));
      evaluation = { step, characterErrorRate };
      run.evaluations.push(evaluation);
    }
    postMessage({
      step: { step, phase, loss: run.losses.at(-1), rate: rateOf(run.steps, step), batch: run.batch, evaluation },
    });
    if (performance.now() - sent > INTERVAL) {
      sent = performance.now();
      await sendFile('weights', run);
    }
    await new Promise((resolve) => setTimeout(resolve)); // lets messages in
  }
  await sendFile('ended', run);
}

async function sendFile(name, run) {
  const file = await saveRun(run);
  postMessage({ [name]: file }, [file.buffer]);
}

async function fetchPacked(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`cannot fetch ${url}: ${response.status}`);
  const unpacked = response.body.pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}
