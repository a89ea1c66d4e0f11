/** Elementwise results outside of scopes: in the heap while they are young, then forgotten, and the same numbers for whoever asks for them. */
import { setImmediate } from 'node:timers/promises';
import {
  adaptiveAvgPool1d,
  concat,
  cumsum,
  gelu,
  grad,
  logicalOr,
  maximum,
  memory,
  optim,
  OutOfMemoryError,
  pad,
  random,
  RecycledError,
  scatterAdd,
  scope,
  sigmoid,
  stack,
  tensor,
  type Tensor,
  where,
} from 'tapegrad';
import type { CpuBuffer } from '../../src/backends/cpu/buffer.js';
import { heap } from '../../src/backends/cpu/heap.js';
import { collectGarbage, heldBytes, settled } from '../garbage.js';
import { fuzz } from './heap-fuzz.js';

const MIB = 2 ** 20;
const N = 2 ** 16; // elements of a result: 256 KiB, of which a few stay
const source = random(11);

const stateOf = (t: Tensor): 'young' | 'forgotten' | 'array' => {
  const { array, arena } = t.buffer as CpuBuffer;
  return array ? 'array' : arena ? 'young' : 'forgotten';
};
const bytesOf = (t: Tensor): Buffer => {
  const { buffer, byteOffset, byteLength } = t.dataSync();
  return Buffer.from(buffer, byteOffset, byteLength);
};
/** Makes as many results as it takes to have all before them forgotten. */
function crowd(): void {
  const x = source.normal([N + 16]);
  for (let i = 0; i < 20; i++) x.relu();
}
const filled = (value: number, length = N): Tensor => tensor(new Float32Array(length).fill(value));

afterEach(() => {
  jest.restoreAllMocks();
});

const [x, y] = [source.normal([256, 256]), source.normal([256, 256])];
const row = source.normal([256]);
const FORMULAS: Readonly<Record<string, (x: Tensor, y: Tensor) => Tensor>> = {
  'of one operand': (x) => x.exp(),
  'of a number': (x) => x.mul(1.5),
  'of two': (x, y) => x.sub(y),
  'of one twice': (x) => x.mul(x),
  broadcast: (x) => x.expandDims(1).add(row),
  'of truth values': (x, y) => where(x.greater(0), y, x),
  'of many instructions': (x) => gelu(x),
  'of results': (x, y) => sigmoid(x.mul(2).add(y)).neg(),
  'of a result twice': (x) => {
    const z = x.add(row);
    return maximum(z.square(), z);
  },
  'of a transpose': (x) => x.transpose(),
  'of a slice': (x) => x.slice([1], [2, 200]),
  'of softmax': (x) => x.softmax(0),
  'of float16': (x) => x.cast('float16').cast('float32'),
  'of a slice that something is added to': (x, y) =>
    x
      .slice([], [0, 100])
      .permute([1, 0])
      .add(y.slice([0, 100], [0, 256]).sum()),
  'of ordinary results': (x) => cumsum(x, 0).add(x.sum(0)),
  'joined along an axis': (x, y) => concat([x, y.mul(2), x], 1),
  'joined of ordinary ones': (x, y) => concat([x, y]),
  'side by side': (x, y) => stack([x, y], 2),
  padded: (x) =>
    pad(
      x,
      [
        [1, 0],
        [3, 2],
      ],
      { value: 0.5 },
    ),
  'of scattered numbers': (x, y) => {
    const columns = Int32Array.from({ length: x.size }, (_, i) => (i * 7) % 256);
    return scatterAdd(x, tensor(columns, { shape: x.shape }), y, 1);
  },
  'of float64': (x, y) => x.cast('float64').mul(y).add(1),
  'of int32': (x, y) => x.mul(100).cast('int32').maximum(y.cast('int32')),
  'of a comparison with a number': (x) => x.greater(0.5),
  'of a comparison of float64': (x, y) => x.cast('float64').less(y.cast('float64')),
  'of truth values alone': (x, y) => logicalOr(x.greater(y), x.less(0)),
  'of bfloat16': (x, y) => concat([x.cast('bfloat16'), y.cast('bfloat16')]).neg(),
};

test.each(Object.entries(FORMULAS))(
  'a result %s is forgotten, and the same to the last bit when it is asked for',
  (name, formula) => {
    const shape = [256 + Object.keys(FORMULAS).indexOf(name), 256]; // of kinds of its own
    const [a, b] = [source.normal(shape), source.normal(shape)];
    const make = (): Tensor => formula(a, b);
    const wanted = bytesOf(scope(make));
    const early = make();
    expect(stateOf(early)).toBe('young');
    expect(bytesOf(early).equals(wanted)).toBe(true);
    expect(stateOf(early)).toBe('young'); // a copy was read
    crowd();
    expect(stateOf(early)).toBe('forgotten');
    expect(bytesOf(early).equals(wanted)).toBe(true);
    expect(stateOf(early)).toBe('array');
    const again = make();
    expect(stateOf(again)).toBe('array'); // such a one was wanted late
    expect(bytesOf(again).equals(wanted)).toBe(true);
  },
);

test('what a result in parts is made of stays as it was, and one of very many parts is an array', () => {
  const parts = [filled(1, N + 7), filled(2, N + 7), filled(3, N + 7)];
  const joined = concat(parts);
  expect(stateOf(joined)).toBe('young');
  const padded = pad(parts[1]!.mul(2), [[3, 4]]);
  expect(stateOf(padded)).toBe('young');
  const many = concat(Array.from({ length: 300 }, (_, i) => filled(i, 300)));
  expect(stateOf(many)).toBe('array');
  parts[0]!.ndarray().data.fill(50); // the user's to write to, and nothing that was made of it changes
  crowd();
  expect([joined, padded].map(stateOf)).toEqual(['forgotten', 'forgotten']);
  expect(
    joined
      .reshape([3, N + 7])
      .mean(1)
      .arraySync(),
  ).toEqual([1, 2, 3]);
  expect([padded.sum().itemSync(), padded.slice([0, 5]).arraySync()]).toEqual([4 * (N + 7), [0, 0, 0, 4, 4]]);
  expect(many.reshape([300, 300]).mean(1).arraySync()).toEqual(Array.from({ length: 300 }, (_, i) => i));
});

test('forgotten ones are there for every use', async () => {
  const make = (): Tensor => {
    const made = x.add(y).reshape([1, 256, 256]);
    crowd();
    return made;
  };
  const wanted = scope(() => x.add(y));
  const same = (t: Tensor): boolean => bytesOf(t).equals(bytesOf(wanted));
  for (let i = 0; i < 35; i++) make(); // whatever was learned
  expect(Buffer.from((await make().data()).buffer).equals(bytesOf(wanted))).toBe(true);
  expect(same(tensor(make().arraySync()))).toBe(true);
  expect(Buffer.from(make().ndarray().data.buffer).equals(bytesOf(wanted))).toBe(true);
  expect(same(scope(() => make().mul(1)))).toBe(true);
  expect(make().sum().itemSync()).toBe(wanted.sum().itemSync());
  expect(
    bytesOf(adaptiveAvgPool1d(make(), 7)).equals(bytesOf(adaptiveAvgPool1d(wanted.reshape([1, 256, 256]), 7))),
  ).toBe(true);
  const kept = make();
  const slope = grad((t: Tensor) => t.mul(kept).sum())(make());
  expect(same(slope)).toBe(true);
  const own = grad((t: Tensor) => t.square().sum().mul(0.5))(make());
  expect(same(own)).toBe(true);
});

test('whoever writes to an array that was handed out changes no result', () => {
  const a = filled(1);
  const [b, c] = [a.add(1), a.add(2)];
  const d = b.mul(10);
  crowd();
  a.ndarray().data.fill(100);
  b.ndarray().data.fill(100); // computed again first
  expect(new Set(d.dataSync())).toEqual(new Set([20]));
  expect(new Set(c.dataSync())).toEqual(new Set([3]));
  expect(new Set(a.dataSync())).toEqual(new Set([100]));
  // From here on they may change at any time, and nothing is made of them later.
  const e = a.add(b);
  expect(stateOf(e)).not.toBe('young');
  a.ndarray().data.fill(0);
  crowd();
  expect(new Set(e.dataSync())).toEqual(new Set([200]));
});

test('an optimizer that is given forgotten and young ones does not write over them', () => {
  const params = { w: filled(1).mul(2) };
  const gradients = { w: filled(1).mul(3) };
  const further = params.w.add(1);
  const optimizer = optim.sgd({ learningRate: 1 });
  const next = optimizer.update(params, gradients, optimizer.init(params), {
    donate: ['params', 'gradients', 'state'],
  });
  expect(() => params.w.add(1)).toThrow(RecycledError);
  crowd();
  expect(new Set(further.dataSync())).toEqual(new Set([3]));
  expect(new Set(next.params.w.dataSync())).toEqual(new Set([-1]));
  expect(() => gradients.w.dataSync()).toThrow(RecycledError);
});

test('dispose() takes young ones; what is made of them stays', () => {
  const a = filled(3, N + 3).mul(2);
  const b = a.add(1);
  a.dispose();
  expect(() => a.add(1)).toThrow(RecycledError);
  crowd();
  expect(new Set(b.dataSync())).toEqual(new Set([7]));
});

test('dispose() takes forgotten ones as well', () => {
  const a = filled(3, N + 3).mul(2);
  const b = a.add(1);
  crowd();
  a.dispose();
  expect(() => a.dataSync()).toThrow(RecycledError);
  a.dispose();
  expect(new Set(b.dataSync())).toEqual(new Set([7]));
});

test('a long chain is computed again in short pieces, and keeps little', async () => {
  let value = filled(0, MIB / 4);
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const steps = 300;
  for (let i = 1; i <= steps; i++) {
    value = value.add(filled(i, MIB / 4)); // 1 MiB each
    if (i % 100 === 0) await setImmediate();
  }
  await settled();
  collectGarbage(); // what those have let go of
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MIB);
  crowd();
  expect([value.min().itemSync(), value.max().itemSync()]).toEqual([45150, 45150]);
});

test('a loop takes no memory, however long it runs in one turn', () => {
  const z = filled(1, MIB); // 4 MiB
  z.add(1).mul(2);
  const [before, held] = [memory(), heldBytes()];
  for (let i = 0; i < 400; i++) z.add(1).mul(2);
  expect(memory()).toMatchObject({ usedBytes: before.usedBytes, scopes: 0 });
  expect(memory().reservedBytes - before.reservedBytes).toBeLessThan(16 * MIB);
  expect(heldBytes() - held).toBeLessThan(16 * MIB); // of 3 GiB
});

test('where there is no memory to compute one again the error is typed, and later it is there', () => {
  const late = filled(1, N + 5).add(41);
  crowd();
  expect(stateOf(late)).toBe('forgotten');
  jest.spyOn(heap(), 'take').mockImplementation(() => {
    throw new OutOfMemoryError('cpu', 'no room');
  });
  expect(() => late.dataSync()).toThrow(OutOfMemoryError);
  jest.restoreAllMocks();
  expect(new Set(late.dataSync())).toEqual(new Set([42]));
});

test('random programs, of every element type: whatever is kept, given away, written to or collected, every tensor is what it would be in a scope', async () => {
  const report = await fuzz(5, 99); // `npm run fuzz -- heap` for more
  expect(report).toMatchObject({ programs: 5, steps: 200 });
  expect(report.reads).toBeGreaterThan(50);
});
