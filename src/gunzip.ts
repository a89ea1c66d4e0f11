import { Gunzip } from 'fflate';

/**
 * What was gzipped, for pages: as Node does it, also of several members behind one another (`bgzip`, `cat a.gz b.gz`), each of which is held against its
 * checksum and its length. @throws {Error} for what is cut, changed or no gzip at all.
 */
export function gunzip(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  const table = Uint32Array.from({ length: 256 }, (_, n) => remainder(n));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [length, checked, sum] = [0, 0, -1];
  const stream = new Gunzip((chunk) => {
    chunks.push(chunk);
    length += chunk.length;
    for (const byte of chunk) sum = (sum >>> 8) ^ table[(sum ^ byte) & 255]!;
  });
  const check = (end: number): void => {
    if (end < 8 || view.getInt32(end - 8, true) !== ~sum) throw new Error('incorrect data check');
    if (view.getUint32(end - 4, true) !== (length - checked) % 2 ** 32) throw new Error('incorrect length check');
    [checked, sum] = [length, -1];
  };
  stream.onmember = check;
  stream.push(bytes, true);
  check(bytes.length);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Of a byte by the polynomial of CRC-32 (RFC 1952, section 8). */
function remainder(byte: number): number {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
}
