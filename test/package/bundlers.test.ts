import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { browserTests, visit } from '../browser/page.js';
import { installTarball, type Project, readmeExample } from '../built.js';

/** The installed package through the bundlers that people use, with their defaults for production: no warnings, nothing of Metal, and it runs. */
const BUNDLERS = ['esbuild', 'vite', 'webpack'] as const;
const { code, output } = readmeExample();

/** Names that messages have, which no bundler shortens. */
const UNUSED = ['multiHeadAttention', 'oneCycle', 'specAugment', 'fromPixels', 'saveSafetensors'];

let project: Project;
const bundles = new Map<string, { warnings: string[]; text: string }>();

beforeAll(() => {
  project = installTarball(BUNDLERS);
  writeFileSync(join(project.folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(project.folder, 'app.js'), code);
  cpSync(join(__dirname, 'bundle.mjs'), join(project.folder, 'bundle.mjs'));
  for (const bundler of BUNDLERS) {
    const printed = project.node('bundle.mjs', bundler, 'app.js', `out/${bundler}.js`).trim().split('\n');
    const text = readFileSync(join(project.folder, `out/${bundler}.js`), 'utf8');
    bundles.set(bundler, { warnings: JSON.parse(printed.pop()!) as string[], text });
  }
});

afterAll(() => {
  project.remove();
});

describe.each(BUNDLERS)('%s', (bundler) => {
  test('has no warnings', () => {
    expect(bundles.get(bundler)!.warnings).toEqual([]);
  });

  test('leaves out Metal, code that compiles code, and the layers and file formats that the program does not use', () => {
    const { text } = bundles.get(bundler)!;
    expect(/koffi|objc_msgSend|newLibraryWithSource|kernel void/.exec(text)).toBeNull();
    expect(/\bFunction\(|\beval\(/.exec(text)).toBeNull();
    const all = readFileSync(join(project.folder, 'node_modules/tapegrad/dist/core.js'), 'utf8');
    for (const name of UNUSED) {
      expect(all).toContain(name);
      expect(text).not.toContain(name);
    }
    expect(text).toContain('logSoftmax');
  });

  test('its output runs in Node without code from text', () => {
    const printed = project.node('--disallow-code-generation-from-strings', `out/${bundler}.js`);
    expect(printed.trim().replace(/[ ]/g, '')).toBe(output.replace(/[ ]/g, ''));
  });
});

test('webpack for Node has no warnings, and its output makes ndarrays', () => {
  writeFileSync(
    join(project.folder, 'views.js'),
    "import { tensor } from 'tapegrad'; console.log(tensor([[1, 2]]).ndarray().shape);",
  );
  const printed = project.node('bundle.mjs', 'webpack for Node', 'views.js', 'out/node/views.js').trim().split('\n');
  expect(JSON.parse(printed.pop()!)).toEqual([]);
  expect(project.node('out/node/views.js').trim()).toBe('[ 1, 2 ]');
});

browserTests('in a page with a strict policy', () => {
  test.each(BUNDLERS)('the output of %s runs', async (bundler) => {
    const page = `
        const send = (report) => fetch('/report', { method: 'POST', body: JSON.stringify(report) });
        console.log = (...values) => send(values);
        import('/app.js').catch((error) => send([String(error)]));
      `;
    const report = await visit({
      isolated: false,
      policy: "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
      files: new Map([
        ['/page.js', page],
        ['/app.js', bundles.get(bundler)!.text],
      ]),
    });
    const [loss, shape] = output.split(' ');
    expect(report).toEqual([loss, JSON.parse(shape!)]);
  });
});
