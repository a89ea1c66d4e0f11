import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** CONTRIBUTING's example is a real op: what the page shows is what the files hold, and no other file had to know of it. */
const root = join(__dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const page = read('CONTRIBUTING.md');
const blocks = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code!);

const withoutIndent = (text: string): string => text.replace(/^ +/gm, '');

test('the row and the samples that it shows stand in the files that it names', () => {
  expect(blocks).toHaveLength(2);
  expect(read('src/ops/elementwise.ts')).toContain(blocks[0]);
  expect(withoutIndent(read('test/ops/elementwise.ts'))).toContain(withoutIndent(blocks[1]!));
});

test('the files that it names are all that the op is written in', () => {
  const [, name] = /unary\('(\w+)'/.exec(blocks[0]!)!;
  const own = new RegExp(`\\b${name}\\b`);
  const files = ['src', 'test', 'wasm', 'metal', 'wgsl', 'scripts'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((file) => join(folder, file))
      .filter((file) => /\.(ts|mjs|metal|wgsl)$/.test(file) && !file.includes('generated')),
  );
  const writtenIn = files.filter((file) => own.test(read(file)));
  expect(writtenIn.sort()).toEqual([
    'src/ops/elementwise.ts',
    'src/ops/index.ts',
    'src/ops/methods.ts',
    'test/arguments.functions.ts',
    'test/ops/elementwise.ts',
  ]);
  for (const file of writtenIn) expect(page).toContain(file);
});
