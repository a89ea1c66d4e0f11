import { withNeeded } from '../shared/needed.mjs';

/** `npm run speech`: checks that everything is installed and built, then hands over to main.mjs. */
await withNeeded(['cli-progress', 'vega', 'tapegrad'], () => import('./main.mjs'));
