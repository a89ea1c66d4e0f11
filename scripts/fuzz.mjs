// npm run fuzz -- NAME --cases N --seed S: random problems against something exact, any number of them. The cases are those of the tests.
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
/** What can be fuzzed: modules that export `fuzz(cases, seed, progress)`. */
const SUBJECTS = {
  ctc: 'test/ctc/fuzz.ts',
  align: 'test/decode/align-fuzz.ts',
  beam: 'test/decode/search-fuzz.ts',
  heap: 'test/cpu/heap-fuzz.ts',
};

const [cases, seed] = [Number(values.cases), Number(values.seed)];
const subject = positionals.length === 1 ? SUBJECTS[positionals[0]] : undefined;
if (!subject || !(Number.isInteger(cases) && cases > 0) || !Number.isInteger(seed)) {
  console.error(`usage: npm run fuzz -- ${Object.keys(SUBJECTS).join('|')} [--cases N] [--seed S]`);
  process.exit(2);
}

// Node 20 reads no TypeScript: the fuzzer and the library are bundled first, beside the installed packages that they import.
const folder = await mkdtemp(join(root, 'node_modules', '.fuzz-'));
try {
  const outfile = join(folder, 'fuzz.mjs');
  await build({
    entryPoints: [join(root, subject)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    alias: { tapegrad: join(root, 'src/index.ts') },
  });
  const { fuzz } = await import(outfile);
  const start = performance.now();
  let shown = start;
  const report = await fuzz(cases, seed, (done) => {
    if (!process.stderr.isTTY || performance.now() - shown < 500) return;
    shown = performance.now();
    process.stderr.write(`\r${done} of ${cases}, ${Math.round(done / ((shown - start) / 1000))} a second `);
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  console.log(JSON.stringify({ seed, ...report, seconds: Math.round((performance.now() - start) / 1000) }, null, 1));
  if (report.falseAccepts > 0 || report.differences > 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
