// Every call of a world once, with results that are known; reports what it saw.
import assert from 'node:assert/strict';
import { random, tensor, tensorsOf } from 'tapegrad';
import { init } from 'tapegrad/distributed';
import { followed, report } from './report.mjs';

const opened = await init({ timeout: 240 });
assert.equal(await init(), opened, 'a process has one world');
const world = followed(opened);
const { rank, size } = world;

const bits = (t) => Buffer.from(t.ndarray().data.slice().buffer).toString('hex');
const equal = (t, values, shape, dtype) => {
  assert.deepEqual(Array.from(t.dataSync()), values);
  assert.deepEqual(t.shape, shape);
  assert.equal(t.dtype, dtype);
};
const ranks = Array.from({ length: size }, (_, r) => r);
const total = ranks.reduce((sum, r) => sum + r + 1, 0);

// Sums, maxima and minima of every dtype, of sizes from nothing to more than a bucket; arrays this small start out on V8's own heap.
for (const dtype of ['float32', 'float64', 'int32', 'float16', 'bfloat16']) {
  for (const shape of [[], [0], [3], [4, 4], [1100, 1000]]) {
    const elements = shape.reduce((a, b) => a * b, 1);
    if (elements > 1000 && dtype !== 'float32') continue; // one is enough
    const tree = { x: tensor(new Float64Array(elements).fill(rank + 1), { shape, dtype }), list: ['kept', null] };
    const summing = world.allSum(tree);
    globalThis.gc?.();
    const all = { sum: await summing, max: await world.allMax(tree), min: await world.allMin(tree) };
    for (const [name, expected] of Object.entries({ sum: total, max: size, min: 1 })) {
      const { x, list } = all[name];
      assert.deepEqual(list, ['kept', null]);
      assert.equal(x.dtype, dtype);
      assert.deepEqual(x.shape, shape);
      assert(
        x.dataSync().every((value) => value === expected),
        `${name} of ${dtype}[${shape}]: ${x.dataSync()[0]}`,
      );
    }
  }
}
equal(await world.allMax(tensor([rank === 0, false])), [1, 0], [2], 'bool');
equal(await world.allMin(tensor([rank === 0 || size === 1, true])), [size === 1 ? 1 : 0, 1], [2], 'bool');
await assert.rejects(world.allSum({ m: tensor([true]) }), /\[allSum\] the tensor at \.m is bool; cast it to int32/);
// NaN wins on whichever rank it is, in both directions; of zeros the sign does not depend on the rank.
for (const where of ranks) {
  const x = tensor(rank === where ? [NaN, -0, 5] : [1, 0, NaN], { dtype: 'float64' });
  for (const call of ['allMax', 'allMin']) {
    const got = Array.from((await world[call](x)).dataSync());
    assert(Number.isNaN(got[0]), `${call} lost a NaN`);
    assert(Object.is(got[1], size === 1 ? -0 : 0));
    assert.equal(Number.isNaN(got[2]), size > 1);
  }
}

// The mean, weighted: what one process gets from all sequences at once.
const values = ranks.map((r) => r * r + 0.25);
const weights = ranks.map((r) => (r === size - 1 && size > 1 ? 0 : r + 1)); // the last share is empty
const mean = values.reduce((sum, v, r) => sum + v * weights[r], 0) / weights.reduce((a, b) => a + b);
for (const dtype of ['float32', 'float64', 'float16', 'bfloat16']) {
  const g = tensor([weights[rank] === 0 ? NaN : values[rank], weights[rank] === 0 ? Infinity : 2 * values[rank]], {
    dtype,
  });
  const averaged = await world.averageGradients({ g }, { weight: weights[rank] });
  const tolerance = { float32: 1e-6, float64: 1e-14, float16: 1e-3, bfloat16: 1e-2 }[dtype];
  averaged.g
    .dataSync()
    .forEach((value, i) => assert(Math.abs(value / ((i + 1) * mean) - 1) < tolerance, `${dtype} ${value} ${mean}`));
  assert.equal(averaged.g.dtype, dtype);
}
// Weights of any size: nothing overflows, and nothing becomes zero.
for (const dtype of ['float32', 'float64', 'float16']) {
  for (const weight of [1e39, 1.7e308, 1e-46, 5e-324]) {
    const g = tensor([1000, -3], { dtype });
    const [first, second] = (await world.averageGradients(g, { weight: rank === 0 ? weight : weight / 2 })).dataSync();
    assert(Math.abs(first / 1000 - 1) < 1e-3 && Math.abs(second / -3 - 1) < 1e-3, `${dtype} by ${weight}: ${first}`);
  }
}
// A large tensor travels by itself, a small one with others; the result is the same, and the arguments stay as they are.
const large = tensor(Float32Array.from({ length: 300_000 }, (_, i) => (rank + 1) * (i % 1000)));
const { big, part } = await world.averageGradients(
  { big: large, part: large.slice([0, 1000]) },
  { weight: weights[rank] },
);
assert.deepEqual(Array.from(big.slice([299_000, 300_000]).dataSync()), Array.from(part.dataSync()));
assert(
  Math.abs(
    part.dataSync()[999] /
      (999 * (weights.reduce((sum, w, r) => sum + w * (r + 1), 0) / weights.reduce((a, b) => a + b))) -
      1,
  ) < 1e-6,
);
assert.equal(large.dataSync()[999], (rank + 1) * 999);
assert((await world.averageGradients(large, { weight: 0 })).dataSync().every((value) => value === 0));

const unweighted = await world.averageGradients(tensor([rank]), { bucketBytes: 8 });
assert(Math.abs(unweighted.itemSync() - (size - 1) / 2) < 1e-6);
equal(await world.averageGradients(tensor([NaN]), { weight: 0 }), [0], [1], 'float32');
await assert.rejects(world.averageGradients(tensor([1], { dtype: 'int32' })), /only floats have a mean/);
await assert.rejects(
  world.averageGradients(tensor([1]), { weight: -1 }),
  /weight is -1; it must be finite and not negative/,
);
await assert.rejects(
  world.allSum(3),
  /\[allSum\] the argument is 3, no tensor and no tree of tensors; write tensor\(data\)/,
);
await assert.rejects(world.averageGradients(tensor([1]), { weigth: 1 }), /there is no option 'weigth'/);

// Many small buckets and one large one give the same bits: float32 sums are taken element by element.
const gradients = {
  a: random(rank + 1).normal([300, 70]),
  b: [random(rank + 9).normal([77])],
  c: tensor([rank], { dtype: 'float64' }),
};
const whole = await world.averageGradients(gradients, { weight: rank + 1 });
const cut = await world.averageGradients(gradients, { weight: rank + 1, bucketBytes: 1000 });
assert.deepEqual(tensorsOf(cut).map(bits), tensorsOf(whole).map(bits));
const again = await world.averageGradients(gradients, { weight: rank + 1 });
assert.deepEqual(tensorsOf(again).map(bits), tensorsOf(whole).map(bits), 'from call to call');
await world.assertSame(whole, 'the mean');

// Broadcast, from every rank, of what arithmetic would not keep: NaN, -0, float16, bool.
for (const root of ranks) {
  const mine = rank === root;
  const tree = {
    odd: tensor(mine ? [NaN, -0, 1 + root] : [7, 7, 7]),
    half: tensor([mine ? 0.1 : 0], { dtype: 'float16' }),
    flag: tensor([mine, !mine, mine]),
    big: tensor(new Int32Array(1_100_000).fill(mine ? root + 1 : 0)),
  };
  const got = await world.broadcast(tree, { root });
  assert(
    Number.isNaN(got.odd.dataSync()[0]) && Object.is(got.odd.dataSync()[1], -0) && got.odd.dataSync()[2] === 1 + root,
  );
  equal(got.half, [0.0999755859375], [1], 'float16');
  equal(got.flag, [1, 0, 1], [3], 'bool');
  assert(got.big.dataSync().every((value) => value === root + 1));
}

// Gathering what is of another length on every rank.
const gathered = await world.allGather({
  s: tensor(rank),
  v: tensor(new Float32Array(2 * rank).fill(rank), { shape: [rank, 2] }),
});
equal(gathered.s, ranks, [size], 'float32');
equal(
  gathered.v,
  ranks.flatMap((r) => new Array(2 * r).fill(r)),
  [ranks.reduce((a, b) => a + b, 0), 2],
  'float32',
);

// Around the ring, several at once; in both directions between the same two ranks.
if (size > 1) {
  const [right, left] = [(rank + 1) % size, (rank + size - 1) % size];
  const send = (k) => ({
    x: tensor(new Float32Array(50_000).fill(rank + k / 10)),
    n: tensor([rank], { dtype: 'int32' }),
  });
  const [first, second] = await Promise.all([
    world.recvLike(send(0), left),
    world.recvLike(send(0), left),
    world.send(send(1), right),
    world.send(send(2), right),
    world.barrier(),
  ]);
  assert.equal(first.x.dataSync()[49_999], Math.fround(left + 0.1));
  assert.equal(second.x.dataSync()[0], Math.fround(left + 0.2));
  equal(second.n, [left], [1], 'int32');
  await assert.rejects(world.send(tensor([1]), rank), /'to' is \d+, this very rank/);
}
await assert.rejects(world.send(tensor([1]), size), /'to' is \d+; the ranks are 0 to \d+/);
await assert.rejects(world.broadcast(tensor([1]), { root: -1 }), /'root' is -1/);

// Calls made at once run in the order in which they were made; timers go on while a rank waits: rank 0 joins in only when all the others have seen some go off.
const order = [];
const noting = (name, call) => call.then((value) => (order.push(name), value));
const timersGoOn = async () => {
  for (let ticks = 0; ticks < 5; ticks++) await new Promise((resolve) => setTimeout(resolve, 1));
};
const makeSeveral = () =>
  Promise.all([
    noting('sum', world.allSum(tensor([1]))),
    noting('max', world.allMax(tensor([rank]))),
    noting('barrier', world.barrier()),
  ]);
let making;
if (rank === 0) {
  for (const other of ranks.slice(1)) await world.recvLike(tensor([0]), other);
  making = makeSeveral();
} else {
  making = makeSeveral();
  await timersGoOn();
  assert.deepEqual(order, [], 'nobody goes on without rank 0');
  await world.send(tensor([rank]), 0);
}
const several = await making;
assert.deepEqual(order, ['sum', 'max', 'barrier']);
assert.equal(several[0].itemSync(), size);
assert.equal(several[1].itemSync(), size - 1);

// A WebAssembly trap is a signal that V8 must still be the one to catch: i32.load at address -1.
const trap = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0,
  65, 127, 40, 2, 0, 11,
];
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(trap)));
assert.throws(() => exports.f(), WebAssembly.RuntimeError);

// What nobody awaits has ended when the world is left.
if (size > 1 && rank < 2) void (rank === 0 ? world.send(large, 1) : world.recvLike(large, 0));

const { library, localRank, localSize, statistics } = world;
assert(size === 1 || (statistics.waiting > 0 && statistics.moving > 0 && statistics.bytes > 1e6));
await world.close();
await assert.rejects(world.barrier(), /the world is closed/);
report(rank, { size, localRank, localSize, library, digest: tensorsOf(whole).map(bits).join('').slice(0, 40) });
