/** The suites on the 'metal' device run in three modes: as it is, checked, and with the threads' order reversed. */
import { MetalBackend } from '../../src/backends/metal/backend.js';
import { metalTests, ORDER, type Setting, softLibrary, softTests, withSettings } from './harness.js';

export interface OnMetal {
  /** The device; open while the suite runs. */
  readonly metal: () => MetalBackend;
  /** Runs a test's body in the suite's mode. */
  readonly run: <T>(body: () => T | Promise<T>) => Promise<T>;
}

function suite(settings: Partial<Record<Setting, number>>, strict: boolean, body: (on: OnMetal) => void): void {
  let backend: MetalBackend;
  beforeAll(async () => { backend = await MetalBackend.open(softLibrary, { strict }); });
  afterAll(() => { backend.close(); });
  // Everything that a body launches also runs in its mode.
  body({
    metal: () => backend,
    run: (test) => (Object.keys(settings).length === 0 ? Promise.resolve(test()) : withSettings(settings, async () => {
      const result = await test();
      backend.finish();
      return result;
    })),
  });
}

/** Registers the suite once for each mode. In checked mode buffers have no slack and recycled memory is overwritten. */
export function inEveryMode(name: string, body: (on: OnMetal) => void): void {
  metalTests(name, () => { suite({}, false, body); });
  softTests(`${name}, checked`, () => { suite({ checked: 1 }, true, body); });
  softTests(`${name}, threads in reverse`, () => { suite({ order: ORDER.reverse }, false, body); });
}
