import {
  broadcastTo,
  concat,
  type DType,
  flip,
  full,
  grad,
  pad,
  permute,
  random,
  scope,
  slice,
  stack,
  sum,
  type Tensor,
  tensor,
} from 'tapegrad';
import { arrayClass, type TypedArray } from '../../src/backends/backend.js';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';
import { copyStrided } from '../../src/backends/strided.js';
import { drawView } from '../views.js';

/*
 * Copies of elements of every size, against the plain loops of src/backends/strided.ts: between any views, with lengths around the squares that
 * transpositions are cut into, from and to ordinary arrays and the heap.
 */

const DTYPES = ['float32', 'float64', 'int32', 'bool', 'float16', 'bfloat16'] as const;
const BY_SIZE = { 1: Uint8Array, 2: Uint16Array, 4: Int32Array, 8: Float64Array } as const;
const rng = random(5);

let arena: Allocator;
beforeEach(() => {
  arena = new Allocator();
});
afterEach(() => arena.close());

const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

function place(data: TypedArray): number {
  const at = arena.allocate(data.byteLength);
  heap().u8.set(bytesOf(data), at);
  return at;
}

const SHAPES: readonly (readonly [number, number, number])[] = [
  ...Array.from({ length: 60 }, () => [rng.integer(1, 4), rng.integer(1, 21), rng.integer(1, 35)] as const),
  [2, 0, 5],
  [1, 1, 0],
];

function filled<T extends TypedArray>(data: T, low: number, high: number): T {
  for (let i = 0; i < data.length; i++) data[i] = rng.integer(low, high);
  return data;
}

const row = ([, b, c]: readonly [number, number, number]): [number, number, number] => [b * c, c, 1];

/** Strides of a view and those of a plain one, and both views exchanged; the shape's axes may be permuted in the source. */
function* layouts(shape: readonly [number, number, number]) {
  const plain = { strides: row(shape), offset: 0, length: shape[0] * shape[1] * shape[2] };
  const turned = { strides: [shape[1] * shape[2], 1, shape[1]], offset: 0, length: plain.length };
  const repeated = { strides: [shape[1], 1, 0], offset: 0, length: shape[0] * shape[1] };
  yield [plain, plain];
  yield [turned, plain];
  yield [repeated, plain];
  yield [drawView(rng, shape, true), plain];
  yield [plain, drawView(rng, shape, false)];
  yield [drawView(rng, shape, true), drawView(rng, shape, false)];
}

test.each([1, 2, 4, 8] as const)('elements of %d bytes are copied between any views', (bytes) => {
  const Class = BY_SIZE[bytes];
  for (const shape of SHAPES) {
    for (const [from, to] of layouts(shape)) {
      const source = filled(new Class(from!.length), 0, 2 ** 31);
      const want = filled(new Class(to!.length + 16), 0, 2 ** 31);
      const [a, b] = [place(source), place(want)];
      copyStrided(shape, source, from!, want, to!);
      heap().functions[`copyStrided${bytes}`]!(
        a + from!.offset * bytes,
        b + to!.offset * bytes,
        ...[1, ...shape],
        ...[0, ...from!.strides],
        ...[0, ...to!.strides],
      );
      const got = heap().u8.slice(b, b + want.byteLength);
      const differs = got.findIndex((byte, i) => byte !== bytesOf(want)[i]);
      if (differs >= 0) throw new Error(`byte ${differs} of ${JSON.stringify({ shape, from, to })}`);
    }
    arena.rewind();
  }
});

test.each([
  ['addStrided', Float32Array],
  ['addStridedF64', Float64Array],
] as const)('%s adds any view to any other', (name, Class) => {
  for (const shape of SHAPES) {
    for (const [from, to] of layouts(shape)) {
      const source = filled(new Class(from!.length), -1000, 1000);
      const before = filled(new Class(to!.length), -1000, 1000);
      const spread = new Class(to!.length);
      copyStrided(shape, source, from!, spread, to!);
      const [a, b] = [place(source), place(before)];
      heap().functions[name]!(
        a + from!.offset * Class.BYTES_PER_ELEMENT,
        b + to!.offset * Class.BYTES_PER_ELEMENT,
        ...[1, ...shape],
        ...[0, ...from!.strides],
        ...[0, ...to!.strides],
      );
      const got = new Class(heap().u8.slice(b, b + before.byteLength).buffer);
      expect([...got]).toEqual(Array.from(before, (value, i) => value + spread[i]!));
    }
    arena.rewind();
  }
});

/** Elements of a tensor's own storage, bits where they are such. */
function drawTensor(dtype: DType, shape: readonly number[]): Tensor {
  const x = rng.integers(shape, dtype === 'bool' ? 0 : -50, dtype === 'bool' ? 2 : 50);
  return x.cast(dtype);
}

describe.each(DTYPES)('%s moves as its values do', (dtype) => {
  const inside = (make: () => Tensor): number[][][] => scope(() => make().arraySync<number[][][]>());
  const check = (make: (x: Tensor) => Tensor, values: (x: Tensor) => Tensor): void => {
    for (const shape of [
      [2, 3, 5],
      [3, 17, 9],
      [1, 40, 33],
    ]) {
      const x = drawTensor(dtype, shape);
      // float32 holds them all, and its copies are tested above and in many other places.
      const want = values(x.cast('float32')).arraySync();
      const plain = (list: unknown): unknown =>
        JSON.parse(JSON.stringify(list, (_, value: unknown) => (typeof value === 'boolean' ? Number(value) : value)));
      expect(plain(make(x).arraySync())).toEqual(want);
      expect(plain(inside(() => make(x)))).toEqual(want);
      expect(plain(inside(() => make(x.transpose(0, 1).transpose(0, 1))))).toEqual(want); // lies in the heap
    }
  };

  test.each([
    ['permuted', (x: Tensor) => permute(x, [2, 0, 1])],
    ['permuted otherwise', (x: Tensor) => permute(x, [0, 2, 1])],
    ['flipped', (x: Tensor) => flip(x, [0, 2])],
    ['stepped', (x: Tensor) => slice(x, [], [1, null, 2], [null, null, -2])],
    ['a part', (x: Tensor) => slice(x, 0, [1, 3])],
    ['stacked', (x: Tensor) => stack([x, flip(x), x], 1)],
    ['joined', (x: Tensor) => concat([x, x, flip(x, 1)], 2)],
    ['joined in a run', (x: Tensor) => concat([x, x, x])],
    ['broadcast', (x: Tensor) => broadcastTo(slice(x, [], [], [0, 1]), x.shape)],
    [
      'padded',
      (x: Tensor) =>
        pad(x, [
          [1, 2],
          [0, 1],
          [3, 0],
        ]),
    ],
  ] as const)('%s', (_, move) => {
    check(move, move);
  });

  test('nothing moves', () => {
    const x = drawTensor(dtype, [0, 3, 2]);
    expect(permute(x, [2, 0, 1]).shape).toEqual([2, 0, 3]);
    expect(concat([x, drawTensor(dtype, [2, 3, 2])]).shape).toEqual([2, 3, 2]);
  });
});

test('NaN, infinities and zeros of either sign keep their bits', () => {
  for (const dtype of ['float64', 'float16', 'bfloat16'] as const) {
    const x = tensor([NaN, Infinity, -Infinity, 0, -0, 5e-8, 1, 2], { dtype }).reshape([2, 4]);
    const got = scope(() => x.transpose().transpose().rawDataSync('copy'));
    expect(bytesOf(got)).toEqual(bytesOf(x.rawDataSync('copy')));
    expect(got).toBeInstanceOf(arrayClass(dtype));
  }
});

test('gradients of slices of float64 are added in place', () => {
  const x = rng.normal([40, 3]).cast('float64');
  const weights = full([3], 2, { dtype: 'float64' });
  const g = grad((t: Tensor) => {
    let total = sum(t.slice([0, 1]).mul(weights));
    for (let i = 1; i < 40; i++) total = total.add(sum(t.slice([i - 1, i + 1]).mul(weights)));
    return total;
  })(x);
  expect(g.arraySync()).toEqual(Array.from({ length: 40 }, (_, i) => new Array<number>(3).fill(i === 39 ? 2 : 4)));
});
