import type { NdArray } from 'ndarray';
import type { Backend, Buffer, DType, ReadUse, TypedArray } from '../backends/backend.js';
import { DeviceError, DTypeError, RecycledError, ShapeError } from '../errors.js';
import { fromBfloat16, fromHalf } from '../half.js';
import { ndarrayOf, type NestedArray, nested } from './interchange.js';
import { formatTensor } from './print.js';
import type { Region } from './region.js';
import { formatShape, type Shape, sizeOf } from './shape.js';

/** What a tensor knows of the tapes that trace it: a list, one entry for each transform around it, innermost first. */
export interface Trace {
  readonly tape: TraceOwner;
  /** The position of the tensor's node on that tape. */
  readonly id: number;
  readonly next: Trace | null;
}

/** The side of a tape that tensors see. */
export interface TraceOwner {
  readonly region: Region;
  /** False from the start of the backward pass on: nothing is added to the tape any more. */
  readonly recording: boolean;
}

/**
 * An immutable n-dimensional array: shape, dtype, device, contiguous row-major memory. Ops are methods (`x.add(y).mean()`) and
 * functions (`mean(add(x, y))`) alike; none of them changes or consumes its arguments.
 */
export class Tensor {
  /** @internal */
  readonly buffer: Buffer;
  /** @internal */
  readonly trace: Trace | null;
  /** @internal The op that made it, for messages. */
  readonly origin: string;
  readonly shape: Shape;
  readonly size: number;

  /** @internal Use `tensor()`, `zeros()` and the like. */
  constructor(buffer: Buffer, shape: Shape, trace: Trace | null, origin: string) {
    this.buffer = buffer;
    this.shape = shape;
    this.size = sizeOf(shape);
    this.trace = trace;
    this.origin = origin;
  }

  get dtype(): DType {
    return this.buffer.dtype;
  }

  /** The device that holds the data; `t.device.name` is 'cpu', 'metal' or 'webgpu'. */
  get device(): Backend {
    return this.buffer.backend;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** The elements, row-major, as a copy. bool gives bytes 0 and 1; float16 and bfloat16 give float32 values. */
  async data(): Promise<TypedArray> {
    const raw = await this.rawData();
    return widen(raw, this.dtype) ?? raw;
  }

  /** Like `data()`, at once. @throws {DeviceError} on a device that cannot; write `await t.data()` there. */
  dataSync(): TypedArray {
    const raw = this.rawDataSync('copy');
    return widen(raw, this.dtype) ?? raw;
  }

  /** The only element. @throws {ShapeError} if there is not exactly one. */
  async item(): Promise<number> {
    this.checkSingle();
    return (await this.data())[0]!;
  }

  /** Like `item()`, at once. */
  itemSync(): number {
    this.checkSingle();
    return this.glance()[0]!;
  }

  /**
   * Nested arrays of numbers, or of booleans for bool; a bare value for a scalar. TypeScript takes your word for how deep they are:
   * `await t.array<number[][]>()`.
   */
  async array<T extends NestedArray = NestedArray>(): Promise<T> {
    return nested(await this.data(), this.shape, this.dtype === 'bool') as T;
  }

  /** Like `array()`, at once: `t.arraySync<number[][]>()`. */
  arraySync<T extends NestedArray = NestedArray>(): T {
    return nested(this.glance(), this.shape, this.dtype === 'bool') as T;
  }

  /**
   * The data as an ndarray. A tensor in ordinary CPU memory shares it without a copy: treat it as read-only. float16 and bfloat16
   * give their bits.
   * @throws {TapegradError} in the build for browsers, which does without the package ndarray.
   */
  ndarray(): NdArray<TypedArray> {
    return ndarrayOf(this.rawDataSync('share'), this.shape);
  }

  /** @internal The elements as `dataSync()` gives them, to be looked at before anything else runs: not copied where they lie in host memory. */
  glance(): TypedArray {
    const raw = this.rawDataSync('view');
    return widen(raw, this.dtype) ?? raw;
  }

  /** @internal A copy of the bytes as stored. */
  async rawData(): Promise<TypedArray> {
    this.checkAlive('data');
    return this.device.read(this.buffer);
  }

  /** @internal The same at once, copied only if `use` wants it. */
  rawDataSync(use: ReadUse): TypedArray {
    this.checkAlive('dataSync');
    if (!this.device.readSync) {
      throw new DeviceError(
        'dataSync',
        `device '${this.device.name}' cannot be read synchronously; write 'await t.data()'`,
      );
    }
    return this.device.readSync(this.buffer, use);
  }

  /** @internal Refuses a tensor whose memory has been recycled. */
  checkAlive(op: string): void {
    const { alive, donatedTo, isDisposed } = this.buffer;
    if (alive) return;
    const what = `the ${this.dtype} tensor ${formatShape(this.shape)} that '${this.origin}' made`;
    if (donatedTo)
      throw new RecycledError(
        op,
        `${what} was donated to ${donatedTo}; go on with what that gave, or do not donate it`,
      );
    if (isDisposed)
      throw new RecycledError(
        op,
        `${what} was disposed of, or a tensor that shares its memory: by dispose(), or by 'using' at the end of a block; use it before, or a clone() of it`,
      );
    throw new RecycledError(
      op,
      `${what} was recycled when its transform, vjp or scope returned; ` +
        'return it from the function (as aux: { hasAux: true }), or read it there (tensor(await t.data()))',
    );
  }

  private checkSingle(): void {
    if (this.size !== 1)
      throw new ShapeError(
        'item',
        `the tensor has ${this.size} elements (shape ${formatShape(this.shape)}); it must have one`,
      );
  }

  /** Shape, dtype and values where they can be had without waiting. */
  toString(): string {
    return formatTensor(this);
  }

  /** For JSON.stringify: as `arraySync()`; JSON has null for NaN and infinities. @throws {DeviceError} on a device that cannot be read at once. */
  toJSON(): NestedArray {
    return this.arraySync();
  }

  /** The parts along the first axis, as `x.slice(i)` gives them. @throws {ShapeError} for a scalar. */
  *[Symbol.iterator](): Generator<Tensor, void, undefined> {
    if (this.rank === 0)
      throw new ShapeError('tensor', 'a scalar has no parts to go through; write x.itemSync() for the number in it');
    for (let i = 0; i < this.shape[0]!; i++) yield this.slice(i);
  }

  /** `${x}` is text, as toString() gives it. @throws {DTypeError} for x + 1, x > 0 and the like, which JavaScript cannot make ops of. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString();
    throw new DTypeError(
      'tensor',
      'a tensor is no number, and operators do not work on it: write x.add(y), x.greater(y) and so on, x.itemSync() for the number in it, `${x}` for text',
    );
  }

  /** Node prints this in the console. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return formatTensor(this);
  }
}

function widen(raw: TypedArray, dtype: DType): Float32Array | null {
  if (dtype !== 'float16' && dtype !== 'bfloat16') return null;
  const decode = dtype === 'float16' ? fromHalf : fromBfloat16;
  const wide = new Float32Array(raw.length);
  for (let i = 0; i < wide.length; i++) wide[i] = decode(raw[i]!);
  return wide;
}
