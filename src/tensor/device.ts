import type { Backend, DeviceName, MemoryInfo } from '../backends/backend.js';
import { DeviceError } from '../errors.js';
import type { Region } from './region.js';

/**
 * Where tensors live. The CPU is always there; the others are opened once, on the first `await device(name)`. This module knows no
 * concrete backend: src/index.ts introduces them.
 */
const openers = new Map<DeviceName, () => Promise<Backend>>();
const opened = new Map<DeviceName, Promise<Backend>>();
let host: Backend | undefined;

/** Introduces the CPU backend, the default device. */
export function registerHost(backend: Backend): void {
  host = backend;
  opened.set(backend.name, Promise.resolve(backend));
}

/** Introduces a device that is opened on demand. */
export function registerDevice(name: DeviceName, open: () => Promise<Backend>): void {
  openers.set(name, open);
}

/** The default device. */
export function hostBackend(): Backend {
  if (!host)
    throw new DeviceError('device', "no CPU backend is registered; import from 'tapegrad', not from its inner modules");
  return host;
}

/**
 * Opens a device: `'cpu'`, or `'metal'` on a Mac (needs the optional package koffi). The same object is returned every time.
 * @throws {DeviceError} when there is no such device here; the message says what is missing.
 */
export function device(name: DeviceName): Promise<Backend> {
  let backend = opened.get(name);
  if (!backend) {
    const open = openers.get(name);
    if (!open)
      return Promise.reject(
        new DeviceError(
          'device',
          `no device '${name}'; there are 'cpu'${[...openers.keys()].map((n) => `, '${n}'`).join('')}`,
        ),
      );
    backend = open();
    opened.set(name, backend);
    backend.catch(() => opened.delete(name));
  }
  return backend;
}

/** What a device's memory holds now; the CPU's when left out. */
export const memory = (backend: Backend = hostBackend()): MemoryInfo => backend.memory();

/**
 * The region that results of untraced ops go to while a synchronous function runs in it (a transform's backward pass, `scope(fn)`). Traced
 * tensors do not need it: they carry their tape, and the tape its region.
 */
const entered: Region[] = [];
export const currentRegion = (): Region | null => entered[entered.length - 1] ?? null;

/** All regions that the running function is in, the outermost first. */
export const enteredRegions = (): readonly Region[] => entered;

/** Runs a synchronous function in a region. */
export function withinRegion<T>(region: Region, run: () => T): T {
  entered.push(region);
  try {
    return run();
  } finally {
    entered.pop();
  }
}
