import { type Backend, BYTES, type DType } from '../backend.js';
import { LARGE } from './allocator.js';
import { type Beyond, CpuArena, type CpuBuffer } from './buffer.js';
import { align, canShare, heap } from './heap.js';
import { nodeBuffers } from './transfer.js';

/**
 * Large results that belong to no scope: those of single ops outside, and what transforms and scopes have returned. They stay in the heap, where
 * the next op finds them, until somebody looks at the numbers; then they move to ordinary memory, for good. A result's room is given back when the
 * collector has found that nobody can see it any more, which engines tell between turns of the event loop and never within one: whatever does not
 * fit meanwhile goes to ordinary memory at once.
 */

/**
 * What the shelf holds at most, if not two results (of at most as much each) take more: the older one is collected when the next comes. From a quarter of it
 * on the collector is told; before, it would come for nothing. And the least that a result takes here: smaller ones are copied sooner than memory is found
 * that is not in a cache. What an optimizer is going to write over where it lies needs no memory to be found: of that, all that changes hands in place.
 */
const ROOM = 2 ** 28;
const QUIET = ROOM / 4;
const LEAST = 2 ** 20;

interface Piece {
  readonly address: number;
  readonly bytes: number;
}

/** Memory that nobody touches costs nothing, and the collector comes as often as for a result outside. */
function untouched(bytes: number): object | null {
  try {
    return nodeBuffers?.allocUnsafeSlow(bytes) ?? null;
  } catch {
    return null; // there are no addresses left for it
  }
}

export class Shelf extends CpuArena implements Beyond {
  private held = 0;
  private hasRoom = false;
  private readonly collected = new FinalizationRegistry<Piece>((piece) => {
    this.giveBack(piece);
  });

  constructor(backend: Backend) {
    super(backend, () => undefined);
  }

  takes(dtype: DType, length: number, staysNear = false): boolean {
    const bytes = align(length * BYTES[dtype]);
    const least = staysNear ? LARGE : LEAST;
    if (bytes < least || bytes > ROOM || this.held + bytes > Math.max(ROOM, 2 * bytes)) return false;
    this.setRoomAside();
    return true;
  }

  /** So that nothing else has to make room for what lies here. A page is not made to reserve that much. */
  private setRoomAside(): void {
    if (this.hasRoom) return;
    this.hasRoom = true;
    if (canShare && nodeBuffers) heap().setAside(ROOM);
  }

  /** Gives a buffer a place. */
  adopt(buffer: CpuBuffer): void {
    buffer.address = this.pieces.allocate(buffer.bytes);
    buffer.arena = this;
    this.keep(buffer);
  }

  keep(buffer: CpuBuffer): void {
    const { address } = buffer;
    const bytes = align(buffer.bytes);
    this.collected.register(buffer, { address, bytes }, buffer);
    this.held += bytes;
    heap().used -= bytes; // as if it had left
    buffer.weight = this.held > QUIET ? untouched(bytes) : null;
  }

  override moveOut(buffer: CpuBuffer): void {
    this.forget(buffer);
    super.moveOut(buffer);
  }

  override discard(buffer: CpuBuffer): void {
    this.forget(buffer);
    super.discard(buffer);
  }

  override renew(buffer: CpuBuffer): CpuBuffer {
    const heir = super.renew(buffer);
    const { address, weight } = buffer;
    this.collected.unregister(buffer);
    this.collected.register(heir, { address, bytes: align(heir.bytes) }, heir);
    heir.weight = weight;
    buffer.weight = null;
    return heir;
  }

  /** From here on the buffer is like one of any arena's. */
  private forget(buffer: CpuBuffer): void {
    this.collected.unregister(buffer);
    const bytes = align(buffer.bytes);
    this.held -= bytes;
    heap().used += bytes;
    buffer.weight = null;
  }

  private giveBack({ address, bytes }: Piece): void {
    this.held -= bytes;
    heap().used += bytes;
    this.pieces.give(address, bytes);
  }
}
