// Calls that do not match. Every rank must get the same error, and the world must be as good as before.
import { tensor } from 'tapegrad';
import { init, MismatchError } from 'tapegrad/distributed';
import { report } from './report.mjs';

const world = await init({ timeout: 240 });
const { rank, size } = world;
const isOdd = rank === size - 1;
const w = (shape) => tensor(new Float32Array(1000).fill(1), { shape });
const b = tensor([1, 2, 3]);
const many = Array.from({ length: 10_000 }, (_, i) => tensor([i]));

const CASES = {
  shape: () => world.allSum(isOdd ? { w: w([100, 10]), b } : { w: w([10, 100]), b }),
  size: () => world.averageGradients({ b: tensor(new Float32Array(isOdd ? 3 : 300_000)) }),
  dtype: () => world.allMax({ b: tensor([1, 2, 3], { dtype: isOdd ? 'float64' : 'float32' }) }),
  number: () => world.averageGradients(isOdd ? { w: w([10, 100]) } : { w: w([10, 100]), b }),
  order: () => world.averageGradients(isOdd ? { b, w: w([10, 100]) } : { w: w([10, 100]), b }),
  late: () => world.allSum(many.map((t, i) => (isOdd && i === 9990 ? b : t))),
  call: () => (isOdd ? world.barrier() : world.broadcast({ b })),
  root: () => world.broadcast({ b }, { root: isOdd ? 1 : 0 }),
  bit: () => world.assertSame({ b, w: tensor([isOdd ? 1 + 2 ** -23 : 1]) }, 'the parameters'),
  constant: () => world.averageGradients({ b, loss: isOdd ? 2.5 : 1.5 }),
  sign: () => world.assertSame([tensor([isOdd ? -0 : 0])]),
};

const messages = {};
for (const [name, call] of Object.entries(CASES)) {
  try {
    await call();
    messages[name] = 'no error';
  } catch (error) {
    messages[name] = error instanceof MismatchError ? error.message : `${error.constructor.name}: ${error.message}`;
  }
}
// Between two ranks: a tensor of another shape, and one of another dtype with as many bytes, far down.
const SENT = {
  send: [{ b }, { b: tensor([1, 2]) }],
  sendLate: [many, many.map((t, i) => (i === 9990 ? tensor([1], { dtype: 'int32' }) : t))],
};
for (const [name, [sent, expected]] of Object.entries(rank < 2 ? SENT : {})) {
  try {
    if (rank === 0) await world.send(sent, 1);
    else await world.recvLike(expected, 0);
    messages[name] = 'no error';
  } catch (error) {
    messages[name] = error instanceof MismatchError ? error.message : String(error);
  }
}
// A call that one rank cannot make fails on all: else its next call would be taken for this one, and the others would get its gradients of another step.
const failed = {};
for (const step of [1, 2, 3]) {
  try {
    const { g } = await world.averageGradients({ g: tensor([step]) }, { weight: isOdd && step === 2 ? NaN : 1 });
    failed[step] = g.itemSync();
  } catch (error) {
    failed[step] = error.message;
  }
}
if (isOdd) await world.send(1, 0).catch((error) => (failed.send = error.message));
else if (rank === 0) await world.recvLike(b, size - 1).catch((error) => (failed.send = error.message));
// A NaN on one rank arrives on every one.
const mean = await world.averageGradients({ g: tensor(isOdd ? [NaN, 1] : [1, 1]) });
const empty = await world.averageGradients({ g: tensor(isOdd ? [NaN, NaN] : [2, 4]) }, { weight: isOdd ? 0 : 5 });
await world.assertSame({ mean: mean.g, empty: empty.g });
report(rank, { messages, failed, mean: Array.from(mean.g.dataSync(), String), empty: Array.from(empty.g.dataSync()) });
await world.close();
