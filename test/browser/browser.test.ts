import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { ctcLoss, logSoftmax, random, valueAndGrad } from 'tapegrad';

/**
 * tapegrad in a real page, bundled as users bundle it: the same loss and gradient as in Node, with threads where the page is isolated
 * across origins and with one thread where it is not. Wants chromium; BROWSER_REQUIRED=1 makes its absence a failure.
 */
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
const isRequired = process.env.BROWSER_REQUIRED === '1';
if (!chromium && !isRequired) console.log('no chromium here: the browser tests are skipped');
const describeBrowser = chromium || isRequired ? describe : describe.skip;

const PROGRAM = `
  const send = (report) => fetch('/report', { method: 'POST', body: JSON.stringify(report) });
  addEventListener('error', ({ message }) => send({ error: message }));
  addEventListener('unhandledrejection', ({ reason }) => send({ error: String(reason) }));
  import { ctcLoss, logSoftmax, random, setThreads, threads, valueAndGrad } from 'tapegrad';
  setThreads(2);
  const rng = random(5);
  const logits = rng.normal([120, 16, 40]);
  const targets = rng.integers([16, 20], 1, 40);
  const loss = valueAndGrad((x) => ctcLoss(logSoftmax(x), targets, new Array(16).fill(120), new Array(16).fill(20)).sum());
  let value, gradient;
  for (let i = 0; i < 40; i++) {
    [value, gradient] = loss(logits);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const data = gradient.dataSync();
  const report = { isolated: crossOriginIsolated, threads: threads(), loss: value.itemSync(), gradient: Array.from(data.slice(0, 50)), sum: data.reduce((a, b) => a + Math.abs(b), 0) };
  await send(report);
`;

interface Report {
  error?: string;
  isolated: boolean;
  threads: number;
  loss: number;
  gradient: number[];
  sum: number;
}

/** Serves the page, opens it and waits for what it reports. */
async function visit(script: string, isolated: boolean): Promise<Report> {
  const profile = mkdtempSync(join(tmpdir(), 'tapegrad-page-'));
  let server: Server | undefined;
  const reported = new Promise<Report>((resolve, reject) => {
    server = createServer((request, response) => {
      if (isolated)
        response
          .setHeader('Cross-Origin-Opener-Policy', 'same-origin')
          .setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      if (request.url === '/report') {
        let body = '';
        request.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        request.on('end', () => {
          response.end();
          resolve(JSON.parse(body) as Report);
        });
      } else if (request.url === '/page.js') {
        response.setHeader('Content-Type', 'text/javascript').end(script);
      } else {
        response.setHeader('Content-Type', 'text/html').end('<script type="module" src="/page.js"></script>');
      }
    });
    server.on('error', reject);
  });
  await new Promise<void>((resolve) => {
    server!.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server!.address() as AddressInfo;
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    `--user-data-dir=${profile}`,
  ];
  const browser = spawn(chromium!, [...flags, `http://127.0.0.1:${port}/`], { stdio: 'ignore', detached: true }); // detached: a process group, to be ended as a whole
  const ended = new Promise<void>((resolve) => {
    browser.on('exit', () => {
      resolve();
    });
  });
  try {
    const gone = ended.then(() => {
      throw new Error('the browser ended before the page had reported');
    });
    return await Promise.race([reported, gone]);
  } finally {
    if (browser.exitCode === null) process.kill(-browser.pid!, 'SIGKILL');
    server!.close();
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

describeBrowser('in a page', () => {
  let script = '';

  beforeAll(async () => {
    const bundled = await build({
      stdin: { contents: PROGRAM, resolveDir: join(__dirname, '../..') },
      alias: { tapegrad: './src/index.ts' },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
    });
    script = bundled.outputFiles[0]!.text;
  });

  function expected(): { loss: number; gradient: number[] } {
    const rng = random(5);
    const logits = rng.normal([120, 16, 40]);
    const targets = rng.integers([16, 20], 1, 40);
    const [value, gradient] = valueAndGrad((x: typeof logits) =>
      ctcLoss(logSoftmax(x), targets, new Array<number>(16).fill(120), new Array<number>(16).fill(20)).sum(),
    )(logits);
    return { loss: value.itemSync(), gradient: Array.from(gradient.dataSync().slice(0, 50)) };
  }

  test.each([true, false])(
    'cross-origin isolated: %s',
    async (isolated) => {
      const report = await visit(script, isolated);
      const { loss, gradient } = expected();
      expect(report.error).toBeUndefined();
      expect(report.isolated).toBe(isolated);
      expect(report.threads).toBe(isolated ? 2 : 1);
      expect(report.loss).toBe(loss);
      expect(report.gradient).toEqual(gradient);
      expect(report.sum).toBeGreaterThan(1);
    },
    60_000,
  );
});
