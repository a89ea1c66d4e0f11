import { checkDevice } from '../../tensor/device.js';
import { FormatError, ValueError } from '../../errors.js';
import { checkOptions, describe } from '../../tensor/arguments.js';
import { bytesOf } from '../../tensor/bytes.js';
import { hostArray } from '../../backends/host-array.js';
import { settle, type DeviceOptions } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';

export interface ReadWavOptions extends DeviceOptions {
  /** float32 by default; float64 keeps every bit of 32-bit and 64-bit files. */
  readonly dtype?: 'float32' | 'float64';
}

export interface Wav {
  /** [channels, n], whole numbers brought to [-1, 1). */
  readonly samples: Tensor;
  /** Samples a second. */
  readonly sampleRate: number;
}

interface Format {
  readonly tag: number;
  readonly channels: number;
  readonly sampleRate: number;
  /** Bytes of a sample in its container. */
  readonly width: number;
}

const OP = 'readWav';
const [PCM, FLOAT, EXTENSIBLE] = [1, 3, 0xfffe];
/** What follows the format's tag in the identifier of an extensible file's format. */
const SUFFIX = [0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71];
const NAMES: Readonly<Record<number, string>> = { 2: 'ADPCM', 6: 'A-law', 7: 'mu-law', 17: 'ADPCM', 85: 'MP3' };
const MOST_CHANNELS = 1024;
/** Sizes that programs write which do not know, when they begin, how much there will be: from here on, or 0 for the whole file, it is what the file has. */
const UNKNOWN_SIZE = 0x7fff_0000;

/**
 * A WAV file: PCM of 8, 16, 24 or 32 bits, or floating point of 32 or 64, plain or extensible, with any number of channels.
 *
 * ```ts
 * const { samples, sampleRate } = audio.readWav(await readFile('a.wav')); // or new Uint8Array(await file.arrayBuffer())
 * const mono = samples.mean(0);
 * ```
 * PCM is divided by its full scale, 2^(bits - 1) (8-bit files count from 128), so that values are exact in float32 up to 24 bits. Samples of fewer bits
 * than their container lie at its upper end, as the format has it. A file that was written by a program which could not know its length is read to its end.
 * @param bytes the file: a Uint8Array (a Node Buffer is one) or another view, or an ArrayBuffer.
 * @throws {DTypeError} for what holds no bytes, a path for instance: the library reads no files.
 * @throws {FormatError} for a file that is none, is cut off, or is compressed, and for samples that are not finite.
 */
export function readWav(bytes: ArrayBufferView | ArrayBufferLike, options: ReadWavOptions = {}): Wav {
  checkOptions(OP, options, ['dtype', 'device']);
  const { dtype = 'float32', device } = options;
  if (dtype !== 'float32' && dtype !== 'float64')
    throw new ValueError(OP, `dtype is ${describe(dtype)}; it must be 'float32' or 'float64'`);
  if (device !== undefined) checkDevice(OP, device);
  const { buffer, byteOffset, byteLength } = bytesOf(OP, bytes);
  const view = new DataView(buffer, byteOffset, byteLength);
  const { format, start, length } = chunksOf(view);
  const count = length / (format.width * format.channels);
  const data = hostArray(dtype, count * format.channels);
  const sampleAt = reader(view, format);
  for (let channel = 0; channel < format.channels; channel++) {
    for (let i = 0; i < count; i++) {
      const value = sampleAt(start + (i * format.channels + channel) * format.width);
      if (!Number.isFinite(value)) throw new FormatError(OP, `sample ${i} of channel ${channel} is ${value}`);
      data[channel * count + i] = value;
    }
  }
  return { samples: settle(OP, data, [format.channels, count], dtype, device), sampleRate: format.sampleRate };
}

const nameAt = (view: DataView, at: number): string =>
  at + 4 <= view.byteLength
    ? String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)))
    : `${view.byteLength - at} bytes`;

/** A name out of a file, for messages: anything may stand there. */
const shown = (name: string): string => `'${name.replace(/[^\x20-\x7e]/g, '?')}'`;

/** The format, and where the samples lie. */
function chunksOf(view: DataView): { format: Format; start: number; length: number } {
  if (view.byteLength < 12 || nameAt(view, 0) !== 'RIFF' || nameAt(view, 8) !== 'WAVE') {
    const kind = nameAt(view, 0);
    const others: Readonly<Record<string, string>> = { RIFX: ', a big-endian one', RF64: ', one of more than 4 GiB' };
    throw new FormatError(
      OP,
      kind === 'RIFF'
        ? `this is no WAV file: the 'RIFF' holds ${shown(nameAt(view, 8))}, not 'WAVE'`
        : `this is no WAV file: it begins with ${shown(kind)}, not 'RIFF'${others[kind] ?? ''}`,
    );
  }
  let format: Format | null = null;
  for (let at = 12; at < view.byteLength;) {
    if (at + 8 > view.byteLength) break; // a byte or two that fill up
    const [name, size] = [nameAt(view, at), view.getUint32(at + 4, true)];
    const start = at + 8;
    const rest = view.byteLength - start;
    if (name === 'data') {
      if (!format) throw new FormatError(OP, "the samples come before the format: 'data' without a 'fmt '");
      const isOpen = (size === 0 && view.getUint32(4, true) === 0) || (size >= UNKNOWN_SIZE && size > rest);
      return { format, start, length: dataLength(format, isOpen ? null : size, rest) };
    }
    if (size > rest)
      throw new FormatError(OP, `the file is cut off: ${shown(name)} has ${size} bytes, of which ${rest} are there`);
    if (name === 'fmt ') format = formatOf(view, start, size);
    at = start + size + (size % 2);
  }
  throw new FormatError(OP, `the file ends without samples: there is no 'data'${format ? '' : " and no 'fmt '"}`);
}

/** @param size as the file says; null where its writer did not know. */
function dataLength({ width, channels }: Format, size: number | null, rest: number): number {
  const frame = width * channels;
  if (size === null) return rest - (rest % frame);
  if (size > rest)
    throw new FormatError(OP, `the file is cut off: it announces ${size} bytes of samples, and ${rest} are there`);
  if (size % frame !== 0)
    throw new FormatError(OP, `${size} bytes of samples are no whole number of ${frame}, one sample for each channel`);
  return size;
}

function formatOf(view: DataView, start: number, size: number): Format {
  if (size < 16) throw new FormatError(OP, `'fmt ' has ${size} bytes; it must have 16 at least`);
  let tag = view.getUint16(start, true);
  if (tag === EXTENSIBLE) {
    if (size < 40) throw new FormatError(OP, `'fmt ' of an extensible file has ${size} bytes; it must have 40`);
    tag = view.getUint16(start + 24, true);
    if (SUFFIX.some((byte, i) => view.getUint8(start + 26 + i) !== byte))
      throw new FormatError(OP, 'the extensible file has a format of its own, not PCM nor floating point');
  }
  const channels = view.getUint16(start + 2, true);
  const sampleRate = view.getUint32(start + 4, true);
  const frame = view.getUint16(start + 12, true);
  const bits = view.getUint16(start + 14, true);
  if (tag !== PCM && tag !== FLOAT)
    throw new FormatError(
      OP,
      `the format is ${tag}${NAMES[tag] ? `, ${NAMES[tag]}` : ''}; read are PCM, 1, and floats, 3`,
    );
  if (channels < 1 || channels > MOST_CHANNELS || sampleRate < 1)
    throw new FormatError(
      OP,
      `${channels} channels of ${sampleRate} samples a second; there must be 1 to ${MOST_CHANNELS}, and a rate above 0`,
    );
  const width = Math.ceil(bits / 8);
  const widths = tag === PCM ? [1, 2, 3, 4] : [4, 8];
  if (!widths.includes(width) || (tag === FLOAT && bits % 32 !== 0))
    throw new FormatError(
      OP,
      `${bits} bits a sample; read are ${tag === PCM ? '8, 16, 24 and 32 of PCM' : '32 and 64 of floats'}`,
    );
  if (frame !== width * channels)
    throw new FormatError(
      OP,
      `${channels} channels of ${bits} bits need ${width * channels} bytes; the file says ${frame}`,
    );
  return { tag, channels, sampleRate, width };
}

function reader(view: DataView, { tag, width }: Format): (at: number) => number {
  if (tag === FLOAT) return width === 4 ? (at) => view.getFloat32(at, true) : (at) => view.getFloat64(at, true);
  switch (width) {
    case 1:
      return (at) => (view.getUint8(at) - 128) / 2 ** 7;
    case 2:
      return (at) => view.getInt16(at, true) / 2 ** 15;
    case 3:
      return (at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 2 ** 23;
    default:
      return (at) => view.getInt32(at, true) / 2 ** 31;
  }
}
