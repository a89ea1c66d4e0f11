// Bundles src/ into the modules of dist/, beside the declarations that tsc writes there: a program that imports the package loads a handful of
// files rather than two hundred. (Each costs Node as much as a tenth of what is in them all.)
//   index.js, index.bundled.js, index.browser.js, distributed/index.js    the entries that package.json names
//   core.js                                             all that they share; there is one engine, whichever of them a program imports
//   nn, optim, audio, image                             names of core.js, for bundlers: they take of it what a program uses
//   internals.js                                        what benchmarks want beside these; not published
//   others                                              what is loaded on demand: WebGPU, Metal, MPI
// Names stay as they are written, for stack traces. Packages are not bundled.
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const source = (name) => join(ROOT, 'src', `${name}.ts`);

const ENTRIES = ['index', 'index.bundled', 'index.browser', 'distributed/index', 'internals'];
const NAMESPACES = ['nn/index', 'optim/index', 'data/audio/index', 'data/image'];
/**
 * What an entry imports as if it were another package's. Namespaces: in one file they are objects, which Node is content with, but whose members no bundler can tell
 * to be unused.
 */
const APART = new Map([
  [source('index.browser'), NAMESPACES],
  [source('index.bundled'), ['index']],
]);

const apart = {
  name: 'apart',
  resolveId(id, importer) {
    const file = importer && resolve(dirname(importer), id.replace(/\.js$/, '.ts'));
    const name = APART.get(importer)?.find((other) => source(other) === file);
    return name === undefined ? null : { id: `./${name}.js`, external: true };
  },
};

/** The public surface, its namespaces and all that importing them loads. */
function shared(graph) {
  const found = new Set(['surface', ...NAMESPACES].map(source));
  for (const id of found) for (const next of graph.getModuleInfo(id)?.importedIds ?? []) found.add(next);
  return found;
}

let core;
const bundle = await rolldown({
  input: Object.fromEntries([...ENTRIES, ...NAMESPACES].map((name) => [name, source(name)])),
  platform: 'neutral',
  external: (id) => !id.startsWith('.') && !resolve(id).startsWith(join(ROOT, 'src') + sep),
  tsconfig: join(ROOT, 'tsconfig.build.json'),
  plugins: [apart],
  preserveEntrySignatures: 'allow-extension',
});
const { output } = await bundle.write({
  dir: join(ROOT, 'dist'),
  format: 'esm',
  chunkFileNames: '[name].js',
  minifyInternalExports: false,
  comments: { jsdoc: false },
  codeSplitting: {
    includeDependenciesRecursively: false,
    groups: [
      { name: 'gpu', test: /\/backends\/gpu\// },
      { debugName: 'core', name: (id, graph) => ((core ??= shared(graph)).has(id) ? 'core' : null) },
    ],
  },
});
await bundle.close();

// What an earlier build has left.
const written = new Set(output.map(({ fileName }) => fileName));
const isStale = (name) =>
  name.endsWith('.d.ts')
    ? !existsSync(join(ROOT, 'src', name.replace(/\.d\.ts$/, '.ts')))
    : name.endsWith('.tsbuildinfo') || (name.endsWith('.js') && !written.has(name));
for (const name of await readdir(join(ROOT, 'dist'), { recursive: true }))
  if (isStale(name.replaceAll(sep, '/'))) await rm(join(ROOT, 'dist', name));
