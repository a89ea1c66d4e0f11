/** Recurrent layers on the 'webgpu' device: sequences in one launch, and a launch for each frame. */
import { device as open } from 'tapegrad';
import { recurrentSuite } from '../gpu/recurrent.suite.js';
import { suiteOnDevice } from './harness.js';

suiteOnDevice(
  'recurrent cells on webgpu',
  (device) => {
    recurrentSuite(device, () => open('cpu'));
  },
  true,
);
