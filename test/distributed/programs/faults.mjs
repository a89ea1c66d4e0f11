// mpirun -n N node faults.mjs CASE: the last rank misbehaves while the others go on to the next call.
import { tensor } from 'tapegrad';
import { init } from 'tapegrad/distributed';
import { report } from './report.mjs';

const fault = process.argv[2];
if (fault === 'early' && (process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK) === '1') process.exit(3);
// Only the faults that end by a timeout have one that can be reached: the test ends what hangs before.
const world = await init({ timeout: fault === 'early' && process.env.PMI_RANK ? 10 : 600 });
const isOdd = world.rank === world.size - 1;
const tree = { w: tensor(new Float32Array(1000).fill(1), { shape: [10, 100] }), b: tensor([1, 2, 3]) };
await world.allSum(tree);
if (fault === 'hang') world.link.timeoutMs = 2000; // from here on: however long it took to get here, nobody was called missing

const FAULTS = {
  throws: () => {
    throw new Error('a bug in the user code');
  },
  rejects: () => void Promise.reject(new Error('a promise that nobody looks after')),
  exits: () => process.exit(3),
  leaves: () => process.exit(0),
  killed: () => process.kill(process.pid, 'SIGKILL'),
  never: () => new Promise(() => {}),
  hang: () => new Promise((resolve) => setTimeout(resolve, 1_000_000)),
};

if (fault === 'interrupted') {
  console.log(`process ${process.pid}`);
  for (;;) await world.allSum(tree);
}
if (isOdd) {
  report(world.rank, { at: Date.now() });
  if (fault === 'forgets') {
    // Not awaited: the module ends, and with it the event loop.
    void FAULTS.never();
  } else {
    await FAULTS[fault]();
    await FAULTS.hang();
  }
} else {
  await world.averageGradients(tree);
  console.log('a rank went on as if nothing had happened');
  await world.close();
}
