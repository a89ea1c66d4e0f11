import { onBehalfOf } from '../tensor/arguments.js';
import { defineMultiOp } from '../autograd/op.js';
import type { DType } from '../backends/backend.js';
import type { ElementwiseCode, Kernel } from '../backends/kernel.js';
import { DTypeError } from '../errors.js';
import { fromTypedArray, lendTo, hostTensor, type TensorLike } from '../tensor/create.js';
import { defaultDevice, hostBackend } from '../tensor/device.js';
import { isFloat, promote, scalarDType, toFloat } from '../tensor/dtype.js';
import { broadcastShapes, sameShape, type Shape, sizeOf } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { broadcastStrides, sumTo } from './broadcast.js';
import { cast } from './cast.js';
import { mergeAxes } from './movement/copy.js';

/** How the formulas of src/ops/elementwise.ts become ops: the code names the kernel, broadcasting and dtypes are the same for all. */
interface Formula {
  /** The computation, in the notation of src/backends/expression.ts. Every device's kernel is made from it. */
  readonly code: string;
  /** 'same': the operands' dtype (the default); 'float': integers become float32 first; 'bool': a truth value. */
  readonly result?: 'same' | 'float' | 'bool';
  /** What each operand holds; truth values are seen by the code as 0 and 1. Numbers when left out. */
  readonly operands?: readonly ('number' | 'bool')[];
  /**
   * Set by comparisons: how a fraction on the right of whole numbers is rounded without changing the answer, or that it equals none. So
   * integers are compared with any number exactly.
   */
  readonly fractions?: 'down' | 'up' | 'differ';
}

/** The formulas by name, for the kernels' generator and the test suites. */
export const formulas = new Map<string, Formula & { readonly arity: 1 | 2 | 3 }>();

const NAMES = ['x', 'y', 'z'] as const;
const PARAMS = {
  size: 'u32',
  rank: 'u32',
  shape: 'u32x8',
  xStrides: 'i32x8',
  yStrides: 'i32x8',
  zStrides: 'i32x8',
} as const;
const ONE = [1];
const ZERO = [0];

/** The cotangent of one operand, before it is summed down to the operand's shape. */
type Partial = (g: Tensor, inputs: readonly Tensor[], output: Tensor) => Tensor | null;

/** Applies an op, over the memory of its first operand where that is said to be given up; to a shape that the operands broadcast to, where one is given. */
type Apply = (inputs: readonly Tensor[], givenUp?: readonly boolean[] | null, shape?: Shape) => Tensor;

/** The ops by name. */
const applies = new Map<string, Apply>();

const FIRST = [true, false, false];

/**
 * @internal An op on two tensors whose result takes the place of the first one, where that is no larger and its memory allows it: a tensor that the caller has
 * just computed, that nobody else has seen, and that its own op's vjp does not read. It is dead then.
 */
export function over(name: string, a: Tensor, b: Tensor): Tensor {
  const inputs = prepare(name, formulas.get(name)!, [a, b]);
  const fits =
    inputs[0] === a &&
    sameShape(broadcastShapes(name, a.shape, b.shape), a.shape) &&
    a.device.isRewritable?.(a.buffer) === true;
  return applies.get(name)!(inputs, fits ? FIRST : undefined);
}

/** @internal An op on a tensor and a number, stretched to a shape: in one launch what an op and `broadcastTo` take two for. */
export const onto = (name: string, a: Tensor, b: number, shape: Shape): Tensor =>
  applies.get(name)!(prepare(name, formulas.get(name)!, [a, b]), null, shape);

function define(
  name: string,
  arity: 1 | 2 | 3,
  formula: Formula,
  partials?: readonly (Partial | null)[],
  readsResult = true,
): Apply {
  formulas.set(name, { ...formula, arity });
  const elementwise: ElementwiseCode = {
    code: formula.code,
    arity,
    result: formula.result === 'bool' ? 'bool' : 'number',
    operands: formula.operands ?? NAMES.slice(0, arity).map(() => 'number'),
  };
  const kernel: Kernel = {
    name,
    family: 'elementwise',
    inputs: NAMES.slice(0, arity),
    outputs: ['out'],
    params: PARAMS,
    elementwise,
  };
  const dtypeOf = (inputs: readonly Tensor[]): DType =>
    formula.result === 'bool' ? 'bool' : inputs[inputs.length - 1]!.dtype;
  const op = defineMultiOp<Shape | null>({
    name,
    rewrites: [0],
    infer: (inputs, stretched) => ({
      shape:
        stretched ?? (inputs.length === 1 ? inputs[0]!.shape : broadcastShapes(name, ...inputs.map((t) => t.shape))),
      dtype: dtypeOf(inputs),
    }),
    run: (call, inputs, _attrs, [result]) => {
      const params = launchParams(name, result!.shape, inputs);
      call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params, grid: params.size });
    },
    // Without partials it is a step function: its derivative is known, and 0. A truth value has none.
    ...(formula.result !== 'bool' && {
      readsResult,
      vjp: (g, { inputs, output, needs }) =>
        inputs.map((input, i) => {
          const part = needs[i] ? partials?.[i]?.(g, inputs, output) : null;
          return part ? sumTo(part, input.shape) : null;
        }),
    }),
  });
  const apply: Apply = (inputs, givenUp, shape) => op(inputs, shape ?? null, givenUp)[0]!;
  applies.set(name, apply);
  return apply;
}

function launchParams(
  op: string,
  shape: Shape,
  inputs: readonly Tensor[],
): {
  size: number;
  rank: number;
  shape: readonly number[];
  xStrides: readonly number[];
  yStrides: readonly number[];
  zStrides: readonly number[];
} {
  const size = sizeOf(shape);
  if (inputs.every((t) => t.size === size || t.size === 1)) {
    const stride = (i: number): readonly number[] => (inputs[i]?.size === size ? ONE : ZERO);
    return { size, rank: 1, shape: [size], xStrides: stride(0), yStrides: stride(1), zStrides: stride(2) };
  }
  const merged = mergeAxes(
    op,
    shape,
    inputs.map((t) => broadcastStrides(t.shape, shape)),
  );
  return {
    size,
    rank: merged.shape.length,
    shape: merged.shape,
    xStrides: merged.strides[0]!,
    yStrides: merged.strides[1] ?? ZERO,
    zStrides: merged.strides[2] ?? ZERO,
  };
}

/** An op on one tensor. The derivative: `vjp(cotangent, x, result)`. */
export function unary(
  name: string,
  formula: Formula & { vjp?: (g: Tensor, x: Tensor, y: Tensor) => Tensor },
): (x: TensorLike) => Tensor {
  const { vjp, ...rest } = formula;
  const op = define(name, 1, rest, vjp && [(g, [x], y) => vjp(g, x!, y)], (vjp?.length ?? 0) > 2);
  return (x) => op(prepare(name, formula, [x]));
}

/** An op on two tensors, broadcasting. The derivatives: one for each operand, or null where there is none. */
export function binary(
  name: string,
  formula: Formula & { vjp?: readonly ((g: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor)[] },
): (a: TensorLike, b: TensorLike) => Tensor {
  const { vjp, ...rest } = formula;
  const op = define(
    name,
    2,
    rest,
    vjp?.map(
      (part) =>
        (g, [a, b], y) =>
          part(g, a!, b!, y),
    ),
    vjp?.some((part) => part.length > 3),
  );
  return (a, b) => op(prepare(name, formula, [a, b]));
}

/** An op on three tensors, broadcasting. */
export function ternary(
  name: string,
  formula: Formula & { vjp?: readonly (((g: Tensor, a: Tensor, b: Tensor, c: Tensor) => Tensor) | null)[] },
): (a: TensorLike, b: TensorLike, c: TensorLike) => Tensor {
  const { vjp, ...rest } = formula;
  const op = define(
    name,
    3,
    rest,
    vjp?.map((part) => part && ((g, [a, b, c]) => part(g, a!, b!, c!))),
    false,
  );
  return (a, b, c) => op(prepare(name, formula, [a, b, c]));
}

/** Whether all are float32 tensors: what derivatives call ops with, and most programs. */
function areFloat32(operands: readonly TensorLike[]): operands is readonly Tensor[] {
  for (const operand of operands) if (!(operand instanceof Tensor) || operand.dtype !== 'float32') return false;
  return true;
}

/** Operands as tensors of the dtype that the op computes in. */
function prepare(op: string, formula: Formula, given: readonly TensorLike[]): readonly Tensor[] {
  if (!formula.operands && areFloat32(given)) return given;
  const operands = formula.fractions ? comparable(formula.fractions, given) : given;
  const beside = operands.find((operand): operand is Tensor => operand instanceof Tensor);
  const isNumber = (i: number): boolean => formula.operands?.[i] !== 'bool';
  let dtype: DType | null = null;
  const meet = (t: Tensor): void => {
    dtype = dtype ? promote(dtype, t.dtype) : t.dtype;
  };
  operands.forEach((operand, i) => {
    if (!(operand instanceof Tensor)) return;
    if (!operand.buffer.alive) operand.checkAlive(op);
    if (isNumber(i)) meet(operand);
  });
  // Plain lists of numbers are weak, as single numbers are: they take the dtype of the tensors beside them where it can hold them.
  const isWeak = (operand: TensorLike): boolean =>
    typeof operand === 'number' || (Array.isArray(operand) && dtype !== null && isFloat(dtype));
  const exact = formula.fractions && beside?.device.supports('float64') ? 'float64' : undefined;
  const met = operands.map((operand, i) => {
    if (operand instanceof Tensor || (isNumber(i) && isWeak(operand)) || typeof operand === 'number') return operand;
    const made = toTensor(op, i, operand, beside, Array.isArray(operand) ? exact : undefined);
    if (isNumber(i)) meet(made);
    return made;
  });
  const settled = met.reduce<DType | null>((found, operand, i) => {
    if (typeof operand !== 'number' || !isNumber(i)) return found;
    return found ? promote(found, scalarDType(operand, found)) : 'float32';
  }, dtype);
  const computed =
    settled &&
    (formula.result === 'float'
      ? toFloat(settled)
      : settled === 'bool' && formula.result !== 'bool' && !formula.operands
        ? 'int32'
        : settled);
  // float32 would round integers before they are compared.
  const comparesIntegers = exact && isFloat(settled!) && met.some((t) => t instanceof Tensor && t.dtype === 'int32');
  return met.map((operand, i) => {
    const want = comparesIntegers ? exact : isNumber(i) ? computed! : 'bool';
    const t = operand instanceof Tensor ? operand : toTensor(op, i, operand, beside, want);
    if (t.dtype === want) return t;
    if (want === 'bool' && isFloat(t.dtype) && op !== 'where')
      throw new DTypeError(op, `operand ${i} is ${t.dtype}; it must be bool or int32 (compare it: x.notEqual(0))`);
    return cast(t, want);
  });
}

/**
 * A number beside whole ones as one that compares with them in the same way: an integer, or an infinite one beyond int32. float32 would
 * round both it and them.
 */
function comparable(
  fractions: NonNullable<Formula['fractions']>,
  operands: readonly TensorLike[],
): readonly TensorLike[] {
  const [left, right] = operands;
  const at = typeof left === 'number' ? 0 : 1;
  const [value, other] = at === 0 ? [left, right] : [right, left];
  if (typeof value !== 'number' || !(other instanceof Tensor) || isFloat(other.dtype)) return operands;
  const nearest = (): number =>
    fractions === 'differ' ? NaN : (fractions === 'down') === (at === 1) ? Math.floor(value) : Math.ceil(value);
  const same =
    value < -(2 ** 31) ? -Infinity : value > 2 ** 31 - 1 ? Infinity : Number.isInteger(value) ? value : nearest();
  return at === 0 ? [same, other] : [other, same];
}

function toTensor(
  op: string,
  i: number,
  data: Exclude<TensorLike, Tensor>,
  beside: Tensor | undefined,
  dtype?: DType,
): Tensor {
  if (typeof data === 'number' && dtype === 'float32' && beside?.device === hostBackend())
    return fromTypedArray(new Float32Array([data]), [], dtype);
  const made = onBehalfOf(op, `operand ${i}`, () => hostTensor(data, { dtype }));
  return lendTo(made, beside ?? { device: defaultDevice() });
}
