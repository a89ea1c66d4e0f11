import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import * as tapegrad from 'tapegrad';
import * as distributed from 'tapegrad/distributed';
import * as pngjs from 'pngjs';
import { readFile } from './guide.js';

/**
 * Every TypeScript block of the README and of docs/ is run as it stands. What it prints is compared with the block `text` behind it,
 * where there is one.
 */
const root = join(__dirname, '..');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

interface Snippet {
  name: string;
  code: string;
  output: string | undefined;
}

function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```\n(?:\s*^```text\n([\s\S]*?)^```)?/gm)].map((match) => ({
    name: `${page}:${text.slice(0, match.index).split('\n').length}`,
    code: match[1]!,
    output: match[2],
  }));
}

/** What blocks import. Files are those of docs/guide.md. */
const MODULES = { tapegrad, 'tapegrad/distributed': distributed, pngjs, 'node:fs/promises': { readFile } };

/** Runs a block as a module; 'tapegrad' is this repository's. Returns what it printed. */
async function run(code: string): Promise<string> {
  const printed: string[] = [];
  const log = jest.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
    printed.push(values.map(show).join(' '));
  });
  try {
    const source = ts.transpileModule(`export {};\n${code}`, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    }).outputText;
    const body = source
      .replace(/^export \{\};$/m, '')
      .replace(
        /^import \{([^}]*)\} from '([^']*)';$/gm,
        (_, names: string, from: string) => `const {${names.replace(/ as /g, ': ')}} = modules['${from}'];`,
      );
    const AsyncFunction = (async () => {
      await Promise.resolve();
    }).constructor as new (name: string, body: string) => (modules: unknown) => Promise<void>;
    await new AsyncFunction('modules', body)(MODULES);
  } finally {
    log.mockRestore();
  }
  return printed.join('\n');
}

const show = (value: unknown): string => (Array.isArray(value) ? JSON.stringify(value) : String(value));

describe('documentation', () => {
  const snippets = pages.flatMap(snippetsOf);

  test('the first code of the README is the CTC example', () => {
    expect(snippets[0]!.code).toContain(
      'ctcLoss(logSoftmax(logits, -1), targets, inputLengths, targetLengths).div(targetLengths).mean();',
    );
  });

  test('TypeScript takes every block in strict mode, with noUncheckedIndexedAccess', () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
      config: { compilerOptions: object };
    };
    const { options } = ts.convertCompilerOptionsFromJson(
      { ...config.compilerOptions, noEmit: true, noUnusedLocals: false, noUncheckedIndexedAccess: true },
      root,
    );
    const files = new Map(snippets.map(({ code }, i) => [join(root, `snippet${i}.ts`), `export {};\n${code}`]));
    const disk = ts.createCompilerHost(options);
    const host: ts.CompilerHost = {
      ...disk,
      fileExists: (path) => files.has(path) || disk.fileExists(path),
      getSourceFile: (path, ...rest) =>
        files.has(path)
          ? ts.createSourceFile(path, files.get(path)!, ts.ScriptTarget.ES2022)
          : disk.getSourceFile(path, ...rest),
    };
    const program = ts.createProgram([...files.keys()], options, host);
    const problems = [...files.keys()].flatMap((path, i) =>
      ts
        .getPreEmitDiagnostics(program, program.getSourceFile(path))
        .map(({ messageText }) => `${snippets[i]!.name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
    );
    expect(problems).toEqual([]);
  });

  test.each(snippets.map((snippet) => [snippet.name, snippet] as const))('%s', async (_name, { code, output }) => {
    const printed = await run(code);
    if (output !== undefined) expect(printed.trim()).toBe(output.trim());
  });
});
