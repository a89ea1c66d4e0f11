import { currentRegion, pendingRegionOf } from '../tensor/device.js';
import type { Region } from '../tensor/region.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * Where a result of these inputs goes, and what a transform of them shares: the memory of the function that runs, as a rule. After an `await`
 * no function is known to run, but traced tensors know their transform, and an asynchronous scope its tensors.
 */
export function regionFor(inputs: readonly Tensor[]): Region | null {
  const current = currentRegion();
  for (const input of inputs) {
    for (let trace = input.trace; trace; trace = trace.next) {
      const { region } = trace.tape;
      if (region !== current && region.isOpen) return region;
    }
  }
  if (current) return current;
  for (const input of inputs) {
    const region = pendingRegionOf(input.buffer);
    if (region) return region;
  }
  return null;
}

/** Whether a tape records what is done with a tensor. */
export function isRecorded(t: Tensor): boolean {
  for (let trace = t.trace; trace; trace = trace.next) if (trace.tape.recording) return true;
  return false;
}
