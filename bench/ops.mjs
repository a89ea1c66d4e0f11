// npm run bench -- ops [--json] [--quick] [--only f32,matmul,other,ctc,start]
// Single ops beside torch: processor time of one thread, taking turns, medians. In a scope inputs and results lie in the heap; outside they are ordinary tensors, of a result
// that nobody reads. torch computes without recording derivatives, and CTC with them. The last rows are what a process needs to start.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import * as tg from 'tapegrad';
import {
  describeTorch,
  machine,
  processorTimeOf,
  ratio,
  startTorch,
  summary,
  takeTurns,
  withBlas,
} from './harness.mjs';
import { GROUPS } from './ops-rows.mjs';

/** Milliseconds of processor time that a fresh process spends on a program: it prints them. */
function fresh(program) {
  const index = new URL('../dist/index.js', import.meta.url).href;
  const text = `const start = process.cpuUsage();
const tg = await import(${JSON.stringify(index)});
${program}
const { user, system } = process.cpuUsage(start);
console.log((user + system) / 1000);`;
  return Number(spawnSync(process.execPath, ['--input-type=module', '-e', text], { encoding: 'utf8' }).stdout);
}

const STARTS = {
  import: '',
  'import, and the first 50 CTC calls of 200x16x32x40': `
tg.setThreads(1);
const source = tg.random(1);
const [x, targets] = [source.normal([200, 16, 32]), source.integers([16, 40], 1, 32)];
const step = tg.valueAndGrad((logits) => tg.ctcLoss(logits, targets, { from: 'logits', reduction: 'mean' }));
for (let i = 0; i < 50; i++) step(x);`,
};

/** Milliseconds of one call, each in a scope, on inputs that lie in the heap: an outer scope has computed them. */
const inHeap = (ours, count) =>
  tg.scope(() => {
    const run = ours();
    tg.scope(() => void run());
    const start = process.cpuUsage();
    for (let i = 0; i < count; i++) tg.scope(() => void run());
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000 / count;
  });

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
});
const chosen = options.only?.split(',') ?? [...Object.keys(GROUPS), 'start'];
const torch = await startTorch();
tg.setThreads(1);
const rows = [];
if (!options.json) {
  console.log(`${machine()}, one thread; ${describeTorch(torch)}`);
  console.log('milliseconds of processor time, medians (best to worst); ratios are medians of each round’s own');
  console.log(
    [
      'op'.padEnd(34),
      'in a scope'.padEnd(26),
      'to torch',
      'outside'.padEnd(26),
      'to torch',
      'outside to inside',
      'torch',
    ].join('  '),
  );
}
const cell = (times) => (times ? `${short(times.median)} (${short(times.best)} to ${short(times.worst)})` : '-');
const short = (time) => (time < 10 ? time.toFixed(3) : time.toFixed(1));
const factor = (value) => (value === undefined ? '-' : `${value.toFixed(2)}x`);

for (const [group, list] of Object.entries(GROUPS)) {
  if (!chosen.includes(group)) continue;
  for (const { title, ours, torch: setup, isLong, isProduct = group === 'matmul' } of list) {
    await torch?.prepare(`torch.set_grad_enabled(False)\n${setup}`);
    const run = ours();
    const turns = isLong
      ? { rounds: options.quick ? 2 : 5, roundMs: 1, warmUpMs: 1 }
      : { rounds: options.quick ? 3 : 9, roundMs: options.quick ? 10 : 40, warmUpMs: options.quick ? 30 : 200 };
    const inside = () => tg.scope(() => void run());
    const blas = isProduct ? await withBlas(inside) : null;
    const times = await takeTurns(
      {
        inside: (count) => (isLong ? processorTimeOf(inside, count) : inHeap(ours, count)),
        outside: (count) => processorTimeOf(run, count),
        ...(blas && { blas }),
        ...(torch && { torch: (count) => torch.time(count) }),
      },
      turns,
    );
    const row = {
      group,
      title,
      milliseconds: Object.fromEntries(Object.entries(times).map(([name, found]) => [name, summary(found)])),
      ratios: {
        outside: ratio(times.outside, times.inside),
        ...(torch && {
          insideToTorch: ratio(times.inside, times.torch),
          outsideToTorch: ratio(times.outside, times.torch),
          ...(blas && { blasToTorch: ratio(times.blas, times.torch) }),
        }),
      },
    };
    rows.push(row);
    if (options.json) continue;
    const { milliseconds, ratios } = row;
    if (blas)
      console.log(
        `${`${title}, BLAS`.padEnd(34)}  ${cell(milliseconds.blas).padEnd(26)}  ${factor(ratios.blasToTorch)}`,
      );
    console.log(
      [
        title.padEnd(34),
        cell(milliseconds.inside).padEnd(26),
        factor(ratios.insideToTorch).padEnd(8),
        cell(milliseconds.outside).padEnd(26),
        factor(ratios.outsideToTorch).padEnd(8),
        factor(ratios.outside).padEnd(17),
        cell(milliseconds.torch),
      ].join('  '),
    );
  }
}
torch?.stop();
if (chosen.includes('start')) {
  for (const [title, program] of Object.entries(STARTS)) {
    const found = summary(Array.from({ length: options.quick ? 3 : 7 }, () => fresh(program)));
    rows.push({ group: 'start', title, milliseconds: { process: found }, ratios: {} });
    if (!options.json) console.log(`${title}: ${cell(found)}`);
  }
}
if (options.json)
  console.log(
    JSON.stringify(
      {
        machine: machine(),
        torch: torch && { version: torch.version, instructions: torch.instructions, blas: torch.blas },
        rows,
      },
      null,
      1,
    ),
  );
