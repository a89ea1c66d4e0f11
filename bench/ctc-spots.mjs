// npm run bench -- ctc-spots [--json] [--rows sure,noise]: where CTC costs more than on an ordinary batch, each beside that batch, and beside torch where a python3 can import it.
// Loss and gradient by the logits, in a scope, one thread, processor time, medians of rounds in turns. At the end wall times: a sequence alone on two
// threads beside what two processes get of this machine, and the first calls of a process.
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { isMainThread, workerData } from 'node:worker_threads';
import { ctcLoss, random, resetCtcStatistics, scope, setThreads, tensor, valueAndGrad } from '../dist/index.js';
import { ctcTiers } from '../dist/internals.js';
import { describeTorch, machine, processorTimes, serveWork, startTorch, twoThreads } from './harness.mjs';

/** Noise of one size, a path that spells each target `height` above it, and all labels `depth` below the blank; targets of random labels or of one. */
function problem([frames, batch, classes, labels], { size = 1, height = 0, depth = 0, kinds = classes - 1 }) {
  const rng = random(1);
  const scores = rng.normal([frames, batch, classes]).mul(size).dataSync();
  const targets = Array.from({ length: batch }, () => {
    const target = [];
    for (let k = 0; k < labels; k++) target.push(rng.integer(1, kinds + 1));
    return target;
  });
  if (depth > 0) for (let i = 0; i < scores.length; i++) if (i % classes > 0) scores[i] -= depth;
  targets.forEach((target, n) => {
    const states = [0, ...target.flatMap((label) => [label, 0])];
    for (let t = 0; t < frames; t++)
      scores[(t * batch + n) * classes + states[Math.floor((t * states.length) / frames)]] += height;
  });
  return { shape: [frames, batch, classes], scores, targets };
}

function ours({ shape, scores, targets }) {
  const logits = tensor(scores, { shape });
  const lossAndGradient = valueAndGrad((x) => ctcLoss(x, targets, { from: 'logits', reduction: 'mean' }));
  return () => scope(() => lossAndGradient(logits)[0]);
}

/** The same in torch; its scores are drawn in the same way, by torch. */
const python = ([frames, batch, classes, labels], { size = 1, height = 0, depth = 0, kinds = classes - 1 }) => `
torch.manual_seed(1)
x = torch.randn(${frames}, ${batch}, ${classes}) * ${size}
targets = torch.randint(1, ${kinds + 1}, (${batch}, ${labels}))
x[:, :, 1:] -= ${depth}
states = torch.zeros(${batch}, ${2 * labels + 1}, dtype=torch.long)
states[:, 1::2] = targets
at = torch.arange(${frames}) * ${2 * labels + 1} // ${frames}
x.scatter_add_(2, states[:, at].t().unsqueeze(2), torch.full((${frames}, ${batch}, 1), float(${height})))
x.requires_grad_()
def run():
    x.grad = None
    lengths = torch.full((${batch},), ${labels})
    F.ctc_loss(torch.log_softmax(x, 2), targets, torch.full((${batch},), ${frames}), lengths).backward()
`;

const PLAIN = { name: 'noise', size: 1 };
const TRAINED = { name: 'trained, peaks of 10', height: 10 };
const ROWS = [
  { name: 'long noise', shape: [20000, 1, 32, 200], beside: [2000, 10, 32, 200], than: PLAIN },
  {
    name: 'one label, 10 below',
    shape: [6000, 1, 32, 300],
    size: 0.1,
    depth: 10,
    kinds: 1,
    beside: [2000, 3, 32, 300],
    than: PLAIN,
  },
  { name: 'sure, peaks of 30', shape: [20000, 1, 32, 500], height: 30, beside: [2000, 10, 32, 500], than: PLAIN },
  ...[30, 60, 100].map((height) => ({
    name: `sure, peaks of ${height}`,
    shape: [200, 16, 32, 40],
    height,
    than: PLAIN,
  })),
  { name: 'sure, peaks of 30', shape: [512, 16, 32, 128], height: 30, than: PLAIN },
  ...[
    [200, 8, 1000, 40],
    [200, 8, 5000, 64],
    [200, 2, 32000, 64],
  ].flatMap((shape) => [
    { name: 'untrained, noise of 0.1', shape, size: 0.1, than: TRAINED },
    { name: 'untrained, noise of 0.01', shape, size: 0.01, than: TRAINED },
  ]),
];

/** Calls of one sequence, many at a time: they are short. */
function callsOf(shape) {
  const run = ours(problem(shape, PLAIN));
  return () => {
    for (let i = 0; i < CALLS; i++) run();
  };
}
const CALLS = 20;

/** The first 50 calls of a process, outside a scope, from the first to the last: wall and processor time. */
const FIRST = `
const { ctcLoss, random, valueAndGrad } = await import(process.argv[1]);
const rng = random(1);
const x = rng.normal([200, 16, 32]);
const targets = Array.from({ length: 16 }, () => Array.from({ length: 40 }, () => rng.integer(1, 32)));
const f = valueAndGrad((y) => ctcLoss(y, targets, { from: 'logits', reduction: 'mean' }));
const [start, cpu] = [performance.now(), process.cpuUsage()];
for (let i = 0; i < 50; i++) f(x);
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ wall: performance.now() - start, processor: (user + system) / 1000 }));
process.exit(0);
`;

function firstCalls() {
  const library = new URL('../dist/index.js', import.meta.url).href;
  const runs = Array.from({ length: 7 }, () =>
    JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', FIRST, library], { encoding: 'utf8' })),
  );
  const median = (key) => runs.map((run) => run[key]).sort((a, b) => a - b)[runs.length >> 1];
  return { calls: 50, shape: '200x16x32x40', wall: median('wall'), processor: median('processor') };
}

async function main() {
  const { values: options } = parseArgs({ options: { json: { type: 'boolean' }, rows: { type: 'string' } } });
  const wanted = options.rows?.split(',') ?? [''];
  const torch = await startTorch();
  setThreads(1);
  const rows = [];
  const say = (...cells) =>
    options.json || console.log(cells.map((cell, i) => String(cell).padEnd([26, 18, 11, 34, 8][i] ?? 9)).join(' '));
  if (!options.json) console.log(`${machine()}; ${describeTorch(torch)}; processor time in ms`);
  say('scores', 'T x B x C x S', 'ours', 'beside', 'times', 'torch', 'torch / ours', 'tiers');
  for (const row of ROWS.filter(({ name }) => wanted.some((part) => name.includes(part)))) {
    const beside = row.beside ?? row.shape;
    const run = ours(problem(row.shape, row));
    resetCtcStatistics();
    run();
    const taken = ctcTiers();
    const [time, other] = processorTimes([run, ours(problem(beside, row.than))]);
    let theirs = null;
    if (torch) {
      await torch.prepare(python(row.shape, row));
      await torch.time(1);
      const list = [];
      for (let i = 0; i < 5; i++) list.push(await torch.time(1));
      theirs = list.sort((a, b) => a - b)[2];
    }
    const tiers = Object.entries(taken)
      .filter(([, count]) => count > 0)
      .map(([tier, count]) => `${tier} ${count}`)
      .join(', ');
    rows.push({ name: row.name, shape: row.shape.join('x'), ours: time, beside: other, torch: theirs, tiers: taken });
    say(
      row.name,
      row.shape.join('x'),
      time.toFixed(2),
      `${row.than.name} ${beside.join('x')} ${other.toFixed(2)}`,
      (time / other).toFixed(2),
      theirs?.toFixed(1) ?? '-',
      theirs ? `${(theirs / time).toFixed(1)}x` : '-',
      tiers,
    );
  }
  torch?.stop();
  const shape = [4000, 1, 32, 300];
  const single = await twoThreads(callsOf(shape), import.meta.url, { rounds: 15, workerData: shape });
  const first = firstCalls();
  if (options.json)
    return console.log(
      JSON.stringify(
        {
          machine: machine(),
          torch: torch?.version ?? null,
          rows,
          alone: { shape: shape.join('x'), calls: CALLS, ...single },
          first,
        },
        null,
        1,
      ),
    );
  console.log(
    `\none sequence of ${shape.join('x')}, wall time: one thread ${(single.one / CALLS).toFixed(2)} ms, two ${(single.two / CALLS).toFixed(2)} ms, ${single.faster.toFixed(2)} times as fast;` +
      ` two workers that share nothing do ${single.machineGives.toFixed(2)} times as much as one: what this machine gives`,
  );
  console.log(
    `first ${first.calls} calls of ${first.shape} in a process: ${first.wall.toFixed(0)} ms, ${first.processor.toFixed(0)} ms of processor time`,
  );
}

if (isMainThread) await main();
else serveWork(callsOf(workerData));
