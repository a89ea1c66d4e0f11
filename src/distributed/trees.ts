import { arrayClass, BYTES, type DType } from '../backends/backend.js';
import { DTypeError, GradientError } from '../errors.js';
import { toBfloat16, toHalf } from '../half.js';
import { fromTypedArray, moveTo } from '../tensor/create.js';
import { formatShape, type Shape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { replaceTensors } from '../tensor/tree.js';

export interface Leaf {
  readonly tensor: Tensor;
  /** `.layers[0].weight`; empty for a bare tensor. */
  readonly path: string;
}

/**
 * The tensors of a tree.
 * @throws {GradientError} for one that is being differentiated: what comes back from other ranks would be a constant.
 */
export function leavesOf(op: string, tree: unknown): Leaf[] {
  const leaves: Leaf[] = [];
  replaceTensors(tree, (tensor, path) => {
    for (let trace = tensor.trace; trace; trace = trace.next)
      if (trace.tape.recording)
        throw new GradientError(
          op,
          `the tensor${place(path)} is being differentiated, and no gradient passes through other ranks; ` +
            `call it outside of grad, on the gradients`,
        );
    tensor.checkAlive(op);
    leaves.push({ tensor, path });
  });
  return leaves;
}

/** A tree with its tensors replaced by others, in order. */
export function withTensors<T>(tree: T, tensors: readonly Tensor[]): T {
  let i = 0;
  return replaceTensors(tree, () => tensors[i++]);
}

const place = (path: string): string => (path === '' ? '' : ` at ${path}`);

/** Lines of a call's text. */
export const linesOf = (leaves: readonly Leaf[]): string[] =>
  leaves.map(({ tensor, path }) => `${path === '' ? 'the tensor' : path} ${tensor.dtype}${formatShape(tensor.shape)}`);

export const countText = (leaves: readonly Leaf[]): string =>
  `${leaves.length} ${leaves.length === 1 ? 'tensor' : 'tensors'}`;

/** The type in which MPI computes with a dtype. It has no 16-bit floats, and no maximum of bytes. */
const COMPUTED_AS = {
  float32: 'float32',
  float16: 'float32',
  bfloat16: 'float32',
  float64: 'float64',
  int32: 'int32',
  bool: 'int32',
} as const satisfies Record<DType, DType>;
type Computed = (typeof COMPUTED_AS)[DType];

type Numbers = Float32Array | Float64Array | Int32Array;

/** @throws {DTypeError} for a tensor of a dtype that is not among the allowed ones. */
export function checkDTypes(
  op: string,
  leaves: readonly Leaf[],
  allowed: (dtype: DType) => boolean,
  why: string,
): void {
  for (const { tensor, path } of leaves)
    if (!allowed(tensor.dtype)) throw new DTypeError(op, `the tensor${place(path)} is ${tensor.dtype}; ${why}`);
}

/**
 * The numbers of many tensors behind one another, in one array for each type that MPI computes in, each with one number more at its end.
 */
export class NumberPack {
  private constructor(
    private readonly leaves: readonly Leaf[],
    private readonly offsets: readonly number[],
    private readonly byType: ReadonlyMap<Computed, Numbers>,
  ) {}

  /** @param change what to do with every number on the way; null leaves zeros in their place. */
  static async of(
    leaves: readonly Leaf[],
    change: ((value: number) => number) | null | undefined,
  ): Promise<NumberPack> {
    const lengths = new Map<Computed, number>();
    const offsets = leaves.map(({ tensor }) => {
      const type = COMPUTED_AS[tensor.dtype];
      const at = lengths.get(type) ?? 0;
      lengths.set(type, at + tensor.size);
      return at;
    });
    const byType = new Map(
      [...lengths].map(([type, length]): [Computed, Numbers] => [type, new (arrayClass(type))(length + 1) as Numbers]),
    );
    const pack = new NumberPack(leaves, offsets, byType);
    if (change === null) return pack;
    for (const [i, { tensor }] of leaves.entries()) {
      const values = tensor.device.readSync ? tensor.glance() : await tensor.data();
      const place = pack.placeOf(i);
      if (change === undefined) place.set(values);
      else for (let k = 0; k < values.length; k++) place[k] = change(values[k]!);
    }
    return pack;
  }

  get arrays(): Iterable<Numbers> {
    return this.byType.values();
  }

  /** The tensors of the numbers there are now, divided by the number at the end of their array where that is wanted. */
  tensors(origin: string, divide: boolean): Tensor[] {
    return this.leaves.map(({ tensor }, i) => {
      const numbers = this.placeOf(i);
      const divisor = divide ? this.arrayOf(i).at(-1)! : 1;
      const data = new (arrayClass(tensor.dtype))(tensor.size);
      // Without any weight at all the numbers are zeros, and so is the mean.
      const convert = { float16: toHalf, bfloat16: toBfloat16 }[tensor.dtype as string];
      if (!convert && (divisor === 1 || divisor === 0)) data.set(numbers);
      else
        for (let k = 0; k < data.length; k++) {
          const value = divisor === 0 ? numbers[k]! : numbers[k]! / divisor;
          data[k] = convert ? convert(value) : value;
        }
      return moveTo(fromTypedArray(data, tensor.shape, tensor.dtype, origin), tensor);
    });
  }

  private arrayOf(leaf: number): Numbers {
    return this.byType.get(COMPUTED_AS[this.leaves[leaf]!.tensor.dtype])!;
  }

  private placeOf(leaf: number): Numbers {
    const at = this.offsets[leaf]!;
    return this.arrayOf(leaf).subarray(at, at + this.leaves[leaf]!.tensor.size);
  }
}

/** The bytes of many tensors behind one another, as they are stored. */
export async function bytesOf(leaves: readonly Leaf[]): Promise<Uint8Array> {
  const bytes = new Uint8Array(leaves.reduce((sum, { tensor }) => sum + tensor.size * BYTES[tensor.dtype], 0));
  let at = 0;
  for (const { tensor } of leaves) {
    const raw = tensor.device.readSync ? tensor.rawDataSync('view') : await tensor.rawData();
    bytes.set(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength), at);
    at += raw.byteLength;
  }
  return bytes;
}

/** A tensor like another one, possibly of another shape, from bytes as they are stored. */
export function tensorFrom(bytes: Uint8Array, like: Tensor, shape: Shape, origin: string): Tensor {
  const own = bytes.slice(); // at offset 0 of memory of its own
  return moveTo(fromTypedArray(new (arrayClass(like.dtype))(own.buffer), shape, like.dtype, origin), like);
}

/** `bytesOf`, undone. */
export function tensorsFrom(bytes: Uint8Array, leaves: readonly Leaf[], origin: string): Tensor[] {
  let at = 0;
  return leaves.map(({ tensor }) => {
    const end = at + tensor.size * BYTES[tensor.dtype];
    const made = tensorFrom(bytes.subarray(at, end), tensor, tensor.shape, origin);
    at = end;
    return made;
  });
}
