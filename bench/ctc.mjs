// npm run bench -- ctc [--json] [--quick] [--rows 64x128x32x16,...]
// Logits -> log-softmax -> CTC loss -> divided by the target lengths -> mean -> gradient by the logits, through the public API, on the shapes
// T x B x C x S of the mlx-ctc README: input lengths random in [T/2, T), target lengths in [S/2, S). Beside it the same within scope(), where
// the gradient stays in the heap as an optimizer wants it; the bare kernel, which leaves it there as well, and the bare kernel with the gradient
// copied into an ordinary array, as valueAndGrad returns it; the same through ctcLoss(logSoftmax(x)); and torch on one thread where a python3 can
// import it. MB/s are of logits, float32.
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ctcLoss, logSoftmax, random, scope, setThreads, tensor, valueAndGrad } from '../dist/index.js';
import { heap, warmThreads } from '../dist/internals.js';
import { machine, ratio, startPython, summary } from './harness.mjs';

const ROWS = [
  [64, 128, 32, 16],
  [128, 128, 32, 32],
  [256, 128, 32, 64],
  [512, 128, 32, 128],
  [1024, 128, 32, 256],
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
  const python = await startPython('-c', PYTHON);
  return python && { version: python.hello, time: async (job) => Number(await python.ask(job)), stop: python.stop };
}

function makeProblem([frames, batch, classes, labels]) {
  const rng = random(1);
  const lengths = (most) => Int32Array.from({ length: batch }, () => rng.integer(Math.ceil(most / 2), most));
  return {
    shape: [frames, batch, classes],
    logits: rng.normal([frames, batch, classes]),
    inputLengths: lengths(frames),
    targetLengths: lengths(labels),
    width: labels,
    targets: Int32Array.from({ length: batch * labels }, () => rng.integer(1, classes)),
  };
}

/** The alternatives that go through the public API, as functions of the logits. */
function publicApi({ shape: [, batch], inputLengths, targetLengths, targets: labels, width }) {
  const targets = tensor(labels, { shape: [batch, width] });
  const fused = valueAndGrad((x) =>
    ctcLoss(x, targets, inputLengths, targetLengths, { from: 'logits' }).div(targetLengths).mean(),
  );
  const composed = valueAndGrad((x) =>
    ctcLoss(logSoftmax(x), targets, inputLengths, targetLengths).div(targetLengths).mean(),
  );
  return { ours: fused, inScope: (logits) => scope(() => fused(logits)[0]), composed };
}

/** JavaScript is compiled for speed only after thousands of calls, which a training run makes and a benchmark of few calls does not. */
function compileJavaScript(milliseconds) {
  const problem = makeProblem([4, 16, 8, 4]);
  for (const run of Object.values(publicApi(problem))) {
    const start = performance.now();
    while (performance.now() - start < milliseconds) run(problem.logits);
  }
}

/** The kernel alone, on memory that is in place. */
function bareKernel({ shape: [frames, batch, classes], logits, inputLengths, targetLengths, targets, width }) {
  const { functions } = heap();
  const bytes = functions.ctcLossWorkspace(frames, classes, width, 1) >>> 0;
  const sizes = [
    logits.size * 4,
    targets.byteLength,
    batch * 4,
    batch * 4,
    batch * 8,
    batch * 8,
    logits.size * 4,
    batch * 4,
    bytes,
  ];
  const blocks = sizes.map((size) => heap().take(Math.max(size, 64)));
  const at = blocks.map((block) => block.start);
  heap().f32.set(logits.dataSync(), at[0] / 4);
  [targets, inputLengths, targetLengths].forEach((data, i) => heap().i32.set(data, at[i + 1] / 4));
  new Float64Array(heap().memory.buffer, at[4], batch).set(
    Array.from(targetLengths, (length) => Math.fround(1 / batch) / length),
  );
  const run = () => functions.ctcLoss(...at, frames, batch, classes, width, 0, 1, 0, batch);
  const runAndCopy = () => {
    run();
    const out = Buffer.allocUnsafeSlow(logits.size * 4); // the fastest ways that Node has: not zeroed, and memcpy
    out.fill(heap().u8.subarray(at[6], at[6] + out.length));
    return new Float32Array(out.buffer);
  };
  return { run, runAndCopy, free: () => blocks.forEach((block) => heap().give(block)) };
}

async function timed(run, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) run();
  return (performance.now() - start) / count;
}

/** Warms the alternatives up and lets them take turns, each for about `roundMs` in every round; adds to `times`. */
async function race(alternatives, rounds, roundMs, times) {
  const entries = Object.entries(alternatives);
  const counts = new Map();
  for (const [name, run] of entries) {
    await run(1);
    const first = await run(3);
    await run(Math.ceil((2 * roundMs) / first));
    const once = await run(3);
    counts.set(name, Math.max(1, Math.round(roundMs / once)));
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of entries) {
      await run(Math.ceil(counts.get(name) / 8)); // what ran before has left the caches, and the core asleep
      (times[name] ??= []).push(await run(counts.get(name)));
    }
  }
}

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, rows: { type: 'string' } },
});
const rows = options.rows ? options.rows.split(',').map((row) => row.split('x').map(Number)) : ROWS;
const [blocks, rounds, roundMs] = options.quick ? [1, 3, 30] : [3, 7, 40];
const two = Math.min(2, cpus().length);
const torch = await startTorch();
const results = [];
if (!options.json) {
  console.log(`${machine()}; ${torch ? `torch ${torch.version}, 1 thread` : 'no python3 with torch'}`);
  console.log(
    "MB/s of logits, medians of rounds, in brackets how far the best and the worst round are from them; ratios are medians of each round's own",
  );
  console.log(
    [
      'T x B x C x S'.padEnd(16),
      '1 thread'.padEnd(17),
      `${two} threads`.padEnd(17),
      'speed-up, in scope()'.padEnd(20),
      'torch'.padEnd(16),
      'ratio'.padEnd(6),
      'logSoftmax',
      'over the kernel: in scope() / moving the gradient out, as the kernel then does as well (for +)',
    ].join(' '),
  );
}
setThreads(1);
compileJavaScript(options.quick ? 300 : 1500);
for (const row of rows) {
  const problem = makeProblem(row);
  const { logits, inputLengths, targetLengths } = problem;
  const kernel = bareKernel(problem);
  const labels = Array.from({ length: row[1] }, (_, n) => [...problem.targets.subarray(n * row[3], (n + 1) * row[3])]);
  await torch?.time({
    ...problem,
    logits: undefined,
    inputLengths: [...inputLengths],
    targetLengths: [...targetLengths],
    targets: labels,
    count: 1,
  });
  const ours = Object.fromEntries(
    Object.entries(publicApi(problem)).map(([name, run]) => [name, (count) => timed(() => run(logits), count)]),
  );
  const times = {};
  for (let block = 0; block < blocks; block++) {
    await race(
      {
        inScope: ours.inScope,
        kernel: (count) => timed(kernel.run, count),
        ours: ours.ours,
        kernelAndCopy: (count) => timed(kernel.runAndCopy, count),
        composed: ours.composed,
        ...(torch && { torch: (count) => torch.time({ count }) }),
      },
      rounds,
      roundMs,
      times,
    );
    setThreads(two);
    await warmThreads();
    await race({ threaded: ours.ours, threadedInScope: ours.inScope }, rounds, roundMs, times);
    setThreads(1);
    await sleep(50); // the thread's end is nobody else's cost
  }
  kernel.free();
  const result = {
    shape: row.join('x'),
    megabytes: (logits.size * 4) / 1e6,
    milliseconds: Object.fromEntries(Object.entries(times).map(([name, list]) => [name, summary(list)])),
    ratios: {
      torch: times.torch ? ratio(times.torch, times.ours) : null,
      threads: ratio(times.ours, times.threaded),
      threadsInScope: ratio(times.inScope, times.threadedInScope),
      composed: ratio(times.composed, times.ours),
      overKernelInScope: ratio(times.inScope, times.kernel),
      overKernelAndCopy: ratio(times.ours, times.kernelAndCopy),
      copyOverKernel: ratio(times.kernelAndCopy, times.kernel),
    },
  };
  results.push(result);
  if (!options.json) {
    const { milliseconds, ratios } = result;
    const speed = (time) =>
      time
        ? `${((result.megabytes / time.median) * 1000).toFixed(0)} (+${percent(time.median / time.best)} -${percent(time.worst / time.median)})`
        : '-';
    console.log(
      [
        result.shape.padEnd(16),
        speed(milliseconds.ours).padEnd(17),
        speed(milliseconds.threaded).padEnd(17),
        `${ratios.threads.toFixed(2)}x, ${ratios.threadsInScope.toFixed(2)}x`.padEnd(20),
        speed(milliseconds.torch).padEnd(16),
        (torch ? `${ratios.torch.toFixed(1)}x` : '-').padEnd(6),
        `${ratios.composed.toFixed(2)}x`.padEnd(10),
        `${percent(ratios.overKernelInScope)} / ${percent(ratios.overKernelAndCopy)} (${ratios.copyOverKernel < 1 ? '' : '+'}${percent(ratios.copyOverKernel)})`,
      ].join(' '),
    );
  }
}

function percent(factor) {
  return `${Math.round((factor - 1) * 100)}%`;
}

torch?.stop();
setThreads(1);
if (options.json)
  console.log(
    JSON.stringify({ machine: machine(), torch: torch?.version ?? null, threads: two, rows: results }, null, 1),
  );
