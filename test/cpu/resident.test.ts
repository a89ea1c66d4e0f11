import { memory, OutOfMemoryError, scope, tensor, type Tensor, valueAndGrad, zeros } from 'tapegrad';
import type { CpuBuffer } from '../../src/backends/cpu/buffer.js';
import { type Block, heap } from '../../src/backends/cpu/heap.js';
import { residentBytes } from '../../src/backends/cpu/resident.js';
import { collectGarbage, settled } from '../garbage.js';

const MIB = 2 ** 20;
const COUNT = 2 ** 21; // 8 MiB
const use = (t: Tensor): number => scope(() => t.mul(2).sum()).itemSync();
const placeOf = (t: Tensor): number | undefined => (t.buffer as CpuBuffer).resident?.start;
const filled = (value: number): Tensor => tensor(new Float32Array(COUNT).fill(value));

beforeEach(settled);

test('what is used in turn and does not fit leaves the copies that are there in place', () => {
  const many = Array.from({ length: 10 }, (_, i) => filled(i));
  const round = (): (number | undefined)[] => {
    many.forEach((t, i) => {
      expect(use(t)).toBe(2 * i * COUNT);
    });
    return many.map(placeOf);
  };
  round();
  const places = round();
  expect(places.filter((place) => place !== undefined).length).toBe(8);
  for (let i = 0; i < 3; i++) expect(round()).toEqual(places);
});

test('what is not used any more gives way', () => {
  const old = Array.from({ length: 8 }, (_, i) => filled(i));
  for (let i = 0; i < 2; i++) old.forEach(use);
  expect(residentBytes()).toBe(64 * MIB);
  const fresh = filled(3);
  for (let i = 0; i < 2; i++) expect(use(fresh)).toBe(6 * COUNT);
  expect([placeOf(old[0]!), placeOf(fresh), residentBytes()]).toEqual([undefined, expect.any(Number), 64 * MIB]);
});

test('copies go with their tensors', async () => {
  (() => {
    const t = filled(1);
    use(t);
    use(t);
    expect(placeOf(t)).toBeDefined();
  })();
  expect(residentBytes()).toBe(8 * MIB);
  await settled();
  expect(residentBytes()).toBe(0);
});

test('copies go when memory runs out, but not those that the running call reads', () => {
  const [a, b] = [filled(1), filled(2)];
  for (let i = 0; i < 2; i++) [a, b].forEach(use);
  expect(residentBytes()).toBe(16 * MIB);
  jest.spyOn(heap() as unknown as { grow(bytes: number): void }, 'grow').mockImplementation(() => {
    throw new OutOfMemoryError('cpu', 'no room');
  });
  const taken: Block[] = [];
  try {
    expect(() => {
      for (;;) taken.push(heap().take(7 * MIB));
    }).toThrow(OutOfMemoryError);
    expect(placeOf(a)).toBeUndefined(); // b was read by the latest call
    expect([placeOf(b), residentBytes()]).toEqual([expect.any(Number), 8 * MIB]);
    heap().give(taken.pop()!);
    expect(use(zeros([COUNT]))).toBe(0); // 8 MiB, which only b's copy leaves
    expect(residentBytes()).toBe(0);
  } finally {
    jest.restoreAllMocks();
    for (const block of taken) heap().give(block);
  }
  expect([use(a), use(b)]).toEqual([2 * COUNT, 4 * COUNT]);
});

test('a copy in a scope serves those further in, and other transforms meanwhile', () => {
  const weights = zeros([1000, 1000]);
  const x = zeros([8, 1000]);
  const run = (): void => {
    const before = memory().usedBytes;
    let most = 0;
    valueAndGrad((t: Tensor) => {
      for (let i = 0; i < 30; i++) t = t.matmul(weights);
      most = memory().usedBytes - before;
      return t.sum();
    })(x);
    expect(most).toBeLessThan(8 * MIB); // 4 MB of weights and thirty small results
  };
  scope(() => {
    weights.sum();
    run();
  });
  expect(memory()).toMatchObject({ usedBytes: 0, scopes: 0 });
});

test('an array that is handed out inside a scope is read anew there', () => {
  const x = zeros([300]);
  scope(() => {
    expect(x.mul(1).sum().itemSync()).toBe(0);
    x.ndarray().data.fill(2);
    expect(x.mul(1).sum().itemSync()).toBe(600);
  });
});

test('within one turn of the event loop, too, nothing keeps the tensors alive whose copies are resident', () => {
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 32; i++) {
    const x = filled(i);
    for (let times = 0; times < 3; times++) use(x);
  }
  collectGarbage();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * MIB); // of 256
});
