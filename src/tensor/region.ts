import type { Arena, Backend, Buffer } from '../backends/backend.js';

/**
 * The memory of a scope, that is of `scope(fn)` or of a transform: an arena on each device that computes in it, opened when first needed. What begins while a
 * transform's function runs shares the transform's region; transforms in `scope(fn)` have regions of their own, which end before it does.
 */
export class Region {
  private readonly arenas: Arena[] = []; // seldom more than one
  private open = true;
  /** Buffers made since the backward pass that keeps the journal began; null when none does. */
  private journal: Buffer[] | null = null;
  private keepers = 0;

  /** @param isShared whether it belongs to a transform, and so to whatever begins inside. */
  constructor(readonly isShared: boolean) {}

  /** False once the memory has been recycled. */
  get isOpen(): boolean {
    return this.open;
  }

  /** The arena on a device; none after closing. */
  on(backend: Backend): Arena | null {
    for (const arena of this.arenas) if (arena.backend === backend) return arena;
    if (!this.open) return null;
    const arena = backend.openArena();
    this.arenas.push(arena);
    return arena;
  }

  /** Notes down what has been made in the region, if a backward pass wants to know. */
  note(buffer: Buffer): void {
    this.journal?.push(buffer);
  }

  /** The memory of a buffer of the region as a new one, to be added to in place. */
  renew(buffer: Buffer): Buffer {
    const heir = buffer.backend.renew(buffer);
    this.note(heir);
    return heir;
  }

  /** Whether a buffer lies in this region, and has not been given back. */
  holds(buffer: Buffer): boolean {
    for (const arena of this.arenas) if (arena.holds(buffer)) return true;
    return false;
  }

  /**
   * Moves a buffer into the region around this one, or, without one, into memory of its own; a buffer that is not the region's own is left as
   * it is.
   */
  release(buffer: Buffer, around: Region | null): void {
    for (const arena of this.arenas)
      if (arena.holds(buffer)) return arena.release(buffer, around?.on(buffer.backend) ?? null);
  }

  /** Begins to note down what is made; ends with `closeJournal`. Backward passes within backward passes write into one journal. */
  openJournal(): void {
    this.keepers++;
    this.journal ??= [];
  }

  closeJournal(): void {
    if (--this.keepers === 0) this.journal = null;
  }

  /** A place in the journal for `sweep`. */
  get mark(): number {
    return this.journal?.length ?? 0;
  }

  /** Whether a buffer was made since the mark. */
  hasMade(buffer: Buffer, mark: number): boolean {
    return this.journal?.includes(buffer, mark) ?? false;
  }

  /**
   * Of what was made since the mark, gives back at once what no cotangent lies in. The rest may be given back, or added to in place, as soon as
   * none does any more.
   */
  sweep(mark: number): void {
    const { journal } = this;
    if (!journal) return;
    let kept = mark;
    for (let i = mark; i < journal.length; i++) {
      const buffer = journal[i]!;
      if (buffer.claims === 0) {
        buffer.backend.discard(buffer);
      } else {
        buffer.disposable = true;
        if (this.keepers > 1) journal[kept++] = buffer; // the pass around this one will want to know of it
      }
    }
    journal.length = kept;
  }

  /** Recycles the memory. */
  close(): void {
    this.open = false;
    for (const arena of this.arenas) arena.close();
    this.arenas.length = 0;
  }
}
