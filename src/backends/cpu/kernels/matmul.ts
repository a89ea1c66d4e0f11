import { BYTES } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { type OutsideProduct, outsideProduct, type ProductType } from '../product.js';

type Sizes = [batch: number, m: number, n: number, k: number, strideA: number, strideB: number];

const sizes = (call: CpuCall): Sizes =>
  ['batch', 'm', 'n', 'k', 'strideA', 'strideB'].map((name) => call.number(name)) as Sizes;

function float32(call: CpuCall): void {
  const [batch, m, n, k, strideA, strideB] = sizes(call);
  const [transA, transB] = [call.number('transA'), call.number('transB')];
  const accumulate = call.number('accumulate');
  const [a, b, out] = [call.in(0), call.in(1), accumulate ? call.update(0) : call.out(0)];
  const { functions } = heap();
  const bytes = functions.matmulScratch!(m, n, k, transB) >>> 0;
  const panels = functions.panelBytes!(m, n, k, transB) >>> 0;
  // Each part reads all of b: where it is not packed there are few rows, and more parts would read it more often.
  const parts = partsFor((batch * m * n * k) / 4, panels > 0);
  if (batch > 1 || parts === 1 || bytes === 0) {
    // Matrices are shared out whole.
    const tasks = cut(batch, parts).map(([begin, end]) => [
      a + begin * strideA * 4,
      b + begin * strideB * 4,
      out + begin * m * n * 4,
      call.scratch(bytes),
      end - begin,
      m,
      n,
      k,
      strideA,
      strideB,
      m * n,
      transA,
      transB,
      accumulate,
      0,
      m,
    ]);
    parallel('matmul', tasks);
    return;
  }
  const packed = panels ? call.scratch(panels) : b;
  if (panels) functions.packPanels!(b, packed, n, k, transB);
  parallel(
    'matmulRows',
    cut(m, parts, 4).map(([begin, end]) => [
      a,
      packed,
      out,
      call.scratch(functions.stripBytes!()),
      m,
      n,
      k,
      transA,
      transB,
      accumulate,
      begin,
      end,
    ]),
  );
}

const addFloats = (total: number, x: number, y: number): number => total + x * y;
/** int32 wraps around; float64 would round products beyond 2^53. */
const addIntegers = (total: number, x: number, y: number): number => (total + Math.imul(x, y)) | 0;

function generic(call: CpuCall): void {
  const [batch, m, n, k, strideA, strideB] = sizes(call);
  const [rowA, columnA] = call.number('transA') ? [1, m] : [k, 1];
  const [rowB, columnB] = call.number('transB') ? [1, k] : [n, 1];
  const [a, b] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  const accumulate = call.number('accumulate') !== 0;
  const addProduct = out instanceof Int32Array ? addIntegers : addFloats;
  for (let s = 0; s < batch; s++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let total = accumulate ? out[(s * m + i) * n + j]! : 0;
        for (let p = 0; p < k; p++)
          total = addProduct(
            total,
            a![s * strideA + i * rowA + p * columnA]!,
            b![s * strideB + p * rowB + j * columnB]!,
          );
        out[(s * m + i) * n + j] = total;
      }
    }
  }
}

/** Multiplications from which on a product from outside, whose call takes 0.3 us, is quicker than the kernels here. */
const WORTH_LEAVING: Readonly<Record<ProductType, number>> = { float32: 2 ** 13, float64: 2 ** 8 };

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
  else if (call.isFloat32) float32(call);
  else generic(call);
};

export const matmulKernels = { matmul };
