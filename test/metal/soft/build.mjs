// Builds the software Metal device with clang into out/soft-metal, unless that is newer than its sources. Prints the library's path; fails,
// with one line on stderr, where there is no compiler. SOFT_METAL_CXX names another one than clang++-19 (it must be 19 or newer, with lld).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, '..', '..', '..', 'out', 'soft-metal');
const library = join(folder, 'libsoftmetal.so');
const compiler = process.env.SOFT_METAL_CXX ?? 'clang++-19';

const sources = readdirSync(here)
  .filter((name) => /\.(cc|S)$/.test(name))
  .map((name) => join(here, name));
const newest = Math.max(...readdirSync(here).map((name) => statSync(join(here, name)).mtimeMs));

// Also where the library is there already: it compiles kernels when they are first used.
if (spawnSync(compiler, ['--version']).status !== 0) {
  console.error(`the software Metal device needs ${compiler} and lld (Debian: apt-get install clang-19 lld-19)`);
  process.exit(1);
}
if (!existsSync(library) || statSync(library).mtimeMs < newest) {
  mkdirSync(folder, { recursive: true });
  const flags = [
    '-std=c++20',
    '-O2',
    '-g',
    '-fPIC',
    '-shared',
    '-fvisibility=hidden',
    '-pthread',
    '-Wall',
    '-Wextra',
    '-Wno-unused-parameter',
    '-Werror',
    `-DSOFT_COMPILER="${compiler}"`,
    `-DSOFT_HEADERS="${here}"`,
  ];
  // Renamed when complete: several test files may build at once.
  const fresh = `${library}.${process.pid}`;
  const built = spawnSync(compiler, [...flags, ...sources, '-o', fresh], { stdio: ['ignore', 2, 2] });
  if (built.status !== 0) process.exit(built.status ?? 1);
  renameSync(fresh, library);
}
console.log(library);
