// npm run bench -- start [--json]: what importing the package costs, and the first losses of a process. Cold processes by turns, beside a bare Node;
// processor time and wall time, medians and quartiles. The first losses are 50 of 200x16x32 with 40 labels, outside every scope; their inputs (100,000
// random numbers among them) are made by a program of their own, so that they can be taken off.
import { spawnSync } from 'node:child_process';
import { machine } from './harness.mjs';

const ROUNDS = 21;
const index = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
const INPUTS = `
  const { ctcLoss, logSoftmax, random, setThreads, valueAndGrad } = await import(${index});
  setThreads(1);
  const rng = random(0);
  const [frames, batch, classes, labels] = [200, 16, 32, 40];
  const logits = rng.normal([frames, batch, classes]);
  const targets = Array.from({ length: batch }, (_, n) => Array.from({ length: labels }, (_, s) => 1 + ((7 * n + 3 * s) % (classes - 1))));
  const lengths = (of) => Array.from({ length: batch }, () => of);
`;
const LOSSES = `
  for (let call = 0; call < 50; call++)
    valueAndGrad((x) => ctcLoss(logSoftmax(x), targets, lengths(frames), lengths(labels)).sum())(logits);
`;
const PROGRAMS = { bare: '', import: `await import(${index});`, inputs: INPUTS, losses: INPUTS + LOSSES };
const REPORT = `
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  console.log(JSON.stringify({ processor: (userCPUTime + systemCPUTime) / 1000, wall: performance.now() }));
`;

function cold(program) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program + REPORT], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const times = Object.fromEntries(Object.keys(PROGRAMS).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++)
  for (const [name, program] of Object.entries(PROGRAMS)) times[name].push(cold(program));

const quartiles = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((part) => sorted[Math.floor(part * sorted.length)]);
};
const beyond = (name, than, kind) =>
  quartiles(times[name].map((time, round) => time[kind] - (than ? times[than][round][kind] : 0)));
const rows = [
  ['Node alone', 'bare'],
  ["import 'tapegrad', beyond that", 'import', 'bare'],
  ['50 first losses, beyond their inputs', 'losses', 'inputs'],
].map(([title, name, than]) => ({
  title,
  processor: beyond(name, than, 'processor'),
  wall: beyond(name, than, 'wall'),
}));

if (process.argv.includes('--json')) console.log(JSON.stringify({ machine: machine(), rounds: ROUNDS, rows }));
else {
  console.log(`${machine()}; ${ROUNDS} cold processes of each, milliseconds: median (quartiles)\n`);
  const text = ([low, middle, high]) => `${middle.toFixed(0)} (${low.toFixed(0)} to ${high.toFixed(0)})`.padEnd(20);
  console.log(`${''.padEnd(36)}${'processor time'.padEnd(20)}wall time`);
  for (const { title, processor, wall } of rows) console.log(`${title.padEnd(36)}${text(processor)}${text(wall)}`);
}
