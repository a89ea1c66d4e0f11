// node bundle.mjs <bundler> <entry> <output>: bundles a program for browsers ('webpack for Node': for that) with the bundler's own defaults for production, in
// the folder that it runs in. Prints the warnings as JSON.
import { basename, dirname, resolve } from 'node:path';

const bundlers = {
  async esbuild(entry, output) {
    const { build } = await import('esbuild');
    const { warnings } = await build({
      entryPoints: [entry],
      outfile: output,
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      logLevel: 'silent',
    });
    return warnings.map(({ text }) => text);
  },

  async vite(entry, output) {
    const { build, createLogger } = await import('vite');
    const warnings = [];
    const warn = (message) => warnings.push(message);
    await build({
      root: process.cwd(),
      configFile: false,
      customLogger: { ...createLogger('silent'), warn, warnOnce: warn, error: warn },
      build: {
        outDir: dirname(output),
        emptyOutDir: false,
        rollupOptions: { input: entry, output: { entryFileNames: basename(output) } },
      },
    });
    return warnings;
  },

  webpack(entry, output) {
    return pack({
      mode: 'production',
      context: process.cwd(),
      entry,
      // A module, so that what is loaded on demand (WebGPU) is found beside it in Node as well.
      experiments: { outputModule: true },
      output: { path: dirname(output), filename: basename(output), module: true },
      // It remarks on any script beyond 250 kB; more than a third of this one is WebAssembly. Growing on unseen is not what is meant.
      performance: { maxAssetSize: 340_000, maxEntrypointSize: 340_000 },
    });
  },

  'webpack for Node'(entry, output) {
    return pack({
      mode: 'production',
      target: 'node20',
      context: process.cwd(),
      entry,
      experiments: { outputModule: true },
      output: { path: dirname(output), filename: basename(output), module: true },
      // Native code cannot be bundled.
      externals: { koffi: 'import koffi', webgpu: 'import webgpu' },
    });
  },
};

async function pack(config) {
  const { default: webpack } = await import('webpack');
  const stats = await new Promise((done, fail) => {
    webpack(config, (error, result) => (error ? fail(error) : done(result)));
  });
  const { warnings, errors } = stats.toJson({ all: false, warnings: true, errors: true });
  return [...warnings, ...errors].map(({ message }) => message);
}

const [name, entry, output] = process.argv.slice(2);
console.log(JSON.stringify(await bundlers[name](resolve(entry), resolve(output))));
