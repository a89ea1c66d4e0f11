import { ctcLoss, grad, random, scope, ShapeError, tensor, type Tensor, valueAndGrad, zeros } from 'tapegrad';
import type { CpuBuffer } from '../../src/backends/cpu/buffer.js';
import { remoteDevice } from '../devices.js';

test('item, array and data, now and later, agree on every dtype', async () => {
  for (const [dtype, want] of [
    ['float32', [1.5, -2]],
    ['float64', [1.5, -2]],
    ['float16', [1.5, -2]],
    ['bfloat16', [1.5, -2]],
    ['int32', [1, -2]],
    ['bool', [true, true]],
  ] as const) {
    const t = tensor(dtype === 'int32' ? [1, -2] : [1.5, -2], { dtype });
    expect([dtype, t.arraySync(), await t.array()]).toEqual([dtype, want, want]);
    const numbers = want.map(Number);
    expect([Array.from(t.dataSync()), Array.from(await t.data())]).toEqual([numbers, numbers]);
    expect([t.slice(0).itemSync(), await t.slice(0).item()]).toEqual([numbers[0], numbers[0]]);
  }
});

test('nested arrays of any rank, empty axes included', () => {
  expect(tensor(5).arraySync()).toBe(5);
  expect(
    tensor([
      [[1], [2]],
      [[3], [4]],
    ]).arraySync(),
  ).toEqual([
    [[1], [2]],
    [[3], [4]],
  ]);
  expect(zeros([2, 0, 3]).arraySync()).toEqual([[], []]);
  expect(zeros([0]).arraySync()).toEqual([]);
  expect(tensor([[true]]).arraySync()).toEqual([[true]]);
});

test('item wants exactly one element', async () => {
  expect(tensor([[7]]).itemSync()).toBe(7);
  expect(() => tensor([1, 2]).itemSync()).toThrow(ShapeError);
  expect(() => zeros([0]).itemSync()).toThrow('[item] the tensor has 0 elements (shape [0]); it must have one');
  await expect(tensor([1, 2]).item()).rejects.toThrow('[item] the tensor has 2 elements (shape [2]); it must have one');
});

test('what is read is a copy: changing it does not change the tensor', async () => {
  const t = tensor([1, 2]);
  t.dataSync().fill(9);
  (await t.data()).fill(9);
  t.arraySync<number[]>()[0] = 9;
  expect(t.arraySync()).toEqual([1, 2]);
  const inside = scope(() => {
    const y = t.exp();
    y.dataSync().fill(9);
    return y;
  });
  expect(inside.arraySync<number[]>()[0]).toBeCloseTo(Math.E, 5);
});

test('an array that leaves the library has its ArrayBuffer to itself, and no two tensors share elements', async () => {
  for (const dtype of ['float32', 'float64', 'int32', 'bool', 'float16', 'bfloat16'] as const) {
    for (const length of [0, 1, 3, 17, 100, 2000]) {
      const many = Array.from({ length: 70 }, (_, i) => tensor(new Int32Array(length).fill(i % 2), { dtype }));
      const kept = scope(() => tensor(new Float32Array(length).fill(1)).mul(1));
      for (const t of [...many.slice(0, 3), kept]) {
        const nd = t.ndarray().data;
        expect(t.ndarray().data).toBe(nd);
        for (const array of [t.dataSync(), await t.data(), nd])
          expect([array.byteOffset, array.buffer.byteLength]).toEqual([0, array.byteLength]);
      }
      many.forEach((t, i) => {
        expect(Array.from(t.dataSync())).toEqual(new Array<number>(length).fill(i % 2));
      });
      expect(Array.from(kept.dataSync())).toEqual(new Array<number>(length).fill(1));
    }
  }
});

test('what is kept keeps nothing else alive: every result has an array of its own', () => {
  const x = random(0).normal([20, 5]);
  const [loss, gradient] = valueAndGrad((t: Tensor) => ctcLoss(t, [1, 2, 3], [20], [3]).div([2]).sum())(x);
  const results = [
    x,
    loss,
    gradient,
    tensor([1, 2, 3]),
    tensor(new Int32Array(30)),
    x.argmax(1),
    x.greater(0),
    x.cast('float16'),
    x.cast('float64').exp(),
    scope(() => x.sum(0)),
    x.add(new Int32Array(5)),
    x.take([1, 2]),
  ];
  for (const t of results) {
    const { array } = t.buffer as CpuBuffer;
    expect([t.origin, array!.buffer.byteLength]).toEqual([t.origin, array!.byteLength]);
  }
});

test('ndarray() shares the memory of an ordinary tensor and has its shape', () => {
  const t = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  const nd = t.ndarray();
  expect([nd.shape, nd.get(1, 2), nd.transpose(1, 0).get(2, 1)]).toEqual([[2, 3], 6, 6]);
  expect(t.ndarray().data).toBe(nd.data);
  expect(tensor(nd.transpose(1, 0)).arraySync()).toEqual([
    [1, 4],
    [2, 5],
    [3, 6],
  ]);
  expect(tensor(7).ndarray().get()).toBe(7);
  expect(tensor([1.5], { dtype: 'float16' }).ndarray().get(0)).toBe(0x3e00);
});

test('an ndarray taken inside a transform is a copy that outlives it', () => {
  let nd!: ReturnType<Tensor['ndarray']>;
  grad((x: Tensor) => {
    nd = x.mul(2).ndarray();
    return x.sum();
  })(tensor([1, 2]));
  for (let i = 0; i < 3; i++) grad((x: Tensor) => x.mul(99).sum())(tensor([5, 5]));
  expect([nd.get(0), nd.get(1)]).toEqual([2, 4]);
});

test('a device that cannot be read at once says what to write instead', async () => {
  const t = tensor([1, 2]).to(await remoteDevice());
  expect(() => t.dataSync()).toThrow("[dataSync] device 'webgpu' cannot be read synchronously; write 'await t.data()'");
  expect(() => t.ndarray()).toThrow('cannot be read synchronously');
  expect(await t.array()).toEqual([1, 2]);
  expect(String(t)).toBe('Tensor(float32[2] on webgpu)');
});
