import { gzipSync, deflateRawSync } from 'node:zlib';
import { inflateSync } from 'fflate';
import { TapegradError } from '../src/errors.js';
import { gunzip } from '../src/gunzip.js';
import { inflater, registerInflater } from '../src/inflate.js';

const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * i) % 251);

function check(): void {
  const { inflate, gunzip } = inflater();
  expect(inflate(deflateRawSync(bytes))).toEqual(bytes);
  expect(gunzip(gzipSync(bytes))).toEqual(bytes);
  expect(() => gunzip(bytes)).toThrow();
  const [packed, nothing] = [gzipSync(bytes), gzipSync('')];
  for (const members of [[nothing], [packed, packed], [nothing, packed, nothing], [packed, nothing, nothing, packed]])
    expect(gunzip(Buffer.concat(members))).toEqual(
      new Uint8Array(Buffer.concat(members.map((member) => (member === packed ? bytes : new Uint8Array(0))))),
    );
  for (let length = 0; length < packed.length; length++) expect(() => gunzip(packed.subarray(0, length))).toThrow();
  // The checksum and the length, and what they are of.
  for (const at of [packed.length - 8, packed.length - 5, packed.length - 4, packed.length - 1, packed.length >> 1, 12])
    for (const whole of [packed, Buffer.concat([packed, nothing]), Buffer.concat([nothing, packed])]) {
      const changed = Uint8Array.from(whole);
      changed[whole.length === packed.length ? at : whole.subarray(0, 20).equals(nothing) ? 20 + at : at]! ^= 1;
      expect(() => gunzip(changed)).toThrow();
    }
}

test("Node's own inflater", check);

test('elsewhere the one that an entry has registered, and an error that names the entry where there is none', () => {
  const own = Object.getOwnPropertyDescriptor(process, 'getBuiltinModule')!;
  Object.defineProperty(process, 'getBuiltinModule', { value: undefined, configurable: true });
  try {
    expect(inflater).toThrow(TapegradError);
    expect(inflater).toThrow("[import] outside of Node the package's entry is 'index.browser.js'");
    registerInflater({ inflate: (packed) => inflateSync(packed), gunzip });
    check();
  } finally {
    Object.defineProperty(process, 'getBuiltinModule', own);
  }
});
