import { arrayClass, BYTES, type DType, type TypedArray } from '../backend.js';
import { hostArray } from '../host-array.js';
import { heap } from './heap.js';

/** Elements on their way between the heap and ordinary arrays. */

/** Elements up to which they are copied one by one. */
const FEW = 8;

/** Elements from which on copying takes longer than preparing it. */
const MANY = 4096;

const isNode = typeof process !== 'undefined' && Boolean(process.versions?.node);

interface NodeBuffer {
  readonly buffer: ArrayBuffer;
  fill(pattern: Uint8Array): this;
}

interface NodeBuffers {
  allocUnsafeSlow(bytes: number): NodeBuffer;
  from(buffer: ArrayBufferLike, offset: number, bytes: number): NodeBuffer;
}

/** Node's; a page's own idea of Buffer would be slower. */
export const nodeBuffers = isNode ? (globalThis as { Buffer?: NodeBuffers }).Buffer : undefined;

/** An array for a result, of which every element is going to be written: large ones come without zeroes where that is possible. @throws {OutOfMemoryError} */
export function arrayForResult(dtype: DType, length: number): TypedArray {
  if (length < MANY || !nodeBuffers) return hostArray(dtype, length);
  try {
    return new (arrayClass(dtype))(nodeBuffers.allocUnsafeSlow(length * BYTES[dtype]).buffer);
  } catch {
    return hostArray(dtype, length); // which says what is wrong
  }
}

/** An array of its own with the elements at an address of the heap. */
export function copyOf(address: number, length: number, dtype: DType): TypedArray {
  if (dtype === 'float32' && length < MANY) return heap().f32.slice(address / 4, address / 4 + length);
  if (length < MANY || !nodeBuffers) return new (arrayClass(dtype))(heap().memory.buffer, address, length).slice();
  const array = arrayForResult(dtype, length);
  copyTo(array, address);
  return array;
}

/** Copies the elements at an address of the heap to an array. Node fills large ones with a pattern, here all of the data, by memcpy; `set` goes word by word. */
export function copyTo(array: TypedArray, address: number): void {
  const { buffer, byteOffset, byteLength, length } = array;
  if (length <= FEW) return copyFew(array, address);
  const data = heap().u8.subarray(address, address + byteLength);
  if (nodeBuffers && length >= MANY) nodeBuffers.from(buffer, byteOffset, byteLength).fill(data);
  else new Uint8Array(buffer, byteOffset, byteLength).set(data);
}

/** One by one: a view of them would take longer. */
function copyFew(array: TypedArray, address: number): void {
  const { f32, f64, i32, u8 } = heap();
  const { length } = array;
  if (array instanceof Float32Array) for (let i = 0, at = address / 4; i < length; i++) array[i] = f32[at + i]!;
  else if (array instanceof Float64Array) for (let i = 0, at = address / 8; i < length; i++) array[i] = f64[at + i]!;
  else if (array instanceof Int32Array) for (let i = 0, at = address / 4; i < length; i++) array[i] = i32[at + i]!;
  else {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = u8[address + i]!;
  }
}

/** Sets every element of a view to one value: Node's `fill` of a pattern doubles what is there, a view's own goes one by one where threads share memory. */
export function fillView(view: TypedArray, value: number): void {
  if (!nodeBuffers || view.byteLength < MANY_BYTES) {
    view.fill(value);
    return;
  }
  view[0] = value;
  nodeBuffers.from(view.buffer, view.byteOffset, view.byteLength).fill(new Uint8Array(view.slice(0, 1).buffer));
}

/** Copies an ordinary array to an address of the heap. */
export function write(address: number, data: TypedArray): void {
  if (data.length === 1 && data instanceof Float32Array)
    heap().f32[address / 4] = data[0]!; // scalars come often, and calling set() takes longer
  else writeAll(address, data);
}

/** Bytes from which on Node copies them to the heap sooner by `fill`: `set` goes word by word there, and byte by byte to where no word begins. */
const MANY_BYTES = 4096;

function writeAll(address: number, data: TypedArray): void {
  const { byteLength } = data;
  if (nodeBuffers && byteLength >= MANY_BYTES)
    nodeBuffers.from(heap().memory.buffer, address, byteLength).fill(bytesOf(data));
  else if (data instanceof Float32Array) heap().f32.set(data, address / 4);
  else if (data instanceof Int32Array) heap().i32.set(data, address / 4);
  else if (data instanceof Float64Array) heap().f64.set(data, address / 8);
  else heap().u8.set(bytesOf(data), address);
}

/** Only where it is needed: to ask a short array for its buffer makes one. */
const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
