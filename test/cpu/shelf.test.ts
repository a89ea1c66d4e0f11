/** Large results that belong to no scope: they stay in the heap, for as long as somebody can see them and no longer. */
import {
  add,
  defineOp,
  grad,
  type Kernel,
  logSoftmax,
  memory,
  mul,
  random,
  RecycledError,
  registerKernel,
  scope,
  sum,
  tensor,
  type Tensor,
  valueAndGrad,
} from 'tapegrad';
import type { CpuBuffer } from '../../src/backends/cpu/buffer.js';
import { heldBytes, settled } from '../garbage.js';

const MIB = 2 ** 20;
/** Elements of a result of 1 MiB. */
const LARGE = MIB / 4;
const ROOM = 256;

const equal = (a: Tensor, b: ArrayBufferView): boolean => {
  const found = a.dataSync();
  return Buffer.from(found.buffer).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
};
const source = random(3);

/** Whether a tensor's elements lie in the heap. */
const isInHeap = (t: Tensor): boolean => (t.buffer as CpuBuffer).array === null;

const filled = (value: number, length = LARGE): Tensor => tensor(new Float32Array(length).fill(value));

beforeEach(settled);

test('large results of ops, transforms and scopes stay in the heap, of any dtype, small ones do not', () => {
  const x = filled(2);
  expect(isInHeap(x)).toBe(false);
  expect(isInHeap(x.mul(3))).toBe(true);
  expect(isInHeap(grad((t: Tensor) => t.square().sum())(x))).toBe(true);
  expect(isInHeap(scope(() => x.mul(3).add(1)))).toBe(true);
  expect(isInHeap(x.slice([0, 1000]).mul(3))).toBe(false);
  for (const dtype of ['float64', 'int32', 'bool', 'float16', 'bfloat16'] as const) {
    const y = filled(2, 4 * LARGE).cast(dtype);
    expect([dtype, isInHeap(y), isInHeap(scope(() => y.neg()))]).toEqual([dtype, true, true]);
    expect([dtype, isInHeap(y.slice([0, 100]).neg())]).toEqual([dtype, false]);
  }
});

test('they are what they would be elsewhere, and count for nothing in memory()', () => {
  const x = source.normal([512, 512]);
  const before = memory().usedBytes;
  const y = x.mul(3).add(x);
  const wanted = Float32Array.from(x.dataSync(), (value) => Math.fround(Math.fround(value * 3) + value));
  expect(equal(y, wanted)).toBe(true);
  expect(isInHeap(y)).toBe(true); // a copy was read
  expect(memory()).toMatchObject({ usedBytes: before, scopes: 0 });
});

test('looking at one moves it to ordinary memory; what ndarray() gives is shared with the tensor from then on', () => {
  const [x, y] = [filled(1).mul(2), filled(1).mul(2)];
  expect(x.slice([0, 2]).arraySync()).toEqual([2, 2]);
  expect(isInHeap(x)).toBe(true);
  x.toString();
  expect(isInHeap(x)).toBe(false);
  const { data } = y.ndarray();
  expect(data.buffer.byteLength).toBe(4 * LARGE);
  data[7] = 100;
  expect(y.slice(7).itemSync()).toBe(100);
  expect(y.ndarray().data).toBe(data);
  expect(sum(y).itemSync()).toBe(2 * LARGE + 98);
});

test('whoever can see one sees the same numbers for ever, whatever is collected and computed around it', async () => {
  const kept: { value: number; tensor: Tensor }[] = [];
  for (let round = 0; round < 12; round++) {
    for (let i = 0; i < 10; i++) {
      const value = round * 10 + i;
      const length = LARGE + 1000 * i;
      const made = [
        () => filled(value, length).add(1),
        () => scope(() => filled(value, length).mul(2).sub(value).add(1)),
        () => grad((t: Tensor) => t.mul(value + 1).sum())(filled(0, length)),
        () => valueAndGrad((t: Tensor) => t.square().sum())(filled((value + 1) / 2, length))[1],
      ][i % 4]!();
      if (i % 3 === 0) kept.push({ value: value + 1, tensor: i % 2 === 0 ? made : made.reshape([1, length]) });
    }
    if (round % 2 === 0) await settled();
    kept.splice(Math.floor(kept.length / 2), 2);
    for (const { value, tensor: t } of kept) {
      // Looked at by a kernel, where it lies: sums of these are exact.
      const [low, high] = [t.min().itemSync(), t.max().itemSync()];
      expect([low, high]).toEqual([value, value]);
    }
  }
  for (const { value, tensor: t } of kept) expect(new Set(t.dataSync())).toEqual(new Set([value]));
});

test('a loop without a turn of the event loop holds no more than the shelf has room for, and is right beyond', () => {
  const x = filled(1);
  const next = (t: Tensor): Tensor => scope(() => t.add(1));
  let y = scope(() => x.add(1)); // reserves the shelf's room
  const [{ reservedBytes }, held] = [memory(), heldBytes()];
  let outside = 0;
  for (let i = 0; i < 3 * ROOM; i++) {
    y = next(y);
    outside += Number(!isInHeap(y));
  }
  expect(memory().reservedBytes - reservedBytes).toBeLessThan(8 * MIB);
  expect(outside).toBeGreaterThanOrEqual(2 * ROOM);
  expect(outside).toBeLessThan(3 * ROOM);
  expect(heldBytes() - held).toBeLessThan(64 * MIB); // of 512 MiB of results outside the heap
  expect([y.min().itemSync(), y.max().itemSync()]).toEqual([2 + 3 * ROOM, 2 + 3 * ROOM]);
});

test('of very large results there is room for two, so that one can be collected while the next is made', async () => {
  const x = filled(1, 150 * LARGE);
  const [a, b, c] = [1, 2, 3].map((value) => scope(() => x.add(value)));
  expect([a!, b!, c!].map(isInHeap)).toEqual([true, true, false]);
  expect([a!, b!, c!].map((t) => t.max().itemSync())).toEqual([2, 3, 4]);
  await settled();
});

test('what has been collected makes room again, and nothing more is reserved', async () => {
  const x = filled(1);
  const next = (t: Tensor): Tensor => scope(() => t.add(1));
  const fill = (): boolean => {
    let last = x;
    for (let i = 0; i < ROOM + 10; i++) last = next(last);
    return isInHeap(last);
  };
  expect(fill()).toBe(false); // the shelf is full
  const { reservedBytes } = memory();
  for (let round = 0; round < 2; round++) {
    await settled();
    expect(isInHeap(next(x))).toBe(true);
    fill();
  }
  expect(memory().reservedBytes - reservedBytes).toBeLessThan(8 * MIB);
});

test('dispose() gives one back at once; used afterwards it throws', () => {
  const x = filled(1);
  for (let i = 0; i < 2 * ROOM; i++) {
    const y = x.add(i);
    expect(isInHeap(y)).toBe(true);
    y.dispose();
    if (i % 50 === 0) expect(() => y.add(1)).toThrow(RecycledError);
    if (i % 50 === 0)
      expect(() => y.reshape([y.size]).neg()).toThrow(
        /^\[\w+\] the float32 tensor \[[\d,]+\] that 'add' made was disposed of, or a tensor that shares its memory/,
      );
    if (i % 50 === 0) y.dispose(); // nothing more
  }
  expect(memory().scopes).toBe(0);
});

test('results that were put off are computed before what they are made of goes', () => {
  const x = source.normal([512, 512]);
  const wanted = logSoftmax(x).dataSync();
  scope(() => {
    const y = x.mul(1);
    const late = Array.from({ length: 40 }, () => logSoftmax(y));
    y.dispose();
    for (const one of [late[0]!, late[39]!]) expect(equal(one, wanted)).toBe(true);
    const z = x.mul(1);
    const later = logSoftmax(z);
    z.ndarray().data.fill(0); // moves out, and is changed
    expect(equal(later, wanted)).toBe(true);
  });
});

test('a kernel of one’s own reads and writes them', () => {
  const kernel: Kernel = {
    name: 'shelfTwice',
    family: 'test',
    inputs: ['x'],
    outputs: ['out'],
    params: { size: 'u32' },
  };
  registerKernel('cpu', kernel, ({ inputs: [x], outputs: [out] }) => {
    for (let i = 0; i < x!.length; i++) out![i] = 2 * x![i]!;
  });
  const scratches: { readonly alive: boolean }[] = [];
  const twice = defineOp<null>({
    name: 'shelfTwice',
    infer: ([x]) => x!,
    run: (call, [x]) => {
      // Scratch memory outside of scopes goes back at once.
      const scratch = call.scratch('float32', LARGE);
      call.launch({ kernel, inputs: call.inputs, outputs: [scratch], params: { size: x!.size }, grid: x!.size });
      call.launch({ kernel, inputs: [scratch], outputs: call.outputs, params: { size: x!.size }, grid: x!.size });
      scratches.push(scratch);
    },
  });
  const y = twice([filled(3).add(1)], null);
  expect(isInHeap(y)).toBe(true);
  expect([y.min().itemSync(), y.max().itemSync()]).toEqual([16, 16]);
  expect(scratches.map(({ alive }) => alive)).toEqual([false]);
});

test('what is still on its way from elsewhere meets them', async () => {
  const { device } = tensor([1]);
  let arrive: (data: Float32Array) => void = () => undefined;
  const late = device.receive('float32', LARGE, new Promise((resolve) => (arrive = resolve)));
  const { Tensor: Made } = await import('tapegrad');
  const coming = new Made(late, [LARGE], null, 'test');
  const there = filled(2).mul(2);
  const result = add(coming, there);
  const further = mul(result, there);
  there.dispose();
  arrive(new Float32Array(LARGE).fill(1));
  expect(new Set(await result.data())).toEqual(new Set([5]));
  expect(new Set(await further.data())).toEqual(new Set([20]));
});
