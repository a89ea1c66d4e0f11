import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium as driver, type Page } from 'playwright-core';
import { chromium } from '../browser/page.js';
import { ROOT } from '../built.js';
import { nodeArgs } from '../node.js';

/** The example's page as `npm run demo` builds and serves it, and a browser that looks at it. */

const EXAMPLE = join(ROOT, 'examples/page');
const TRAINING = join(ROOT, 'examples/digits');

/** Runs a module's text beside the digits' example and gives what it prints, as JSON. */
export const evaluate = (code: string): unknown =>
  JSON.parse(
    execFileSync(process.execPath, nodeArgs('--input-type=module', '-e', code), { cwd: TRAINING, encoding: 'utf8' }),
  ) as unknown;

/** What `npm start -- --quick` has left, where the variable says so; else a shorter training, without its evaluations. */
export function makeCheckpoint(folder: string): string {
  const made = process.env.DIGITS_CHECKPOINT;
  if (made && existsSync(made)) return made;
  const file = join(folder, 'checkpoint.safetensors');
  evaluate(`
    import { writeFileSync } from 'node:fs';
    import { loadDigits } from './digits.mjs';
    import { saveRun, startRun, trainStep } from './training.mjs';
    const { training } = loadDigits();
    const run = startRun({ seed: 1, steps: 700, batch: 16 });
    while (run.step < run.steps) await trainStep(run, training);
    writeFileSync(${JSON.stringify(file)}, await saveRun(run));
    console.log(run.step);
  `);
  return file;
}

export interface Site {
  readonly url: string;
  close(): void;
}

/** `npm run demo`, but for the compiler. */
export function startSite(...args: string[]): Promise<Site> {
  const out = mkdtempSync(join(tmpdir(), 'tapegrad-site-'));
  const child = spawn(process.execPath, nodeArgs(join(EXAMPLE, 'demo.mjs'), '--out', out, '--port', '0', ...args), {
    cwd: ROOT,
  });
  const close = (): void => {
    child.kill();
    rmSync(out, { recursive: true, force: true });
  };
  return new Promise((done, fail) => {
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const [, url] = /at (http:\/\/\S+)/.exec(text) ?? [];
        if (url) done({ url, close });
      });
    child.on('exit', () => {
      close();
      fail(new Error(text));
    });
  });
}

export const openBrowser = (webGpu = false): Promise<Browser> =>
  driver.launch({
    executablePath: chromium!,
    timeout: 0, // the test's own limit is the only one
    args: [
      '--no-sandbox',
      ...(webGpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : ['--disable-gpu']),
    ],
  });

/** A page that has loaded, and everything that went wrong in it. */
export async function visit(
  browser: Browser,
  url: string,
  options: Parameters<Browser['newPage']>[0] = {},
): Promise<{ page: Page; problems: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(0); // as above
  const problems: string[] = [];
  page.on('pageerror', ({ message }) => problems.push(message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(url);
  await page.locator('html[data-ready=true]').waitFor();
  return { page, problems };
}
