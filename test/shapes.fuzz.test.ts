import { concat, type DType, random, scope, type SliceRange, tensor, type Tensor, where } from 'tapegrad';
import { at, broadcastShape, build, positions, reduced, sizeOf, total, type Values, values } from './reference.js';

/** Random shapes up to five axes, axes of length 0 and 1 among them, against loops: shape rules and strides. */
const source = random(2026);
const pick = (n: number): number => source.integer(0, n);
const shapeOf = (rank: number): number[] =>
  Array.from({ length: rank }, () => [1, 2, 3, 2, 3, 5, 0][pick(pick(4) === 0 ? 7 : 6)]!);
const whole = (shape: readonly number[]): Values =>
  values(
    shape,
    Array.from({ length: sizeOf(shape) }, () => pick(41) - 20),
  );
const made = (v: Values, dtype: DType): Tensor => tensor(v.data, { shape: v.shape, dtype });
const DTYPES = ['float32', 'float64', 'int32', 'float16'] as const;

/** A shape that broadcasts to the given one. */
const narrowed = (shape: readonly number[]): number[] =>
  shape.slice(pick(shape.length + 1)).map((dim) => (pick(3) === 0 ? 1 : dim));

function expectSame(what: string, run: () => Tensor, want: Values): void {
  for (const result of [run(), scope(run)]) {
    const got = { shape: result.shape, data: Array.from(result.dataSync(), (x) => x + 0) };
    const expected = { shape: want.shape, data: want.data.map((x) => x + 0) }; // -0 and 0 alike
    if (JSON.stringify(got) !== JSON.stringify(expected))
      throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`);
  }
}

test('broadcasting two and three operands', () => {
  for (let i = 0; i < 400; i++) {
    const shape = shapeOf(pick(6));
    const [a, b, c] = [narrowed(shape), narrowed(shape), narrowed(shape)].map(whole) as [Values, Values, Values];
    const dtype = DTYPES[pick(4)]!;
    const what = `${dtype} ${JSON.stringify([a.shape, b.shape, c.shape])}`;
    const two = broadcastShape(a.shape, b.shape);
    expectSame(
      what,
      () => made(a, dtype).mul(made(b, dtype)),
      build(two, (p) => at(a, p) * at(b, p)),
    );
    expectSame(
      what,
      () => made(a, dtype).less(made(b, dtype)),
      build(two, (p) => Number(at(a, p) < at(b, p))),
    );
    const three = broadcastShape(a.shape, b.shape, c.shape);
    expectSame(
      what,
      () => where(made(a, dtype).greater(0), made(b, dtype), made(c, dtype)),
      build(three, (p) => (at(a, p) > 0 ? at(b, p) : at(c, p))),
    );
    expectSame(
      what,
      () => made(a, dtype).clip(made(b, dtype), made(c, dtype)),
      build(three, (p) => Math.min(Math.max(at(a, p), at(b, p)), at(c, p))),
    );
  }
});

test('sums and maxima over any axes', () => {
  for (let i = 0; i < 300; i++) {
    const v = whole(shapeOf(pick(6)));
    const axes = v.shape
      .map((_, axis) => axis)
      .filter(() => pick(2) === 0)
      .map((axis) => (pick(2) === 0 ? axis : axis - v.shape.length))
      .sort(() => pick(3) - 1);
    const keepDims = pick(2) === 0;
    const dtype = DTYPES[pick(4)]!;
    const what = `${dtype} ${JSON.stringify([v.shape, axes, keepDims])}`;
    expectSame(what, () => made(v, dtype).sum(axes, { keepDims }), reduced(v, axes, keepDims, total));
    const isEmpty = axes.some((axis) => v.shape.at(axis) === 0);
    if (isEmpty) expect(() => made(v, dtype).max(axes, { keepDims })).toThrow('and so no result');
    else
      expectSame(
        what,
        () => made(v, dtype).max(axes, { keepDims }),
        reduced(v, axes, keepDims, (elements) => Math.max(...elements)),
      );
  }
});

test('permutations, slices, padding, joining', () => {
  for (let i = 0; i < 300; i++) {
    const v = whole(shapeOf(pick(6)));
    const dtype = DTYPES[pick(4)]!;
    const order = Array.from(random(i).permutation(v.shape.length).dataSync());
    expectSame(
      `${dtype} permute ${JSON.stringify([v.shape, order])}`,
      () => made(v, dtype).permute(order),
      build(
        order.map((axis) => v.shape[axis]!),
        (p) =>
          at(
            v,
            v.shape.map((_, axis) => p[order.indexOf(axis)]!),
          ),
      ),
    );

    const indices = v.shape.map((dim) => {
      const step = [1, 1, 2, -1, -2][pick(5)]!;
      const kept = Array.from({ length: dim }, (_, k) => k).filter((k) => k % Math.abs(step) === 0);
      return { range: [null, null, step] as SliceRange, at: step > 0 ? kept : kept.map((k) => dim - 1 - k) };
    });
    expectSame(
      `${dtype} slice ${JSON.stringify([v.shape, indices])}`,
      () => made(v, dtype).slice(...indices.map(({ range }) => range)),
      build(
        indices.map((axis) => axis.at.length),
        (p) =>
          at(
            v,
            p.map((k, axis) => indices[axis]!.at[k]!),
          ),
      ),
    );

    const widths = v.shape.map((): [number, number] => [pick(3), pick(3)]);
    const isInside = (p: number[]): boolean =>
      p.every((k, axis) => k >= widths[axis]![0] && k < widths[axis]![0] + v.shape[axis]!);
    expectSame(
      `${dtype} pad ${JSON.stringify([v.shape, widths])}`,
      () => made(v, dtype).pad(widths, { value: 7 }),
      build(
        v.shape.map((dim, axis) => dim + widths[axis]![0] + widths[axis]![1]),
        (p) =>
          isInside(p)
            ? at(
                v,
                p.map((k, axis) => k - widths[axis]![0]),
              )
            : 7,
      ),
    );

    if (v.shape.length === 0) continue;
    const axis = pick(v.shape.length);
    const other = whole(v.shape.map((dim, d) => (d === axis ? pick(4) : dim)));
    const joined = v.shape.map((dim, d) => (d === axis ? dim + other.shape[d]! : dim));
    expectSame(
      `${dtype} concat ${JSON.stringify([v.shape, other.shape, axis])}`,
      () => concat([made(v, dtype), made(other, dtype)], axis),
      build(joined, (p) =>
        p[axis]! < v.shape[axis]!
          ? at(v, p)
          : at(
              other,
              p.map((k, d) => (d === axis ? k - v.shape[d]! : k)),
            ),
      ),
    );
  }
});

test('every length from 0 to 70 through SIMD loops and their tails', () => {
  for (let n = 0; n <= 70; n++) {
    const v = whole([n]);
    const t = made(v, 'float32');
    expectSame(
      `relu of ${n}`,
      () => t.relu(),
      build([n], ([i]) => Math.max(v.data[i!]!, 0)),
    );
    expectSame(`sum of ${n}`, () => t.sum(), values([], [total(v.data)]));
    expectSame(
      `add of ${n}`,
      () => t.add(t.flip()),
      build([n], ([i]) => v.data[i!]! + v.data[n - 1 - i!]!),
    );
    expectSame(`square sum of ${n} by matmul`, () => t.matmul(t), values([], [total(v.data.map((x) => x * x))]));
    expectSame(
      `rows of ${n}`,
      () =>
        t
          .expandDims(1)
          .mul(made(values([3], [1, 2, 3]), 'float32'))
          .sum(0),
      build([3], ([j]) => total(v.data) * (j! + 1)),
    );
    if (n > 0) expectSame(`argmax of ${n}`, () => t.argmax(), values([], [v.data.indexOf(Math.max(...v.data))]));
  }
  expect(positions([2, 2])).toEqual([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]);
});

test('more axes than a kernel has strides for: merged where they can be, refused where not', () => {
  const shape = [2, 1, 2, 1, 2, 1, 2, 1, 2, 1];
  const v = whole(shape);
  expectSame(
    'contiguous axes merge',
    () => made(v, 'float32').add(made(v, 'float32')),
    values(
      shape,
      v.data.map((x) => 2 * x),
    ),
  );
  const wide = new Array<number>(18).fill(1).map((_, i) => (i % 2 === 0 ? 2 : 1));
  const other = wide.map((dim) => 3 - dim);
  expect(() =>
    tensor(new Float32Array(512), { shape: wide }).add(tensor(new Float32Array(512), { shape: other })),
  ).toThrow('needs 18 separate axes here; at most 8 are supported');
});
