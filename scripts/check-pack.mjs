// What `npm pack` would publish: everything that is needed, nothing that is not, and no link between its pages that leads nowhere.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

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
  'dist/index.browser.js',
  'examples/ctc.mjs',
  'examples/digits/train.mjs',
  'examples/speech/train.mjs',
  'dist/core.js',
  'dist/distributed/index.js',
  'dist/metal.js',
  'metal/ctc/loss.metal',
  'dist/webgpu.js',
  'wgsl/matmul.wgsl',
];
const allowed = [
  /^(LICENSE|README\.md|CHANGELOG\.md|CONTRIBUTING\.md|package\.json)$/,
  /^dist\/.+\.(js|d\.ts)$/,
  /^metal\/.+\.metal$/,
  /^wgsl\/.+\.wgsl$/,
  /^docs\/.+\.(md|svg)$/,
  /^examples\/.+\.(md|mjs|html|css)$/,
];
const missing = needed.filter((path) => !paths.includes(path));
const stray = paths.filter((path) => !allowed.some((pattern) => pattern.test(path)));

/** A heading's anchor, as GitHub makes it. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
const anchorsOf = (page) =>
  [...readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));

const links = paths
  .filter((path) => path.endsWith('.md'))
  .flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)]
      .map(([, inline, attribute]) => inline ?? attribute)
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => ({ page, target })),
  );
const leadsNowhere = ({ page, target }) => {
  const [path, anchor] = target.split('#');
  const file = path === '' ? page : posix.join(posix.dirname(page), path);
  const isThere = paths.includes(file) || paths.some((other) => other.startsWith(`${file.replace(/\/$/, '')}/`));
  return !isThere || (anchor !== undefined && !anchorsOf(file).includes(anchor));
};

const problems = [
  ...missing.map((path) => `missing: ${path}`),
  ...stray.map((path) => `does not belong in the package: ${path}`),
  ...links.filter(leadsNowhere).map(({ page, target }) => `${page}: ${target} leads nowhere`),
  ...(unpackedSize > 3e6 ? [`unpacked size ${unpackedSize} is over 3 MB`] : []),
];
console.log(
  problems.length
    ? problems.join('\n')
    : `pack: ${paths.length} files, ${unpackedSize} bytes unpacked, ${links.length} links`,
);
process.exitCode = problems.length ? 1 : 0;
