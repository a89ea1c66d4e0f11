/** The op suite on the 'webgpu' device. */
import { opSuite, type Slack } from '../ops.suite.js';
import { suiteOnDevice } from './harness.js';

/** WGSL's quotients and roots may be off by a few units, and its functions may take the smallest numbers for 0. */
const slack: Slack = { ulps: 8, flushesDenormals: true };

suiteOnDevice('on webgpu', (device) => {
  opSuite('webgpu', () => Promise.resolve(device()), slack);
});
