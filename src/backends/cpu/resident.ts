import { OutOfMemoryError } from '../../errors.js';
import type { CpuBuffer } from './buffer.js';
import { type Block, heap } from './heap.js';
import { write } from './transfer.js';

/**
 * Copies of ordinary arrays that stay in the heap: of large ones that one arena after another has wanted (a data set, fixed weights). Tensors
 * are immutable, so a copy stays true. It goes when its tensor is collected, when one that is used more often wants its room, and when memory
 * runs out.
 */

const LEAST_BYTES = 2 ** 16;
const MOST_BYTES = 2 ** 26;

export interface ResidentCopy extends Block {
  /** Its owner is not told when it goes, but sees it here: a WeakRef would keep the owner alive until the running turn of the event loop ends. */
  isGone: boolean;
  /** When it was used last, in uses of all copies. */
  lastUse: number;
}

const kept = new Set<ResidentCopy>();
const collected = new FinalizationRegistry<ResidentCopy>(release);
const wantedAt = new WeakMap<CpuBuffer, number>();
const handedOut = new WeakSet<CpuBuffer>();
let bytes = 0;
let clock = 0;
let callStart = 0;

/** Bytes of the heap that resident copies take. */
export const residentBytes = (): number => bytes;

/** Called when a kernel's call begins: addresses hold until the next one does. */
export function beginCall(): void {
  callStart = clock;
}

/** The address of a resident copy, if there is one. */
export function residentAddress({ resident }: CpuBuffer): number | undefined {
  if (!resident) return undefined;
  resident.lastUse = clock++;
  return resident.start;
}

/** Called when the array itself is given to the user: tensors are read-only, but a copy that could go stale unseen is not worth its speed. */
export function forbidKeeping(buffer: CpuBuffer): void {
  handedOut.add(buffer);
  dropCopy(buffer);
}

/** Called when the array is about to change. */
export function dropCopy({ resident }: CpuBuffer): void {
  if (resident) release(resident);
}

/** Whether the array has been given to the user, who may write to it. */
export const isHandedOut = (buffer: CpuBuffer): boolean => handedOut.has(buffer);

function release(copy: ResidentCopy): void {
  if (!kept.delete(copy)) return;
  copy.isGone = true;
  collected.unregister(copy);
  bytes -= copy.size;
  heap().give(copy);
}

/** Gives up all copies but those that the running call may be reading. */
function relieve(): void {
  for (const copy of kept) if (copy.lastUse < callStart) release(copy);
}

/** Called when an arena closes, with what it had to copy: what was copied before as well becomes resident. */
export function considerKeeping(copied: readonly CpuBuffer[]): void {
  for (const buffer of copied) {
    const size = buffer.bytes;
    if (handedOut.has(buffer) || size < LEAST_BYTES || size > MOST_BYTES) continue;
    const before = wantedAt.get(buffer);
    wantedAt.set(buffer, clock++);
    if (before !== undefined && makeRoom(size, before)) keep(buffer, size);
  }
}

/** Whether there is room, if need be that of copies which have not been used since: else more data than fits, used in turn, would never be found. */
function makeRoom(size: number, since: number): boolean {
  while (bytes + size > MOST_BYTES) {
    const oldest = [...kept].reduce((a, b) => (a.lastUse < b.lastUse ? a : b));
    if (oldest.lastUse > since) return false;
    release(oldest);
  }
  return true;
}

function keep(buffer: CpuBuffer, size: number): void {
  heap().relieve = relieve;
  const block = takeIfRoom(size);
  if (!block) return;
  write(block.start, buffer.array!);
  const copy = { ...block, isGone: false, lastUse: clock++ };
  buffer.resident = copy;
  kept.add(copy);
  collected.register(buffer, copy, copy);
  bytes += copy.size;
}

/** Memory, unless there is none left: a copy to come is no reason to fail. */
function takeIfRoom(size: number): Block | null {
  try {
    return heap().take(size);
  } catch (error) {
    if (error instanceof OutOfMemoryError) return null;
    throw error;
  }
}
