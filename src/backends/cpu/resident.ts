import { OutOfMemoryError } from '../../errors.js';
import type { CpuBuffer } from './buffer.js';
import { heap, type HeapRegion } from './heap.js';

/**
 * Copies of ordinary arrays that stay in the heap: of large ones that one scope after another has wanted (a data set, fixed weights), the
 * latest first and never more than a few. Tensors are immutable, so a copy stays true.
 */

const LEAST_BYTES = 2 ** 16;
const MOST_BYTES = 2 ** 26;

export interface ResidentCopy extends HeapRegion {
  lastUse: number;
}

const kept = new Set<CpuBuffer>();
const wantedBefore = new WeakSet<CpuBuffer>();
const handedOut = new WeakSet<CpuBuffer>();
let bytes = 0;
let uses = 0;

/** Bytes of the heap that resident copies take. */
export const residentBytes = (): number => bytes;

/** The address of a resident copy, if there is one. It holds until a scope closes. */
export function residentAddress(buffer: CpuBuffer): number | undefined {
  const copy = buffer.resident;
  if (!copy) return undefined;
  copy.lastUse = uses++;
  return copy.start;
}

/** Called when the array itself is given to the user: tensors are read-only, but a copy that could go stale unseen is not worth its speed. */
export function forbidKeeping(buffer: CpuBuffer): void {
  handedOut.add(buffer);
  if (buffer.resident) release(buffer);
}

function release(buffer: CpuBuffer): void {
  const copy = buffer.resident!;
  buffer.resident = null;
  kept.delete(buffer);
  bytes -= copy.size;
  heap().give(copy);
}

const leastRecentlyUsed = (): CpuBuffer => [...kept].reduce((a, b) => (a.resident!.lastUse < b.resident!.lastUse ? a : b));

/** Called when a scope closes, with what it had to copy: what was copied before as well becomes resident. */
export function considerKeeping(copied: readonly CpuBuffer[]): void {
  for (const buffer of copied) {
    const size = buffer.length * 4;
    if (buffer.dtype !== 'float32' || handedOut.has(buffer) || size < LEAST_BYTES || size > MOST_BYTES) continue;
    if (!wantedBefore.has(buffer)) {
      wantedBefore.add(buffer);
      continue;
    }
    while (bytes + size > MOST_BYTES) release(leastRecentlyUsed());
    const region = takeIfRoom(size);
    if (!region) return;
    heap().f32.set(buffer.array as Float32Array, region.start / 4);
    bytes += region.size;
    buffer.resident = { ...region, lastUse: uses++ };
    kept.add(buffer);
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
