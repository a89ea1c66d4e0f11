// npm run bench -- NAME [options]: runs bench/NAME.mjs against the built package. Every benchmark warms up, alternates what it compares,
// prints medians with their spread, and says what machine it ran on.
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const names = readdirSync(dirname(fileURLToPath(import.meta.url)))
  .filter(
    (file) =>
      file.endsWith('.mjs') &&
      !['index.mjs', 'harness.mjs', 'emissions.mjs', 'models.mjs', 'ops-rows.mjs'].includes(file),
  )
  .map((file) => file.slice(0, -4));
const [name, ...rest] = process.argv.slice(2);
if (!names.includes(name)) {
  console.error(`usage: npm run bench -- NAME [options], NAME one of ${names.join(', ')}`);
  process.exitCode = 2;
} else {
  process.argv.splice(2, Infinity, ...rest);
  await import(`./${name}.mjs`);
}
