/** The suites on the 'metal' device run in three modes: as it is, checked, and with the threads' order reversed. */
import { MetalBackend } from '../../src/backends/metal/backend.js';
import { change, metalTests, ORDER, type Setting, softLibrary, softTests } from './harness.js';

export interface OnMetal {
  /** The device; open, in the suite's mode, while the suite runs. */
  readonly metal: () => MetalBackend;
}

function suite(settings: Partial<Record<Setting, number>>, strict: boolean, body: (on: OnMetal) => void): void {
  let backend: MetalBackend;
  let restore: (() => void) | undefined;
  beforeAll(async () => {
    if (Object.keys(settings).length > 0) restore = await change(settings);
    backend = await MetalBackend.open(softLibrary, { strict });
  });
  // What a test has launched runs, and fails, with that test.
  afterEach(() => {
    backend.finish();
  });
  afterAll(() => {
    backend.close();
    restore?.();
  });
  body({ metal: () => backend });
}

/** Registers the suite once for each mode. In checked mode buffers have no slack and recycled memory is overwritten. */
export function inEveryMode(name: string, body: (on: OnMetal) => void): void {
  metalTests(name, () => {
    suite({}, false, body);
  });
  softTests(`${name}, checked`, () => {
    suite({ checked: 1 }, true, body);
  });
  softTests(`${name}, threads in reverse`, () => {
    suite({ order: ORDER.reverse }, false, body);
  });
}
