import { gzipSync, deflateRawSync } from 'node:zlib';
import { gunzipSync, inflateSync } from 'fflate';
import { TapegradError } from '../src/errors.js';
import { inflater, registerInflater } from '../src/inflate.js';

const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * i) % 251);

function check(): void {
  const { inflate, gunzip } = inflater();
  expect(inflate(deflateRawSync(bytes))).toEqual(bytes);
  expect(gunzip(gzipSync(bytes))).toEqual(bytes);
  expect(() => gunzip(bytes)).toThrow();
}

test("Node's own inflater", check);

test('elsewhere the one that an entry has registered, and an error that names the entry where there is none', () => {
  const own = Object.getOwnPropertyDescriptor(process, 'getBuiltinModule')!;
  Object.defineProperty(process, 'getBuiltinModule', { value: undefined, configurable: true });
  try {
    expect(inflater).toThrow(TapegradError);
    expect(inflater).toThrow("[import] outside of Node the package's entry is 'index.browser.js'");
    registerInflater({ inflate: (packed) => inflateSync(packed), gunzip: (packed) => gunzipSync(packed) });
    check();
  } finally {
    Object.defineProperty(process, 'getBuiltinModule', own);
  }
});
