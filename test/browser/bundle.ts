import { build, type PluginBuild } from 'esbuild';
import { ROOT } from '../built.js';
import { REPORTING } from './page.js';

/** A program with the browser's entry in it. */
export async function bundle(program: string): Promise<ReadonlyMap<string, string>> {
  const reporting = { name: 'reporting', setup: resolveReporting };
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: ROOT },
    alias: { tapegrad: './src/index.browser.ts' },
    plugins: [reporting],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  });
  return new Map([['/page.js', outputFiles[0]!.text]]);
}

function resolveReporting(plugin: PluginBuild): void {
  plugin.onResolve({ filter: /^reporting$/ }, ({ path }) => ({ path, namespace: 'reporting' }));
  plugin.onLoad({ filter: /.*/, namespace: 'reporting' }, () => ({ contents: REPORTING }));
}
