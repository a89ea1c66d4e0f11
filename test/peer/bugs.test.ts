import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tapegrad from 'tapegrad';
import { nodeArgs } from '../node.js';

/** Small programs after public bug reports of many libraries (each names its sources); they throw where tapegrad has the fault. */
interface Case {
  readonly id: string;
  readonly kind: string;
  readonly source: readonly string[];
  /** Measures the heap, and so wants a process of its own. */
  readonly fresh?: boolean;
  readonly code: string;
}

const cases = JSON.parse(readFileSync(join(__dirname, 'bug_cases.json'), 'utf8')) as Case[];
const AsyncFunction = (async () => Promise.resolve()).constructor as new (
  ...source: string[]
) => (library: typeof tapegrad) => Promise<void>;

test.each(cases.filter(({ fresh }) => !fresh))('$id ($kind)', async ({ code }) => {
  await expect(new AsyncFunction('tg', code)(tapegrad)).resolves.toBeUndefined();
});

test.each(cases.filter(({ fresh }) => fresh))('$id ($kind), in a process of its own', ({ code }) => {
  const library = pathToFileURL(join(__dirname, '..', '..', 'dist', 'index.js')).href;
  const program = `import * as tg from ${JSON.stringify(library)};\n${code}`;
  execFileSync(process.execPath, nodeArgs('--input-type=module', '-e', program), { stdio: 'pipe' });
});
