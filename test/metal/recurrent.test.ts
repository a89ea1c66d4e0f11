/** Recurrent layers on the 'metal' device: sequences in one launch, and a launch for each frame. */
import { device as open } from 'tapegrad';
import { recurrentSuite } from '../gpu/recurrent.suite.js';
import { inEveryMode } from './modes.js';

inEveryMode('recurrent cells on metal', ({ metal }) => {
  // The software device takes its time.
  recurrentSuite(metal, () => open('cpu'), 257);
});
