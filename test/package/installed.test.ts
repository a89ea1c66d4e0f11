import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';
import * as tapegrad from 'tapegrad';
import * as distributed from 'tapegrad/distributed';
import ts from 'typescript';
import { withRecordings } from '../examples/recordings.js';
import { installTarball, type Project, readmeExample, ROOT } from '../built.js';
import { nodeArgs } from '../node.js';

/** What people get who install the package: it can be imported, required, typed, and its example runs. */
let project: Project;

beforeAll(() => {
  project = installTarball(['mnist', 'cli-progress', 'vega']);
});

afterAll(() => {
  project.remove();
});

const { code, output } = readmeExample();

test('import and require give the same module', () => {
  const program = `
    const required = require('tapegrad');
    import('tapegrad').then((imported) => {
      const { tensor } = required;
      console.log(imported.Tensor === required.Tensor, tensor([1, 2]).add(imported.tensor([3, 4])).arraySync().join());
    });
  `;
  expect(project.node('--no-warnings', '-e', program).trim()).toBe('true 4,6');
});

const textOf = (file: string): string => readFileSync(join(project.folder, 'node_modules/tapegrad/dist', file), 'utf8');

/** The files of the package that are loaded with one of them. */
function loadedWith(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const text = textOf(file);
  for (const [, next] of text.matchAll(/^(?:import|export) (?:.* from )?"(\.[^"]+)";$/gm))
    loadedWith(join(dirname(file), next!), found);
  return found;
}

test('an import loads a bundle, of one engine for all entries; ndarrays, BLAS and devices wait until they are wanted', () => {
  const files = loadedWith('index.js');
  expect(files).toContain('core.js');
  expect(files.size).toBeLessThan(4);
  const inflating = (file: string): boolean => textOf(file).includes('from "fflate"');
  expect([...files].filter(inflating)).toEqual([]);
  expect([...loadedWith('index.browser.js')].filter(inflating)).toEqual(['index.browser.js']);
  for (const entry of ['index.browser.js', 'distributed/index.js']) expect(loadedWith(entry)).toContain('core.js');
  const program = `
    import { createRequire } from 'node:module';
    import { scope, Tensor, tensor } from 'tapegrad';
    import * as distributed from 'tapegrad/distributed';
    const { cache } = createRequire(import.meta.url);
    const packages = () => ['ndarray', 'ndarray-ops', 'koffi', 'webgpu'].filter((name) => Object.keys(cache).some((file) => file.includes('/' + name + '/')));
    const world = await distributed.init();
    const isOne = scope(() => tensor([1])).constructor === Tensor && (await world.allGather(tensor([1, 2]))) instanceof Tensor;
    const before = packages();
    const view = tensor([[1, 2], [3, 4]]).ndarray().transpose(1, 0);
    const out = packages();
    console.log(JSON.stringify([isOne, before, out, tensor(view).arraySync(), packages()]));
  `;
  expect(JSON.parse(project.node('--input-type=module', '-e', program))).toEqual([
    true,
    [],
    ['ndarray'],
    [
      [1, 3],
      [2, 4],
    ],
    ['ndarray', 'ndarray-ops'],
  ]);
});

test('the bundle keeps what has an effect and no value: the block that the allocator is shown', () => {
  expect(textOf('core.js')).toMatch(/ArrayBuffer, \[31 \* 2 \*\* 20\]/);
});

test('the built entries export what the sources export', () => {
  const program = `
    import * as all from 'tapegrad';
    import * as distributed from 'tapegrad/distributed';
    console.log(JSON.stringify([all, distributed, all.nn, all.optim, all.audio, all.image].map((names) => Object.keys(names))));
  `;
  const { nn, optim, audio, image } = tapegrad;
  expect(JSON.parse(project.node('--input-type=module', '-e', program))).toEqual(
    [tapegrad, distributed, nn, optim, audio, image].map((names) => Object.keys(names).sort()),
  );
});

test.each(['esm', 'cjs'] as const)(
  'where a bundler has left ndarray-ops out of its %s, ndarrays go in and out all the same',
  (format) => {
    writeFileSync(
      join(project.folder, 'views.mjs'),
      `import ndarray from 'ndarray';
     import { tensor } from 'tapegrad';
     const turned = tensor(ndarray(new Float64Array([1, 2, 3, 4]), [2, 2]).transpose(1, 0));
     console.log(turned.arraySync().join(), turned.ndarray().get(1, 0));`,
    );
    const bundled = mkdtempSync(join(tmpdir(), 'tapegrad-bundled-'));
    const outfile = join(bundled, format === 'esm' ? 'views.mjs' : 'views.cjs');
    buildSync({
      entryPoints: [join(project.folder, 'views.mjs')],
      outfile,
      bundle: true,
      platform: 'node',
      format,
      logLevel: 'error',
      external: ['koffi', 'webgpu'],
    });
    const printed = execFileSync(process.execPath, nodeArgs(outfile), { cwd: bundled, encoding: 'utf8' });
    rmSync(bundled, { recursive: true });
    expect(printed.trim()).toBe('1,3,2,4 2');
  },
);

test('where the package ndarray was left behind, asking for one is an error that says so, and ndarrays still go in', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapegrad-alone-'));
  const outfile = join(folder, 'alone.mjs');
  buildSync({
    stdin: {
      contents: `
        import { TapegradError, tensor } from 'tapegrad';
        const turned = { data: [1, 2, 3, 4], shape: [2, 2], stride: [1, 2], offset: 0, dtype: 'array' };
        console.log(tensor(turned).arraySync().join());
        try { tensor([1]).ndarray(); } catch (error) { console.log(error instanceof TapegradError, error.message, error.cause.code); }
      `,
      resolveDir: project.folder,
    },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: [], // none of its own, 'module' neither
    logLevel: 'error',
    external: ['koffi', 'webgpu'],
  });
  const printed = execFileSync(process.execPath, nodeArgs(outfile), { cwd: folder, encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  expect(printed).toMatch(/^1,3,2,4\ntrue \[ndarray\] the package ndarray cannot be loaded: .* MODULE_NOT_FOUND\n$/);
});

test("Node's entry has ndarrays and knows of Metal; the browser's condition gives the entry without them", () => {
  const program = `
    import { device, tensor } from 'tapegrad';
    const metal = await device('metal').then(() => 'opened', (error) => error.constructor.name + ' ' + error.message);
    let nd; try { nd = tensor([[1, 2]]).ndarray().get(0, 1); } catch (error) { nd = error.message; }
    console.log(JSON.stringify([nd, metal]));
  `;
  const run = (...flags: string[]): unknown =>
    JSON.parse(project.node(...flags, '--input-type=module', '-e', program)) as unknown;
  expect(run()).toEqual([2, expect.stringMatching(/^opened$|^DeviceError \[metal\]/)]);
  expect(run('--conditions=browser')).toEqual([
    expect.stringContaining("[ndarray] there are no ndarrays in the browser's build"),
    expect.stringContaining("no device 'metal'"),
  ]);
});

describe('types', () => {
  const program = `
    import { ctcLoss, logSoftmax, nn, random, type Tensor, tensor, valueAndGrad } from 'tapegrad';
    const x: Tensor = random(0).normal([5, 1, 3]);
    const [loss, gradient]: [Tensor, Tensor] = valueAndGrad((t: Tensor) => ctcLoss(logSoftmax(t), [[1]], [5], [1]).sum())(x);
    const view: number = tensor([[1, 2]]).ndarray().get(0, 0);
    const layer = nn.linear(2, 3);
    // @ts-expect-error a string is no data
    tensor('1');
    export { gradient, layer, loss, view };
  `;
  const { ModuleKind, ModuleResolutionKind } = ts;

  test.each([
    ['node10', 'app.ts', ModuleKind.CommonJS, ModuleResolutionKind.Node10, {}],
    ['node10 with interop', 'app.ts', ModuleKind.ES2022, ModuleResolutionKind.Node10, { esModuleInterop: true }],
    ['node16, a module', 'app.mts', ModuleKind.Node16, ModuleResolutionKind.Node16, {}],
    ['nodenext, a module', 'app.mts', ModuleKind.NodeNext, ModuleResolutionKind.NodeNext, {}],
    ['nodenext, a script that requires', 'app.cts', ModuleKind.NodeNext, ModuleResolutionKind.NodeNext, {}],
    ['bundler', 'app.ts', ModuleKind.ESNext, ModuleResolutionKind.Bundler, {}],
    [
      'bundler for browsers',
      'app.ts',
      ModuleKind.ESNext,
      ModuleResolutionKind.Bundler,
      { customConditions: ['browser'] },
    ],
  ] satisfies [string, string, ts.ModuleKind, ts.ModuleResolutionKind, ts.CompilerOptions][])(
    'resolve for %s, without the declarations of DOM and Node, every file checked',
    (_name, file, module, moduleResolution, more) => {
      const path = join(project.folder, file);
      writeFileSync(path, program);
      const compiled = ts.createProgram([path], {
        ...more,
        module,
        moduleResolution,
        target: ts.ScriptTarget.ES2022,
        lib: ['lib.es2022.d.ts'],
        types: [],
        strict: true,
        noEmit: true,
        skipLibCheck: false,
      });
      const problems = ts
        .getPreEmitDiagnostics(compiled)
        .map(
          ({ file: where, messageText }) => `${where?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
        );
      expect(problems).toEqual([]);
      const resolved = compiled.getSourceFiles().map(({ fileName }) => fileName);
      expect(resolved.some((name) => name.endsWith('tapegrad/dist/index.d.ts'))).toBe(true);
    },
  );
});

test("the README's example runs as it is written", () => {
  writeFileSync(join(project.folder, 'readme.mjs'), code);
  expect(project.node('readme.mjs').replace(/ /g, '').trim()).toBe(output.replace(/ /g, ''));
});

test('examples/ctc.mjs learns to read Morse code from within the installed package', () => {
  const printed = project.node('node_modules/tapegrad/examples/ctc.mjs');
  const [, rate] = /(\d+\.\d) % of the letters of 100 new words are wrong\n$/.exec(printed)!;
  expect(Number(rate)).toBeLessThan(15);
  expect(printed.match(/^sent [adeinorst]{2,4}, read [adeinorst]*$/gm)).toHaveLength(5);
});

test('the example trains from within the installed package', () => {
  const out = join(project.folder, 'digits');
  const printed = project.node('node_modules/tapegrad/examples/digits/train.mjs', '--steps', '6', '--out', out);
  expect(printed).toMatch(/Held-out CER \d+\.\d\d % on 2000 lines/);
  expect(readFileSync(join(out, 'loss.svg'), 'utf8')).toContain('<svg');
  expect(existsSync(join(out, 'checkpoint.safetensors'))).toBe(true);
});

withRecordings('speech', () => {
  test('the speech example trains from within the installed package', () => {
    const out = join(project.folder, 'speech');
    const printed = project.node('node_modules/tapegrad/examples/speech/train.mjs', '--steps', '3', '--out', out);
    expect(printed).toMatch(/Held-out CER \d+\.\d\d %/);
    expect(readFileSync(join(out, 'alignment.svg'), 'utf8')).toContain('<svg');
    expect(readFileSync(join(out, 'subtitles.srt'), 'utf8')).toMatch(/^1\n00:00:0\d,\d{3} --> /);
    expect(existsSync(join(out, 'checkpoint.safetensors'))).toBe(true);
  });
});

test('the tarball has what it needs, nothing else, and its links lead somewhere', () => {
  const { stdout, status } = spawnSync(process.execPath, nodeArgs('scripts/check-pack.mjs'), {
    cwd: ROOT,
    encoding: 'utf8',
  });
  expect(stdout).toMatch(/^pack: \d+ files, \d+ bytes unpacked, \d+ links\n$/);
  expect(status).toBe(0);
});
