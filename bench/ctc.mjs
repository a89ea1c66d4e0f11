// npm run bench -- ctc [--json] [--quick] [--rows 64x128x32x16,...]
// Logits -> log-softmax -> CTC loss -> divided by the target lengths -> mean -> gradient by the logits, through the public API, on the shapes
// T x B x C x S of the mlx-ctc README: input lengths random in [T/2, T), target lengths in [S/2, S). Beside it the bare kernel, the same
// through ctcLoss(logSoftmax(x)), and torch on one thread where a python3 can import it. MB/s are of logits, float32.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { ctcLoss, logSoftmax, random, setThreads, tensor, valueAndGrad } from '../dist/index.js';
import { heap } from '../dist/backends/cpu/heap.js';
import { warmThreads } from '../dist/backends/cpu/pool.js';
import { machine } from './harness.mjs';

const ROWS = [
  [64, 128, 32, 16], [128, 128, 32, 32], [256, 128, 32, 64], [512, 128, 32, 128], [1024, 128, 32, 256],
  ...[32, 64, 128, 256, 512].map((batch) => [128, batch, 32, 32]),
  ...[8, 16, 32, 48, 64].map((classes) => [128, 128, classes, 32]),
  ...[16, 24, 32, 48, 64].map((labels) => [256, 128, 32, labels]),
];

const PYTHON = `
import json, sys, time, torch
torch.set_num_threads(1)
print(torch.__version__, flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if 'shape' in job:
        x = torch.randn(*job['shape'], requires_grad=True)
        targets, inputs, lengths = (torch.tensor(job[k]) for k in ('targets', 'inputLengths', 'targetLengths'))
        def step():
            x.grad = None
            losses = torch.nn.functional.ctc_loss(torch.log_softmax(x, 2), targets, inputs, lengths, reduction='none')
            (losses / lengths).mean().backward()
        step()
    start = time.perf_counter()
    for _ in range(job['count']): step()
    print((time.perf_counter() - start) * 1000 / job['count'], flush=True)
`;

/** A python3 with torch, as a function from jobs to milliseconds; null where there is none. */
async function startTorch() {
  for (const python of ['python3', '/usr/bin/python3']) {
    const child = spawn(python, ['-c', PYTHON], { stdio: ['pipe', 'pipe', 'ignore'] });
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value;
    const version = await next();
    if (version === undefined) continue;
    return { version, time: async (job) => { child.stdin.write(`${JSON.stringify(job)}\n`); return Number(await next()); }, stop: () => child.stdin.end() };
  }
  return null;
}

function makeProblem([frames, batch, classes, labels]) {
  const rng = random(1);
  const lengths = (most) => Int32Array.from({ length: batch }, () => rng.integer(most / 2, most));
  return {
    shape: [frames, batch, classes],
    logits: rng.normal([frames, batch, classes]),
    inputLengths: lengths(frames), targetLengths: lengths(labels), width: labels,
    targets: Int32Array.from({ length: batch * labels }, () => rng.integer(1, classes)),
  };
}

/** The kernel alone, on memory that is in place. */
function bareKernel({ shape: [frames, batch, classes], logits, inputLengths, targetLengths, targets, width }) {
  const { kernels } = heap();
  const bytes = kernels.ctcLossWorkspace(frames, classes, width, 1) >>> 0;
  const sizes = [logits.size * 4, targets.byteLength, batch * 4, batch * 4, batch * 8, batch * 8, logits.size * 4, batch * 4, bytes];
  const regions = sizes.map((size) => heap().take(Math.max(size, 64)));
  const at = regions.map((region) => region.start);
  heap().f32.set(logits.dataSync(), at[0] / 4);
  [targets, inputLengths, targetLengths].forEach((data, i) => heap().i32.set(data, at[i + 1] / 4));
  new Float64Array(heap().memory.buffer, at[4], batch).set(Array.from(targetLengths, (length) => Math.fround(1 / batch) / length));
  return { run: () => kernels.ctcLoss(...at, frames, batch, classes, width, 0, 1, 0, batch), free: () => regions.forEach((region) => heap().give(region)) };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const summary = (list) => (list.length === 0 ? null : { median: median(list), best: Math.min(...list), worst: Math.max(...list) });

async function timed(run, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) run();
  return (performance.now() - start) / count;
}

/** Rounds in which all alternatives take turns, each for about `roundMs`. */
async function race(alternatives, rounds, roundMs) {
  const entries = Object.entries(alternatives);
  const counts = new Map();
  for (const [name, run] of entries) {
    await run(1);
    const first = await run(3);
    await run(Math.ceil((3 * roundMs) / first)); // JavaScript is compiled for speed only after a while
    const once = await run(3);
    counts.set(name, Math.max(1, Math.round(roundMs / once)));
  }
  const times = Object.fromEntries(entries.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) for (const [name, run] of entries) times[name].push(await run(counts.get(name)));
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, summary(list)]));
}

const { values: options } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, rows: { type: 'string' } } });
const rows = options.rows ? options.rows.split(',').map((row) => row.split('x').map(Number)) : ROWS;
const [rounds, roundMs] = options.quick ? [3, 30] : [7, 100];
const two = Math.min(2, cpus().length);
const torch = await startTorch();
const results = [];
if (!options.json) {
  console.log(`${machine()}; ${torch ? `torch ${torch.version}, 1 thread` : 'no python3 with torch'}`);
  console.log('MB/s of logits; medians of rounds, in brackets how far the best and the worst round are from them');
  console.log(['T x B x C x S'.padEnd(17), '1 thread'.padEnd(18), `${two} threads`.padEnd(18), 'torch'.padEnd(18), 'ratio'.padEnd(7), 'of logSoftmax', 'over the kernel'].join(' '));
}
for (const row of rows) {
  const problem = makeProblem(row);
  const { logits, inputLengths, targetLengths, width } = problem;
  const targets = tensor(problem.targets, { shape: [row[1], width] });
  const fused = valueAndGrad((x) => ctcLoss(x, targets, inputLengths, targetLengths, { from: 'logits' }).div(targetLengths).mean());
  const composed = valueAndGrad((x) => ctcLoss(logSoftmax(x), targets, inputLengths, targetLengths).div(targetLengths).mean());
  const kernel = bareKernel(problem);
  setThreads(1);
  const job = { ...problem, logits: undefined, inputLengths: [...inputLengths], targetLengths: [...targetLengths], targets: targets.arraySync() };
  await torch?.time({ ...job, count: 1 });
  const one = await race({
    ours: (count) => timed(() => fused(logits), count), kernel: (count) => timed(kernel.run, count), composed: (count) => timed(() => composed(logits), count),
    ...(torch ? { torch: (count) => torch.time({ count }) } : {}),
  }, rounds, roundMs);
  kernel.free();
  setThreads(two);
  await warmThreads();
  const { ours: threaded } = await race({ ours: (count) => timed(() => fused(logits), count) }, rounds, roundMs);
  const result = { shape: row.join('x'), megabytes: (logits.size * 4) / 1e6, milliseconds: { ...one, threaded } };
  results.push(result);
  if (!options.json) {
    const speed = (times) => (times ? `${(result.megabytes / times.median * 1000).toFixed(0)} (+${percent(times.median, times.best)} -${percent(times.worst, times.median)})` : '-').padEnd(18);
    console.log([
      result.shape.padEnd(17), speed(one.ours), speed(threaded), speed(one.torch), (one.torch ? `${(one.torch.median / one.ours.median).toFixed(1)}x` : '-').padEnd(7),
      `${(one.composed.median / one.ours.median).toFixed(2)}x`.padEnd(13), `${((one.ours.median / one.kernel.median - 1) * 100).toFixed(0)} %`,
    ].join(' '));
  }
}

function percent(slow, fast) {
  return `${Math.round((slow / fast - 1) * 100)}%`;
}

torch?.stop();
setThreads(1);
if (options.json) console.log(JSON.stringify({ machine: machine(), torch: torch?.version ?? null, threads: two, rows: results }, null, 1));
