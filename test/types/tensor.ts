import ndarray from 'ndarray';
import {
  add,
  type Backend,
  concat,
  device,
  type DType,
  matmul,
  random,
  type Random,
  type Shape,
  split,
  tensor,
  Tensor,
  type TypedArray,
  where,
} from 'tapegrad';
import * as ops from '../../src/ops/index.js';
import { check, type Same } from './expect.js';

declare const x: Tensor;
declare const anything: unknown;

// Facts about a tensor, and reading it
check<Same<typeof x.shape, Shape>>();
check<Same<typeof x.dtype, DType>>();
check<Same<typeof x.device, Backend>>();
check<Same<typeof x.size, number>>();
check<Same<ReturnType<typeof x.data>, Promise<TypedArray>>>();
check<Same<ReturnType<typeof x.dataSync>, TypedArray>>();
check<Same<ReturnType<typeof x.item>, Promise<number>>>();
check<Same<ReturnType<typeof x.itemSync>, number>>();
check<Same<ReturnType<typeof device>, Promise<Backend>>>();
check<Same<ReturnType<typeof random>, Random>>();

// What tensor() takes
tensor(1);
tensor(true);
tensor([
  [1, 2],
  [3, 4],
] as const);
tensor([true, [false]]);
tensor(new BigInt64Array(2), { dtype: 'int32', shape: [2, 1] });
tensor(ndarray(new Float32Array(4), [2, 2]));

// Methods are the functions, with the tensor as their first argument.
type Methods = {
  [K in keyof Tensor & keyof typeof ops]: Tensor[K] extends (...rest: infer Rest) => infer Result
    ? [Rest, Result]
    : never;
};
type Functions = {
  [K in keyof Methods]: (typeof ops)[K] extends (self: infer _Self, ...rest: infer Rest) => infer Result
    ? [Rest, Result]
    : never;
};
type Reordered = 'where' | 'concat' | 'stack';
check<Same<Omit<Methods, Reordered>, Omit<Functions, Reordered>>>();

const y: Tensor = x
  .add(1)
  .sub([1, 2])
  .mul(x)
  .div(2)
  .exp()
  .sum(0, { keepDims: true })
  .reshape([-1])
  .slice([0, 2], null, -1)
  .softmax()
  .argmax();
const parts: Tensor[] = x.split(3, -1);
const joined: Tensor = concat(split(x, [1, 2]), 1);

if (anything instanceof Tensor) check<Same<typeof anything, Tensor>>();

// What must not compile
// @ts-expect-error shapes are read-only
x.shape[0] = 3;
// @ts-expect-error tensors are immutable
x.dtype = 'int32';
// @ts-expect-error no such dtype
x.cast('float8');
// @ts-expect-error text is no operand
x.add('1');
// @ts-expect-error reading later gives a promise
x.item().toFixed();
// @ts-expect-error matmul takes tensors
matmul(x, [[1]]);
// @ts-expect-error a sum's axes are numbers
x.sum('0');
// @ts-expect-error an operand is missing
add(x);
// @ts-expect-error options by name
x.variance(0, true);
// @ts-expect-error of reductions as well
x.mean(0, true);
// @ts-expect-error strings are not data
tensor([['a']]);
// @ts-expect-error null is not data
tensor(null);

export { joined, parts, y };
