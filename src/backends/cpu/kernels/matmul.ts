import { BYTES, type DType } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { type OutsideProduct, outsideProduct, type ProductType, WORTH_LEAVING } from '../product.js';

type Sizes = [batch: number, m: number, n: number, k: number, strideA: number, strideB: number];

const sizes = (call: CpuCall): Sizes =>
  ['batch', 'm', 'n', 'k', 'strideA', 'strideB'].map((name) => call.number(name)) as Sizes;

/** The WebAssembly function for an element type that it has. */
const FUNCTIONS: Readonly<Partial<Record<DType, string>>> = {
  float32: 'matmul',
  float64: 'matmulF64',
  int32: 'matmulI32',
};
/** Rows from which on it is worth while to cut them into more parts than there are threads: each part goes through all of b. */
const MANY_ROWS = 32;

function inside(call: CpuCall, name: string): void {
  const [batch, m, n, k, strideA, strideB] = sizes(call);
  const [transA, transB] = [call.number('transA'), call.number('transB')];
  const accumulate = call.number('accumulate');
  const [a, b, out] = [call.in(0), call.in(1), accumulate ? call.update(0) : call.out(0)];
  const bytes = BYTES[call.outputs[0]!.dtype];
  const scratch = heap().functions.matmulScratch!(m, n, k, bytes);
  const parts = partsFor((batch * m * n * k) / 4, m > MANY_ROWS);
  const task = (first: number, matrices: number, begin: number, end: number): number[] => [
    a + first * strideA * bytes,
    b + first * strideB * bytes,
    out + first * m * n * bytes,
    call.scratch(scratch),
    ...[matrices, m, n, k, strideA, strideB, m * n],
    ...[transA, transB, accumulate, begin, end],
  ];
  // Matrices are shared out whole, a single one by its rows.
  const tasks =
    batch > 1 || parts === 1
      ? cut(batch, parts).map(([begin, end]) => task(begin, end - begin, 0, m))
      : cut(m, parts, 4).map(([begin, end]) => task(0, 1, begin, end));
  parallel(name, tasks);
}

/** The element type of a product that is worth computing outside; null for others. */
function leavingType(call: CpuCall): ProductType | null {
  const { dtype } = call.outputs[0]!;
  if (dtype !== 'float32' && dtype !== 'float64') return null;
  return call.number('m') * call.number('n') * call.number('k') >= WORTH_LEAVING[dtype] ? dtype : null;
}

/** The operands come to the heap if they are not there. */
function outside(call: CpuCall, dtype: ProductType, multiply: OutsideProduct): void {
  const [batch, m, n, k, strideA, strideB] = sizes(call);
  const [transA, transB, accumulate] = ['transA', 'transB', 'accumulate'].map((name) => call.number(name) !== 0) as [
    boolean,
    boolean,
    boolean,
  ];
  const [a, b, out] = [call.in(0), call.in(1), accumulate ? call.update(0) : call.out(0)];
  const bytes = BYTES[dtype];
  for (let i = 0; i < batch; i++)
    multiply(
      dtype,
      a + i * strideA * bytes,
      b + i * strideB * bytes,
      out + i * m * n * bytes,
      { m, n, k },
      { transA, transB, accumulate },
    );
}

const matmul: CpuKernel = (call) => {
  const multiply = outsideProduct();
  const leaving = multiply && leavingType(call);
  if (leaving) outside(call, leaving, multiply);
  else inside(call, FUNCTIONS[call.outputs[0]!.dtype]!);
};

export const matmulKernels = { matmul };
