import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { nodeArgs } from './node.js';

export const ROOT = join(__dirname, '..');

/** When a source file was last changed. What the kernel build generates does not count: `npm test` writes it anew. */
function newest(folder: string): number {
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.includes('generated'),
  );
  return Math.max(...sources.map((name) => statSync(join(folder, name)).mtimeMs));
}

/** Tests of the built package would prove nothing about an old build. @throws {Error} */
export function checkBuilt(): void {
  const built = join(ROOT, 'dist/index.js');
  if (!existsSync(built) || statSync(built).mtimeMs < newest(join(ROOT, 'src')))
    throw new Error("dist/ is missing or older than src/: run 'npm run build' first");
}

/** A project of its own, in a temporary folder, that has the package as `npm pack` makes it. */
export interface Project {
  readonly folder: string;
  /** Runs Node in the project; gives what it prints. @throws {Error} with what it says on stderr. */
  node(...args: string[]): string;
  remove(): void;
}

/**
 * Installs the tarball, its own dependencies and `extra` packages. The packages are those of this repository, linked: what the tarball does
 * not declare is not there.
 */
export function installTarball(extra: readonly string[] = []): Project {
  checkBuilt();
  const folder = mkdtempSync(join(tmpdir(), 'tapegrad-installed-'));
  const modules = join(folder, 'node_modules');
  const home = join(modules, 'tapegrad');
  mkdirSync(home, { recursive: true });
  const quiet = { encoding: 'utf8', stdio: 'pipe' } as const;
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: ROOT, ...quiet })) as [{ filename: string }];
  execFileSync('tar', ['xzf', join(folder, filename), '-C', home, '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const name of [...Object.keys(dependencies), ...extra]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
  return {
    folder,
    node: (...args) => execFileSync(process.execPath, nodeArgs(...args), { cwd: folder, ...quiet }),
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The README's first example, as JavaScript, and what it prints. */
export function readmeExample(): { code: string; output: string } {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, code, output] = /^```ts\n([\s\S]*?)^```\n\s*^```text\n([\s\S]*?)^```/m.exec(readme)!;
  const { outputText } = ts.transpileModule(code!, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  return { code: outputText, output: output!.trim() };
}
