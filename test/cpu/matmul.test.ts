import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';

/* Kernels that work on a range of rows must give the same bits however the rows are divided: threads may take any part. */
describe('matrix products by rows', () => {
  const arena = new Allocator();
  afterAll(() => arena.close());

  const place = (count: number, phase: number): number => {
    const address = arena.allocate(count * 4);
    for (let i = 0; i < count; i++) heap().f32[address / 4 + i] = Math.sin(i * 0.37 + phase);
    return address;
  };

  test.each([
    [7, 13, 19],
    [33, 11, 300],
    [65, 40, 513],
    [9, 8, 700],
    [2, 33, 300],
    [50, 1, 77],
  ])('%d x %d over %d', (m, n, k) => {
    for (const [transA, transB] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const a = place(m * k, 0);
      const b = place(k * n, 1);
      const out = arena.allocate(m * n * 4);
      const scratch = arena.allocate(heap().functions.matmulScratch!(m, n, k, transB));
      const rows = (from: number, to: number): void => {
        heap().functions.matmul!(a, b, out, scratch, 1, m, n, k, 0, 0, 0, transA, transB, 0, from, to);
      };
      rows(0, m);
      const whole = heap().f32.slice(out / 4, out / 4 + m * n);
      for (const cut of [1, Math.floor(m / 3), m - 1]) {
        heap().f32.fill(NaN, out / 4, out / 4 + m * n);
        rows(cut, m);
        rows(0, cut);
        expect(heap().f32.slice(out / 4, out / 4 + m * n)).toEqual(whole);
      }
    }
  });

  test('accumulation adds to what is there', () => {
    const [m, n, k] = [6, 10, 300];
    const a = place(m * k, 0);
    const b = place(k * n, 1);
    const out = place(m * n, 2);
    const before = heap().f32.slice(out / 4, out / 4 + m * n);
    const scratch = arena.allocate(heap().functions.matmulScratch!(m, n, k, 0));
    heap().functions.matmul!(a, b, out, scratch, 1, m, n, k, 0, 0, 0, 0, 0, 1, 0, m);
    const added = heap().f32.slice(out / 4, out / 4 + m * n);
    heap().functions.matmul!(a, b, out, scratch, 1, m, n, k, 0, 0, 0, 0, 0, 0, 0, m);
    const product = heap().f32.slice(out / 4, out / 4 + m * n);
    added.forEach((value, i) => expect(value).toBeCloseTo(before[i]! + product[i]!, 4));
  });
});
