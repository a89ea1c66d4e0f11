// npm run bench -- ctc-metal [--json] [--quick] [--rows 64x128x32x16,...]
// The CTC benchmark on the GPU beside the CPU and torch, in the columns of mlx-ctc's README: MB/s of logits through loss, mean per label and
// gradient by the logits. The CPU's columns are those of `npm run bench -- ctc`. TAPEGRAD_METAL_LIBRARY names a software device, whose
// times say nothing about a GPU.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ctcLoss, device, random, scope, tensor, valueAndGrad } from '../dist/index.js';

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, rows: { type: 'string' } },
});
const metal = await device('metal');

const passed = ['--json', ...(options.quick ? ['--quick'] : []), ...(options.rows ? ['--rows', options.rows] : [])];
const onCpu = join(dirname(fileURLToPath(import.meta.url)), 'ctc.mjs');
const child = spawnSync(process.execPath, [onCpu, ...passed], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
  maxBuffer: 1 << 26,
});
if (child.status !== 0) process.exit(child.status ?? 1);
const cpu = JSON.parse(child.stdout);

/** Milliseconds of one step on the GPU: the median of rounds that end with reading the loss. */
async function onGpu([frames, batch, classes, labels], rounds, roundMs) {
  const rng = random(1);
  const lengths = (most) => Int32Array.from({ length: batch }, () => rng.integer(most / 2, most));
  const [inputLengths, targetLengths] = [lengths(frames), lengths(labels)];
  const logits = rng.normal([frames, batch, classes]).to(metal);
  const divisors = tensor(Float32Array.from(targetLengths)).to(metal);
  const targets = tensor(
    Int32Array.from({ length: batch * labels }, () => rng.integer(1, classes)),
    { shape: [batch, labels] },
  );
  const step = valueAndGrad((x) =>
    ctcLoss(x, targets, inputLengths, targetLengths, { from: 'logits' }).div(divisors).mean(),
  );
  const run = async (count) => {
    const start = performance.now();
    let loss;
    for (let i = 0; i < count; i++) loss = scope(() => step(logits))[0];
    await loss.item();
    return (performance.now() - start) / count;
  };
  await run(2); // compiles the kernels
  const count = Math.max(1, Math.round(roundMs / (await run(3))));
  const times = [];
  for (let i = 0; i < rounds; i++) times.push(await run(count));
  return times.sort((a, b) => a - b)[times.length >> 1];
}

const rows = [];
if (!options.json) {
  console.log(
    `${cpu.machine}; ${metal.description}; ${cpu.torch ? `torch ${cpu.torch}, 1 thread` : 'no python3 with torch'}\n`,
  );
  console.log('| T x B x C x S | Torch CPU MB/s | CPU MB/s | GPU MB/s |');
  console.log('|---|---|---|---|');
}
for (const { shape, megabytes, milliseconds } of cpu.rows) {
  const gpu = await onGpu(shape.split('x').map(Number), options.quick ? 3 : 7, options.quick ? 30 : 100);
  const speed = (ms) => (ms === undefined ? '-' : ((megabytes / ms) * 1000).toFixed(0));
  const ours = Math.min(milliseconds.ours.median, milliseconds.threaded.median);
  rows.push({ shape, megabytes, torch: milliseconds.torch?.median ?? null, cpu: ours, gpu });
  if (!options.json)
    console.log(`| ${shape} | ${speed(milliseconds.torch?.median)} | ${speed(ours)} | ${speed(gpu)} |`);
}
if (options.json)
  console.log(JSON.stringify({ machine: cpu.machine, device: metal.description, torch: cpu.torch, rows }, null, 1));
