/** The op suite on the 'webgpu' device. */
import type { WebGpuBackend } from '../../src/backends/webgpu/backend.js';
import { opSuite } from '../ops.suite.js';
import { openDevice, webGpuTests } from './harness.js';

webGpuTests('on webgpu', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await openDevice();
  });
  afterAll(() => {
    backend.close();
  });
  opSuite('webgpu', () => Promise.resolve(backend), { ulps: 8, flushesDenormals: true });
});
