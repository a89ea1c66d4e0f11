import type { Backend, Buffer, DeviceName, MemoryInfo } from '../backends/backend.js';
import { DeviceError } from '../errors.js';
import { describe, nameOf } from './arguments.js';
import type { Region } from './region.js';

/**
 * Where tensors live. The CPU is always there; the others are opened once, on the first `await device(name)`. This module knows no
 * concrete backend: src/index.ts introduces them.
 */
const openers = new Map<DeviceName, () => Promise<Backend>>();
const opened = new Map<DeviceName, Promise<Backend>>();

/** The CPU: where data from JavaScript arrives, where integers are checked and small results are read. Never changes. */
let host: Backend | undefined;

/** Where new tensors go; the host until somebody says otherwise. */
let chosen: Backend | null = null;

/** Introduces the CPU backend. */
export function registerHost(backend: Backend): void {
  host = backend;
  opened.set(backend.name, Promise.resolve(backend));
}

/** Introduces a device that is opened on demand. */
export function registerDevice(name: DeviceName, open: () => Promise<Backend>): void {
  openers.set(name, open);
}

/** The names of all devices, open or not. */
export const deviceNames = (): DeviceName[] => [...new Set([...opened.keys(), ...openers.keys()])];

/** The CPU backend. */
export function hostBackend(): Backend {
  if (!host)
    throw new DeviceError('device', "no CPU backend is registered; import from 'tapegrad', not from its inner modules");
  return host;
}

/**
 * Opens a device: `'cpu'`; `'webgpu'`, any GPU, in browsers that have WebGPU and in Node (needs the optional package webgpu); or `'metal'` on a Mac
 * (needs the optional package koffi). The same object is returned every time, unless the device has been lost: then a new one.
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
          `no device ${describe(name)}; there are 'cpu'${[...openers.keys()].map((n) => `, '${n}'`).join('')}`,
        ),
      );
    const opening = open();
    const forget = (): void => {
      if (opened.get(name) === opening) opened.delete(name);
    };
    backend = opening;
    opened.set(name, opening);
    opening.then(({ lost }) => lost?.then(forget), forget);
  }
  return backend;
}

/** The device that new tensors go to where nothing else is said: the CPU, or what `setDefaultDevice` was given. */
export const defaultDevice = (): Backend => chosen ?? hostBackend();

/**
 * Sends tensors that are made from now on (`tensor`, `zeros`, `random(seed).normal`, `model.init` and the like) to another device. Tensors that
 * exist stay where they are, and ops compute where their operands are.
 *
 * ```ts
 * setDefaultDevice(await device('metal'));
 * ```
 * @throws {DeviceError} for anything that is not a device, a name for instance.
 */
export function setDefaultDevice(device: Backend): void {
  checkDevice('setDefaultDevice', device);
  chosen = device;
}

/** @internal Refuses what is no device: its name, or the promise of one. */
export function checkDevice(op: string, device: unknown): asserts device is Backend {
  if (device instanceof Promise) throw new DeviceError(op, 'the device is a promise; await it: await device(name)');
  if (typeof device === 'string') {
    const name = device.length <= 20 ? `"${device}"` : 'name';
    throw new DeviceError(op, `the device is the name ${describe(device)}; give what 'await device(${name})' gives`);
  }
  const isBackend = typeof device === 'object' && device !== null && 'upload' in device && 'dispatch' in device;
  if (!isBackend) throw new DeviceError(op, `the device is ${nameOf(device)}; give what 'await device(name)' gives`);
}

/** What a device's memory holds now; the default device's when left out. */
export const memory = (backend: Backend = defaultDevice()): MemoryInfo => {
  checkDevice('memory', backend);
  return backend.memory();
};

/**
 * Lets `memory().peakBytes` begin again with what is in use now, to measure what a piece of work needs at most.
 *
 * ```ts
 * resetPeakMemory();
 * const gradient = grad(loss)(params);
 * console.log(memory().peakBytes);
 * ```
 */
export function resetPeakMemory(backend: Backend = hostBackend()): void {
  checkDevice('resetPeakMemory', backend);
  backend.resetPeak();
}

/** The regions that the running function is in: transforms' functions and backward passes, and `scope(fn)`. Empty after an `await`. */
const entered: Region[] = [];

/** The innermost one: where results go, and what begins now shares if it is a transform's. */
export const currentRegion = (): Region | null => entered[entered.length - 1] ?? null;

/** Runs a function in a region; of an asynchronous one, what comes before its first `await`. */
export function withinRegion<T>(region: Region, run: () => T): T {
  entered.push(region);
  try {
    return run();
  } finally {
    entered.pop();
  }
}

/** The regions of asynchronous scopes that have not ended. */
const pending = new Set<Region>();

/** Keeps a region until a promise settles. Meanwhile it is found by its tensors. */
export function leaveOpen<T>(region: Region, until: Promise<T>): Promise<T> {
  pending.add(region);
  return until.finally(() => {
    pending.delete(region);
    region.close();
  });
}

/** The asynchronous scope that a buffer lies in. */
export function pendingRegionOf(buffer: Buffer): Region | null {
  for (const region of pending) if (region.holds(buffer)) return region;
  return null;
}
