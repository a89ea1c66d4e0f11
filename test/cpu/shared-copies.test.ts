import { permute, random, setThreads, stack, type Tensor } from 'tapegrad';
import { poolState, warmThreads } from '../../src/backends/cpu/pool.js';

/* Transpositions that threads share against the same on one thread, which test/cpu/copies.test.ts compares with plain loops. */

const DTYPES = ['float32', 'float64', 'int32', 'bool', 'float16'] as const;
const CASES: readonly (readonly [shape: readonly number[], order: readonly number[]])[] = [
  [
    [1030, 1027],
    [1, 0],
  ],
  [
    [3, 1030, 517],
    [0, 2, 1],
  ],
  [
    [70_001, 17],
    [1, 0],
  ],
  [
    [17, 70_001],
    [1, 0],
  ],
  [
    [5, 130, 9, 211],
    [0, 2, 1, 3],
  ],
  [
    [300, 7, 5, 131],
    [3, 0, 2, 1],
  ],
];

afterAll(() => {
  setThreads(1);
});

const bytesOf = (t: Tensor): Uint8Array => {
  const { buffer, byteOffset, byteLength } = t.dataSync();
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice();
};

test.each(DTYPES)('transpositions of %s', async (dtype) => {
  for (const [shape, order] of CASES) {
    const x = random(3).integers(shape, -120, 120).cast(dtype);
    const results = (): Uint8Array[] =>
      [permute(x, order), permute(x.slice([1]), order), stack([x, x], 1)].map(bytesOf);
    setThreads(1);
    const alone = results();
    for (const n of [2, 3]) {
      setThreads(n);
      await warmThreads();
      results().forEach((bytes, i) => {
        expect(Buffer.compare(bytes, alone[i]!)).toBe(0);
      });
    }
    expect(poolState().ready).toBe(2);
  }
});
