// Started by bench/mpi.mjs under mpirun: steps of the digits example, one thread a rank. Arguments: warm-up steps, steps, lines a step.
import { setThreads } from 'tapegrad';
import { init } from 'tapegrad/distributed';
import { loadDigits } from '../../examples/digits/digits.mjs';
import { startRun, trainStep } from '../../examples/digits/training.mjs';

const [warmUp, steps, batch] = process.argv.slice(2).map(Number);
setThreads(1);
const world = await init({ timeout: 60 });
const { training } = loadDigits();
const run = startRun({ seed: 1, steps: warmUp + steps, batch });
for (let i = 0; i < warmUp; i++) await trainStep(run, training, world);
await world.barrier();
const { waiting, moving, bytes } = world.statistics;
const cpu = process.cpuUsage();
const began = performance.now();
for (let i = 0; i < steps; i++) await trainStep(run, training, world);
const ms = (performance.now() - began) / steps;
const after = world.statistics;
const used = process.cpuUsage(cpu);
const facts = {
  ms,
  waiting: (after.waiting - waiting) / steps,
  moving: (after.moving - moving) / steps,
  bytes: (after.bytes - bytes) / steps,
  cpu: (used.user + used.system) / 1000 / steps,
};
await world.close();
if (world.rank === 0) console.log(JSON.stringify(facts));
