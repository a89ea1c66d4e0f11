import { checkOptions, describe, isPlainObject, onBehalfOf } from '../tensor/arguments.js';
import { arrayClass, type DType, type TypedArray } from '../backends/backend.js';
import { ValueError } from '../errors.js';
import { fromTypedArray } from '../tensor/create.js';
import { Tensor } from '../tensor/tensor.js';
import { nameOf as kindOf } from '../tensor/arguments.js';
import { bytesOf } from '../tensor/bytes.js';
import { eachLeaf, type Place } from '../tensor/tree.js';
import { decodeSafetensors, encodeSafetensors, type RawTensor, type SafetensorsDType } from './safetensors-format.js';

export type { RawTensor, SafetensorsDType } from './safetensors-format.js';

/** What a safetensors file holds. */
export interface Safetensors {
  /** Tensors of the dtypes that tapegrad has, by name, on the CPU. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** The others (int64, 8-bit floats, ...) as their bytes, so that nothing is lost or rounded on the way. */
  readonly raw: Readonly<Record<string, RawTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface LoadOptions {
  /** Whether whole numbers of other widths (int64, uint8, ...) become int32, or stay in `raw`, which is the default. */
  readonly integers?: 'raw' | 'int32' | undefined;
}

export interface SaveOptions {
  /** Free text beside the tensors. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Tensors of dtypes that tapegrad does not have, as `loadSafetensors` gives them. */
  readonly raw?: Readonly<Record<string, RawTensor>>;
}

const FILE_DTYPES = {
  float32: 'F32',
  float64: 'F64',
  int32: 'I32',
  bool: 'BOOL',
  float16: 'F16',
  bfloat16: 'BF16',
} as const satisfies Record<DType, SafetensorsDType>;
const TENSOR_DTYPES = new Map<SafetensorsDType, DType>(
  Object.entries(FILE_DTYPES).map(([ours, theirs]) => [theirs, ours as DType]),
);

/**
 * The bytes of a safetensors file that holds a tree of tensors, byte for byte as the reference implementation writes it. A tensor's
 * name is its path, joined by dots: `{ layers: [{ weight }] }` gives `layers.0.weight`.
 *
 * ```ts
 * await writeFile('model.safetensors', await saveSafetensors({ params, state }, { metadata: { step: '100' } }));
 * ```
 * @throws {ValueError} for a leaf that is no tensor (it would be lost), and for two tensors of one name.
 */
export async function saveSafetensors(tree: unknown, options: SaveOptions = {}): Promise<Uint8Array> {
  checkOptions('saveSafetensors', options, ['metadata', 'raw', 'tensors']); // what loadSafetensors gave will do as well
  for (const name of ['metadata', 'raw'] as const)
    if (options[name] !== undefined && !isPlainObject(options[name]))
      throw new ValueError('saveSafetensors', `${name} is ${describe(options[name])}; it must be an object, by name`);
  if (tree === undefined || tree === null)
    throw new ValueError('saveSafetensors', `the tree is ${tree}; it must be tensors in arrays and objects`);
  const named: [string, Tensor][] = [];
  const visit = (leaf: unknown, { keys }: Place): void => {
    if (leaf === null || leaf === undefined) return;
    const name = keys.join('.');
    if (!(leaf instanceof Tensor))
      throw new ValueError(
        'saveSafetensors',
        `'${name}' is ${kindOf(leaf)}, not a tensor; make it one, or put it into the metadata`,
      );
    if (keys.length === 0)
      throw new ValueError('saveSafetensors', 'a bare tensor has no name; put it into an object: { weight: t }');
    named.push([name, leaf]);
  };
  onBehalfOf('saveSafetensors', 'the tree', () => {
    eachLeaf(tree, visit);
  });
  const contents = await Promise.all(
    named.map(async ([name, t]): Promise<[string, RawTensor]> => {
      const values = await t.rawData();
      return [
        name,
        {
          dtype: FILE_DTYPES[t.dtype],
          shape: t.shape,
          bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
        },
      ];
    }),
  );
  return encodeSafetensors([...contents, ...Object.entries(options.raw ?? {})], options.metadata);
}

/**
 * Reads a safetensors file from its bytes: a Uint8Array (Node's Buffer is one) or another view, a DataView, an ArrayBuffer. Every byte of it is accounted
 * for; the data is copied.
 * @param options.integers 'int32' makes int32 tensors of whole numbers of other widths, such as torch's int64; 'raw', the default, leaves them as they are.
 * @throws {DTypeError} for what holds no bytes, such as a Blob, a Response, a Promise or a path; the message says how to get at them.
 * @throws {FormatError} for a truncated, inconsistent or malformed file; the message says what is wrong with which tensor.
 * @throws {ValueError} for a whole number that int32 does not hold, if such are asked for; the message names tensor, place and number.
 */
export function loadSafetensors(file: ArrayBufferView | ArrayBufferLike, options: LoadOptions = {}): Safetensors {
  checkOptions('loadSafetensors', options, ['integers'], (given) =>
    given === 'int32' ? "write { integers: 'int32' }" : null,
  );
  const { integers = 'raw' } = options;
  if ((integers as unknown) !== 'raw' && (integers as unknown) !== 'int32')
    throw new ValueError('loadSafetensors', `integers is ${describe(integers)}; it must be 'raw' or 'int32'`);
  const { tensors: contents, metadata } = decodeSafetensors(bytesOf('loadSafetensors', file));
  const tensors: [string, Tensor][] = [];
  const raw: [string, RawTensor][] = [];
  for (const [name, content] of contents) {
    const dtype = TENSOR_DTYPES.get(content.dtype);
    if (dtype) tensors.push([name, fromTypedArray(valuesOf(content, dtype), content.shape, dtype, 'loadSafetensors')]);
    else if (integers === 'int32' && content.dtype in INTEGERS)
      tensors.push([name, integerTensor('loadSafetensors', name, content)]);
    else raw.push([name, { ...content, bytes: new Uint8Array(content.bytes) }]);
  }
  return { tensors: Object.fromEntries(tensors), raw: Object.fromEntries(raw), metadata };
}

/** How whole numbers of other widths lie in memory. */
const INTEGERS = {
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  U32: Uint32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const;

/** Whole numbers as int32. @throws {ValueError} for one that does not fit, naming it. */
function integerTensor(op: string, name: string, { dtype, shape, bytes }: RawTensor): Tensor {
  const values = new INTEGERS[dtype as keyof typeof INTEGERS](new Uint8Array(bytes).buffer);
  const data = new Int32Array(values.length);
  for (const [i, value] of values.entries()) {
    data[i] = Number(value);
    if (BigInt(data[i]) !== BigInt(value))
      throw new ValueError(
        op,
        `the ${dtype} tensor '${name}' has ${value} at position ${i}; int32 holds whole numbers in [-2^31, 2^31)`,
      );
  }
  return fromTypedArray(data, shape, 'int32', op);
}

/** The file is little-endian, as every machine that runs JavaScript is. */
function valuesOf({ bytes }: RawTensor, dtype: DType): TypedArray {
  const aligned = new Uint8Array(bytes); // a copy in memory of its own: not slice(), which in Node's Buffer is a view
  if (dtype === 'bool') return aligned.map((byte) => (byte === 0 ? 0 : 1));
  return new (arrayClass(dtype))(aligned.buffer);
}
