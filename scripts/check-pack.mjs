// What `npm pack` would publish: everything that is needed, nothing that is not.
import { execFileSync } from 'node:child_process';

const [{ files, unpackedSize }] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }),
);
const paths = files.map((file) => file.path);

const needed = [
  'LICENSE',
  'README.md',
  'CHANGELOG.md',
  'package.json',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/backends/cpu/generated/kernels.js',
  'dist/backends/metal/generated/sources.js',
  'metal/ctc/loss.metal',
];
const allowed = [
  /^(LICENSE|README\.md|CHANGELOG\.md|package\.json)$/,
  /^dist\/.+\.(js|d\.ts)$/,
  /^metal\/.+\.metal$/,
  /^docs\/.+\.(md|svg)$/,
];
const missing = needed.filter((path) => !paths.includes(path));
const stray = paths.filter((path) => !allowed.some((pattern) => pattern.test(path)));
const problems = [
  ...missing.map((path) => `missing: ${path}`),
  ...stray.map((path) => `does not belong in the package: ${path}`),
  ...(unpackedSize > 3e6 ? [`unpacked size ${unpackedSize} is over 3 MB`] : []),
];
console.log(problems.length ? problems.join('\n') : `pack: ${paths.length} files, ${unpackedSize} bytes unpacked`);
process.exitCode = problems.length ? 1 : 0;
