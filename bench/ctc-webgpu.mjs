// npm run bench -- ctc-webgpu [--json] [--rows 64x128x32x16,...] [--rounds 200]
// CTC on the GPU through the public API, beside torch's native CUDA kernels on the same card where a python3 with torch finds one: from logits on the device
// to the gradient by them, log-softmax, loss, mean per label and back. `wall` is a step that ends with reading the loss; `gpu` the time between the beginning and the end of its
// passes by the GPU's own clock. Both are warmed up by some thousand steps, as a training run is soon: V8 goes on making a step's JavaScript faster for
// about five thousand. The greatest error of the gradient is against float64 on the CPU. On a software device the times say nothing
// about a GPU.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { create, globals } from 'webgpu';
import { ctcLoss, device, matmul, random, scope, tensor, valueAndGrad } from '../dist/index.js';
import { machine } from './harness.mjs';

const SHAPES = [
  '64x128x32x16',
  '128x128x32x32',
  '256x128x32x64',
  '512x128x32x128',
  '1024x128x32x256',
  '128x32x32x32',
  '128x512x32x32',
  '256x128x32x16',
  '1500x32x1024x150',
  '500x8x5000x64',
];
const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, rows: { type: 'string' }, rounds: { type: 'string', default: '200' } },
});
/** Milliseconds that each shape runs before it is measured; torch's script has the same. */
const WARM_UP = 3000;
/** Steps that are queued before the GPU's clock is read. */
const QUEUED = 10;
const shapes = options.rows?.split(',') ?? SHAPES;
const rounds = Number(options.rounds);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

Object.assign(globalThis, globals);
const { GPUBufferUsage } = globals;

/** The GPU with a clock: every pass notes when it began and ended. Also keeps what `create` returns from being collected. */
class Clock {
  static PASSES = 1024;
  begun = 0;

  constructor() {
    this.gpu = create(['disable-dawn-features=timestamp_quantization']);
  }

  async requestAdapter(request) {
    const adapter = await this.gpu.requestAdapter(request);
    if (!adapter?.features.has('timestamp-query')) return adapter;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      this.watch(await requestDevice({ ...descriptor, requiredFeatures: ['timestamp-query'] }));
      return this.handle;
    };
    return adapter;
  }

  watch(handle) {
    const count = 2 * Clock.PASSES;
    this.handle = handle;
    this.queries = handle.createQuerySet({ type: 'timestamp', count });
    this.resolved = handle.createBuffer({
      size: 8 * count,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.read = handle.createBuffer({ size: 8 * count, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const createCommandEncoder = handle.createCommandEncoder.bind(handle);
    this.plainEncoder = createCommandEncoder;
    handle.createCommandEncoder = (descriptor) => {
      const encoder = createCommandEncoder(descriptor);
      const beginComputePass = encoder.beginComputePass.bind(encoder);
      encoder.beginComputePass = () => {
        const at = 2 * (this.begun++ % Clock.PASSES);
        const timestampWrites = {
          querySet: this.queries,
          beginningOfPassWriteIndex: at,
          endOfPassWriteIndex: at + 1,
        };
        return beginComputePass({ timestampWrites });
      };
      return encoder;
    };
  }

  /** Milliseconds on the GPU of all passes since `begun` was set to 0; null where it has no clock. */
  async elapsed() {
    if (!this.handle) return null;
    if (this.begun > Clock.PASSES) throw new Error(`${this.begun} passes; the clock holds ${Clock.PASSES}`);
    const count = 2 * this.begun;
    const encoder = this.plainEncoder();
    encoder.resolveQuerySet(this.queries, 0, count, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.read, 0, 8 * count);
    this.handle.queue.submit([encoder.finish()]);
    await this.read.mapAsync(1);
    const times = new BigInt64Array(this.read.getMappedRange().slice(0, 8 * count));
    this.read.unmap();
    let sum = 0;
    for (let i = 0; i < count; i += 2) sum += Number(times[i + 1] - times[i]) / 1e6;
    return sum;
  }
}

const clock = new Clock();
Object.defineProperty(globalThis, 'navigator', { value: { gpu: clock }, configurable: true });
const gpu = await device('webgpu');

function problemOf(shape) {
  const [frames, batch, classes, labels] = shape.split('x').map(Number);
  const rng = random(1);
  const lengths = (most) => Int32Array.from({ length: batch }, () => rng.integer(Math.ceil(most / 2), most));
  const logits = rng.normal([frames, batch, classes]);
  const targets = tensor(
    Int32Array.from({ length: batch * labels }, () => rng.integer(1, classes)),
    { shape: [batch, labels] },
  );
  return { logits, targets, inputLengths: lengths(frames), targetLengths: lengths(labels) };
}

const stepOf = ({ targets, inputLengths, targetLengths }, divisors) =>
  valueAndGrad((x) => ctcLoss(x, targets, inputLengths, targetLengths, { from: 'logits' }).div(divisors).mean());

/** Some milliseconds of matrix products. */
const square = await random(1).normal([2048, 2048]).to(gpu);
async function keepBusy() {
  const products = scope(() => {
    let x = square;
    for (let i = 0; i < 8; i++) x = matmul(x, square).mul(1e-3);
    return x.sum();
  });
  await products.item();
}

async function measure(shape) {
  const problem = problemOf(shape);
  const divisors = Float32Array.from(problem.targetLengths);
  const logits = await problem.logits.to(gpu);
  const step = stepOf(problem, tensor(divisors).to(gpu));
  const [, gradient] = step(logits);
  const exact = stepOf(problem, tensor(divisors).cast('float64'))(problem.logits.cast('float64'))[1].dataSync();
  const error = (await gradient.data()).reduce((worst, value, i) => Math.max(worst, Math.abs(value - exact[i])), 0);

  const queue = async (count) => {
    const losses = Array.from({ length: count }, () => scope(() => step(logits)[0]));
    const value = await losses.at(-1).item();
    for (const loss of losses) loss.dispose();
    return value;
  };
  const once = () => queue(1);
  const start = performance.now();
  for (let i = 0; i < 3 || performance.now() - start < WARM_UP; i++) await once();
  const [walls, gpus] = [[], []];
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now();
    await once();
    walls.push(performance.now() - begin);
  }
  // Queued one behind the other, after other work: a GPU that is idle most of the time lowers its clock rate.
  for (let i = 0; clock.handle && i < rounds; i++) {
    await keepBusy();
    clock.begun = 0;
    await queue(QUEUED);
    gpus.push((await clock.elapsed()) / QUEUED);
  }
  return { shape, wall: median(walls), gpu: clock.handle ? median(gpus) : null, error };
}

/** What torch takes on the same shapes, or null where there is no CUDA. */
function torchOnCuda() {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'yardsticks', 'ctc_cuda.py');
  const child = spawnSync('python3', [script, ...shapes], { encoding: 'utf8' });
  if (child.status !== 0) return null;
  const [about, ...rows] = child.stdout.trim().split('\n').map(JSON.parse);
  return { ...about, rows };
}

const rows = [];
for (const shape of shapes) rows.push(await measure(shape));
const torch = torchOnCuda();
const joined = rows.map((row) => ({ ...row, torch: torch?.rows.find(({ shape }) => shape === row.shape) ?? null }));

if (options.json) {
  console.log(JSON.stringify({ machine: machine(), device: gpu.description, torch, rows: joined }, null, 1));
} else {
  console.log(
    `${machine()}; ${gpu.description}; ${torch ? `torch ${torch.torch} on ${torch.device}` : 'no torch with CUDA'}`,
  );
  console.log(`milliseconds, medians of ${rounds} steps; ${new Date().toISOString().slice(0, 10)}\n`);
  console.log('| T x N x C x S | gpu | torch, kernels | ratio | wall | torch, wall | ratio | error of the gradient |');
  console.log('|---|---|---|---|---|---|---|---|');
  const text = (ms) => (ms == null ? '-' : ms.toFixed(3));
  const ratio = (theirs, ours) => (theirs == null || ours == null ? '-' : `${(theirs / ours).toFixed(1)}x`);
  for (const { shape, gpu: ours, wall, error, torch: theirs } of joined)
    console.log(
      `| ${shape} | ${text(ours)} | ${text(theirs?.kernel)} | ${ratio(theirs?.kernel, ours)} | ${text(wall)} | ${text(theirs?.wall)} | ` +
        `${ratio(theirs?.wall, wall)} | ${error.toExponential(1)} |`,
    );
}
process.exit(0);
