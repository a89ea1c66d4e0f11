// npm run fuzz -- ctc --cases N --seed S: random problems against the exact tier, any number of them. The cases are those of the tests.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mkdtemp, rm } from 'node:fs/promises';
import { build } from 'esbuild';

const root = join(fileURLToPath(import.meta.url), '..', '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cases: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
if (positionals.join() !== 'ctc' || !(Number.isInteger(cases) && cases > 0) || !Number.isInteger(seed)) {
  console.error('usage: npm run fuzz -- ctc [--cases N] [--seed S]');
  process.exit(2);
}

// Node 20 reads no TypeScript: the fuzzer and the library are bundled first, beside the installed packages that they import.
const folder = await mkdtemp(join(root, 'node_modules', '.fuzz-'));
try {
  const outfile = join(folder, 'fuzz.mjs');
  await build({
    entryPoints: [join(root, 'test/ctc/fuzz.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    alias: { tapegrad: join(root, 'src/index.ts') },
  });
  const { fuzzCtc } = await import(outfile);
  const start = performance.now();
  let shown = start;
  const report = fuzzCtc(cases, seed, (done) => {
    if (!process.stderr.isTTY || performance.now() - shown < 500) return;
    shown = performance.now();
    process.stderr.write(`\r${done} of ${cases}, ${Math.round(done / ((shown - start) / 1000))} a second `);
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  console.log(JSON.stringify({ seed, ...report, seconds: Math.round((performance.now() - start) / 1000) }, null, 1));
  if (report.falseAccepts > 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
