/** WebGPU in Node: Dawn, through the optional package `webgpu`. The only file that knows it; it is loaded when somebody asks for the device. */
import { DeviceError } from '../../errors.js';
import type { GPU } from './api.js';
import type { Backend } from '../backend.js';
import { inNavigator, openWebGpu } from './index.js';

interface Dawn {
  create(options: readonly string[]): GPU;
}

/** Node dies when this is collected while a device of it is in use. */
let kept: GPU | undefined;

/** Opens the 'webgpu' device in Node. */
export const openInNode = (): Promise<Backend> => openWebGpu(inNode);

async function inNode(): Promise<GPU> {
  kept ??= (await inNavigator()) ?? (await importDawn()).create([]);
  return kept;
}

async function importDawn(): Promise<Dawn> {
  try {
    const name = 'webgpu' as string; // a variable: bundlers leave it alone
    return (await import(name)) as Dawn;
  } catch (error) {
    throw new DeviceError('webgpu', `the optional package webgpu cannot be loaded: npm install webgpu`, {
      cause: error,
    });
  }
}
