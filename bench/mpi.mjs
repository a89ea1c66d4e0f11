// npm run bench -- mpi [--ranks 2] [--batch 64] [--rounds 5] [--steps 20]: under every mpirun there is, latency and bandwidth beside C's, what a step of
// the digits example consists of, the examples a second of several ranks beside one's, and how it scales on paper with the numbers measured.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from './harness.mjs';
import { table } from './mpi/model.mjs';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'mpi');
const text = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({ options: { ranks: text(2), batch: text(64), rounds: text(5), steps: text(20) } });
const [ranks, batch, rounds, steps] = ['ranks', 'batch', 'rounds', 'steps'].map((name) => Number(values[name]));
const SIZES = [8, 500, 65_536, 50, 1_048_576, 10, 4_194_304, 5];

const isThere = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
const env = { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };

/** The lines of JSON that a program prints. */
function mpirun(name, count, command) {
  const options = name === 'openmpi' ? ['--oversubscribe'] : [];
  const out = execFileSync(`mpirun.${name}`, [...options, '-n', String(count), ...command], {
    env,
    encoding: 'utf8',
    timeout: 120_000,
  });
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
const range = (list, digits) =>
  `${median(list).toFixed(digits)} (${Math.min(...list).toFixed(digits)} to ${Math.max(...list).toFixed(digits)})`;

function inC(name) {
  if (!isThere(`mpicc.${name}`)) return null;
  const scratch = mkdtempSync(join(tmpdir(), 'mpi-bench-'));
  const program = join(scratch, 'latency');
  execFileSync(`mpicc.${name}`, ['-O2', '-o', program, join(folder, 'latency.c')]);
  const rows = mpirun(name, ranks, [program, ...SIZES.map(String)]);
  rmSync(scratch, { recursive: true });
  return rows;
}

console.log(`${machine()}; ${ranks} ranks`);
const names = ['openmpi', 'mpich'].filter((name) => isThere(`mpirun.${name}`));
if (names.length === 0) console.log('There is neither mpirun.openmpi nor mpirun.mpich here: nothing to measure.');
for (const name of names) {
  const c = inC(name);
  const node = mpirun(name, ranks, [process.execPath, join(folder, 'latency.mjs'), ...SIZES.map(String)]);
  console.log(
    `\n${name}: microseconds (and MB/s); C's calls block, ours are polled${c ? '' : '; no C compiler for it here'}`,
  );
  console.log(
    '      bytes |    allreduce in C |         allreduce |      world.allSum |    ping-pong in C |         ping-pong',
  );
  node.forEach((row, i) => {
    const cell = (us) => (us === undefined ? '-' : `${us.toFixed(1)} (${(row.bytes / us).toFixed(0)})`).padStart(17);
    const cells = [c?.[i].allreduce, row.allreduce, row.allSum, c?.[i].pingPong, row.pingPong].map(cell);
    console.log(`${String(row.bytes).padStart(11)} | ${cells.join(' | ')}`);
  });

  const one = [];
  const many = [];
  const command = [process.execPath, join(folder, 'steps.mjs'), '5', String(steps), String(batch)];
  for (let round = 0; round < rounds; round++) {
    one.push(mpirun(name, 1, command)[0]);
    many.push(mpirun(name, ranks, command)[0]);
  }
  const of = (list, key) => list.map((run) => run[key]);
  const compute = many.map(({ ms, waiting, moving }) => ms - waiting - moving);
  console.log(
    `\n${name}: a step of ${batch} lines of digits, one thread a rank; milliseconds, median of ${rounds} alternating runs (least to most)`,
  );
  console.log(`  1 rank    ${range(of(one, 'ms'), 1)}`);
  console.log(
    `  ${ranks} ranks   ${range(of(many, 'ms'), 1)}: compute ${range(compute, 1)}, waiting ${range(of(many, 'waiting'), 2)}, allreduce ${range(of(many, 'moving'), 2)}; ${(median(of(many, 'bytes')) / 1024).toFixed(0)} KiB`,
  );
  console.log(
    `  examples a second, ${ranks} ranks to 1: ${range(
      one.map(({ ms }, i) => ms / many[i].ms),
      2,
    )}x`,
  );

  const [small, large] = [node[0], node.at(-1)];
  const measured = { alpha: small.allreduce / 1e6, rate: large.bytes / (large.allreduce / 1e6) };
  // Two ranks wait for the slower one by 0.56 deviations on average.
  const work = {
    compute: median(compute) / 1000,
    spread: median(of(many, 'waiting')) / 1000 / Math.PI ** -0.5,
    bytes: 62_603 * 4,
  };
  const links = {
    'as measured here': measured,
    '10 GbE (25 us, 1.1 GB/s)': { alpha: 25e-6, rate: 1.1e9 },
    '100 Gb/s RDMA (2 us, 11 GB/s)': { alpha: 2e-6, rate: 11e9 },
  };
  console.log(
    `\n${name}: on paper, the share of a step that is compute if each rank keeps its ${batch / ranks} lines (compute ${(work.compute * 1000).toFixed(1)} ms, deviation ${(work.spread * 1000).toFixed(1)} ms, 250 KB of gradients); the networks are assumed, nobody has run them`,
  );
  for (const line of table(work, links)) console.log(line);
}
