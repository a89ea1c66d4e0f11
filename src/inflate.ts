import { TapegradError } from './errors.js';

/** What undoes deflate and gzip, at once. */
export interface Inflater {
  readonly inflate: (bytes: Uint8Array) => Uint8Array<ArrayBuffer>;
  readonly gunzip: (bytes: Uint8Array) => Uint8Array<ArrayBuffer>;
}

let registered: Inflater | undefined;

/** Introduces an inflater for where Node's own is not there. A package for it is loaded by browsers alone: it would be a sixth of what importing costs in Node. */
export function registerInflater(by: Inflater): void {
  registered = by;
}

/** Node's inflater where it is there, else the one that has been registered. @throws {TapegradError} where there is neither. */
export function inflater(): Inflater {
  const zlib = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:zlib');
  if (zlib)
    return {
      inflate: (bytes) => new Uint8Array(zlib.inflateRawSync(bytes)),
      gunzip: (bytes) => new Uint8Array(zlib.gunzipSync(bytes)),
    };
  if (!registered) throw new TapegradError('import', "outside of Node the package's entry is 'index.browser.js'");
  return registered;
}
