import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { loadSafetensors, saveSafetensors } from 'tapegrad';
import { browserTests } from '../browser/page.js';
import { checkBuilt } from '../built.js';
import { evaluate, makeCheckpoint, openBrowser, type Site, startSite, visit } from './site.js';
import { write } from './strokes.js';

/** The example's page in a real browser: it reads what the mouse draws, trains in a worker, and goes by a strict policy without isolation. */

let scratch = '';
let checkpoint = '';
let site: Site;
let browser: Browser;

/** What a file of a run says of itself. */
const runOf = (file: string): { step: number; steps: number; losses: number[] } => {
  const { tensors, metadata } = loadSafetensors(readFileSync(file));
  return {
    ...(JSON.parse(metadata.run!) as { step: number; steps: number }),
    losses: Array.from(tensors['history.losses']!.dataSync()),
  };
};

/** The same run with some more steps to go, few enough that its learning rate stays small. */
async function unfinished(file: string, more: number): Promise<string> {
  const { tensors, metadata } = loadSafetensors(readFileSync(file));
  const run = JSON.parse(metadata.run!) as { step: number };
  const longer = { metadata: { run: JSON.stringify({ ...run, steps: run.step + more }) } };
  const path = join(scratch, 'unfinished.safetensors');
  writeFileSync(path, await saveSafetensors(tensors, longer));
  return path;
}

async function save(page: Page): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#save').click()]);
  expect(download.suggestedFilename()).toMatch(/^digits-\d+\.safetensors$/);
  const path = join(scratch, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

const reads = (page: Page, digits: string): Promise<void> =>
  page
    .locator('#reading')
    .filter({ hasText: new RegExp(`^${digits}$`) })
    .waitFor({ state: 'attached' });

const says = (page: Page, text: RegExp): Promise<void> => page.locator('#status').filter({ hasText: text }).waitFor();

/** The step of the training under way; 0 before the first. */
const stepOf = async (page: Page): Promise<number> =>
  Number(/step (\d+) of/.exec((await page.locator('#figures').textContent())!)?.[1] ?? 0);

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
}

browserTests('the page that reads digits', () => {
  beforeAll(async () => {
    checkBuilt();
    scratch = mkdtempSync(join(tmpdir(), 'tapegrad-page-test-'));
    checkpoint = makeCheckpoint(scratch);
    site = await startSite('--checkpoint', checkpoint);
    browser = await openBrowser();
  });

  afterAll(async () => {
    await browser.close();
    site.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('is served with a policy that allows no code from text, and without isolation', async () => {
    const { headers } = await fetch(site.url);
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:",
    );
    const { page, problems } = await visit(browser, site.url);
    expect(await page.evaluate('crossOriginIsolated')).toBe(false);
    expect(await page.locator('#status').innerText()).toMatch(/reads along, in this page: \d+ training steps/);
    expect((await fetch(new URL('../package.json', site.url))).status).toBe(404);
    expect(problems).toEqual([]);
    await page.close();
  });

  test('reads what the mouse draws, says how sure it is, and shows where', async () => {
    const { page, problems } = await visit(browser, site.url);
    for (const digits of ['3141592', '27184', '60598', '73', '8906']) {
      await write(page, digits);
      await reads(page, digits);
      expect(await page.locator('#certainty').innerText()).toMatch(/^\d+\.\d+ % sure$/);
      // Each label stands under its digit: in order, and within the paper.
      const places = await page
        .locator('#labels span')
        .evaluateAll((spans) => spans.map((span) => span.getBoundingClientRect().x));
      expect(places).toHaveLength(digits.length);
      expect(places).toEqual([...places].sort((a, b) => a - b));
      await page.locator('#clear').click();
      await reads(page, '');
    }
    await write(page, '45');
    await reads(page, '45');
    await page.locator('#undo').click(); // the only stroke of the 5
    await reads(page, '4');
    expect(problems).toEqual([]);
    await page.close();
  });

  test('trains as Node does, to the last bit; stops, saves, loads and goes on', async () => {
    const { page, problems } = await visit(browser, site.url);
    await page.locator('#steps').fill('24');
    await page.locator('#train').click();
    await says(page, /^Trained here: 24 training steps, character error rate/);
    const whole = runOf(await save(page));
    expect(whole).toMatchObject({ step: 24, steps: 24 });
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(whole.losses.slice(-6))).toBeLessThan(0.6 * mean(whole.losses.slice(0, 3)));
    const inNode = evaluate(`
      import { loadDigits } from './digits.mjs';
      import { startRun, trainStep } from './training.mjs';
      const { training } = loadDigits();
      const run = startRun({ seed: 1, steps: 24, batch: 16 });
      while (run.step < run.steps) await trainStep(run, training);
      console.log(JSON.stringify(run.losses));
    `);
    expect(whole.losses).toEqual(inNode);
    expect(await page.locator('#figures').innerText()).toMatch(
      /step 24 of 24 · .* · loss \d+\.\d+ · rate \S+ · \d+ lines\/s/,
    );
    // The curve shows every step.
    expect((await page.locator('#curve .loss').getAttribute('points'))!.split(' ')).toHaveLength(24);

    await page.locator('#steps').fill('5000');
    await page.locator('#train').click();
    await page
      .locator('#figures')
      .filter({ hasText: /step \d+ of 5000/ })
      .waitFor();
    await page.locator('#stop').click();
    await says(page, /^Trained here/);
    const file = await save(page);
    const stopped = runOf(file);
    expect(stopped.step).toBeGreaterThan(0);
    expect(stopped.step).toBeLessThan(5000);

    await page.locator('#file').setInputFiles(file);
    await says(page, new RegExp(`^digits-${stopped.step}.safetensors: ${stopped.step} training steps`));
    await page.locator('#resume').click();
    await until(async () => (await stepOf(page)) > stopped.step);
    await page.locator('#stop').click();
    await says(page, /^Trained here/);
    expect(runOf(await save(page)).losses.slice(0, stopped.step)).toEqual(stopped.losses);
    expect(problems).toEqual([]);
    await page.close();
  });

  test('answers while it trains', async () => {
    const { page, problems } = await visit(browser, site.url);
    const stillTrains = (): Promise<boolean> => page.locator('#stop').isVisible();
    // A fast machine is given more to do, until it trains for longer than it takes to write and read.
    let more = 150;
    do {
      await page.locator('#file').setInputFiles(await unfinished(checkpoint, more));
      await says(page, /^unfinished/);
      await page.locator('#resume').click();
      await until(async () => (await stepOf(page)) > 0 || !(await stillTrains()));
      const before = await stepOf(page);
      for (const digits of ['3140', '725']) {
        await write(page, digits);
        await reads(page, digits);
        await page.locator('#clear').click();
      }
      if (await stillTrains()) await until(async () => (await stepOf(page)) > before || !(await stillTrains()));
      more *= 2;
    } while (!(await stillTrains()) && more < 10_000);
    expect(await stillTrains()).toBe(true);
    expect(problems).toEqual([]);
    await page.close();
  });

  test('says what is wrong with a file, and keeps what it has', async () => {
    const { page } = await visit(browser, site.url);
    const file = join(scratch, 'other.safetensors');
    writeFileSync(file, 'no checkpoint at all');
    await page.locator('#file').setInputFiles(file);
    await says(page, /^other\.safetensors cannot be read: \[loadSafetensors\]/);
    await write(page, '27');
    await reads(page, '27');
    await page.locator('#steps').fill('0');
    await page.locator('#train').click();
    expect(await page.locator('#stop').isVisible()).toBe(false);
    expect(await page.locator('#steps').evaluate((input: HTMLInputElement) => input.validity.valid)).toBe(false);
    await page.close();
  });

  test.each([
    ["a phone's width, at night", { viewport: { width: 360, height: 740 }, colorScheme: 'dark', deviceScaleFactor: 2 }],
    ["a desk's width, by day", { viewport: { width: 1440, height: 900 }, colorScheme: 'light' }],
  ] as const)('looks right on %s', async (_name, options) => {
    const { page } = await visit(browser, site.url, options);
    await write(page, '9041');
    await reads(page, '9041');
    const { width } = options.viewport;
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    for (const id of ['paper', 'seen', 'curve', 'undo', 'clear', 'train', 'save', 'load', 'steps', 'device']) {
      const box = (await page.locator(`#${id}`).boundingBox())!;
      expect([id, box.x >= 0 && box.x + box.width <= width, box.height >= 32]).toEqual([id, true, true]);
    }
    const [paper, ink] = await page.evaluate<[number, number]>(`
      [getComputedStyle(document.querySelector('section')).backgroundColor, getComputedStyle(document.body).color]
        .map((color) => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))
    `);
    expect(options.colorScheme === 'dark' ? ink - paper : paper - ink).toBeGreaterThan(400);
    // What was drawn can be seen, in the colour of the ink.
    const inked = await page.evaluate<number>(`(() => {
      const { width, height } = document.getElementById('seen');
      const { data } = document.getElementById('seen').getContext('2d').getImageData(0, 0, width, height);
      return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
    })()`);
    expect(inked).toBeGreaterThan(20);
    await page.close();
  });

  test('without a checkpoint it can be trained', async () => {
    const bare = await startSite('--checkpoint', '');
    try {
      const { page, problems } = await visit(browser, bare.url);
      expect(await page.locator('#status').innerText()).toMatch(/^Nothing was built in to read with/);
      expect(await page.locator('#save').isDisabled()).toBe(true);
      await write(page, '1');
      await page.locator('#steps').fill('3');
      await page.locator('#train').click();
      await says(page, /^Trained here: 3 training steps/);
      expect(problems).toEqual([]);
      await page.close();
    } finally {
      bare.close();
    }
  });

  test('on a GPU, where there is one, it reads and trains as on the CPU', async () => {
    const withGpu = await openBrowser(true);
    try {
      const { page, problems } = await visit(withGpu, site.url);
      await page.locator('#device').selectOption('webgpu');
      await write(page, '3140');
      await reads(page, '3140');
      await page.locator('#batch').fill('1');
      const losses: number[][] = [];
      for (const device of ['webgpu', 'cpu']) {
        await page.locator('#device').selectOption(device);
        await page.locator('#train').click();
        await says(page, /^Training/);
        await until(async () => (await stepOf(page)) >= 2);
        await page.locator('#stop').click();
        await says(page, /^Trained here/);
        losses.push(runOf(await save(page)).losses.slice(0, 2));
      }
      const [onGpu, onCpu] = losses as [number[], number[]];
      onGpu.forEach((loss, i) => {
        expect(Math.abs(loss - onCpu[i]!)).toBeLessThan(1e-3 * onCpu[i]!);
      });
      expect(onGpu).not.toEqual(onCpu);
      expect(problems).toEqual([]);
      await page.close();
    } finally {
      await withGpu.close();
    }
  });
});
