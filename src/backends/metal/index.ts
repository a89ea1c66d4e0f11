import type { Backend } from '../backend.js';
import { MetalBackend } from './backend.js';

/**
 * Opens the 'metal' device. The environment variable TAPEGRAD_METAL_LIBRARY names a library to use in place of Apple's frameworks, such as
 * the tests' software device.
 */
export function openMetal(): Promise<Backend> {
  const library = globalThis.process?.env.TAPEGRAD_METAL_LIBRARY;
  return MetalBackend.open(library === '' ? undefined : library);
}
