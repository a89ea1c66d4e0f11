import { withNeeded } from '../shared/needed.mjs';

/** `npm run recognise`: checks that everything is installed and built, then hands over to main.mjs. */
await withNeeded(['pngjs', 'cli-progress', 'vega', 'tapegrad'], () => import('./main.mjs'));
