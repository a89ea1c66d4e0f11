import { OutOfMemoryError } from '../../errors.js';
import type { CpuBuffer } from './buffer.js';
import { heap, type HeapRegion } from './heap.js';

/**
 * Copies of ordinary arrays that stay in the heap: of large ones that one scope after another has wanted (a data set, fixed weights), the
 * latest first and never more than a few. Tensors are immutable, so a copy stays true.
 */

const LEAST_BYTES = 2 ** 16;
const MOST_BYTES = 2 ** 26;

const kept = new Map<CpuBuffer, HeapRegion>(); // in the order of their last use
const wantedBefore = new WeakSet<CpuBuffer>();
const handedOut = new WeakSet<CpuBuffer>();
let bytes = 0;

/** Bytes of the heap that resident copies take. */
export const residentBytes = (): number => bytes;

/** The address of a resident copy, if there is one. It holds until a scope closes. */
export function residentAddress(buffer: CpuBuffer): number | undefined {
  const region = kept.get(buffer);
  if (!region) return undefined;
  kept.delete(buffer);
  kept.set(buffer, region);
  return region.start;
}

/** Called when the array itself is given to the user: tensors are read-only, but a copy that could go stale unseen is not worth its speed. */
export function forbidKeeping(buffer: CpuBuffer): void {
  handedOut.add(buffer);
  const region = kept.get(buffer);
  if (region) release(buffer, region);
}

function release(buffer: CpuBuffer, region: HeapRegion): void {
  kept.delete(buffer);
  bytes -= region.size;
  heap().give(region);
}

/** Called when a scope closes, with what it had to copy: what was copied before as well becomes resident. */
export function considerKeeping(copied: readonly CpuBuffer[]): void {
  for (const buffer of copied) {
    const size = buffer.length * 4;
    if (buffer.dtype !== 'float32' || handedOut.has(buffer) || size < LEAST_BYTES || size > MOST_BYTES) continue;
    if (!wantedBefore.has(buffer)) {
      wantedBefore.add(buffer);
      continue;
    }
    for (const [oldest, region] of kept) {
      if (bytes + size <= MOST_BYTES) break;
      release(oldest, region);
    }
    const region = takeIfRoom(size);
    if (!region) return;
    heap().f32.set(buffer.array as Float32Array, region.start / 4);
    bytes += region.size;
    kept.set(buffer, region);
  }
}

/** Memory, unless there is none left: a copy to come is no reason to fail. */
function takeIfRoom(size: number): HeapRegion | null {
  try {
    return heap().take(size);
  } catch (error) {
    if (error instanceof OutOfMemoryError) return null;
    throw error;
  }
}
