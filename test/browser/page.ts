import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { requirement } from '../requirements.js';

/** A real page in chromium. Where there is none its tests do not run, and `npm test` ends by saying so; with BROWSER_REQUIRED=1 they fail. */
export const chromium = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join(folder, name)))
  .find((path) => existsSync(path));

/** A suite that needs the browser. */
export const browserTests = requirement(
  'the browser',
  'BROWSER_REQUIRED',
  chromium ? undefined : 'there is no chromium here (Debian: apt-get install chromium)',
);

export interface PageOptions {
  /** Whether the page is isolated across origins, without which it has no shared memory. */
  readonly isolated: boolean;
  /** The Content-Security-Policy header. */
  readonly policy?: string;
  /** Text of the files that the page may ask for, by path; `/page.js` is what it starts with. */
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  /** Whether the page has WebGPU, on the browser's own software adapter. */
  readonly webGpu?: boolean;
}

/** A module that reports whatever goes wrong in the page; programs import it first. */
export const REPORTING = `
  export const send = (report) => fetch('/report', { method: 'POST', body: JSON.stringify(report) });
  addEventListener('error', ({ message }) => send({ error: message }));
  addEventListener('unhandledrejection', ({ reason }) => send({ error: String(reason) }));
  export const violations = [];
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => violations.push(effectiveDirective + ' ' + blockedURI));
`;

/** Serves the page, opens it and waits for what it reports. */
export async function visit<R>({ isolated, policy, files, webGpu }: PageOptions): Promise<R & { error?: string }> {
  const profile = mkdtempSync(join(tmpdir(), 'tapegrad-page-'));
  let server: Server | undefined;
  const reported = new Promise<R & { error?: string }>((resolve, reject) => {
    server = createServer((request, response) => {
      if (isolated)
        response
          .setHeader('Cross-Origin-Opener-Policy', 'same-origin')
          .setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      if (policy) response.setHeader('Content-Security-Policy', policy);
      const file = files.get(request.url!);
      if (request.url === '/report') {
        let body = '';
        request.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        request.on('end', () => {
          response.end();
          resolve(JSON.parse(body) as R & { error?: string });
        });
      } else if (file !== undefined) {
        response.setHeader('Content-Type', 'text/javascript').end(file);
      } else if (request.url === '/') {
        response.setHeader('Content-Type', 'text/html').end('<script type="module" src="/page.js"></script>');
      } else {
        response.writeHead(404).end();
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
    ...(webGpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : ['--disable-gpu']),
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
