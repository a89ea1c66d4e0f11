import { DTypeError } from '../errors.js';
import { nameOf } from './arguments.js';

/** How to get the bytes of things that people pass in their place. */
const ADVICE: Readonly<Record<string, string>> = {
  Blob: 'write await blob.arrayBuffer()',
  File: 'write await file.arrayBuffer()',
  Response: 'write await response.arrayBuffer()',
  Promise: 'await it first',
  String: 'read the file first: await readFile(path)',
};

/**
 * The bytes of a file that a caller hands over: any view, an ArrayBuffer or a SharedArrayBuffer.
 * @throws {DTypeError} for what holds none; the message says how to get at them.
 */
export function bytesOf(op: string, file: unknown): Uint8Array {
  if (ArrayBuffer.isView(file)) return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  const kind = Object.prototype.toString.call(file).slice(8, -1); // of another realm's values as well
  if (kind === 'ArrayBuffer') return new Uint8Array(file as ArrayBuffer);
  if (kind === 'SharedArrayBuffer') return new Uint8Array(new Uint8Array(file as SharedArrayBuffer)); // a copy that nobody changes meanwhile
  const advice = ADVICE[kind];
  throw new DTypeError(
    op,
    `the file is ${kind in ADVICE && kind !== 'String' ? `a ${kind}` : nameOf(file)}; it must be the bytes of a file, a Uint8Array or ArrayBuffer${advice ? ` (${advice})` : ''}`,
  );
}
