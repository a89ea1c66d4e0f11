import { DTypeError, FormatError, ShapeError, type TapegradError, ValueError } from '../errors.js';
import { describe } from '../tensor/arguments.js';

/**
 * The safetensors container on plain bytes: an 8-byte little-endian header length, a JSON header, then the tensors' bytes without
 * gaps. Written as the reference serialiser (huggingface/safetensors, `tensor.rs`) writes it, byte for byte, and read with its checks.
 */

/** Bits an element, in the reference's order: the serialiser puts the last of these first, so wide types stay aligned. */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** Element types of the format. */
export type SafetensorsDType = keyof typeof BITS;

/** @internal Every element type of the format, in the reference's order of increasing alignment. Exported for the tests, which write and read each. */
export const SAFETENSORS_DTYPES = Object.keys(BITS) as readonly SafetensorsDType[];

/** A tensor as the file holds it: row-major, little-endian bytes. Types below a byte are packed and fill whole bytes. */
export interface RawTensor {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** What a safetensors file holds, in the order of its bytes. */
interface RawFile {
  readonly tensors: ReadonlyMap<string, RawTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const LOAD = 'loadSafetensors';
const SAVE = 'saveSafetensors';
const LENGTH_BYTES = 8;
const METADATA_KEY = '__metadata__';
/** The reference's own limit, against headers that are a denial of service. */
const MAX_HEADER_BYTES = 100_000_000;

interface Entry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

function quote(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? describe(value);
  } catch {
    text = describe(value); // a big integer, or an object that holds itself
  }
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isDType = (value: unknown): value is SafetensorsDType => typeof value === 'string' && Object.hasOwn(BITS, value);

/** Bytes that a shape takes; the product is checked at each step, since a lying shape may not be representable. */
function byteLength(
  Refusal: new (op: string, problem: string) => TapegradError,
  op: string,
  name: string,
  dtype: SafetensorsDType,
  shape: readonly number[],
): number {
  let bits: number = BITS[dtype];
  // A zero anywhere makes the tensor empty, but the reference still refuses an overflow on the way to it.
  for (const dim of shape) {
    bits *= dim;
    if (!Number.isSafeInteger(bits))
      throw new Refusal(op, `tensor ${quote(name)}: shape [${shape.join(', ')}] of ${dtype} overflows`);
  }
  if (bits % 8 !== 0) {
    throw new Refusal(
      op,
      `tensor ${quote(name)}: shape [${shape.join(', ')}] of ${dtype} (${BITS[dtype]} bits) does not fill whole bytes`,
    );
  }
  return bits / 8;
}

/** Rust compares strings by their UTF-8 bytes, JavaScript by UTF-16 units; the two differ beyond the basic plane. */
function compareUtf8(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function checkText(what: string, text: unknown): asserts text is string {
  if (typeof text !== 'string') throw new ValueError(SAVE, `${what} must be a string, got ${quote(text)}`);
  if (/\p{Surrogate}/u.test(text))
    throw new ValueError(SAVE, `${what} has a lone surrogate, which UTF-8 cannot hold: ${quote(text)}`);
}

/**
 * Serialises tensors into one safetensors file.
 *
 * Tensors are ordered as the reference orders them (element type from the widest alignment down, then name by UTF-8 bytes), so equal
 * contents give equal files. Metadata keeps its insertion order; it is written only when it is given.
 *
 * @param tensors name to contents; names are any text but `__metadata__`.
 * @throws {ShapeError} when bytes and shape disagree. @throws {ValueError} for names or metadata that are not text.
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, RawTensor]>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const encoder = new TextEncoder();
  const items = Array.from(tensors, ([name, tensor]) => {
    checkText('a tensor name', name);
    if (name === METADATA_KEY)
      throw new ValueError(SAVE, `${METADATA_KEY} is the metadata's own key and cannot name a tensor`);
    if (!isRecord(tensor) || !ArrayBuffer.isView(tensor.bytes) || !Array.isArray(tensor.shape))
      throw new ValueError(SAVE, `tensor ${quote(name)} is ${describe(tensor)}; it must be { dtype, shape, bytes }`);
    const dtype: unknown = tensor.dtype;
    if (!isDType(dtype)) throw new DTypeError(SAVE, `tensor ${quote(name)}: unknown dtype ${quote(dtype)}`);
    if (tensor.shape.some((dim) => !isCount(dim)))
      throw new ShapeError(SAVE, `tensor ${quote(name)}: bad shape [${tensor.shape.join(', ')}]`);
    const expected = byteLength(ShapeError, SAVE, name, tensor.dtype, tensor.shape);
    if (tensor.bytes.byteLength !== expected) {
      throw new ShapeError(
        SAVE,
        `tensor ${quote(name)}: shape [${tensor.shape.join(', ')}] of ${tensor.dtype} takes ${expected} bytes, got ${tensor.bytes.byteLength}`,
      );
    }
    return { name, key: encoder.encode(name), rank: SAFETENSORS_DTYPES.indexOf(tensor.dtype), ...tensor };
  });
  items.sort((a, b) => b.rank - a.rank || compareUtf8(a.key, b.key));

  const fields: string[] = [];
  if (metadata !== undefined) {
    for (const [key, value] of Object.entries(metadata)) {
      checkText('a metadata key', key);
      checkText(`metadata ${quote(key)}`, value);
    }
    fields.push(`${JSON.stringify(METADATA_KEY)}:${JSON.stringify(metadata)}`);
  }
  let dataBytes = 0;
  const names = new Set<string>();
  for (const { name, dtype, shape, bytes } of items) {
    if (names.has(name)) throw new ValueError(SAVE, `two tensors are named ${quote(name)}`);
    names.add(name);
    const end = dataBytes + bytes.byteLength;
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [dataBytes, end] })}`);
    dataBytes = end;
  }

  const header = encoder.encode(`{${fields.join(',')}}`);
  const headerBytes = Math.ceil(header.length / LENGTH_BYTES) * LENGTH_BYTES;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ValueError(SAVE, `the header would take ${headerBytes} bytes, the format allows ${MAX_HEADER_BYTES}`);
  }
  const file = new Uint8Array(LENGTH_BYTES + headerBytes + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  file.set(header, LENGTH_BYTES);
  let offset = LENGTH_BYTES + headerBytes;
  for (const { bytes } of items) {
    file.set(bytes, offset);
    offset += bytes.byteLength;
  }
  return file;
}

/**
 * Reads a safetensors file and checks all of it: every byte after the header belongs to exactly one tensor, and every tensor's bytes
 * are what its shape and element type take.
 *
 * The returned bytes are views of `file`, nothing is copied.
 *
 * @throws {FormatError} naming what is wrong.
 */
export function decodeSafetensors(file: Uint8Array): RawFile {
  const { text, dataStart } = readHeaderText(file);
  const header = parseHeader(text);
  let metadata: Readonly<Record<string, string>> = {};
  const entries: Entry[] = [];
  for (const [name, info] of Object.entries(header)) {
    if (name === METADATA_KEY) metadata = readMetadata(info);
    else entries.push(readEntry(name, info));
  }
  // Files may list their tensors in any order; what must be contiguous is the data.
  entries.sort((a, b) => a.start - b.start || a.end - b.end);

  const dataBytes = file.byteLength - dataStart;
  const tensors = new Map<string, RawTensor>();
  let expected = 0;
  for (const { name, dtype, shape, start, end } of entries) {
    if (start !== expected) {
      const what = start < expected ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new FormatError(
        LOAD,
        `tensor ${quote(name)}: data_offsets [${start}, ${end}] ${what}, which ends at ${expected}`,
      );
    }
    const needed = byteLength(FormatError, LOAD, name, dtype, shape);
    if (end - start !== needed) {
      throw new FormatError(
        LOAD,
        `tensor ${quote(name)}: shape [${shape.join(', ')}] of ${dtype} takes ${needed} bytes, data_offsets give ${end - start}`,
      );
    }
    if (end > dataBytes) {
      throw new FormatError(
        LOAD,
        `tensor ${quote(name)}: data_offsets [${start}, ${end}] reach past the file's ${dataBytes} bytes of data`,
      );
    }
    tensors.set(name, { dtype, shape, bytes: file.subarray(dataStart + start, dataStart + end) });
    expected = end;
  }
  if (expected !== dataBytes) {
    throw new FormatError(LOAD, `the tensors cover ${expected} bytes of data, the file has ${dataBytes}`);
  }
  return { tensors, metadata };
}

function readHeaderText(file: Uint8Array): { text: string; dataStart: number } {
  if (file.byteLength < LENGTH_BYTES) {
    throw new FormatError(LOAD, `the file has ${file.byteLength} bytes, its header length alone takes ${LENGTH_BYTES}`);
  }
  const length = new DataView(file.buffer, file.byteOffset, file.byteLength).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw new FormatError(LOAD, `the header says it has ${length} bytes, at most ${MAX_HEADER_BYTES} are allowed`);
  }
  const dataStart = LENGTH_BYTES + Number(length);
  if (dataStart > file.byteLength) {
    throw new FormatError(
      LOAD,
      `the header says it has ${length} bytes, the file has ${file.byteLength - LENGTH_BYTES} after the length`,
    );
  }
  try {
    return {
      text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file.subarray(LENGTH_BYTES, dataStart)),
      dataStart,
    };
  } catch {
    throw new FormatError(LOAD, 'the header is not valid UTF-8');
  }
}

function parseHeader(text: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw new FormatError(
      LOAD,
      `the header is not valid JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (!isRecord(header)) throw new FormatError(LOAD, `the header must be a JSON object, got ${quote(header)}`);
  if (!text.startsWith('{'))
    throw new FormatError(LOAD, `the header must begin with "{", it begins with ${quote(text.slice(0, 1))}`);
  refuseDuplicateKeys(text);
  return header;
}

/** JSON.parse keeps the last of two equal keys in silence; the format forbids them. `text` is known to be valid JSON. */
function refuseDuplicateKeys(text: string): void {
  const open: (Set<string> | null)[] = [];
  for (const match of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\]]/g)) {
    const [token, literal, colon] = match;
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (literal !== undefined && colon !== undefined) {
      const key = JSON.parse(literal) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) throw new FormatError(LOAD, `the header has the key ${quote(key)} twice`);
      keys?.add(key);
    }
  }
}

function readMetadata(value: unknown): Readonly<Record<string, string>> {
  // The reference reads null as no metadata.
  if (value === null) return {};
  if (!isRecord(value))
    throw new FormatError(LOAD, `${METADATA_KEY} must be an object of strings, got ${quote(value)}`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string')
      throw new FormatError(LOAD, `${METADATA_KEY}: ${quote(key)} must be a string, got ${quote(text)}`);
  }
  return value as Record<string, string>;
}

function readEntry(name: string, info: unknown): Entry {
  const where = `tensor ${quote(name)}`;
  if (!isRecord(info)) throw new FormatError(LOAD, `${where}: its entry must be an object, got ${quote(info)}`);
  const { dtype, shape, data_offsets: offsets } = info;
  if (!isDType(dtype))
    throw new FormatError(LOAD, `${where}: unknown dtype ${quote(dtype)}, known are ${SAFETENSORS_DTYPES.join(', ')}`);
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw new FormatError(LOAD, `${where}: shape must be a list of whole numbers below 2^53, got ${quote(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new FormatError(LOAD, `${where}: data_offsets must be two whole numbers below 2^53, got ${quote(offsets)}`);
  }
  const [start, end] = offsets as [number, number];
  if (end < start) throw new FormatError(LOAD, `${where}: data_offsets [${start}, ${end}] end before they begin`);
  return { name, dtype, shape, start, end };
}
