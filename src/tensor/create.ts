import type { NdArray } from 'ndarray';
import type { Backend, DType, TypedArray } from '../backends/backend.js';
import { hostArray } from '../backends/host-array.js';
import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { checkNumber, checkOptions, checkTensor, describe, nameOf } from './arguments.js';
import { checkDevice, currentRegion, defaultDevice, hostBackend, pendingRegionOf } from './device.js';
import type { Region } from './region.js';
import { checkDType } from './dtype.js';
import { toBfloat16, toHalf } from '../half.js';
import { assignNdarray, isNdarray } from './interchange.js';
import { checkShape, formatShape, MOST_AXES, type Shape, sizeOf } from './shape.js';
import { Tensor } from './tensor.js';

/** Numbers or booleans nested in arrays to any depth. */
type NestedNumbers = number | boolean | readonly NestedNumbers[];

/** Any typed array of numbers or big integers. */
type AnyTypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** What `tensor()` takes. */
export type TensorData = NestedNumbers | AnyTypedArray | NdArray;

/** What ops take in a tensor's place: a tensor, or data that `tensor()` would make into one. */
export type TensorLike = Tensor | TensorData;

/** Where a new tensor lives. */
export interface DeviceOptions {
  /** A device as `await device(name)` gives it; by default the one that `setDefaultDevice` was given, the CPU at first. */
  device?: Backend | undefined;
}

/** What a new tensor is made of, and where. */
export interface CreateOptions extends DeviceOptions {
  /** Element type; float32 by default. */
  dtype?: DType | undefined;
}

/** No options given; small tensors are made so often that checking nothing counts. */
const NONE: CreateOptions = {};

export interface TensorOptions extends DeviceOptions {
  /** Element type; by default float32 for plain numbers, bool for booleans, and the array's own for typed arrays and ndarrays (integers of any width become int32). */
  dtype?: DType | undefined;
  /** Shape; by default the nesting, or one axis for a typed array. */
  shape?: Shape | undefined;
}

/**
 * Makes a tensor from nested arrays, a typed array or an ndarray (any strides). The data is copied.
 *
 * ```ts
 * tensor([[1, 2], [3, 4]]);
 * tensor(new Float64Array(6), { shape: [2, 3] });
 * tensor([1, 2], { dtype: 'int32', device: await device('metal') });
 * ```
 * @throws {ShapeError} for ragged nesting or a shape of another size.
 * @throws {ValueError} for a value that the dtype cannot hold (a fraction or a too large integer in int32), and for unknown options.
 * @throws {DTypeError} for a dtype that there is not, or that the device does not have.
 */
export function tensor(data: TensorData, options: TensorOptions = NONE): Tensor {
  checkCreation('tensor', options, ['dtype', 'shape', 'device']);
  const { device } = options;
  const { values, shape, dtype } = valuesOf(data, options);
  return settle('tensor', values, shape, dtype, device);
}

/** @internal Data in a tensor's place: a tensor on the host. */
export function hostTensor(data: TensorData, options: TensorOptions = {}): Tensor {
  const { values, shape, dtype } = valuesOf(data, options);
  return fromTypedArray(values, shape, dtype);
}

interface Stored {
  values: TypedArray;
  shape: Shape;
  dtype: DType;
}

function valuesOf(data: TensorData, options: TensorOptions): Stored {
  const source = flatten(data);
  const { shape = source.shape } = options;
  checkShape('tensor', shape);
  if (sizeOf(shape) !== source.values.length) {
    throw new ShapeError(
      'tensor',
      `shape ${formatShape(shape)} holds ${sizeOf(shape)} elements, the data has ${source.values.length}`,
    );
  }
  const dtype = options.dtype ?? source.dtype;
  return { values: convert(source.values, dtype), shape, dtype };
}

/** @internal A tensor that takes over a typed array already in its dtype; on the host unless told otherwise. */
export function fromTypedArray(
  data: TypedArray,
  shape: Shape,
  dtype: DType,
  origin = 'tensor',
  device = hostBackend(),
): Tensor {
  return new Tensor(device.upload(dtype, data), [...shape], null, origin);
}

/** @internal A tensor that a user has asked for: on the device asked for, or the default one. */
export function settle(op: string, data: TypedArray, shape: Shape, dtype: DType, device = defaultDevice()): Tensor {
  if (!device.supports(dtype))
    throw new DTypeError(op, `device '${device.name}' has no ${dtype}; choose another dtype or device in the options`);
  return fromTypedArray(data, shape, dtype, op, device);
}

/** @internal Checks the options of a function that makes tensors; the dtype was a positional argument once. */
export function checkCreation(
  op: string,
  options: CreateOptions,
  names: readonly string[] = ['dtype', 'device'],
): void {
  if (options === NONE) return;
  if (typeof options === 'string')
    throw new ValueError(op, `the options are the text ${describe(options)}; write { dtype: ${describe(options)} }`);
  checkOptions(op, options, names);
  if (options.dtype !== undefined) checkDType(op, options.dtype);
  if (options.device !== undefined) checkDevice(op, options.device);
}

/**
 * A tensor of zeros.
 *
 * ```ts
 * zeros([2, 3]);
 * zeros([2, 3], { dtype: 'int32' });
 * ```
 */
export const zeros = (shape: Shape, options: CreateOptions = NONE): Tensor => filled('zeros', shape, 0, options);

/** A tensor of ones. */
export const ones = (shape: Shape, options: CreateOptions = NONE): Tensor => filled('ones', shape, 1, options);

/** A tensor of one value: float32 of a number, bool of a truth value. @throws {ValueError} for a value that the dtype cannot hold */
export const full = (shape: Shape, value: number | boolean, options: CreateOptions = NONE): Tensor =>
  filled('full', shape, value, options);

function filled(op: string, shape: Shape, value: number | boolean, options: CreateOptions): Tensor {
  checkShape(op, shape);
  if (typeof value !== 'boolean') checkNumber(op, 'the value', value);
  checkCreation(op, options);
  const dtype = options.dtype ?? (typeof value === 'boolean' ? 'bool' : 'float32');
  return fill(op, shape, Number(value), dtype, options.device);
}

function fill(op: string, shape: Shape, value: number, dtype: DType, device?: Backend): Tensor {
  const data = hostArray(dtype, sizeOf(shape));
  if (data instanceof Float32Array) data.fill(value);
  else if (!Object.is(value, 0)) data.fill(convert([value], dtype, op)[0]!);
  return settle(op, data, shape, dtype, device);
}

/** Zeros in the shape of another tensor, and in its dtype and on its device unless told otherwise. */
export const zerosLike = (t: Tensor, options: CreateOptions = NONE): Tensor => filledLike('zerosLike', t, 0, options);

/** Ones in the shape of another tensor, and in its dtype and on its device unless told otherwise. */
export const onesLike = (t: Tensor, options: CreateOptions = NONE): Tensor => filledLike('onesLike', t, 1, options);

function filledLike(op: string, t: Tensor, value: number, options: CreateOptions): Tensor {
  checkTensor(op, 't', t);
  checkCreation(op, options);
  return fill(op, t.shape, value, options.dtype ?? t.dtype, options.device ?? t.device);
}

/** @internal A host tensor on the device of another one, untraced. */
export function moveTo(made: Tensor, beside: { readonly device: Backend }): Tensor {
  if (made.device === beside.device) return made;
  return new Tensor(beside.device.upload(made.dtype, made.rawDataSync('view')), made.shape, null, made.origin);
}

/** @internal The same for an operand that no user gets to see: it lies with what the op computes, and is recycled with that. */
export function lendTo(made: Tensor, beside: { readonly device: Backend }, region = regionBeside(beside)): Tensor {
  const { device } = beside;
  if (made.device === device) return made;
  const arena = region?.on(device) ?? null;
  return new Tensor(device.upload(made.dtype, made.rawDataSync('view'), arena), made.shape, null, made.origin);
}

const regionBeside = (beside: object): Region | null =>
  currentRegion() ?? (beside instanceof Tensor ? pendingRegionOf(beside.buffer) : null);

interface Flat {
  values: ArrayLike<number | bigint>;
  shape: Shape;
  dtype: DType;
}

function flatten(data: TensorData): Flat {
  if (typeof data === 'number') return { values: [data], shape: [], dtype: 'float32' };
  if (typeof data === 'boolean') return { values: [Number(data)], shape: [], dtype: 'bool' };
  if (ArrayBuffer.isView(data)) return { dtype: dtypeOf(data), values: data, shape: [data.length] };
  if (isNdarray(data)) {
    if (!ArrayBuffer.isView(data.data))
      return { ...flatten(strided(data, new Float64Array(sizeOf(data.shape)))), dtype: 'float32', shape: data.shape };
    return {
      values: strided(data, new (data.data.constructor as new (length: number) => AnyTypedArray)(sizeOf(data.shape))),
      shape: data.shape,
      dtype: dtypeOf(data.data),
    };
  }
  if (data instanceof Tensor)
    throw new DTypeError(
      'tensor',
      'the data is a tensor already; write x.clone() for a copy, x.cast(dtype), x.to(device)',
    );
  if (!Array.isArray(data))
    throw new DTypeError(
      'tensor',
      `cannot make a tensor of ${nameOf(data)}; it takes numbers, booleans, nested arrays, typed arrays and ndarrays`,
    );
  return flattenNested(data as readonly NestedNumbers[]);
}

function strided<A extends AnyTypedArray>(source: NdArray, target: A): A {
  assignNdarray(target as TypedArray, source);
  return target;
}

function flattenNested(data: readonly NestedNumbers[]): Flat {
  const shape: number[] = [];
  for (
    let level: NestedNumbers | undefined = data;
    Array.isArray(level);
    level = level[0] as NestedNumbers | undefined
  ) {
    shape.push(level.length);
    if (shape.length > MOST_AXES)
      throw new ShapeError('tensor', `the data is nested more than ${MOST_AXES} levels deep, or holds itself`);
  }
  const values: number[] = [];
  let booleans = 0;
  const visit = (value: NestedNumbers, axis: number): void => {
    if (Array.isArray(value)) {
      if (value.length !== shape[axis])
        throw new ShapeError(
          'tensor',
          `ragged data: an array of length ${value.length} at depth ${axis}, where its neighbour gives shape ${formatShape(shape)}`,
        );
      for (const inner of value as readonly NestedNumbers[]) visit(inner, axis + 1);
    } else {
      if (axis !== shape.length)
        throw new ShapeError(
          'tensor',
          `ragged data: a value at depth ${axis}, where its neighbours give shape ${formatShape(shape)}`,
        );
      if (typeof value !== 'number' && typeof value !== 'boolean')
        throw new DTypeError(
          'tensor',
          `the data holds ${nameOf(value)}${adviceOn(value)}; it takes numbers and booleans nested in arrays`,
        );
      if (typeof value === 'boolean') booleans++;
      values.push(Number(value));
    }
  };
  visit(data, 0);
  return { values, shape, dtype: booleans > 0 && booleans === values.length ? 'bool' : 'float32' };
}

function adviceOn(value: unknown): string {
  if (value instanceof Tensor) return ' (put tensors together with stack())';
  return ArrayBuffer.isView(value) ? ' (one of them makes a tensor, with { shape })' : '';
}

const FLOATS: Readonly<Record<string, DType>> = {
  Float16Array: 'float16',
  Float32Array: 'float32',
  Float64Array: 'float64',
};

function dtypeOf(data: ArrayBufferView): DType {
  const name = (data as ArrayBufferView & { [Symbol.toStringTag]: string })[Symbol.toStringTag]; // of another realm's arrays as well
  if (name === 'DataView')
    throw new DTypeError(
      'tensor',
      'cannot make a tensor of a DataView, which has no element type; wrap its buffer in a typed array',
    );
  return FLOATS[name] ?? 'int32';
}

/** Values as stored in a dtype; what the dtype cannot hold is refused. */
export function convert(values: ArrayLike<number | bigint>, dtype: DType, op = 'tensor'): TypedArray {
  checkDType(op, dtype);
  const out = hostArray(dtype, values.length);
  if (dtype === 'int32' && values instanceof Int32Array) {
    out.set(values);
  } else if (dtype === 'int32') {
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i]);
      if (value !== (value | 0))
        throw new ValueError(op, `element ${i} is ${value}; int32 holds whole numbers in [-2^31, 2^31)`);
      out[i] = value;
    }
  } else if (dtype === 'float32' || dtype === 'float64') {
    if (ArrayBuffer.isView(values) && typeof values[0] === 'number') out.set(values as ArrayLike<number>);
    else for (let i = 0; i < values.length; i++) out[i] = Number(values[i]);
  } else {
    const encode =
      dtype === 'bool' ? (value: number) => (value !== 0 ? 1 : 0) : dtype === 'float16' ? toHalf : toBfloat16;
    for (let i = 0; i < values.length; i++) out[i] = encode(Number(values[i]));
  }
  return out;
}
