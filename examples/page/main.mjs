import { existsSync } from 'node:fs';
import { parseOptions, UsageError, wholeNumber } from '../shared/options.mjs';
import { buildPage } from './build.mjs';
import { serve } from './serve.mjs';

const USAGE = `npm run demo: a page in which one writes digits, and which learns to read them.

  npm run demo -- [options]

  --checkpoint FILE  what reads; by default out/digits/checkpoint.safetensors, as npm start leaves it, if it is there;
                     '' for none
  --out DIR          the built page, to be put on any server (default out/page)
  --port N           where it is served (default 8080; 0 for any free port)
  --build            only builds
  --help             this text
`;
const DEFAULT = 'out/digits/checkpoint.safetensors';

async function main() {
  const values = parseOptions(
    process.argv.slice(2),
    {
      checkpoint: { type: 'string' },
      out: { type: 'string', default: 'out/page' },
      port: { type: 'string', default: '8080' },
      build: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const port = wholeNumber('--port', values.port, 0, 65_535);
  const checkpoint = values.checkpoint === '' ? null : (values.checkpoint ?? (existsSync(DEFAULT) ? DEFAULT : null));
  if (checkpoint !== null && !existsSync(checkpoint))
    throw new UsageError(`--checkpoint: there is no file ${checkpoint}`);
  const files = await buildPage({ out: values.out, checkpoint });
  for (const { name, bytes } of files) console.log(`  ${name.padEnd(24)} ${(bytes / 1000).toFixed(1).padStart(8)} kB`);
  if (checkpoint === null)
    console.log(`There is no ${DEFAULT} to read with: the page has to be trained first, or run npm start before.`);
  if (values.build) return;
  const { url } = await serve(values.out, { port });
  console.log(`${values.out} at ${url} (Ctrl-C stops)`);
}

try {
  await main();
} catch (error) {
  const isTaken = error.code === 'EADDRINUSE';
  if (!isTaken && !(error instanceof UsageError)) throw error;
  console.error(isTaken ? 'The port is taken; give another with --port N.' : error.message);
  process.exitCode = 2;
}
