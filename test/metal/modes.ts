/** The suites on the 'metal' device run in three modes: as it is, checked, and with the threads' order reversed. */
import { MetalBackend } from '../../src/backends/metal/backend.js';
import { settled } from '../garbage.js';
import { change, metalTests, ORDER, type Setting, softLibrary, softTests } from './harness.js';

export interface OnMetal {
  /** The device; open, in the suite's mode, while the suite runs. */
  readonly metal: () => MetalBackend;
}

/** Tests between collections of garbage. Each buffer of the software device is a mapping with a page before and behind it, and a process may have only so many. */
const TESTS_PER_COLLECTION = 25;

function suite(settings: Partial<Record<Setting, number>>, strict: boolean, body: (on: OnMetal) => void): void {
  let backend: MetalBackend;
  let restore: (() => void) | undefined;
  let tests = 0;
  beforeAll(async () => {
    if (Object.keys(settings).length > 0) restore = await change(settings);
    backend = await MetalBackend.open(softLibrary, { strict });
  });
  // What a test has launched runs, and fails, with that test.
  afterEach(async () => {
    backend.finish();
    if (++tests % TESTS_PER_COLLECTION > 0) return;
    await settled();
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
