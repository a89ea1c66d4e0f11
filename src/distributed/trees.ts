import { arrayClass, BYTES, type DType } from '../backends/backend.js';
import { DTypeError, GradientError } from '../errors.js';
import { toBfloat16, toHalf } from '../half.js';
import { describe } from '../tensor/arguments.js';
import { fromTypedArray, moveTo } from '../tensor/create.js';
import { formatShape, type Shape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { eachLeaf, eachTensor, replaceTensors } from '../tensor/tree.js';

export interface Leaf {
  readonly tensor: Tensor;
  /** `.layers[0].weight`; empty for a bare tensor. */
  readonly path: string;
}

/** What is in a tree. */
export interface Contents {
  readonly leaves: readonly Leaf[];
  /** The numbers, texts and the like beside the tensors, in words: '.step = 5'. They do not travel, so they must be the same on all ranks. */
  readonly constants: readonly string[];
}

/**
 * @throws {GradientError} for a tensor that is being differentiated: what comes back from other ranks would be a constant.
 * @throws {DTypeError} for a number, or whatever else is no tree, in the tree's place.
 */
export function contentsOf(op: string, tree: unknown): Contents {
  const leaves: Leaf[] = [];
  eachTensor(tree, (tensor, { path }) => {
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
  const constants: string[] = [];
  eachLeaf(tree, (leaf, { path }) => {
    if (leaf instanceof Tensor) return;
    if (path === '')
      throw new DTypeError(
        op,
        `the argument is ${describe(leaf)}, no tensor and no tree of tensors; write tensor(data)`,
      );
    if (isPlain(leaf)) constants.push(`${path} = ${textOf(leaf)}`);
  });
  return { leaves, constants };
}

const isPlain = (leaf: unknown): boolean =>
  leaf === null || ['number', 'string', 'boolean', 'bigint', 'undefined'].includes(typeof leaf);

/** A constant as source text has it. */
function textOf(constant: unknown): string {
  if (typeof constant === 'string') return JSON.stringify(constant);
  return Object.is(constant, -0) ? '-0' : String(constant);
}

/** A tree with its tensors replaced by others, in order. */
export function withTensors<T>(tree: T, tensors: readonly Tensor[]): T {
  let i = 0;
  return replaceTensors(tree, () => tensors[i++]);
}

const place = (path: string): string => (path === '' ? '' : ` at ${path}`);

/** A tensor in a line of a call's text. */
export const lineOf = ({ tensor, path }: Leaf, shape = formatShape(tensor.shape)): string =>
  `${path === '' ? 'the tensor' : path} ${tensor.dtype}${shape}`;

export const countText = ({ length }: readonly Leaf[]): string => `${length} ${length === 1 ? 'tensor' : 'tensors'}`;

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

/** Tensors from this size on are not copied together with others: they travel in the array that becomes the result's. */
const LARGE_BYTES = 2 ** 20;

const isLarge = ({ dtype, size }: Tensor): boolean =>
  COMPUTED_AS[dtype] === dtype && size * BYTES[dtype] >= LARGE_BYTES;

/**
 * The numbers of many tensors, on their way through a reduction: those of small tensors behind one another, in one array for each type that MPI
 * computes in, and each large tensor's in an array of its own. At the end of the joint arrays is one number more: what the rank counts.
 */
export class NumberPack {
  private constructor(
    private readonly leaves: readonly Leaf[],
    private readonly joint: ReadonlyMap<Computed, Numbers>,
    /** The numbers of each leaf: a part of a joint array, or an array of their own. */
    private readonly places: readonly Numbers[],
  ) {}

  /** @param asZeros whether the tensors' contents are left out, and there are zeros in their places. */
  static async of(leaves: readonly Leaf[], asZeros = false): Promise<NumberPack> {
    const lengths = new Map<Computed, number>();
    const offsets = leaves.map(({ tensor }) => {
      const type = COMPUTED_AS[tensor.dtype];
      const at = lengths.get(type) ?? 0;
      lengths.set(type, at + (isLarge(tensor) ? 0 : tensor.size));
      return at;
    });
    const joint = new Map(Array.from(lengths, ([type, length]) => [type, zeros(type, length + 1)]));
    const places: Numbers[] = [];
    for (const [i, { tensor }] of leaves.entries()) {
      const type = COMPUTED_AS[tensor.dtype];
      if (!isLarge(tensor)) {
        places[i] = joint.get(type)!.subarray(offsets[i], offsets[i]! + tensor.size);
        if (!asZeros) places[i].set(canLook(tensor) ? tensor.glance() : await tensor.data());
      } else if (asZeros) places[i] = zeros(type, tensor.size);
      else places[i] = (canLook(tensor) ? tensor.rawDataSync('copy') : await tensor.rawData()) as Numbers;
    }
    return new NumberPack(leaves, joint, places);
  }

  /** What is to be reduced. */
  get arrays(): readonly Numbers[] {
    return [...this.joint.values(), ...this.places.filter((_, i) => isLarge(this.leaves[i]!.tensor))];
  }

  /** Multiplies all numbers, and makes the factor what the rank counts. */
  weigh(factor: number): void {
    if (factor !== 1) for (const array of this.arrays) for (let k = 0; k < array.length; k++) array[k]! *= factor;
    for (const array of this.joint.values()) array[array.length - 1] = factor;
  }

  /** Makes zeros of negative zeros. */
  dropSignsOfZeros(): void {
    for (const array of this.arrays) for (let k = 0; k < array.length; k++) array[k]! += 0;
  }

  /** The tensors of the numbers that there are now. */
  sums(origin: string): Tensor[] {
    return this.tensors(origin, () => 1);
  }

  /** The same, divided by what the ranks count together. */
  means(origin: string): Tensor[] {
    // Of ranks that count nothing the numbers are zeros, and so is their mean.
    return this.tensors(origin, (type) => this.joint.get(type)!.at(-1)! || 1);
  }

  private tensors(origin: string, divisorOf: (type: Computed) => number): Tensor[] {
    return this.leaves.map(({ tensor }, i) => {
      const { dtype, shape } = tensor;
      const numbers = this.places[i]!;
      const divisor = divisorOf(COMPUTED_AS[dtype]);
      const data = isLarge(tensor) ? numbers : new (arrayClass(dtype))(numbers.length);
      const toBits = dtype === 'float16' ? toHalf : dtype === 'bfloat16' ? toBfloat16 : null;
      if (toBits) for (let k = 0; k < data.length; k++) data[k] = toBits(numbers[k]! / divisor);
      else if (divisor !== 1) for (let k = 0; k < data.length; k++) data[k] = numbers[k]! / divisor;
      else if (data !== numbers) data.set(numbers);
      return moveTo(fromTypedArray(data, shape, dtype, origin), tensor);
    });
  }
}

/** Whether a tensor's contents are there at once, without waiting for a device. */
const canLook = ({ device, buffer }: Tensor): boolean => device.readSync !== undefined && buffer.isArriving !== true;

const zeros = (type: Computed, length: number): Numbers => new (arrayClass(type))(length) as Numbers;

export const byteLengthOf = (leaves: readonly Leaf[]): number =>
  leaves.reduce((sum, { tensor }) => sum + tensor.size * BYTES[tensor.dtype], 0);

/** The bytes of many tensors behind one another, as they are stored. */
export async function bytesOf(leaves: readonly Leaf[]): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteLengthOf(leaves));
  let at = 0;
  for (const { tensor } of leaves) {
    const raw = canLook(tensor) ? tensor.rawDataSync('view') : await tensor.rawData();
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
