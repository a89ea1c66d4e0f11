import { audio, DTypeError, FormatError, type TapegradError, ValueError } from 'tapegrad';

type Sizes = Partial<{ riff: number; data: number; fmt: number }>;

interface Parts {
  readonly tag?: number;
  readonly bits?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly frame?: number;
  readonly data?: Uint8Array;
  readonly extensible?: { readonly tag: number; readonly valid: number; readonly tail?: readonly number[] };
  readonly before?: readonly (readonly [string, Uint8Array])[];
  readonly after?: readonly (readonly [string, Uint8Array])[];
  readonly sizes?: Sizes;
}

/** A WAV file, byte by byte, by the format's description; anything may be wrong about it. */
function wav({
  tag = 1,
  bits = 16,
  channels = 1,
  rate = 8000,
  frame = Math.ceil(bits / 8) * channels,
  data = new Uint8Array(0),
  extensible,
  before = [],
  after = [],
  sizes = {},
}: Parts = {}): Uint8Array {
  const fmt = new DataView(new ArrayBuffer(extensible ? 40 : 16));
  [extensible ? 0xfffe : tag, channels].forEach((value, i) => {
    fmt.setUint16(2 * i, value, true);
  });
  fmt.setUint32(4, rate, true);
  fmt.setUint32(8, rate * frame, true);
  fmt.setUint16(12, frame, true);
  fmt.setUint16(14, bits, true);
  if (extensible) {
    fmt.setUint16(16, 22, true);
    fmt.setUint16(18, extensible.valid, true);
    fmt.setUint16(24, extensible.tag, true);
    const tail = extensible.tail ?? [0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113];
    tail.forEach((byte, i) => {
      fmt.setUint8(26 + i, byte);
    });
  }
  const chunk = (name: string, bytes: Uint8Array, size = bytes.length): number[] => {
    const length = new Uint8Array(Uint32Array.of(size).buffer);
    return [...Buffer.from(name), ...length, ...bytes, ...(bytes.length % 2 ? [0] : [])];
  };
  const body = [
    ...before.flatMap(([name, bytes]) => chunk(name, bytes)),
    ...chunk('fmt ', new Uint8Array(fmt.buffer), sizes.fmt),
    ...chunk('data', data, sizes.data),
    ...after.flatMap(([name, bytes]) => chunk(name, bytes)),
  ];
  return Uint8Array.from([...chunk('RIFF', Uint8Array.from([...Buffer.from('WAVE'), ...body]), sizes.riff)]);
}

/** Whole numbers as little-endian bytes. */
const integers = (bytes: number, values: readonly number[]): Uint8Array =>
  Uint8Array.from(
    values.flatMap((value) => Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 255)),
  );
const bytesOf = (array: Float32Array | Float64Array): Uint8Array => new Uint8Array(array.buffer);

describe('whole numbers by their full scale', () => {
  test.each([
    [8, [0, 64, 128, 255], [-1, -0.5, 0, 127 / 128]],
    [16, [-32768, -1, 0, 1, 32767], [-1, -1 / 32768, 0, 1 / 32768, 32767 / 32768]],
    [24, [-8388608, -1, 0, 1, 8388607], [-1, -1 / 2 ** 23, 0, 1 / 2 ** 23, 8388607 / 2 ** 23]],
    [32, [-2147483648, -65536, 0, 2147418112], [-1, -1 / 32768, 0, 32767 / 32768]],
  ])('%d bits', (bits, values, expected) => {
    const { samples, sampleRate } = audio.readWav(wav({ bits, data: integers(bits / 8, values) }));
    expect([samples.shape, samples.dtype, sampleRate]).toEqual([[1, values.length], 'float32', 8000]);
    expect(samples.arraySync()).toEqual([expected]);
  });

  test('float64 keeps the last of 32 bits', () => {
    const file = wav({ bits: 32, data: integers(4, [2147483647, -2147483647]) });
    expect(audio.readWav(file, { dtype: 'float64' }).samples.arraySync()).toEqual([[1 - 2 ** -31, 2 ** -31 - 1]]);
  });

  test('fewer bits than their container lie at its upper end', () => {
    expect(audio.readWav(wav({ bits: 12, data: integers(2, [-32768, 16384]) })).samples.arraySync()).toEqual([
      [-1, 0.5],
    ]);
    const extensible = { tag: 1, valid: 20 };
    const file = wav({ bits: 24, extensible, data: integers(3, [-8388608, 4194304]) });
    expect(audio.readWav(file).samples.arraySync()).toEqual([[-1, 0.5]]);
  });
});

test.each([
  [32, bytesOf(Float32Array.of(-1.5, 0.1, 3))],
  [64, bytesOf(Float64Array.of(-1.5, 0.1, 3))],
])('floats of %d bits as they are', (bits, data) => {
  for (const file of [wav({ tag: 3, bits, data }), wav({ bits, data, extensible: { tag: 3, valid: bits } })]) {
    const { samples } = audio.readWav(file, { dtype: 'float64' });
    expect(samples.arraySync()).toEqual([[-1.5, bits === 32 ? Math.fround(0.1) : 0.1, 3]]);
    expect(audio.readWav(file).samples.arraySync()).toEqual([[-1.5, Math.fround(0.1), 3]]);
  }
});

test('channels are rows', () => {
  const { samples, sampleRate } = audio.readWav(
    wav({ channels: 3, rate: 44_100, data: integers(2, [0, 8192, 16384, -8192, -16384, -32768]) }),
  );
  expect(sampleRate).toBe(44_100);
  expect(samples.arraySync()).toEqual([
    [0, -0.25],
    [0.25, -0.5],
    [0.5, -1],
  ]);
});

test('other chunks are passed over, of odd length as well, before and after', () => {
  const text = Uint8Array.from(Buffer.from('odd'));
  const file = wav({ data: integers(2, [16384]), before: [['LIST', text]], after: [['id3 ', text]] });
  expect(audio.readWav(file).samples.arraySync()).toEqual([[0.5]]);
  expect(audio.readWav(wav()).samples.shape).toEqual([1, 0]);
});

test('any view of the bytes, at any offset, and of other realms', () => {
  const file = wav({ bits: 24, data: integers(3, [4194304]) });
  const shifted = new Uint8Array(file.length + 3);
  shifted.set(file, 3);
  const forms = [
    Buffer.from(file),
    shifted.subarray(3),
    new DataView(shifted.buffer, 3),
    file.buffer.slice(0),
    structuredClone(file),
  ];
  for (const form of forms) expect(audio.readWav(form as Uint8Array).samples.arraySync()).toEqual([[0.5]]);
});

test('a file whose writer did not know its length is read to its end', () => {
  for (const data of [0xffffffff, 0x7ffff000]) {
    const bytes = Uint8Array.from([...wav({ data: integers(2, [16384, 8192]), sizes: { data, riff: 0xffffffff } }), 7]);
    expect(audio.readWav(bytes).samples.arraySync()).toEqual([[0.5, 0.25]]);
  }
  const killed = wav({ data: integers(2, [16384, 8192]), sizes: { data: 0, riff: 0 } });
  expect(audio.readWav(killed).samples.arraySync()).toEqual([[0.5, 0.25]]);
});

describe('what is wrong about a file is named', () => {
  const good = wav({ data: integers(2, [1, 2, 3]) });
  const named = (at: number, bytes: readonly number[]): Uint8Array => {
    const copy = good.slice();
    copy.set(bytes, at);
    return copy;
  };
  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), "this is no WAV file: it begins with '0 bytes'"],
    ['another kind', Uint8Array.from(Buffer.from('ID3\u0004 and so on')), "it begins with 'ID3?', not 'RIFF'"],
    ['a big-endian one', named(0, [0x52, 0x49, 0x46, 0x58]), "'RIFX', not 'RIFF', a big-endian one"],
    ['an AVI', named(8, [0x41, 0x56, 0x49, 0x20]), "this is no WAV file: the 'RIFF' holds 'AVI ', not 'WAVE'"],
    [
      'the beginning of a RIFF',
      named(0, []).slice(0, 9),
      "this is no WAV file: the 'RIFF' holds '1 bytes', not 'WAVE'",
    ],
    ['no samples', good.slice(0, 36), "there is no 'data'"],
    ['no format', named(12, [0x66, 0x6d, 0x74, 0x78]), "'data' without a 'fmt '"],
    ['cut off in the samples', good.slice(0, -2), 'it announces 6 bytes of samples, and 4 are there'],
    ['cut off in the format', good.slice(0, 30), "'fmt ' has 16 bytes, of which 10 are there"],
    ['half a sample', wav({ data: integers(1, [1, 2, 3]) }), '3 bytes of samples are no whole number of 2'],
    ['a short format', wav({ sizes: { fmt: 8 } }), "'fmt ' has 8 bytes"],
    ['compressed', wav({ tag: 17, bits: 4 }), 'the format is 17, ADPCM'],
    ['mu-law', wav({ tag: 7, bits: 8 }), 'the format is 7, mu-law'],
    ['an unknown extension', wav({ extensible: { tag: 1, valid: 16, tail: [1] } }), 'a format of its own'],
    ['no channels', wav({ channels: 0 }), '0 channels'],
    ['too many channels', wav({ channels: 2000 }), '2000 channels'],
    ['no rate', wav({ rate: 0 }), '1 channels of 0 samples a second'],
    ['no bits', wav({ bits: 0 }), '0 bits a sample'],
    ['many bits', wav({ bits: 40 }), '40 bits a sample'],
    ['half floats', wav({ tag: 3, bits: 16 }), '16 bits a sample; read are 32 and 64 of floats'],
    ['floats of odd size', wav({ tag: 3, bits: 60 }), '60 bits a sample'],
    [
      'another frame',
      wav({ frame: 4, data: integers(2, [1, 2]) }),
      '1 channels of 16 bits need 2 bytes; the file says 4',
    ],
    ['not a number', wav({ tag: 3, bits: 32, data: bytesOf(Float32Array.of(0, NaN)) }), 'sample 1 of channel 0 is NaN'],
    [
      'infinite',
      wav({ tag: 3, bits: 64, channels: 2, data: bytesOf(Float64Array.of(0, Infinity)) }),
      'sample 0 of channel 1 is Infinity',
    ],
  ])('%s', (_name, bytes, message) => {
    expect(() => audio.readWav(bytes)).toThrow(FormatError);
    expect(() => audio.readWav(bytes)).toThrow(message);
  });

  test('cut off anywhere, or with any byte changed, it is an error of that kind or it is read', () => {
    const source = wav({
      channels: 2,
      bits: 24,
      before: [['LIST', Uint8Array.of(1, 2, 3)]],
      data: integers(3, [1, 2, 3, 4]),
      extensible: { tag: 1, valid: 24 },
    });
    const read = (bytes: Uint8Array): void => {
      try {
        expect(Array.from(audio.readWav(bytes).samples.dataSync()).every(Number.isFinite)).toBe(true);
      } catch (error) {
        expect((error as TapegradError).name).toBe('FormatError');
      }
    };
    for (let length = 0; length < source.length; length++) read(source.slice(0, length));
    for (let at = 0; at < source.length; at++)
      for (const byte of [0, 1, 127, 255]) {
        const changed = source.slice();
        changed[at] = byte;
        try {
          read(changed);
        } catch (error) {
          throw new Error(`byte ${at} = ${byte}: ${String(error)}`, { cause: error });
        }
      }
  });

  test('what holds no bytes, and options that there are not', () => {
    expect(() => audio.readWav('a.wav' as never)).toThrow(DTypeError);
    expect(() => audio.readWav('a.wav' as never)).toThrow('[readWav] the file is a string');
    expect(() => audio.readWav(good, { dtype: 'int32' as never })).toThrow(ValueError);
    expect(() => audio.readWav(good, { mono: true } as never)).toThrow("there is no option 'mono'");
  });
});
