import { type Deferred, defineOp, type Launcher, type OpFunction } from '../autograd/op.js';
import { checkTensor, checkTogether } from '../tensor/arguments.js';
import type { DType } from '../backends/backend.js';
import { type Kernel, NUMBERS } from '../backends/kernel.js';
import { DTypeError, ShapeError } from '../errors.js';
import { promote } from '../tensor/dtype.js';
import { broadcastShapes, formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { broadcastTo, sumTo } from './broadcast.js';
import { cast } from './cast.js';
import { reshape } from './movement/index.js';

/**
 * out[i] = a[i] b[i] for `batch` row-major matrices, m x k times k x n. A transposed operand is stored the other way round (k x m, n x k).
 * The batch strides, in elements, are 0 for an operand that all share. Where `accumulate` is 1 the products are added to what out holds.
 */
const matmulKernel: Kernel = {
  name: 'matmul',
  family: 'matmul',
  inputs: ['a', 'b'],
  outputs: ['out'],
  types: { a: NUMBERS, b: 'a', out: 'a' },
  params: {
    batch: 'u32',
    m: 'u32',
    n: 'u32',
    k: 'u32',
    transA: 'u32',
    transB: 'u32',
    strideA: 'u32',
    strideB: 'u32',
    accumulate: 'u32',
  },
};

interface Transposes {
  readonly transA: boolean;
  readonly transB: boolean;
}

/** Sizes of the product of two operands of rank 2 or more; the last two axes are the matrices. */
function dims(
  a: Tensor,
  b: Tensor,
  { transA, transB }: Transposes,
): { lead: Shape; m: number; n: number; k: number; kB: number } {
  const [rows, columns] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  return {
    lead: a.rank >= b.rank ? a.shape.slice(0, -2) : b.shape.slice(0, -2),
    m: transA ? columns : rows,
    k: transA ? rows : columns,
    kB: transB ? columnsB : rowsB,
    n: transB ? rowsB : columnsB,
  };
}

function launchProduct(call: Launcher, [a, b]: readonly Tensor[], attrs: Transposes, accumulate: boolean): void {
  const { lead, m, n, k } = dims(a!, b!, attrs);
  const batch = sizeOf(lead);
  const params = {
    batch,
    m,
    n,
    k,
    transA: Number(attrs.transA),
    transB: Number(attrs.transB),
    strideA: a!.rank > 2 ? m * k : 0,
    strideB: b!.rank > 2 ? k * n : 0,
    accumulate: Number(accumulate),
  };
  call.launch({ kernel: matmulKernel, inputs: call.inputs, outputs: call.outputs, params, grid: batch * m * n });
}

/** The operands have equal leading axes, or one of them has none and is shared by the whole batch. */
const matmulOp: OpFunction<Transposes> = defineOp<Transposes>({
  name: 'matmul',
  readsResult: false,
  infer: ([a, b], attrs) => {
    const { lead, m, n } = dims(a!, b!, attrs);
    return { shape: [...lead, m, n], dtype: a!.dtype };
  },
  run: (call, inputs, attrs) => {
    launchProduct(call, inputs, attrs, false);
  },
  addTo: (call, inputs, attrs) => {
    launchProduct(call, inputs, attrs, true);
  },
  vjp: (g, { inputs, attrs: { transA, transB }, needs }) => {
    const [a, b] = inputs as [Tensor, Tensor];
    return [
      needs[0] ? (transA ? adjoint(b, g, transB, true, a.shape) : adjoint(g, b, false, !transB, a.shape)) : null,
      needs[1] ? (transB ? adjoint(g, a, true, transA, b.shape) : adjoint(a, g, !transA, false, b.shape)) : null,
    ];
  },
});

/**
 * Products of matrices that may be stored transposed. Rows of several matrices that meet one shared right-hand side are a single large
 * matrix, and so is the sum over a batch that its gradient needs.
 */
function product(a: Tensor, b: Tensor, transA: boolean, transB: boolean): Tensor {
  if (a.rank > 2 && b.rank === 2 && !transA) {
    const [rows, columns] = [a.shape[a.rank - 2]!, a.shape[a.rank - 1]!];
    const lead = a.shape.slice(0, -2);
    const flat = matmulOp([reshape(a, [sizeOf(lead) * rows, columns]), b], { transA, transB });
    return reshape(flat, [...lead, rows, flat.shape[1]!]);
  }
  return matmulOp([a, b], { transA, transB });
}

/** The product for an operand of the given shape. For a single matrix, of which a sum may want it, it is put off: weights meet many operands. */
const adjoint = (a: Tensor, b: Tensor, transA: boolean, transB: boolean, shape: Shape): Tensor | Deferred =>
  a.rank === 2 && b.rank === 2 && shape.length === 2
    ? matmulOp.later([a, b], { transA, transB })
    : sumTo(product(a, b, transA, transB), shape);

export function productDType(op: string, a: Tensor, b: Tensor): DType {
  const dtype = promote(a.dtype, b.dtype);
  if (dtype === 'bool') throw new DTypeError(op, 'operands are bool; cast them');
  return dtype;
}

/**
 * The matrix product over the last two axes; leading axes broadcast. A vector counts as a row on the left and as a column on the right,
 * and its axis is dropped from the result, as in NumPy. float32 sums are formed in float32.
 * @throws {ShapeError} when the inner axes differ. @throws {DTypeError} for bool.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkTensor('matmul', 'a', a);
  checkTensor('matmul', 'b', b);
  if (a.rank === 0 || b.rank === 0)
    throw new ShapeError(
      'matmul',
      `operands ${formatShape(a.shape)} and ${formatShape(b.shape)}: neither may be a scalar`,
    );
  const dtype = productDType('matmul', a, b);
  let left = cast(a.rank === 1 ? reshape(a, [1, a.size]) : a, dtype);
  let right = cast(b.rank === 1 ? reshape(b, [b.size, 1]) : b, dtype);
  const { k, kB } = dims(left, right, { transA: false, transB: false });
  if (k !== kB)
    throw new ShapeError('matmul', `inner axes differ: ${formatShape(a.shape)} times ${formatShape(b.shape)}`);
  if (left.rank > 2 || right.rank > 2) {
    const lead = broadcastShapes('matmul', left.shape.slice(0, -2), right.shape.slice(0, -2));
    if (left.rank > 2) left = broadcastTo(left, [...lead, ...left.shape.slice(-2)]);
    if (right.rank > 2) right = broadcastTo(right, [...lead, ...right.shape.slice(-2)]);
  }
  const result = product(left, right, false, false);
  const shape = result.shape.slice(0, -2);
  return reshape(result, [
    ...shape,
    ...(a.rank === 1 ? [] : [result.shape[result.rank - 2]!]),
    ...(b.rank === 1 ? [] : [result.shape[result.rank - 1]!]),
  ]);
}

/** @internal a b^T over the last two axes of two tensors of rank 2 or more and one float dtype, whose leading axes are the same. */
export const timesTransposed = (a: Tensor, b: Tensor): Tensor => product(a, b, false, true);

/** @internal a^T b of two matrices of one float dtype, [k, m] and [k, n], put off: see `adjoint`. */
export const transposedTimes = (a: Tensor, b: Tensor): Deferred =>
  matmulOp.later([a, b], { transA: true, transB: false });

/** x times the transpose of a weight stored as [out, in]: what linear layers do. x is [..., in], the result [..., out]. */
export function linear(x: Tensor, weight: Tensor): Tensor {
  checkTensor('linear', 'x', x);
  checkTensor('linear', 'weight', weight);
  checkTogether('linear', x, weight);
  const width = x.shape[x.rank - 1];
  if (x.rank === 0 || weight.rank !== 2 || weight.shape[1] !== width)
    throw new ShapeError(
      'linear',
      `x ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}: the weight must be [out, ${width ?? 'in'}]`,
    );
  const dtype = productDType('linear', x, weight);
  const lead = x.shape.slice(0, -1);
  const flat = matmulOp([reshape(cast(x, dtype), [sizeOf(lead), width!]), cast(weight, dtype)], {
    transA: false,
    transB: true,
  });
  return reshape(flat, [...lead, weight.shape[0]!]);
}
