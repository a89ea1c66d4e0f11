import type { NdArray } from 'ndarray';
import type { TypedArray } from '../backends/backend.js';
import { copyStrided } from '../backends/strided.js';
import { TapegradError } from '../errors.js';
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

/** What goes in as an ndarray and comes out as one. */
export interface Interchange {
  /** An ndarray over row-major elements, sharing them. */
  wrap(data: TypedArray, shape: Shape): NdArray<TypedArray>;
  /** Writes an ndarray's elements (any strides) into a flat array, row by row. */
  assign(target: TypedArray, source: NdArray): void;
}

/** As far as it goes without the ndarray packages: reading needs nothing of them. */
let interchange: Interchange = {
  wrap: () => {
    throw new TapegradError(
      'ndarray',
      "there are no ndarrays in the browser's build, because the package ndarray compiles code from text; " +
        'where the page allows that, write ndarray(t.dataSync(), t.shape.slice()) with the package of your own',
    );
  },
  assign: assignElements,
};

/** `assign` without the ndarray packages. */
export function assignElements(target: TypedArray, { data, shape, stride, offset }: NdArray): void {
  copyStrided<number>(shape, data, { strides: stride, offset }, target, {
    strides: contiguousStrides(shape),
    offset: 0,
  });
}

/** Introduces the ndarray packages, or one of them. */
export function registerInterchange(by: Partial<Interchange>): void {
  interchange = { ...interchange, ...by };
}

/** An ndarray over row-major elements, sharing them. @throws {TapegradError} in the browser's build, and where the package cannot be loaded. */
export const ndarrayOf = (data: TypedArray, shape: Shape): NdArray<TypedArray> => interchange.wrap(data, shape);

/** The elements of an ndarray (any strides) into a flat array, row by row. */
export function assignNdarray(target: TypedArray, source: NdArray): void {
  interchange.assign(target, source);
}

/** Whether a value is an ndarray (any strides), by its shape. */
export function isNdarray(value: unknown): value is NdArray {
  return (
    typeof value === 'object' &&
    value !== null &&
    'data' in value &&
    'shape' in value &&
    'stride' in value &&
    'offset' in value
  );
}
