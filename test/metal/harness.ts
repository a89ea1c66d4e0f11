/**
 * Where the Metal tests run: on a Mac the system's own Metal, elsewhere the software device of test/metal/soft. TAPEGRAD_METAL_LIBRARY
 * names a software device that is already built. Where there is neither a Mac nor clang, its tests do not run and `npm test` ends by saying
 * so; with METAL_REQUIRED=1 they fail.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { MetalDevice } from '../../src/backends/metal/device.js';
import { Runtime } from '../../src/backends/metal/objc.js';
import { notRun, requirement } from '../requirements.js';
import { nodeArgs } from '../node.js';

const isMac = process.platform === 'darwin';

interface Where {
  readonly library?: string;
  readonly missing?: string;
}

function findMetal(): Where {
  const given = process.env.TAPEGRAD_METAL_LIBRARY;
  if (given) return { library: given };
  if (isMac) return {};
  const built = spawnSync(process.execPath, nodeArgs(join(__dirname, 'soft', 'build.mjs')), { encoding: 'utf8' });
  return built.status === 0
    ? { library: built.stdout.trim() }
    : { missing: built.stderr.trim().split('\n').pop() ?? 'no compiler' };
}

const where = findMetal();

/** The software device's path; undefined on a Mac. */
export const softLibrary: string | undefined = where.library;

/** A suite that needs Metal. */
export const metalTests = requirement('Metal', 'METAL_REQUIRED', where.missing);

/** A suite about the software device itself, or in a mode that only it has: there is nothing of it on a Mac. */
export const softTests = isMac ? notRun('the software Metal device', "this Mac's own Metal is tested") : metalTests;

/** The device under test. */
export const openDevice = (): Promise<MetalDevice> => MetalDevice.open(softLibrary);

export type Setting = 'checked' | 'order' | 'memory' | 'defaultDevice' | 'devices' | 'family';
export const ORDER = { forward: 0, reverse: 1, shuffled: 2 } as const;

const USUAL: Readonly<Record<Setting, number>> = {
  checked: 0,
  order: ORDER.forward,
  memory: 0,
  defaultDevice: 1,
  devices: 1,
  family: 1005,
};

/** Changes the software device; the result changes it back. */
export async function change(settings: Partial<Record<Setting, number>>): Promise<() => void> {
  const runtime = await Runtime.load(softLibrary);
  const set = runtime.cFunction<(name: string, value: number) => void>('void soft_set(const char *, long)');
  const names = Object.keys(settings) as Setting[];
  for (const name of names) set(name, settings[name] ?? USUAL[name]);
  return () => {
    for (const name of names) set(name, USUAL[name]);
  };
}

/** Changes the software device while `body` runs. */
export async function withSettings<T>(
  settings: Partial<Record<Setting, number>>,
  body: () => T | Promise<T>,
): Promise<T> {
  const restore = await change(settings);
  try {
    return await body();
  } finally {
    restore();
  }
}

/** Objective-C objects alive in the software device. */
export async function liveObjects(): Promise<number> {
  const runtime = await Runtime.load(softLibrary);
  return runtime.cFunction<() => number>('long soft_live_objects()')();
}
