import ndarray from 'ndarray';
import type { TypedArray } from '../backends/backend.js';
import { type Shape, contiguousStrides } from './shape.js';

/** Values nested in arrays, one level an axis. */
export type NestedArray = number | boolean | NestedArray[];

/** Row-major elements as nested arrays. */
export function nested(data: TypedArray, shape: Shape, asBoolean: boolean): NestedArray {
  const strides = contiguousStrides(shape);
  const build = (axis: number, offset: number): NestedArray => {
    if (axis === shape.length) return asBoolean ? data[offset] !== 0 : data[offset]!;
    return Array.from({ length: shape[axis]! }, (_, i) => build(axis + 1, offset + i * strides[axis]!));
  };
  return build(0, 0);
}

/** An ndarray over row-major elements, sharing them. */
export function ndarrayOf(data: TypedArray, shape: Shape): ndarray.NdArray<TypedArray> {
  return ndarray(data, [...shape]);
}

/** Whether a value is an ndarray (any strides), by its shape. */
export function isNdarray(value: unknown): value is ndarray.NdArray {
  return (
    typeof value === 'object' &&
    value !== null &&
    'data' in value &&
    'shape' in value &&
    'stride' in value &&
    'offset' in value
  );
}
