/**
 * Where the WebGPU tests run: on the adapter that Dawn finds, a real one or Mesa's lavapipe. Where the package webgpu finds none, its tests do
 * not run and `npm test` ends by saying so; with WEBGPU_REQUIRED=1 they fail.
 */
import { spawnSync } from 'node:child_process';
import type { GPU } from '../../src/backends/webgpu/api.js';
import { WebGpuBackend } from '../../src/backends/webgpu/backend.js';
import { requirement } from '../requirements.js';
import { nodeArgs } from '../node.js';

/** A process of its own looks for an adapter: suites are registered before anything can be awaited. */
const PROBE = `
const { create } = await import('webgpu');
const gpu = create([]);
const adapter = await gpu.requestAdapter();
console.log('adapter:' + (adapter ? adapter.info.description : ''));
process.exit(0);
`;

function missing(): string | undefined {
  const probe = spawnSync(process.execPath, nodeArgs('--input-type=module', '-e', PROBE), {
    encoding: 'utf8',
    cwd: __dirname,
  });
  const found = /^adapter:(.*)$/m.exec(probe.stdout)?.[1];
  if (found) return undefined;
  return found === undefined
    ? 'the package webgpu cannot be loaded'
    : 'WebGPU finds no adapter (Debian: mesa-vulkan-drivers of bookworm-backports)';
}

/** A suite that needs an adapter. */
export const webGpuTests = requirement('WebGPU', 'WEBGPU_REQUIRED', missing());

let dawn: GPU | undefined;

/** A device of the tests' own; see `suiteOnDevice`. */
export async function openDevice(strict = false): Promise<WebGpuBackend> {
  dawn ??= ((await import('webgpu')) as unknown as { create(options: string[]): GPU }).create([]);
  return WebGpuBackend.open(dawn, { strict });
}

/** A suite on a device of its own. @param strict whether recycled memory is overwritten with NaN */
export function suiteOnDevice(name: string, body: (device: () => WebGpuBackend) => void, strict = false): void {
  webGpuTests(name, () => {
    let backend: WebGpuBackend;
    beforeAll(async () => {
      backend = await openDevice(strict);
    });
    // What a test has launched runs, and fails, with that test.
    afterEach(() => backend.sync());
    afterAll(() => {
      backend.close();
    });
    body(() => backend);
  });
}
