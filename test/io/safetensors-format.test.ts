import { FormatError } from '../../src/errors.js';
import {
  decodeSafetensors,
  encodeSafetensors,
  type RawTensor,
  SAFETENSORS_DTYPES,
} from '../../src/io/safetensors-format.js';

const ascii = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0));
const float32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const raw = (dtype: RawTensor['dtype'], shape: number[], bytes: Uint8Array | number[]): RawTensor => ({
  dtype,
  shape,
  bytes: Uint8Array.from(bytes),
});

/** A file around a header, however wrong: the length is what the header takes unless another one is claimed. */
function fileOf(header: string | Uint8Array, dataBytes = 0, claimed?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + text.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

describe('writing, byte for byte', () => {
  test('the header is filled with spaces to a multiple of 8, or not at all', () => {
    const header = '{"weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}   ';
    expect(header.length).toBe(64);
    expect(Array.from(encodeSafetensors([['weight', raw('F32', [2, 1], float32(1, -2))]]))).toEqual([
      64,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...ascii(header),
      0,
      0,
      0x80,
      0x3f,
      0,
      0,
      0,
      0xc0,
    ]);
    expect(Array.from(encodeSafetensors([['weigh.bias..1', raw('U8', [], [7])]]).subarray(70))).toEqual([
      0x7d, 0x7d, 7,
    ]);
  });

  test('an empty file, and one of metadata alone', () => {
    expect(Array.from(encodeSafetensors([]))).toEqual([8, 0, 0, 0, 0, 0, 0, 0, ...ascii('{}      ')]);
    expect(Array.from(encodeSafetensors([], { format: 'pt' }))).toEqual([
      32,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...ascii('{"__metadata__":{"format":"pt"}}'),
    ]);
    expect(Array.from(encodeSafetensors([], {}))).toEqual([
      24,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...ascii('{"__metadata__":{}}     '),
    ]);
  });

  test('order: metadata, then dtypes from the widest alignment down, then names by their UTF-8 bytes', () => {
    const file = encodeSafetensors(
      [
        ['b', raw('BOOL', [1], [1])],
        ['half', raw('F16', [1], [2, 2])],
        ['a', raw('I64', [1], [3, 3, 3, 3, 3, 3, 3, 3])],
        ['z', raw('F32', [1], [4, 4, 4, 4])],
        ['\u{1F600}', raw('F32', [1], [5, 5, 5, 5])],
        ['\uFF5E', raw('F32', [1], [6, 6, 6, 6])],
        ['Z', raw('F32', [1], [7, 7, 7, 7])],
        ['none', raw('F64', [0, 3], [])],
      ],
      { b: '1', a: '2' },
    );
    const text =
      '{"__metadata__":{"b":"1","a":"2"},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},' +
      '"none":{"dtype":"F64","shape":[0,3],"data_offsets":[8,8]},"Z":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},' +
      '"z":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"\uFF5E":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},' +
      '"\u{1F600}":{"dtype":"F32","shape":[1],"data_offsets":[20,24]},"half":{"dtype":"F16","shape":[1],"data_offsets":[24,26]},' +
      '"b":{"dtype":"BOOL","shape":[1],"data_offsets":[26,27]}}';
    const length = Number(new DataView(file.buffer).getBigUint64(0, true));
    expect(new TextDecoder().decode(file.subarray(8, 8 + length)).trimEnd()).toBe(text);
    expect(length % 8).toBe(0);
    expect(Array.from(file.subarray(8 + length))).toEqual([
      3, 3, 3, 3, 3, 3, 3, 3, 7, 7, 7, 7, 4, 4, 4, 4, 6, 6, 6, 6, 5, 5, 5, 5, 2, 2, 1,
    ]);
  });

  test('names are escaped as JSON', () => {
    const file = encodeSafetensors([['q"\\\n\u0001\u007f', raw('U8', [1], [9])]]);
    expect(new TextDecoder().decode(file.subarray(8))).toContain('{"q\\"\\\\\\n\\u0001\u007f":{');
    expect([...decodeSafetensors(file).tensors.keys()]).toEqual(['q"\\\n\u0001\u007f']);
  });

  test('what cannot be written is refused', () => {
    expect(() => encodeSafetensors([['a', raw('F32', [2], [0, 0, 0, 0])]])).toThrow(
      '[saveSafetensors] tensor "a": shape [2] of F32 takes 8 bytes, got 4',
    );
    expect(() => encodeSafetensors([['a', raw('F4', [3], [0, 0])]])).toThrow('does not fill whole bytes');
    expect(() => encodeSafetensors([['__metadata__', raw('U8', [], [1])]])).toThrow('cannot name a tensor');
    expect(() =>
      encodeSafetensors([
        ['a', raw('U8', [], [1])],
        ['a', raw('F32', [0], [])],
      ]),
    ).toThrow('two tensors are named "a"');
    expect(() => encodeSafetensors([['\ud800', raw('U8', [], [1])]])).toThrow('lone surrogate');
    expect(() => encodeSafetensors([['a', raw('U8', [-1], [])]])).toThrow('bad shape [-1]');
    expect(() => encodeSafetensors([['a', raw('F31' as 'F32', [1], [])]])).toThrow('unknown dtype "F31"');
    expect(() => encodeSafetensors([], { step: 3 as unknown as string })).toThrow(
      'metadata "step" must be a string, got 3',
    );
  });
});

describe('reading', () => {
  test.each(SAFETENSORS_DTYPES)('%s comes back as it was', (dtype) => {
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i * 9);
    const bits =
      { F4: 4, F6_E2M3: 6, F6_E3M2: 6, C64: 64 }[dtype as string] ??
      (dtype.startsWith('F8') || dtype === 'BOOL' ? 8 : Number(/\d+/.exec(dtype)![0]));
    const file = encodeSafetensors([['x', { dtype, shape: [1, 192 / bits], bytes }]], { note: 'ü' });
    const { tensors, metadata } = decodeSafetensors(file);
    expect(tensors.get('x')).toEqual({ dtype, shape: [1, 192 / bits], bytes });
    expect(metadata).toEqual({ note: 'ü' });
    expect(encodeSafetensors(tensors, metadata)).toEqual(file);
  });

  test('files of other writers: any order of entries, no padding, unknown fields, null metadata, data at odd addresses', () => {
    const header =
      '{"b":{"shape":[2],"data_offsets":[1,3],"dtype":"U8","more":1},"e":{"dtype":"F32","shape":[3,0],"data_offsets":[1,1]},"__metadata__":null,' +
      '"a":{"dtype":"I8","shape":[],"data_offsets":[0,1]}}';
    const file = fileOf(header, 3);
    file.set([250, 2, 3], file.length - 3);
    const shifted = new Uint8Array(file.length + 1);
    shifted.set(file, 1);
    for (const bytes of [file, shifted.subarray(1), Buffer.from(file)]) {
      const { tensors, metadata } = decodeSafetensors(bytes);
      expect([...tensors].map(([name, t]) => [name, t.dtype, t.shape, Array.from(t.bytes)])).toEqual([
        ['a', 'I8', [], [250]],
        ['e', 'F32', [3, 0], []],
        ['b', 'U8', [2], [2, 3]],
      ]);
      expect(metadata).toEqual({});
    }
  });

  test('a tensor may be called __proto__', () => {
    const file = encodeSafetensors([['__proto__', raw('U8', [1], [5])]]);
    expect(Array.from(decodeSafetensors(file).tensors.get('__proto__')!.bytes)).toEqual([5]);
  });

  const entry = (fields: string): string => `{"w":{${fields}}}`;
  const lies: [string, Uint8Array, string][] = [
    ['shorter than its length', Uint8Array.of(1, 2, 3), 'the file has 3 bytes, its header length alone takes 8'],
    ['empty', new Uint8Array(0), 'the file has 0 bytes'],
    ['header beyond the file', fileOf('{}', 0, 3n), 'the header says it has 3 bytes, the file has 2 after the length'],
    ['header above 100 MB', fileOf('{}', 0, 100_000_001n), 'the header says it has 100000001 bytes, at most 100000000'],
    ['header of 2^64 - 1', fileOf('{}', 0, 2n ** 64n - 1n), 'the header says it has 18446744073709551615 bytes'],
    ['not UTF-8', fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)), 'not valid UTF-8'],
    ['empty header', fileOf(''), 'not valid JSON'],
    ['not JSON', fileOf('{"w":'), 'not valid JSON'],
    ['byte order mark', fileOf('\uFEFF{}'), 'not valid JSON'],
    ['data inside the claimed header', fileOf('{}', 8, 9n), 'not valid JSON'],
    ['a list', fileOf('[1]'), 'the header must be a JSON object, got [1]'],
    ['a number', fileOf('7'), 'the header must be a JSON object, got 7'],
    ['null', fileOf('null'), 'the header must be a JSON object, got null'],
    ['leading space', fileOf(' {}'), 'the header must begin with "{"'],
    [
      'a tensor twice',
      fileOf(
        '{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0077":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        1,
      ),
      'the header has the key "w" twice',
    ],
    [
      'a field twice',
      fileOf(entry('"dtype":"U8","shape":[1],"shape" : [2],"data_offsets":[0,2]'), 2),
      'the header has the key "shape" twice',
    ],
    ['metadata twice', fileOf('{"__metadata__":{"a":"1","a":"2"}}'), 'the header has the key "a" twice'],
    ['metadata of numbers', fileOf('{"__metadata__":{"step":3}}'), '__metadata__: "step" must be a string, got 3'],
    ['metadata as a list', fileOf('{"__metadata__":["a"]}'), '__metadata__ must be an object of strings, got ["a"]'],
    ['entry as a list', fileOf('{"w":[1]}'), 'tensor "w": its entry must be an object, got [1]'],
    ['no dtype', fileOf(entry('"shape":[1],"data_offsets":[0,1]'), 1), 'tensor "w": unknown dtype undefined'],
    [
      'unknown dtype',
      fileOf(entry('"dtype":"F128","shape":[1],"data_offsets":[0,16]'), 16),
      'tensor "w": unknown dtype "F128", known are BOOL',
    ],
    [
      'inherited dtype',
      fileOf(entry('"dtype":"toString","shape":[1],"data_offsets":[0,1]'), 1),
      'unknown dtype "toString"',
    ],
    [
      'no shape',
      fileOf(entry('"dtype":"U8","data_offsets":[0,1]'), 1),
      'tensor "w": shape must be a list of whole numbers',
    ],
    [
      'negative shape',
      fileOf(entry('"dtype":"U8","shape":[-1],"data_offsets":[0,1]'), 1),
      'shape must be a list of whole numbers below 2^53, got [-1]',
    ],
    ['fraction in shape', fileOf(entry('"dtype":"U8","shape":[1.5],"data_offsets":[0,1]'), 1), 'shape must be'],
    ['text in shape', fileOf(entry('"dtype":"U8","shape":["1"],"data_offsets":[0,1]'), 1), 'shape must be'],
    [
      'one offset',
      fileOf(entry('"dtype":"U8","shape":[1],"data_offsets":[1]'), 1),
      'data_offsets must be two whole numbers',
    ],
    [
      'negative offset',
      fileOf(entry('"dtype":"U8","shape":[1],"data_offsets":[-1,0]'), 1),
      'data_offsets must be two whole numbers',
    ],
    [
      'offsets swapped',
      fileOf(entry('"dtype":"U8","shape":[1],"data_offsets":[1,0]'), 1),
      'data_offsets [1, 0] end before they begin',
    ],
    [
      'a hole in front',
      fileOf(entry('"dtype":"U8","shape":[1],"data_offsets":[1,2]'), 2),
      'data_offsets [1, 2] leaves a hole before it, which ends at 0',
    ],
    [
      'overlap',
      fileOf(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        3,
      ),
      'tensor "b": data_offsets [1, 3] overlaps the tensor before it',
    ],
    [
      'the same bytes twice',
      fileOf(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
        2,
      ),
      'overlaps the tensor before it',
    ],
    [
      'size against shape',
      fileOf(entry('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), 4),
      'shape [2] of F32 takes 8 bytes, data_offsets give 4',
    ],
    ['half a byte', fileOf(entry('"dtype":"F4","shape":[3],"data_offsets":[0,2]'), 2), 'does not fill whole bytes'],
    [
      'overflowing shape',
      fileOf(entry('"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]')),
      'shape [4294967296, 4294967296] of U8 overflows',
    ],
    [
      'overflow before a zero',
      fileOf(entry('"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]')),
      'overflows',
    ],
    [
      'dimension past 2^53',
      fileOf(entry('"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]'), 1),
      'whole numbers below 2^53',
    ],
    [
      'data cut off',
      fileOf(entry('"dtype":"F32","shape":[2],"data_offsets":[0,8]'), 7),
      "data_offsets [0, 8] reach past the file's 7 bytes of data",
    ],
    [
      'data left over',
      fileOf(entry('"dtype":"F32","shape":[2],"data_offsets":[0,8]'), 9),
      'the tensors cover 8 bytes of data, the file has 9',
    ],
  ];
  test.each(lies)('refused: %s', (_, file, message) => {
    expect(() => decodeSafetensors(file)).toThrow(FormatError);
    expect(() => decodeSafetensors(file)).toThrow('[loadSafetensors] ');
    expect(() => decodeSafetensors(file)).toThrow(message);
  });

  test('every truncation of a good file is refused', () => {
    const file = encodeSafetensors(
      [
        ['a', raw('F32', [2], float32(1, 2))],
        ['b', raw('U8', [3], [1, 2, 3])],
      ],
      { k: 'v' },
    );
    for (let length = 0; length < file.length; length++)
      expect(() => decodeSafetensors(file.subarray(0, length))).toThrow(FormatError);
  });
});
