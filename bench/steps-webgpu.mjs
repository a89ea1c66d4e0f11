// npm run bench -- steps-webgpu [--json] [--only digits,speech]
// The training steps of `bench -- steps` on the GPU, beside torch on the same card where a python3 finds CUDA: milliseconds of wall time, medians. `awaited`
// is a step whose loss is read before the next one begins, as torch's is; `queued` reads every tenth. On a software device the times say nothing about a GPU.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { device, optim, random, scope, setDefaultDevice, tensorsOf, valueAndGrad } from 'tapegrad';
import { machine } from './harness.mjs';
import { MODELS } from './models.mjs';

const { values: options } = parseArgs({ options: { json: { type: 'boolean' }, only: { type: 'string' } } });
const chosen = options.only?.split(',');
const models = MODELS.filter(({ make }) => !chosen || chosen.includes(make.name));
const [WARM_UP, ROUNDS, QUEUED] = [10, 50, 10];
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const gpu = await device('webgpu');
setDefaultDevice(gpu);

/** A step that goes on from where the last one ended; it gives the loss. */
function stepOf([params, loss]) {
  const optimizer = optim.adamw({ learningRate: 1e-3 });
  const differentiate = valueAndGrad(loss);
  let made = { params, state: optimizer.init(params) };
  return () => {
    const old = tensorsOf(made);
    made = scope(() => {
      const [value, gradients] = differentiate(made.params);
      return { ...optimizer.update(made.params, gradients, made.state), value };
    });
    for (const tensor of old) tensor.dispose();
    return made.value.item();
  };
}

async function measure({ title, make, sizes }) {
  const step = stepOf(make(random(1), sizes));
  for (let i = 0; i < WARM_UP; i++) await step();
  const awaited = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await step();
    awaited.push(performance.now() - start);
  }
  const queued = [];
  for (let i = 0; i < ROUNDS / QUEUED; i++) {
    const start = performance.now();
    const losses = Array.from({ length: QUEUED }, step);
    await losses.at(-1);
    queued.push((performance.now() - start) / QUEUED);
  }
  return { name: make.name, title, awaited: median(awaited), queued: median(queued) };
}

/** What torch takes for the same steps on the card, or null where there is no CUDA. */
function torchOnCuda() {
  const calls = models.map(({ make, sizes }) => `${make.name}(${sizes.join(', ')})`);
  const script = join(dirname(fileURLToPath(import.meta.url)), 'yardsticks', 'steps_cuda.py');
  const child = spawnSync('python3', [script, ...calls], { encoding: 'utf8' });
  if (child.status !== 0) return null;
  const [about, ...times] = child.stdout.trim().split('\n').map(JSON.parse);
  return { ...about, times };
}

const rows = [];
for (const model of models) rows.push(await measure(model));
const torch = torchOnCuda();
if (options.json) {
  console.log(JSON.stringify({ machine: machine(), device: gpu.description, torch, rows }, null, 1));
} else {
  console.log(
    `${machine()}; ${gpu.description}; ${torch ? `torch ${torch.torch} on ${torch.device}` : 'no torch with CUDA'}`,
  );
  console.log(`milliseconds, medians; ${new Date().toISOString().slice(0, 10)}\n`);
  console.log('| step | awaited | queued by ten | torch | awaited / torch |\n|---|---|---|---|---|');
  rows.forEach(({ title, awaited, queued }, i) => {
    const theirs = torch?.times[i];
    const beside = theirs === undefined ? '- | -' : `${theirs.toFixed(2)} | ${(awaited / theirs).toFixed(1)}x`;
    console.log(`| ${title} | ${awaited.toFixed(2)} | ${queued.toFixed(2)} | ${beside} |`);
  });
}
process.exit(0);
