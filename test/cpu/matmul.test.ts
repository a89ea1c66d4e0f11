import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';

/* Kernels that work on a range of rows must give the same bits however the rows are divided: threads may take any part. */

const SIZES = [
  [7, 13, 19],
  [33, 11, 300],
  [65, 40, 513],
  [9, 8, 700],
  [2, 33, 300],
  [50, 1, 77],
  [5, 9, 40],
  [270, 30, 9], // more rows than are packed at a time
  [265, 17, 260], // and b narrow enough for a to be read where it lies
  [16, 43, 270], // a few strips, which read b where it lies
  [13, 12, 5],
  [4, 3, 5],
  [3, 257, 2],
] as const;

/** How a stored operand is read: op(a)[i, p]. */
const element = (
  t: ArrayLike<number>,
  rows: number,
  columns: number,
  transposed: number,
  i: number,
  p: number,
): number => (transposed ? t[p * rows + i]! : t[i * columns + p]!);

describe.each([
  { name: 'matmul', View: Float32Array, unit: 2 ** -23 },
  { name: 'matmulF64', View: Float64Array, unit: 2 ** -52 },
  { name: 'matmulI32', View: Int32Array, unit: 0 },
])('$name by rows', ({ name, View, unit }) => {
  const arena = new Allocator();
  afterAll(() => arena.close());
  const { functions, memory } = heap();
  const isWhole = View === Int32Array;

  const room = (count: number): number => arena.allocate(count * View.BYTES_PER_ELEMENT);
  const view = (address: number, count: number): Float32Array | Float64Array | Int32Array =>
    new View(memory.buffer, address, count);
  const place = (count: number, phase: number): number => {
    const address = room(count);
    const to = view(address, count);
    // Whole numbers large enough for products to go round 2^32.
    for (let i = 0; i < count; i++) to[i] = Math.sin(i * 0.37 + phase) * (isWhole ? 2 ** 20 : 1);
    return address;
  };

  test.each(SIZES)('%d x %d over %d', (m, n, k) => {
    for (const [transA, transB] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const a = place(m * k, 0);
      const b = place(k * n, 1);
      const out = room(m * n);
      const scratch = arena.allocate(functions.matmulScratch!(m, n, k, View.BYTES_PER_ELEMENT));
      const rows = (from: number, to: number, accumulate = 0): void => {
        functions[name]!(a, b, out, scratch, 1, m, n, k, 0, 0, 0, transA, transB, accumulate, from, to);
      };
      rows(0, m);
      const whole = view(out, m * n).slice();
      const [left, right] = [view(a, m * k), view(b, k * n)];
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let [sum, size] = [0, 0];
          for (let p = 0; p < k; p++) {
            const [x, y] = [element(left, m, k, transA, i, p), element(right, k, n, transB, p, j)];
            sum = isWhole ? (sum + Math.imul(x, y)) | 0 : sum + x * y;
            size += Math.abs(x * y);
          }
          if (!(Math.abs(whole[i * n + j]! - sum) <= k * unit * size))
            throw new Error(`[${i}, ${j}] is ${whole[i * n + j]}, not ${sum}, transposed ${transA}, ${transB}`);
        }
      for (const cut of [1, Math.floor(m / 3), m - 1]) {
        view(out, m * n).fill(isWhole ? 77 : NaN);
        rows(cut, m);
        rows(0, cut);
        expect(view(out, m * n).slice()).toEqual(whole);
      }
      // Accumulation adds the same to what is there.
      view(out, m * n).fill(0);
      rows(0, m, 1);
      expect(view(out, m * n).slice()).toEqual(whole);
      view(out, m * n).fill(3);
      rows(0, m, 1);
      view(out, m * n).forEach((value, i) => {
        const want = isWhole ? (whole[i]! + 3) | 0 : whole[i]! + 3;
        if (!(Math.abs(value - want) <= 4 * unit * (Math.abs(want) + k)))
          throw new Error(`${i}: ${value}, not ${want}`);
      });
    }
  });
});
