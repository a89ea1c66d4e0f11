import { join } from 'node:path';
import ts from 'typescript';

/** What an editor shows when the pointer rests on a name. */
const program = `
import { grad, hvp, jvp, type Tensor, valueAndGrad, vjp } from 'tapegrad';

interface Parameters {
  weight: Tensor;
  layers: { kernel: Tensor; rate: number }[];
}

declare const params: Parameters;
declare const x: Tensor;
const fn = (p: Parameters, x: Tensor): Tensor => x.matmul(p.weight).sum();

const [loss, named] = valueAndGrad(fn)(params, x);
const [, [several, input]] = valueAndGrad(fn, { argnums: [0, 1] })(params, x);
const inline = grad((p: { weight: Tensor; bias?: Tensor }) => p.weight.sum())({ weight: x });
const tuple = grad((p: [Tensor, { scale: Tensor }]) => p[0].sum())([x, { scale: x }]);
const single = grad((x) => x.sum())(x);
const later = valueAndGrad(async (p: Parameters) => p.weight.sum())(params);
const [, back] = vjp((p: Parameters) => p.weight, params, x);
const [, tangent] = jvp((p: Parameters) => p.weight, params, params);
const second = hvp((p: Parameters) => p.weight.sum(), params, params);
`;

const root = join(__dirname, '..', '..');
const file = join(root, 'hover.ts');

function languageService(): ts.LanguageService {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, noUnusedLocals: false }, root);
  return ts.createLanguageService({
    getCompilationSettings: () => options,
    getScriptFileNames: () => [file],
    getScriptVersion: () => '1',
    getScriptSnapshot: (path) => {
      const text = path === file ? program : ts.sys.readFile(path);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => root,
    getDefaultLibFileName: (of) => ts.getDefaultLibFilePath(of),
    fileExists: (path) => path === file || ts.sys.fileExists(path),
    readFile: (path) => (path === file ? program : ts.sys.readFile(path)),
    directoryExists: (path) => ts.sys.directoryExists(path),
    getDirectories: (path) => ts.sys.getDirectories(path),
  });
}

test('a gradient shows as the type of its argument, by its own name or written out', () => {
  const service = languageService();
  const hover = (name: string): string => {
    const place = new RegExp(`\\b${name}\\b(?=[\\],]|\\s*=)`).exec(program)!.index;
    return ts.displayPartsToString(service.getQuickInfoAtPosition(file, place)?.displayParts).replace(/\s+/g, ' ');
  };
  const problems = service.getSemanticDiagnostics(file);
  expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([]);
  const names = [
    'loss',
    'named',
    'several',
    'input',
    'inline',
    'tuple',
    'single',
    'later',
    'back',
    'tangent',
    'second',
  ];
  expect(names.map(hover)).toEqual([
    'const loss: Tensor',
    'const named: Parameters',
    'const several: Parameters',
    'const input: Tensor',
    'const inline: { weight: Tensor; bias?: Tensor; }',
    'const tuple: [Tensor, { scale: Tensor; }]',
    'const single: Tensor',
    'const later: Promise<[Tensor, Parameters]>',
    'const back: Parameters',
    'const tangent: Tensor',
    'const second: Parameters',
  ]);
});
