// Started by bench/mpi.mjs under mpirun: the binding's polled calls and world.allSum. Arguments: bytes, calls, bytes, calls, ...
import { libraryCandidates, Mpi } from '../../dist/internals.js';
import { tensor } from 'tapegrad';
import { init } from 'tapegrad/distributed';

const ROUNDS = 9;
const sizes = process.argv.slice(2).map(Number);
const world = await init({ timeout: 60 });
// The same library, which MPI has initialised by now: calls without the checks of a world.
const mpi = await Mpi.open(libraryCandidates(process.env, process.platform));
const { rank } = mpi;
const finish = (request) => {
  while (!mpi.isDone(request));
};

for (let at = 0; at < sizes.length; at += 2) {
  const [bytes, calls] = sizes.slice(at, at + 2);
  const [x, y] = [new Float32Array(bytes / 4), new Float32Array(bytes / 4)];
  const t = tensor(x);
  const kinds = {
    allreduce: () => finish(mpi.allreduce(x, 'sum')),
    pingPong: () => {
      if (rank > 1) return;
      if (rank === 0) finish(mpi.send(x, 1, 0));
      finish(mpi.receive(y, 1 - rank, 0));
      if (rank === 1) finish(mpi.send(x, 0, 0));
    },
    allSum: () => world.allSum(t),
  };
  const medians = {};
  for (const [kind, call] of Object.entries(kinds)) {
    const times = [];
    for (let round = -1; round < ROUNDS; round++) {
      await world.barrier();
      const began = performance.now();
      for (let i = 0; i < calls; i++) {
        const result = call();
        if (kind === 'allSum') await result;
      }
      if (round >= 0) times.push(((performance.now() - began) / calls) * 1000);
    }
    medians[kind] = times.sort((a, b) => a - b)[ROUNDS >> 1];
  }
  if (rank === 0) console.log(JSON.stringify({ bytes, ...medians }));
}
await world.close();
