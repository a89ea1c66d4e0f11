import { checkOptions, describe, isPlainObject, onBehalfOf } from '../tensor/arguments.js';
import { arrayClass, type DType, type TypedArray } from '../backends/backend.js';
import { FormatError, ValueError } from '../errors.js';
import { fromTypedArray, moveTo } from '../tensor/create.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { nameOf as kindOf } from '../tensor/arguments.js';
import { bytesOf } from '../tensor/bytes.js';
import { mapLeaves } from '../tensor/tree.js';
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
  const visit = (leaf: unknown, _path: string, keys: readonly string[]): unknown => {
    if (leaf === null || leaf === undefined) return leaf;
    const name = keys.join('.');
    if (!(leaf instanceof Tensor))
      throw new ValueError(
        'saveSafetensors',
        `'${name}' is ${kindOf(leaf)}, not a tensor; make it one, or put it into the metadata`,
      );
    if (keys.length === 0)
      throw new ValueError('saveSafetensors', 'a bare tensor has no name; put it into an object: { weight: t }');
    named.push([name, leaf]);
    return leaf;
  };
  onBehalfOf('saveSafetensors', 'the tree', () => mapLeaves(tree, visit));
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
 * Reads a safetensors file from its bytes: a Uint8Array (Node's Buffer is one) or another view, a DataView, an ArrayBuffer. Every byte of it is accounted for, see `decodeSafetensors`; the data is copied.
 * @throws {DTypeError} for what holds no bytes, such as a Blob, a Response, a Promise or a path; the message says how to get at them.
 * @throws {FormatError} for a truncated, inconsistent or malformed file; the message says what is wrong with which tensor.
 */
export function loadSafetensors(file: ArrayBufferView | ArrayBufferLike): Safetensors {
  const { tensors: contents, metadata } = decodeSafetensors(bytesOf('loadSafetensors', file));
  const tensors: [string, Tensor][] = [];
  const raw: [string, RawTensor][] = [];
  for (const [name, content] of contents) {
    const dtype = TENSOR_DTYPES.get(content.dtype);
    if (dtype) tensors.push([name, fromTypedArray(valuesOf(content, dtype), content.shape, dtype, 'loadSafetensors')]);
    else raw.push([name, { ...content, bytes: new Uint8Array(content.bytes) }]);
  }
  return { tensors: Object.fromEntries(tensors), raw: Object.fromEntries(raw), metadata };
}

/**
 * The template's tree with every tensor replaced by the one of its name, as `saveSafetensors` names them, on the template's device: how a
 * checkpoint becomes parameters again.
 *
 * ```ts
 * const { params, state } = restoreTree({ params: model.init(rng), state: optimizer.init(params) }, loadSafetensors(bytes).tensors);
 * ```
 * @throws {FormatError} for a tensor that is missing, left over, or of another shape or dtype than the template's.
 */
export function restoreTree<T>(template: T, tensors: Readonly<Record<string, Tensor>>): T {
  if (!isPlainObject(tensors))
    throw new ValueError(
      'restoreTree',
      `the tensors are ${describe(tensors)}; they must be an object of tensors by name, as in loadSafetensors(bytes).tensors`,
    );
  const unused = new Set(Object.keys(tensors));
  const restore = (expected: unknown, _path: string, keys: readonly string[]): unknown => {
    if (!(expected instanceof Tensor)) return expected;
    const name = keys.join('.');
    const found = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (!found) throw new FormatError('restoreTree', `there is no tensor '${name}'`);
    if (found.dtype !== expected.dtype || !sameShape(found.shape, expected.shape)) {
      throw new FormatError(
        'restoreTree',
        `'${name}' is ${found.dtype}${formatShape(found.shape)}; ${expected.dtype}${formatShape(expected.shape)} is wanted`,
      );
    }
    unused.delete(name);
    return moveTo(found, expected);
  };
  const restored = onBehalfOf('restoreTree', 'the template', () => mapLeaves(template, restore));
  const [extra] = unused;
  if (extra !== undefined) throw new FormatError('restoreTree', `the tensor '${extra}' has no place in the template`);
  return restored as T;
}

/** The file is little-endian, as every machine that runs JavaScript is. */
function valuesOf({ bytes }: RawTensor, dtype: DType): TypedArray {
  const aligned = new Uint8Array(bytes); // a copy in memory of its own: not slice(), which in Node's Buffer is a view
  if (dtype === 'bool') return aligned.map((byte) => (byte === 0 ? 0 : 1));
  return new (arrayClass(dtype))(aligned.buffer);
}
